package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

// recordBuild keeps what a build of role web would have recorded of an image.
func (w *apiWorld) recordBuild(image string, change func(*ledger.Inventory)) {
	w.t.Helper()
	out, _ := w.do(exitDone, "show", "web", "-o", "json")
	about := ledger.About{Fleet: "acme", Role: "web", Digest: decode[shownRole](w.t, out).Digest, Image: image, Account: apiHome.Account, Region: apiHome.Region}
	inv := ledger.Inventory{
		About:    about,
		Packages: []ledger.Package{{Manager: "dpkg", Name: "bash", Arch: "amd64", Version: "5.2"}, {Manager: "dpkg", Name: "nginx", Arch: "amd64", Version: "1.22"}},
		Services: []ledger.Service{{Unit: "nginx.service", State: "enabled"}, {Unit: "exim4.service", State: "enabled"}},
		Etc:      []ledger.File{{Path: "/etc/motd", Type: "file", Mode: "0644", Owner: "root", Group: "root", Size: 3, Sum: "aa"}},
	}
	if change != nil {
		change(&inv)
	}
	spool := ledger.Spool{Dir: filepath.Join(w.fleet, ".git", "imgops", "pending")}
	for _, record := range []entry{ledger.Image{About: about, Name: "acme-web", Commit: w.git("rev-parse", "HEAD"), Base: "ami-0123456789abcdef0", BuiltAt: time.Now()}, inv} {
		e, err := record.Entry()
		require.NoError(w.t, err)
		require.NoError(w.t, spool.Put(e))
	}
}

// twoImages is a world in which main had two defaults, of which the ledger knows what they hold.
func twoImages(t *testing.T, setting string) (w *apiWorld, bare, one, two string) {
	t.Helper()
	w = newAPIWorld(t)
	bare = w.shared(setting)
	one = w.merged("one")
	w.recordBuild(one, nil)
	w.do(exitDone, "ci", "--event", "push")
	two = w.merged("two")
	w.recordBuild(two, func(i *ledger.Inventory) {
		i.Packages[0].Version = "5.3"
		i.Packages[1].Name = "curl"
		i.Services[0].State = "disabled"
		i.Services[1].Unit = "app.service"
		i.Etc[0].Sum = "bb"
	})
	w.do(exitDone, "ci", "--event", "push")
	require.False(t, w.kept())
	return w, bare, one, two
}

// offline takes AWS away: no endpoint, no credentials.
func offline(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} {
		t.Setenv(name, "")
		require.NoError(t, os.Unsetenv(name))
	}
}

// TestLedgerOffline asks history, show and diff in every kind of clone, without AWS, and then without the remote.
func TestLedgerOffline(t *testing.T) {
	w, bare, one, two := twoImages(t, "")
	root := t.TempDir()
	made := func(name string, args ...string) *apiWorld {
		c := &apiWorld{t: t, fleet: filepath.Join(root, name), box: w.box}
		w.git(append(append([]string{"clone", "-q"}, args...), "file://"+bare, c.fleet)...)
		return c
	}
	linked := &apiWorld{t: t, fleet: filepath.Join(root, "linked"), box: w.box}
	made("for the worktree").git("worktree", "add", "-q", "--detach", linked.fleet)
	clones := map[string]*apiWorld{
		"the clone that wrote it": w, "fresh": made("fresh"), "shallow": made("shallow", "--depth=1"), "single-branch": made("single", "--single-branch", "--branch", "main"),
		"partial": made("partial", "--filter=blob:none", "--no-checkout"), "linked worktree": linked, "bare mirror": made("mirror.git", "--mirror"), "bare": made("bare.git", "--bare"),
	}
	clones["partial"].git("checkout", "-q", "main")
	first := w.git("rev-parse", "main~1")
	offline(t)
	ask := func(t *testing.T, at *apiWorld) (errs string) {
		c := &apiWorld{t: t, fleet: at.fleet, box: at.box}
		out, _ := c.do(exitDone, "history", "web", "-o", "json")
		events := decode[[]past](t, out)
		require.Len(t, events, 4)
		require.Contains(t, out, "arn:aws:")
		out, _ = c.do(exitDone, "show", two, "-o", "json")
		img := decode[shownImage](t, out)
		require.Equal(t, two, img.Image)
		require.NotNil(t, img.Ledger)
		require.NotNil(t, img.Ledger.Packages)
		out, errs = c.do(exitDone, "diff", "web", "-o", "json")
		d := decode[diffOutput](t, out)
		require.Equal(t, []string{one, two}, []string{d.A.Image, d.B.Image})
		require.Len(t, d.Packages, 3)
		require.Len(t, d.Services, 3)
		require.Len(t, d.Etc, 1)
		c.do(exitDone, "diff", "web", one, two)
		c.do(exitChanges, "diff", "web", first[:12], "default", "--detailed-exitcode")
		return errs
	}
	for name, c := range clones {
		t.Run(name+", with the remote", func(t *testing.T) { require.NotContains(t, ask(t, c), "not asked") })
	}
	require.NoError(t, os.Rename(bare, bare+".away"))
	for name, c := range clones {
		t.Run(name+", without", func(t *testing.T) { require.Contains(t, ask(t, c), "this is what this clone knows of the ledger") })
	}
}

