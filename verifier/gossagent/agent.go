// Package gossagent is the goss engine that imgops carries: the verifier copies the imgops executable to the machine
// under test and runs it there as `imgops goss-agent`, so that neither side needs goss installed.
//
// Only here is the goss library imported. The machine's side is RunAgent; what it prints is decoded by Parse on the other.
package gossagent

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/goss-org/goss"
	"github.com/goss-org/goss/util"
)

// Command is the hidden subcommand of imgops that calls RunAgent.
const Command = "goss-agent"

// The exit codes of RunAgent. With Pass and Fail there is a document on stdout, with the others there is none.
const (
	Pass    = 0
	Fail    = 1
	Usage   = 2
	Invalid = 78 // the definition cannot be used, as goss itself says it (EX_CONFIG of sysexits.h)
)

// RunAgent validates the machine that it runs on against a goss file and prints one JSON document, as `goss validate
// --format json` does. Args are flags: -gossfile PATH (or - for stdin) and -vars PATH. It returns the exit code.
func RunAgent(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(Command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("gossfile", "goss.yaml", "goss file, or - for stdin")
	vars := flags.String("vars", "", "file with the variables of the goss file's templates")
	if err := flags.Parse(args); err != nil {
		return Usage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "unexpected argument %q\n", flags.Arg(0))
		return Usage
	}
	if *file == "-" {
		path, err := spool(stdin)
		if err != nil {
			fmt.Fprintf(stderr, "reading the goss file from stdin: %v\n", err)
			return Invalid
		}
		defer os.RemoveAll(filepath.Dir(path))
		*file = path
	}
	document, err := validate(*file, *vars)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", *file, err)
		return Invalid
	}
	return answer(document, stdout, stderr)
}

// answer prints the document and gives the exit code that belongs to it.
func answer(document []byte, stdout, stderr io.Writer) int {
	results, err := Parse(bytes.NewReader(document))
	if err != nil {
		fmt.Fprintf(stderr, "goss: %v\n", err)
		return Invalid
	}
	if _, err := stdout.Write(document); err != nil {
		fmt.Fprintf(stderr, "printing the results: %v\n", err)
		return Invalid
	}
	for _, r := range results {
		if r.failed() {
			return Fail
		}
	}
	return Pass
}

func validate(file, vars string) ([]byte, error) {
	if err := checkSections(file, vars); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	// Log lines go to stderr from level ERROR; the results are only ever written to out.
	config, err := util.NewConfig(util.WithSpecFile(file), util.WithVarsFile(vars), util.WithOutputFormat("json"),
		util.WithFormatOptions("sort"), util.WithResultWriter(&out))
	if err != nil {
		return nil, err
	}
	if _, err := goss.Validate(config); err != nil {
		return nil, err
	}
	if out.Len() == 0 {
		return nil, errors.New("goss gave no results")
	}
	return out.Bytes(), nil
}

// spool makes a file of stdin: the library itself would read the process's own standard input.
func spool(stdin io.Reader) (string, error) {
	data, err := io.ReadAll(stdin)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "imgops-goss-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "goss.yaml") // JSON is YAML too
	return path, os.WriteFile(path, data, 0o600)
}
