package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
)

const publisher = "136693071363"

// publish makes a base image of a stranger's, in both Regions, that the build account sees.
func (w *apiWorld) publish(name string) images.Image {
	w.t.Helper()
	var made images.Image
	for _, region := range []string{"eu-west-1", "us-east-1"} {
		made = w.box.Register(w.t, images.Location{Account: publisher, Region: region}, images.Image{Name: name})
		w.box.Share(w.t, made, apiHome.Account)
	}
	return made
}

// basesFleet is a fleet of two roles with external bases, and a child of the first.
func (w *apiWorld) basesFleet(extra string) {
	w.write("imgops.yaml", `version: 1
fleet: acme
main: main
build: {account: "111111111111", region: us-east-1}
`+extra+`targets:
  - name: production
    accounts: ["222222222222"]
    regions: [us-east-1, eu-west-1]
    role_arn: "arn:aws:iam::{account}:role/imgops"
`)
	for role, base := range map[string]string{
		"web": `{owner: "` + publisher + `", name: "debian-12-*"}`, "db": `{owner: "` + publisher + `", name: "debian-13-*"}`, "shop": "{role: web}",
	} {
		w.write("roles/"+role+"/image.yaml", "base: "+base+"\nverify: [{suite: default}]\n")
		w.write("roles/"+role+"/tasks/main.yml", "- ansible.builtin.ping:\n")
		w.write("roles/"+role+"/tests/default/true.sh", "#!/bin/sh\ntrue\n")
	}
}

func (w *apiWorld) read(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.fleet, name))
	require.NoError(w.t, err)
	return string(b)
}

func TestUpdate(t *testing.T) {
	w := newAPIWorld(t)
	w.basesFleet("")
	w.commit("bases")
	_, errs := w.do(exitError, "update")
	require.Contains(t, errs, `there is no available x86_64 image named "debian-1`)
	old, db := w.publish("debian-12-1"), w.publish("debian-13-1")
	_, errs = w.do(exitUsage, "plan")
	require.Contains(t, errs, "imgops update")

	count := w.calls("update")
	require.Equal(t, 2, count["ec2:DescribeImages"], "one for each Region")
	lock := w.read("imgops.lock")
	require.Contains(t, lock, fmt.Sprintf(`  "136693071363/debian-12-*/x86_64":
    image: "debian-12-1"
    created: %s
    ids:
      eu-west-1: ami-`, old.Created.Format(time.RFC3339)))
	require.Contains(t, lock, "      us-east-1: "+old.ID+"\n\n")
	require.Contains(t, lock, "      us-east-1: "+db.ID+"\n")
	_, errs = w.do(exitDone, "update", "--detailed-exitcode")
	require.Contains(t, errs, "is up to date")
	require.Equal(t, lock, w.read("imgops.lock"), "the same is written the same")
	w.git("add", "-A")
	w.git("commit", "-qm", "Pin the bases")

	newer := w.publish("debian-12-2")
	_, errs = w.do(exitChanges, "update", "--dry-run", "--detailed-exitcode")
	require.Contains(t, errs, "would be rewritten")
	require.Contains(t, errs, "to be built anew: web, shop")
	w.do(exitDone, "update", "db")
	require.Equal(t, lock, w.read("imgops.lock"))
	text := filepath.Join(t.TempDir(), "pull-request.md")
	out, _ := w.do(exitChanges, "update", "--detailed-exitcode", "--pull-request", text, "-o", "json")
	got := decode[updateReport](t, out)
	require.Equal(t, []baseChange{{
		Base: publisher + "/debian-12-*/x86_64", Architecture: "x86_64", Roles: []string{"web"},
		Old: &pinnedBase{"debian-12-1", old.ID, publisher, old.Created.Truncate(time.Second)},
		New: pinnedBase{"debian-12-2", newer.ID, publisher, newer.Created.Truncate(time.Second)},
	}}, got.Changes)
	require.Equal(t, []string{"web", "shop"}, got.Rebuilds)
	written, err := os.ReadFile(text)
	require.NoError(t, err)
	require.Equal(t, "Update the base to debian-12-2\n\n"+
		"| Base | Image | Id in us-east-1 | Made | Roles |\n|---|---|---|---|---|\n"+
		"| 136693071363/debian-12-\\*/x86\\_64 | debian-12-1 → debian-12-2 | "+old.ID+" → "+newer.ID+" | "+date(newer.Created)+" | web |\n\n"+
		"The pipeline of this pull request builds and verifies anew: web, shop. Merging it makes these images the defaults.\n", string(written))
	out, _ = w.do(exitDone, "plan", "--explain")
	require.Contains(t, out, "base changed: "+old.ID+" -> "+newer.ID)
	require.Contains(t, out, "(through web)")
}

