package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

// TestShowSaysWhatIsNotKnown: an image of which only the ledger is left to tell is shown with the reason why the rest is
// empty, also when imgops is to be quiet; a role that nobody has is said to be unknown whether or not AWS can be asked.
func TestShowSaysWhatIsNotKnown(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	const id = "ami-0aaaaaaaaaaaaaaaa"
	record, err := ledger.Image{
		About: ledger.About{Fleet: "acme", Role: "web", Digest: "sha256:" + strings.Repeat("a", 64), Image: id, Account: "111111111111", Region: "us-east-1"},
		Name:  "acme-web", Commit: w.git("rev-parse", "HEAD"), Base: "ami-0123456789abcdef0", BuiltAt: time.Now(),
	}.Entry()
	require.NoError(t, err)
	store, err := ledger.OpenGit(w.fleet, ledger.GitOptions{})
	require.NoError(t, err)
	require.NoError(t, store.Append(t.Context(), "x", []ledger.Entry{record}))

	type image struct{ Image, State, Note string }
	out, _ := w.do(exitDone, "show", id, "-o", "json", "--quiet")
	require.Equal(t, image{id, "gone", "it is not in 111111111111/us-east-1 any more; this is what the ledger knows"}, decode[image](t, out))

	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_ENDPOINT_URL", "")
	out, _ = w.do(exitDone, "show", id, "-o", "json", "--quiet")
	got := decode[image](t, out)
	require.Equal(t, "unknown", got.State)
	require.Contains(t, got.Note, "state, snapshots and tags are not known, for AWS was not asked: ")
	require.Contains(t, got.Note, "no AWS credentials")
	out, _ = w.do(exitDone, "show", id)
	require.Regexp(t, `(?m)^note +state, snapshots and tags are not known`, out)

	_, errs := w.do(exitUsage, "history", "webb")
	require.Contains(t, errs, `imgops: no role "webb" (did you mean "web"?)`)
	require.Contains(t, errs, "AWS, which may know of one that is gone, was not asked: ")
	_, errs = w.do(exitError, "diff", "web", id, id)
	require.Contains(t, errs, "what image "+id+" holds was not recorded when run ")
}
