package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestErrorText(t *testing.T) {
	missing := &fs.PathError{Op: "open", Path: "a\n::error::x\x1b[2J", Err: fs.ErrNotExist}
	err := errors.Join(fmt.Errorf("reading it: %w", missing), errors.New("a second line\ttells more"))
	require.Equal(t, `reading it: open a\n::error::x\x1b[2J: file does not exist`+"\na second line\ttells more", errorText(err))
	require.NotContains(t, markdown("a\x1bb"), "\x1b")
}

// TestHostileNames: no name of the repository begins a line of output, or reaches the terminal with a control character,
// in whatever is said of it; data has it exactly.
func TestHostileNames(t *testing.T) {
	const hostile = "a\n::error::x\x1b[2J"
	d := damagedFleet{newAPIWorld(t)}
	d.write("roles/web/files/"+hostile, "one\n")
	d.write("roles/web/tasks/"+hostile+".yml", "[]\n")
	d.save()
	base := d.git("rev-parse", "HEAD")
	d.write("roles/web/files/"+hostile, "two\n")
	check := func(out string) {
		t.Helper()
		require.NotContains(t, out, "\x1b")
		for line := range strings.Lines(out) {
			require.False(t, strings.HasPrefix(line, "::"), line)
		}
	}
	_, out, errs := d.try("plan", "--explain", "--base", base)
	check(out + errs)
	require.Contains(t, out, `a\n::error::x\x1b[2J`, errs)
	require.Contains(t, errs, `a\n::error::x\x1b[2J`)
	_, out, _ = d.try("plan", "--explain", "--base", base, "-o", "json")
	require.Contains(t, out, `a\n::error::x\u001b[2J`)
	_, out, errs = d.try("promote", "web")
	check(out + errs)
	require.Contains(t, errs, `a\n::error::x\x1b[2J`)
	d.write("roles/web/tasks/"+hostile+".yml", "- include_tasks: {{ x\n")
	_, out, errs = d.try("validate")
	check(out + errs)
	require.Contains(t, errs, `a\n::error::x\x1b[2J.yml:`)
	d.write("roles/web/files/"+hostile, "version https://git-lfs.github.com/spec/v1\noid sha256:"+strings.Repeat("ab", 32)+"\nsize 12345\n")
	d.write("roles/web/tasks/"+hostile+".yml", "[]\n")
	d.save()
	summary := t.TempDir() + "/summary.md"
	code, out, errs := d.try("ci", "--event", "push", "--summary", summary)
	require.NotZero(t, code)
	check(out + errs)
	require.Contains(t, errs, `a\n::error::x\x1b[2J is a Git LFS pointer`)
	if data, err := os.ReadFile(summary); err == nil {
		check(string(data))
	}
}
