package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images/machine"
)

func loginCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "login [ROLE[/SUITE]] [-- COMMAND...]",
		Short: "Open a shell on a machine that verify --keep has left running",
		RunE: func(c *cobra.Command, args []string) error {
			n := len(args)
			if d := c.ArgsLenAtDash(); d >= 0 {
				n = d
			}
			if n > 1 {
				return usagef(c, "one machine at a time: %s", strings.Join(args[:n], " "))
			}
			return a.runLogin(c.Context(), cmp.Or(strings.Join(args[:n], ""), ""), args[n:])
		},
	}
	return c
}

// kept is a machine whose ssh_config is still there.
type kept struct {
	run    string
	role   string
	label  string // role/suite
	config string
	at     time.Time
}

func (a *app) runLogin(ctx context.Context, want string, command []string) error {
	repo, err := a.openRepo(ctx)
	if err != nil {
		return err
	}
	list, err := keptMachines(filepath.Join(repo.Root(), ".imgops", "runs"))
	if err != nil {
		return err
	}
	var match []kept
	for _, k := range list {
		if want == "" || k.label == want || strings.HasPrefix(k.label, want+"/") {
			match = append(match, k)
		}
	}
	if len(match) == 0 {
		if len(list) > 0 {
			return fmt.Errorf("no machine of %s was kept; there are: %s", want, labels(list))
		}
		return errors.New("no machine was kept; keep one: imgops verify --keep ROLE")
	}
	k := match[0] // the newest
	if len(match) > 1 {
		a.note("of %d machines, the newest: %s", len(match), k.label)
	}
	if len(command) > 1 { // ssh would join them with spaces; one alone is a command line for the shell there
		for i, word := range command {
			command[i] = machine.Quote(word)
		}
	}
	cmd := exec.CommandContext(ctx, "ssh", append([]string{"-F", k.config, "machine"}, command...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.Stdin, a.Stdout, a.Stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() != 255 { // 255 is ssh's own failure
			return &exitStatus{code: exit.ExitCode()}
		}
		return fmt.Errorf("logging in to %s (after a start, such as by sandbox up, it takes a while to answer: try again; when its time was over, it is gone: imgops verify --keep %s): %w", k.label, k.role, err)
	}
	return nil
}

func labels(list []kept) string {
	var names []string
	for _, k := range list {
		names = append(names, k.label)
	}
	return strings.Join(names, ", ")
}

// keptMachines finds the machines whose private directory was not removed: runs/<run>/<role>/.../<suite>/ssh_config.
func keptMachines(root string) ([]kept, error) {
	var list []kept
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.Name() != "ssh_config" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		parts := strings.Split(rel, string(os.PathSeparator))
		if len(parts) >= 3 {
			list = append(list, kept{run: parts[0], role: parts[1], label: parts[1] + "/" + parts[len(parts)-1], config: path, at: info.ModTime()})
		}
		return nil
	})
	slices.SortFunc(list, func(x, y kept) int { return y.at.Compare(x.at) })
	if err != nil {
		return nil, fmt.Errorf("looking for kept machines: %w", err)
	}
	return list, nil
}