// TestUpdatesMerge has two branches update a base each, and stamp a role each: Git merges all four without a conflict.
func TestUpdatesMerge(t *testing.T) {
	w := newAPIWorld(t)
	w.basesFleet("")
	w.publish("debian-12-1")
	w.publish("debian-13-1")
	w.commit("bases")
	w.do(exitDone, "update")
	w.git("add", "-A")
	w.git("commit", "-qm", "Pin the bases")
	w.publish("debian-12-2")
	w.publish("debian-13-2")
	for _, change := range [][]string{{"web"}, {"db"}, {"--refresh", "db"}, {"--refresh", "shop"}, {"--refresh", "web"}} {
		branch := "branch-" + change[len(change)-1] + fmt.Sprint(len(change))
		w.git("switch", "-qc", branch, "main")
		w.do(exitDone, append([]string{"update"}, change...)...)
		w.git("commit", "-qam", branch)
	}
	w.git("switch", "-q", "main")
	for _, branch := range []string{"branch-web1", "branch-db1", "branch-db2", "branch-shop2", "branch-web2"} {
		w.git("merge", "-q", "--no-edit", branch)
	}
	merged := w.read("imgops.lock")
	require.Contains(t, merged, `image: "debian-12-2"`)
	require.Contains(t, merged, `image: "debian-13-2"`)
	require.NotContains(t, merged, "never")
	w.do(exitDone, "update")
	require.Equal(t, merged, w.read("imgops.lock"), "what Git merged is what update would have written")
}

func TestRefresh(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	one := w.bake()
	w.do(exitDone, "ci", "--event", "push")
	w.do(exitUsage, "update", "--refresh", "webb")
	text := filepath.Join(t.TempDir(), "pull-request.md")
	out, errs := w.do(exitChanges, "update", "--refresh", "web", "--detailed-exitcode", "--pull-request", text, "-o", "json")
	at := decode[updateReport](t, out).Refresh["web"]
	require.WithinDuration(t, time.Now(), at, time.Minute)
	require.Contains(t, errs, "to be built anew: web")
	written, err := os.ReadFile(text)
	require.NoError(t, err)
	require.Equal(t, "Build web anew\n\nBuilt anew from the same definition:\n\n- web (never before)\n\n"+
		"The pipeline of this pull request builds and verifies anew: web. Merging it makes these images the defaults.\n", string(written))

	out, _ = w.do(exitDone, "plan", "--explain")
	require.Contains(t, out, "refreshed with imgops update --refresh at "+at.Format(time.RFC3339)+" (before: never)")
	require.Contains(t, out, "build")
	w.git("add", "-A")
	w.git("commit", "-qm", "Build web anew")
	two := w.bake()
	require.NotEqual(t, one, two)
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(two, "current")
}

// TestBaseWarnings has plan warn of a base that is too old, deprecated, and gone.
func TestBaseWarnings(t *testing.T) {
	w := newAPIWorld(t, func(o *sandbox.Options) { o.Clock = func() time.Time { return time.Now().Add(-12 * time.Minute) } })
	w.basesFleet("max_base_age: 1ns\n")
	base, db := w.publish("debian-12-1"), w.publish("debian-13-1")
	w.commit("bases")
	w.do(exitDone, "update")
	warned := func(role string) []string {
		t.Helper()
		out, errs := w.do(exitDone, "plan", "-o", "json")
		for _, p := range decode[[]plannedRole](t, out) {
			if p.Role == role {
				for _, text := range p.Warnings {
					require.Contains(t, errs, "warning: "+text+" (")
				}
				return p.Warnings
			}
		}
		return nil
	}
	require.Regexp(t, "^base image "+base.ID+` debian-12-1 is \d+ (seconds|minutes) old \(made on `, warned("shop")[0])
	require.Contains(t, warned("shop")[0], "and max_base_age is 1ns; run: imgops update web")
	w.basesFleet("max_base_age: 720h\n")
	require.Empty(t, warned("web"))

	owner, err := w.box.EC2(t.Context(), db.Location)
	require.NoError(t, err)
	_, err = owner.DeregisterImage(t.Context(), &ec2.DeregisterImageInput{ImageId: aws.String(db.ID)})
	require.NoError(t, err)
	require.Equal(t, []string{"base image " + db.ID + " is gone, or no longer shared with the build account; run: imgops update db"}, warned("db"))
	require.Empty(t, warned("web"))

	at := time.Now().Add(-10 * time.Minute) // the sandbox's clock is behind that
	_, err = owner.EnableImageDeprecation(t.Context(), &ec2.EnableImageDeprecationInput{ImageId: aws.String(base.ID), DeprecateAt: &at})
	require.NoError(t, err)
	require.Equal(t, []string{"base image " + base.ID + " debian-12-1 is deprecated since " + date(at) + "; run: imgops update web"}, warned("shop"))

	w.basesFleet("max_base_age: 30 days\n")
	_, errs := w.do(exitUsage, "plan")
	require.Contains(t, errs, "imgops.yaml:5:15: max_base_age")
}