// TestLedgerNothingKnown: what nobody has recorded, and what this clone cannot know, are told apart, each with what to do.
func TestLedgerNothingKnown(t *testing.T) {
	w, bare, one, two := twoImages(t, "")
	never := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "never"), box: w.box}
	w.git("clone", "-q", "--single-branch", "--branch", "main", "file://"+bare, never.fleet)
	require.NoError(t, os.Rename(bare, bare+".away"))
	out, errs := never.do(exitDone, "history", "web", "-o", "json")
	require.Len(t, decode[[]past](t, out), 4, "AWS knows of it")
	require.Contains(t, errs, "this is what this clone knows of the ledger")

	offline(t)
	t.Log("a role and an image that nobody knows")
	for _, command := range []string{"history", "diff", "show"} {
		_, errs := w.do(exitUsage, command, "webb")
		require.Contains(t, errs, `imgops: no role "webb" (did you mean "web"?)`, command)
	}
	_, errs = w.do(exitError, "show", "ami-0123456789abcdef0")
	require.Contains(t, errs, "imgops: this clone knows no image ami-0123456789abcdef0, and the ledger's remote was not asked; where it can be: git fetch origin +refs/heads/imgops-ledger:refs/remotes/origin/imgops-ledger, and AWS was not asked: ")
	_, errs = w.do(exitError, "diff", "web", "ami-0123456789abcdef0")
	require.Contains(t, errs, "imgops: role web: image ami-0123456789abcdef0: no such entry in the ledger; imgops history web and imgops show web list what there is")

	t.Log("a clone that never had the branch says how to get it")
	_, errs = never.do(exitError, "history", "web")
	require.Contains(t, errs, "no AWS credentials")
	_, errs = never.do(exitError, "show", two)
	require.Contains(t, errs, "imgops: this clone knows no image "+two)
	_, errs = never.do(exitError, "diff", "web")
	_, fetch, ok := strings.Cut(errs, "imgops: this clone knows no image of role web, and the ledger's remote was not asked; where it can be: ")
	require.True(t, ok, errs)
	require.NoError(t, os.Rename(bare+".away", bare))
	never.shell(fetch)
	require.NoError(t, os.Rename(bare, bare+".away"))
	out, _ = never.do(exitDone, "diff", "web", "-o", "json")
	require.Equal(t, two, decode[diffOutput](t, out).B.Image)
	out, _ = never.do(exitDone, "show", one)
	require.Regexp(t, `(?m)^event .* promote of `+two+" ", out, "that one took its place")
	require.Regexp(t, `(?m)^event .* promote arn:aws:`, out)

	t.Log("with the remote, and nothing recorded")
	require.NoError(t, os.Rename(bare+".away", bare))
	_, errs = w.do(exitError, "show", "ami-0123456789abcdef0")
	require.Contains(t, errs, "imgops: the ledger knows no image ami-0123456789abcdef0, and AWS was not asked: ")
}

// TestLedgerOfTwoFleets: a repository may hold several fleets, whose roles may have the same names. Each has its own records.
func TestLedgerOfTwoFleets(t *testing.T) {
	w, _, one, two := twoImages(t, "")
	digest := "sha256:" + strings.Repeat("b", 64)
	about := ledger.About{Fleet: "other", Role: "web", Digest: digest, Image: "ami-0bbbbbbbbbbbbbbbb", Account: apiHome.Account, Region: apiHome.Region}
	for _, record := range []entry{
		ledger.Image{About: about, Name: "other-web", Commit: w.git("rev-parse", "HEAD"), Base: "ami-0123456789abcdef0", BuiltAt: time.Now().Add(time.Hour)}, ledger.Inventory{About: about},
		ledger.Event{Fleet: "other", Role: "web", Action: ledger.ActionPromote, At: time.Now().Add(time.Hour), Image: about.Image, Digest: digest,
			Pointers: []ledger.Pointer{{Account: apiHome.Account, Region: apiHome.Region, After: about.Image}}},
	} {
		e, err := record.Entry()
		require.NoError(t, err)
		require.NoError(t, ledger.Spool{Dir: filepath.Join(w.fleet, ".git", "imgops", "pending")}.Put(e))
	}
	w.do(exitDone, "ci", "--event", "push")
	offline(t)
	out, errs := w.do(exitDone, "diff", "web", "-o", "json")
	d := decode[diffOutput](t, out)
	require.Equal(t, []string{one, two}, []string{d.A.Image, d.B.Image})
	require.Contains(t, errs, `records of a role web are of fleet "other" and not of "acme"; they are left out`)
	out, _ = w.do(exitDone, "history", "web", "-o", "json")
	require.NotContains(t, out, about.Image)
	_, errs = w.do(exitError, "show", about.Image)
	require.Contains(t, errs, "the ledger knows no image "+about.Image)
}
