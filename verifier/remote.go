package verifier

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/imgops/imgops/images/machine"
)

// remote is the verifier's directory on a machine, with the suite's files in it, and what was found out about the machine.
type remote struct {
	dir    string // holds everything that was uploaded
	suite  string // the copy of the suite's directory
	system string // uname -s, such as Linux
	arch   string // uname -m, such as x86_64
	bats   string // path of the machine's own bats; empty when it has none
	bash   string // path of bash; empty when it has none
}

// probeScript makes the directory where files may be executed (a hardened image mounts /tmp or /var/tmp noexec) and
// prints what is known of the machine as key=value lines. The tests' own users may need to read it: it is not secret.
const probeScript = `
[ "$(id -u)" = 0 ] || sudo -n true || { echo "user $(id -un) cannot become root with sudo" >&2; exit 1; }
for parent in "${TMPDIR:-/var/tmp}" /var/tmp /tmp "$HOME"; do
	dir=$(mktemp -d "$parent/imgops-tests.XXXXXX" 2>/dev/null) || continue
	chmod 755 "$dir" && printf '#!/bin/sh\nexit 0\n' >"$dir/probe" && chmod 700 "$dir/probe"
	if "$dir/probe" 2>/dev/null; then rm -f "$dir/probe"; break; fi
	rm -rf "$dir"; dir=
done
[ -n "$dir" ] || { echo "found no directory in which files can be made and executed" >&2; exit 1; }
echo "dir=$dir"
echo "system=$(uname -s)"
echo "arch=$(uname -m)"
echo "bats=$(command -v bats)"
echo "bash=$(command -v bash)"
`

// prepare finds out about the machine and uploads the suite's directory.
func prepare(ctx context.Context, host *Host, dir string) (*remote, error) {
	var stdout, stderr capture
	if err := host.Run(ctx, shell(probeScript), nil, &stdout, &stderr); err != nil {
		return nil, withOutput(err, stderr.String())
	}
	r := &remote{}
	fields := map[string]*string{"dir": &r.dir, "system": &r.system, "arch": &r.arch, "bats": &r.bats, "bash": &r.bash}
	for line := range strings.Lines(stdout.String()) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if field := fields[key]; field != nil {
			*field = value
		}
	}
	if r.dir == "" || r.arch == "" {
		return nil, fmt.Errorf("the machine's shell did not answer as expected: %q", stdout.String())
	}
	r.suite = r.dir + "/suite"
	return r, host.UploadDir(ctx, dir, r.suite)
}

// asRoot is a shell command that runs argv as root in a directory, with further environment variables ("K=v").
func asRoot(dir string, env []string, argv ...string) string {
	words := slices.Concat([]string{"env"}, env, argv)
	for i, w := range words {
		words[i] = machine.Quote(w)
	}
	command := strings.Join(words, " ")
	return shell("cd " + machine.Quote(dir) + " || exit 126\n" +
		`[ "$(id -u)" = 0 ] && exec ` + command + "\nexec sudo -n " + command)
}

// shell runs a script with sh, whatever the user's login shell is.
func shell(script string) string { return "exec sh -c " + machine.Quote(script) }

// environ is what tests may want to know about the run.
func (s *suite) environ() []string {
	return []string{"IMGOPS_ROLE=" + s.req.Role.Name, "IMGOPS_SUITE=" + s.plan.suite.Name, "IMGOPS_IMAGE=" + s.req.Image.ID}
}

// sudo runs a command as root in the suite's directory on the machine.
func (s *suite) sudo(ctx context.Context, stdout, stderr io.Writer, argv ...string) error {
	return s.host.Run(ctx, asRoot(s.remote.suite, s.environ(), argv...), nil, stdout, stderr)
}

// withOutput adds what a command printed to its error.
func withOutput(err error, output string) error {
	if output = strings.TrimSpace(output); output == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, output)
}