// TestUpdateAfterAConflict: two branches add a role each, and stamp it; Git cannot merge the lock, and update can, without
// bringing anything newer along.
func TestUpdateAfterAConflict(t *testing.T) {
	w := newAPIWorld(t)
	w.basesFleet("")
	w.publish("debian-12-1")
	w.publish("debian-13-1")
	w.publish("ubuntu-1")
	w.publish("alpine-1")
	w.commit("bases")
	w.do(exitDone, "update")
	w.git("add", "-A")
	w.git("commit", "-qm", "Pin the bases")
	for role, base := range map[string]string{"api": "ubuntu-*", "app": "alpine-*"} {
		w.git("switch", "-qc", role, "main")
		w.write("roles/"+role+"/image.yaml", `base: {owner: "`+publisher+`", name: "`+base+"\"}\nverify: [{suite: default}]\n")
		w.write("roles/"+role+"/tasks/main.yml", "- ansible.builtin.ping:\n")
		w.write("roles/"+role+"/tests/default/true.sh", "#!/bin/sh\ntrue\n")
		w.do(exitDone, "update", "--refresh", role)
		w.git("add", "-A")
		w.git("commit", "-qm", role)
	}
	digest := func(role string) string {
		out, _ := w.do(exitDone, "plan", "-o", "json")
		for _, p := range decode[[]plannedRole](t, out) {
			if p.Role == role {
				return p.Digest
			}
		}
		return ""
	}
	w.git("switch", "-q", "app")
	app := digest("app")
	w.git("switch", "-q", "api")
	api := digest("api")
	w.publish("debian-12-2")
	merge := exec.Command("git", "merge", "-q", "app")
	merge.Dir = w.fleet
	require.Error(t, merge.Run())
	require.Contains(t, w.read("imgops.lock"), "<<<<<<< ")
	for _, command := range [][]string{{"plan"}, {"update", "--dry-run"}} {
		_, errs := w.do(exitUsage, command...)
		require.Contains(t, errs, "merge conflict marker; run `imgops update`, which joins the two sides, and `git add` the file")
	}
	_, errs := w.do(exitChanges, "update", "--detailed-exitcode")
	require.Contains(t, errs, "imgops.lock had conflict markers: joined the two sides; once it is right: git add imgops.lock")
	w.git("add", "-A")
	w.git("commit", "-qm", "Merge app")
	require.Equal(t, []string{api, app}, []string{digest("api"), digest("app")}, "what the branches have verified")
	require.NotContains(t, w.read("imgops.lock"), "debian-12-2")
	w.do(exitChanges, "update", "--dry-run", "--detailed-exitcode")
}

// TestUpdateGoesBack: the owner of a base deprecates the newest image. EC2 shows it to nobody else any more; update says that
// what is left is older, and a scheduled job's pull request says it, too.
func TestUpdateGoesBack(t *testing.T) {
	var behind atomic.Int64 // minutes that the sandbox's clock is
	behind.Store(12)
	w := newAPIWorld(t, func(o *sandbox.Options) {
		o.Clock = func() time.Time { return time.Now().Add(-time.Duration(behind.Load()) * time.Minute) }
	})
	w.basesFleet("")
	w.publish("debian-13-1")
	w.publish("debian-12-1")
	behind.Store(11)
	newer := w.publish("debian-12-2")
	w.commit("bases")
	w.do(exitDone, "update")
	owner, err := w.box.EC2(t.Context(), newer.Location)
	require.NoError(t, err)
	at := time.Now().Add(-10 * time.Minute)
	_, err = owner.EnableImageDeprecation(t.Context(), &ec2.EnableImageDeprecationInput{ImageId: aws.String(newer.ID), DeprecateAt: &at})
	require.NoError(t, err)
	behind.Store(0)
	text := filepath.Join(t.TempDir(), "pull-request.md")
	out, errs := w.do(exitChanges, "update", "--detailed-exitcode", "--pull-request", text)
	require.Contains(t, out, "older than debian-12-2 ("+newer.ID+")")
	require.Contains(t, errs, "goes back to an older image: its owner offers debian-12-2 ("+newer.ID+") no more")
	written, err := os.ReadFile(text)
	require.NoError(t, err)
	require.Contains(t, string(written), "goes back** to an older image: its owner offers debian-12-2")
}

// TestLockOfAnotherRegion: the fleet builds elsewhere now; nothing is done before the bases are pinned there.
func TestLockOfAnotherRegion(t *testing.T) {
	w := newAPIWorld(t)
	w.basesFleet("")
	w.publish("debian-12-1")
	w.publish("debian-13-1")
	w.commit("bases")
	w.do(exitDone, "update")
	w.write("imgops.lock", strings.NewReplacer("eu-west-1", "ap-south-1", "us-east-1", "ap-south-2").Replace(w.read("imgops.lock")))
	w.git("add", "-A")
	w.git("commit", "-qm", "Of somewhere else")
	for _, command := range [][]string{{"plan"}, {"ci", "--event", "push"}, {"promote"}} {
		_, errs := w.do(exitUsage, command...)
		require.Contains(t, errs, "is pinned in ap-south-1, ap-south-2, not in us-east-1, where imgops.yaml says to build", command)
		require.Contains(t, errs, "run `imgops update` and commit imgops.lock", command)
	}
	_, errs := w.do(exitChanges, "update", "--detailed-exitcode")
	require.Contains(t, errs, "to be built anew: ")
	w.do(exitDone, "plan")
}
