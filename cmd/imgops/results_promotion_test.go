package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

// results runs imgops ci on main, in all its forms of output, and gives the results by role. The forms have to agree; since
// each is a run, what is asked for has to end in the same way each time.
func (w *apiWorld) results(code int) (map[string]done, string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "summary.md")
	out, errs := w.do(code, "ci", "--event", "push", "-o", "json", "--summary", file)
	results := map[string]done{}
	for _, o := range decode[[]done](w.t, out) {
		results[o.Role] = o
	}
	summary, err := os.ReadFile(file)
	require.NoError(w.t, err)
	table, _ := w.do(code, "ci", "--event", "push")
	for role, o := range results {
		require.Regexp(w.t, `(?m)^`+role+` +\S+ +`+o.Result+` `, table)
		if o.Result == "failed" || o.Result == "refused" || o.Result == "promoted" {
			require.Contains(w.t, string(summary), "| "+role+" | "+o.Result+" |", errs)
		} else {
			require.NotContains(w.t, string(summary), "| "+role+" |")
		}
	}
	return results, string(summary)
}

// TestPromotedInSomePlacesOnly: in one Region no pointer can be moved. The role has failed, whatever moved elsewhere; another
// role, which does not go there, is promoted.
func TestPromotedInSomePlacesOnly(t *testing.T) {
	w := newAPIWorld(t, func(o *sandbox.Options) {
		var err error
		o.Conditions, err = sandbox.ParseConditions("", "", "", []string{"ssm/eu-west-1:PutParameter:1-4:error=AccessDeniedException"}, 1)
		require.NoError(t, err)
	})
	config := w.read("imgops.yaml")
	near := strings.Replace(config[strings.Index(config, "  - name: production"):], "production", "near", 1)
	w.write("imgops.yaml", strings.Replace(config, "regions: [us-east-1]", "regions: [us-east-1, eu-west-1]", 1)+
		strings.NewReplacer(`["222222222222", "333333333333"]`, `["444444444444"]`).Replace(near))
	w.write("roles/web/image.yaml", w.read("roles/web/image.yaml")+"targets: [production]\n")
	w.addRole("db")
	w.write("roles/db/image.yaml", w.read("roles/db/image.yaml")+"targets: [near]\n")
	w.commit("one")
	web := w.bake()
	w.bakeRole("db")

	out, _ := w.do(exitError, "ci", "--event", "push", "-o", "json")
	for _, o := range decode[[]outcome](t, out) {
		if o.Role == "db" {
			require.Equal(t, "promoted", o.Result)
			continue
		}
		require.Equal(t, "failed", o.Result)
		require.Equal(t, web, o.Image)
		require.Equal(t, []string{"222222222222/eu-west-1", "333333333333/eu-west-1"}, o.Left)
		require.Contains(t, o.Error, "the promotion is not complete in 222222222222/eu-west-1, 333333333333/eu-west-1 (2 pointers moved): 222222222222/eu-west-1: ")
		require.Contains(t, o.Error, "AccessDeniedException")
	}
	table, errs := w.do(exitError, "ci", "--event", "push")
	require.Regexp(t, `(?m)^web +\S+ +failed `, table)
	require.Regexp(t, `(?m)^db +\S+ +unchanged `, table)
	require.Contains(t, errs, "web in 333333333333/eu-west-1: ")

	file := filepath.Join(t.TempDir(), "summary.md")
	out, _ = w.do(exitDone, "ci", "--event", "push", "-o", "json", "--summary", file)
	for _, o := range decode[[]outcome](t, out) {
		require.Equal(t, map[string]string{"web": "promoted", "db": "unchanged"}[o.Role], o.Result)
		require.Empty(t, o.Left)
	}
	summary, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(summary), "| web | promoted | "+web+" |")
}

// TestARefusedRoleIsNotUnchanged: a role of an older pipeline is refused. What the refusal keeps from being promoted says so,
// and what there is nothing to do for is unchanged.
func TestARefusedRoleIsNotUnchanged(t *testing.T) {
	w := newAPIWorld(t)
	w.addRole("db")
	w.addRole("same")
	w.commit("one")
	w.bake()
	w.bakeRole("db")
	w.bakeRole("same")
	older := w.clone("older")
	w.commit("two")
	w.bake()
	w.do(exitDone, "ci", "--event", "push", "web", "same")
	results, summary := older.results(exitRefused)
	require.Equal(t, []string{"refused", "skipped", "unchanged"}, []string{results["web"].Result, results["db"].Result, results["same"].Result})
	require.Contains(t, results["web"].Error, "promotion of web refused (backwards): ")
	require.Contains(t, results["db"].Error, "the promotion of another role is refused")
	require.Empty(t, results["same"].Error)
	require.Contains(t, summary, "Not promoted, for the promotion of another role is refused: db\n")
	require.Contains(t, summary, "Unchanged: 1 role\n")
}

// TestARefusedLevelIsRefused: so says also the job of a level.
func TestARefusedLevelIsRefused(t *testing.T) {
	w := newAPIWorld(t)
	w.commit("one")
	w.do(exitDone, "reject", w.bake(), "--reason", "CVE-2026-1")
	out, _ := w.do(exitRefused, "ci", "--event", "push", "--level", "0", "-o", "json")
	require.Equal(t, "refused", decode[[]done](t, out)[0].Result)
}
