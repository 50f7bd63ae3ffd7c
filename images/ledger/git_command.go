package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// commandWire is the git command's fetch and push, with all that Git can do to be let in.
type commandWire struct {
	git *Git
	url string
}

// gitCommand is a git command in the repository that asks nobody anything.
func gitCommand(ctx context.Context, g *Git, args ...string) *exec.Cmd {
	all := append([]string{"--git-dir=" + g.dir, "-c", "gc.auto=0", "-c", "maintenance.auto=false"}, args...)
	cmd := exec.CommandContext(ctx, "git", all...)
	cmd.Dir = g.top // where Git itself goes, and a remote's relative path begins
	cmd.WaitDelay = 5 * time.Second
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_TERMINAL_PROMPT", "SSH_ASKPASS", "LC_ALL"}, name) {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "SSH_ASKPASS=")
	return cmd
}

func (w *commandWire) run(ctx context.Context, args ...string) (string, error) {
	cmd := gitCommand(ctx, w.git, args...)
	if os.Getenv("GIT_SSH_COMMAND")+os.Getenv("GIT_SSH") == "" && gitCommand(ctx, w.git, "config", "core.sshCommand").Run() != nil {
		cmd.Env = append(cmd.Env, "GIT_SSH_COMMAND=ssh -oBatchMode=yes")
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		err = fmt.Errorf("git %s: %w: %s", args[0], err, strings.Join(strings.Fields(errs.String()+" "+out.String()), " "))
		return out.String(), explainSSH(err, w.url)
	}
	return out.String(), nil
}

func (w *commandWire) tip(ctx context.Context) (plumbing.Hash, error) {
	out, err := w.run(ctx, "ls-remote", w.git.remote, string(localRef))
	if err != nil {
		return plumbing.ZeroHash, err
	}
	id, _, _ := strings.Cut(strings.TrimSpace(out), "\t")
	return plumbing.NewHash(id), nil
}

func (w *commandWire) fetch(ctx context.Context, want plumbing.Hash, have []plumbing.Hash) error {
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"}
	if len(have) == 0 && w.git.has(want) { // its tip is here, and its history is wanted
		args = append(args, "--depth=2147483647")
	}
	_, err := w.run(ctx, append(args, w.git.remote, string(localRef))...)
	w.git.reopen()
	return err
}

func (w *commandWire) mayPush(ctx context.Context) error {
	tip := w.git.tip(seenRef)
	if tip.IsZero() { // there is no branch yet: try with a commit that is here
		ref, err := w.git.repo.Head()
		if err != nil {
			return fmt.Errorf("reading HEAD: %w", err)
		}
		tip = ref.Hash()
	}
	_, err := w.run(ctx, "push", "--dry-run", "--no-verify", "--porcelain", w.git.remote, tip.String()+":"+string(localRef))
	return err
}

func (w *commandWire) push(ctx context.Context, old, tip plumbing.Hash, _ []plumbing.Hash) error {
	was := old.String()
	if old.IsZero() {
		was = ""
	}
	_, err := w.run(ctx, "push", "--no-verify", "--porcelain", "--force-with-lease="+string(localRef)+":"+was, w.git.remote, tip.String()+":"+string(localRef))
	if err != nil && strings.Contains(err.Error(), "rejected]") {
		return w.git.rejected(err)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && strings.Contains(err.Error(), "403") {
		return w.git.rejected(err)
	}
	return err
}
