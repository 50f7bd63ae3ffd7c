package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/roles"
)

// fleetFiles is the fleet that init writes. A file whose name begins with "dot." begins with a dot there.
//
//go:embed all:fleet
var fleetFiles embed.FS

var fleetName = lazy(`^[a-z0-9][a-z0-9-]{0,30}$`)

func initCommand(a *app) *cobra.Command {
	o := &initOptions{}
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a fleet with the roles base and web that works at once on the sandbox, or a pipeline file for one",
		Long: "init writes a fleet that works at once on the sandbox. With --ci it writes a pipeline file for the fleet in DIR; where\n" +
			"there is none, both. It never overwrites a file.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir := a.set.Dir
			if len(args) == 1 && filepath.IsAbs(args[0]) {
				dir = args[0]
			} else if len(args) == 1 {
				dir = filepath.Join(dir, args[0])
			}
			return a.runInit(c.Context(), dir, o)
		},
	}
	c.Flags().StringVar(&o.name, "fleet", "", "the fleet's `name` (default: the directory's)")
	c.Flags().StringVar(&o.ci, "ci", "", "write a pipeline file for this `system`: "+strings.Join(ciSystems(), ", "))
	c.Flags().StringVar(&o.image, "ci-image", "", "the pipeline's jobs run in this container `image`, which has imgops (default: they install it with Go)")
	c.Flags().BoolVar(&o.print, "print", false, "with --ci: print the pipeline's files and write nothing, to put them together with files that are there")
	return c
}

type initOptions struct {
	name, ci, image string
	print           bool
}

func (a *app) runInit(ctx context.Context, dir string, o *initOptions) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("finding %s: %w", dir, err)
	}
	files, err := o.fleet(dir)
	if err != nil {
		return err
	}
	top, pipeline := dir, []fleetFile(nil)
	if o.ci != "" {
		if top, pipeline, err = pipelineContent(o.ci, o.image, dir, files); err != nil {
			return err
		}
	}
	if o.print {
		return a.printFiles(pipeline)
	}
	instead := "choose another directory, or move them away"
	if err := refuseOverwrite(dir, files, instead); err != nil {
		return err
	}
	if o.ci != "" {
		instead = "move them away, or have the pipeline printed, to put it together with what is there: imgops init --ci " + o.ci + " --print"
	}
	if err := refuseOverwrite(top, pipeline, instead); err != nil {
		return err
	}
	if err := errors.Join(writeAll(dir, files), writeAll(top, pipeline)); err != nil {
		return err
	}
	for _, f := range pipeline {
		fmt.Fprintf(a.Stdout, "wrote %s\n", filepath.Join(top, filepath.FromSlash(f.path)))
	}
	if len(pipeline) > 0 {
		a.note("the comment at the beginning of %s says what to set up before its first run", pipeline[0].path)
	}
	if files == nil {
		return nil
	}
	return a.initRepo(ctx, dir, len(files))
}

// printFiles prints files; where there are several, each after a comment with its path.
func (a *app) printFiles(files []fleetFile) error {
	var b bytes.Buffer
	for i, f := range files {
		if i > 0 {
			b.WriteString("\n")
		}
		if len(files) > 1 {
			fmt.Fprintf(&b, "# %s\n", f.path)
		}
		b.Write(f.data)
		a.note("printed %s", f.path)
	}
	_, err := a.Stdout.Write(b.Bytes())
	return err
}

// fleet is the fleet to write; nil when only a pipeline file is asked for, for a fleet that is there.
func (o *initOptions) fleet(dir string) ([]fleetFile, error) {
	if o.image != "" && o.ci == "" {
		return nil, &usageError{err: errors.New("--ci-image goes with --ci")}
	}
	if o.print && o.ci == "" {
		return nil, &usageError{err: errors.New("--print goes with --ci")}
	}
	if _, err := os.Stat(filepath.Join(dir, "imgops.yaml")); err == nil && o.ci != "" {
		return nil, nil
	}
	name := o.name
	if name == "" {
		name = strings.ToLower(filepath.Base(dir))
	}
	if !fleetName().MatchString(name) {
		return nil, &usageError{err: fmt.Errorf("fleet name %q: use 1 to 31 lower-case letters, digits and dashes, such as --fleet acme", name)}
	}
	return fleetContent(name)
}

func writeAll(dir string, files []fleetFile) error {
	for _, f := range files {
		if err := f.write(dir); err != nil {
			return err
		}
	}
	return nil
}

// initRepo makes a repository when there is none, and says how to go on.
func (a *app) initRepo(ctx context.Context, dir string, n int) error {
	_, err := roles.OpenRepo(ctx, dir)
	if errors.Is(err, roles.ErrNotRepository) {
		if err := roles.InitRepo(ctx, dir, "main"); err != nil {
			return err
		}
		a.note("made a Git repository with branch main")
	}
	fmt.Fprintf(a.Stdout, "wrote %d files of a fleet to %s\n", n, dir)
	a.note("next:\n  cd %s && git add -A && git commit -m 'Begin the fleet'\n  imgops sandbox up && eval \"$(imgops sandbox env)\"\n  imgops plan", dir)
	return nil
}

type fleetFile struct {
	path string // slash separated
	data []byte
	mode os.FileMode
}

func fleetContent(name string) ([]fleetFile, error) {
	var list []fleetFile
	err := fs.WalkDir(fleetFiles, "fleet", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fleetFiles.ReadFile(p)
		if err != nil {
			return err
		}
		f := fleetFile{path: strings.TrimPrefix(p, "fleet/"), data: bytes.ReplaceAll(data, []byte("FLEETNAME"), []byte(name)), mode: 0o644}
		if base := path.Base(f.path); strings.HasPrefix(base, "dot.") {
			f.path = path.Join(path.Dir(f.path), strings.TrimPrefix(base, "dot"))
		}
		if bytes.HasPrefix(data, []byte("#!")) {
			f.mode = 0o755
		}
		list = append(list, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the example fleet: %w", err)
	}
	return list, nil
}

func refuseOverwrite(dir string, files []fleetFile, instead string) error {
	var there []string
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(f.path))); err == nil {
			there = append(there, f.path)
		}
	}
	if len(there) > 0 {
		return &usageError{err: fmt.Errorf("%s already has %s; nothing was written: %s", dir, strings.Join(there, ", "), instead)}
	}
	return nil
}

func (f fleetFile) write(dir string) error {
	p := filepath.Join(dir, filepath.FromSlash(f.path))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return fmt.Errorf("making the directory of %s: %w", p, err)
	}
	if err := os.WriteFile(p, f.data, f.mode); err != nil {
		return fmt.Errorf("writing %s: %w", p, err)
	}
	return nil
}
