package roles

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixture reads a fleet of testdata.
func fixture(t testing.TB, name string) map[string]string {
	t.Helper()
	root, out := filepath.Join("..", "testdata", "fleets", name), map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		rel, _ := filepath.Rel(root, p)
		out[filepath.ToSlash(rel)] = string(data)
		return err
	}))
	return out
}

// TestProblemsGolden shows every mistake of a very broken fleet as the user sees it.
func TestProblemsGolden(t *testing.T) {
	r := newSandboxRepo(t, fixture(t, "broken"))
	r.commit()
	_, err := r.open().Load(t.Context(), "HEAD")
	var problems *ProblemsError
	require.ErrorAs(t, err, &problems)
	golden := filepath.Join("..", "testdata", "fleets", "broken.golden")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(problems.Error()+"\n"), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), problems.Error()+"\n")

	_, err = r.open().LoadWorktree(t.Context())
	var same *ProblemsError
	require.ErrorAs(t, err, &same)
	require.Equal(t, problems.Problems, same.Problems, "the working tree has the same mistakes")
	for _, p := range problems.Problems {
		require.NotEmpty(t, p.Fix, "%s says what to do", p.Message)
	}
}

const conflict = "<<<<<<< HEAD\n- a: 1\n=======\n- a: 2\n>>>>>>> other\n"

func TestProblemPlaces(t *testing.T) {
	cases := []struct {
		name, file, content string
		want                []string // beginnings of the problems
	}{
		{"no role", "roles/base/image.yaml", "", []string{"imgops.yaml:1:1: the fleet has no role; write roles/<role>/image.yaml, or run `imgops init`\n    version: 1\n    ^"}},
		{"unknown parent", "roles/web/image.yaml", "base: {role: bsae}\n", []string{`roles/web/image.yaml:1:14: base.role "bsae" is no image role of this fleet; did you mean "base"?`}},
		{"own parent", "roles/web/image.yaml", "base: {role: web}\n", []string{"roles/web/image.yaml:1:14: base.role makes a cycle: web -> web;"}},
		{"smaller disk than the parent", "roles/web/image.yaml", "base: {role: base}\nbuild: {disk: 4GiB}\n", []string{`roles/web/image.yaml:2:15: disk is smaller than the 10GiB of parent role "base"; write at least 10GiB`}},
		{"other letters", "roles/Base/image.yaml", "base: {role: base}\n", []string{`roles/base/image.yaml:1:1: role "base" is role "Base" in other letters; rename one`}},
		{"alias bomb", "roles/web/image.yaml", "base: {role: base}\nprovision:\n  - ansible:\n      role: base\n      vars:\n        a: &a [1,1,1,1,1,1,1,1,1,1]\n        b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n        c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n        d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n        e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n        f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n", []string{"roles/web/image.yaml:6:34: vars is nested too deep or its aliases expand too far;"}},
		{"control characters", "roles/web/image.yaml", "base: {role: base}\nx\x1b[31m: 1\n", []string{"roles/web/image.yaml:"}},
		{"second document", "roles/web/image.yaml", "base: {role: base}\n---\nbase: {role: web}\n", []string{"roles/web/image.yaml:2:1: image.yaml holds a second YAML document;"}},
		{"suite is a file", "roles/web/image.yaml", "base: {role: base}\nverify: [{suite: default}]\n", []string{"roles/web/image.yaml:2:18: suite roles/web/tests/default is not a directory;"}},
		{"architecture of a child", "roles/web/image.yaml", "base: {role: base, architecture: arm64}\n", []string{"roles/web/image.yaml:1:34: architecture comes from the parent role; delete it here"}},
		{"Region that is not there", "imgops.yaml", strings.Replace(imgopsYAML, "region: us-east-1", "region: us-est-1", 1), []string{`imgops.yaml:3:42: build Region "us-est-1" is not a Region that AWS has; did you mean us-east-1? Otherwise update imgops if the Region is newer than it`}},
		{"Regions of targets", "imgops.yaml", strings.Replace(imgopsYAML, "regions: [us-east-1, eu-west-1]", "regions: [eu-wst-1, us-east-9]", 1), []string{`imgops.yaml:7:15: Region "eu-wst-1" is not a Region that AWS has; did you mean eu-west-1?`, `imgops.yaml:7:25: Region "us-east-9" is not a Region that AWS has; did you mean us-east-1?`}},
		{"no tests", "roles/lone/image.yaml", "base: {role: base}\n", []string{`roles/lone/image.yaml:1:1: role "lone" has no tests: its image could never be promoted; write roles/lone/tests/default/goss.yaml`}},
		{"no suite named", "roles/web/image.yaml", "base: {role: base}\nverify: []\n", []string{`roles/web/image.yaml:2:9: role "web" has no tests`}},
		{"suite without tests", "roles/web/image.yaml", "base: {role: base}\nverify: [{suite: notes}]\n", []string{`roles/web/image.yaml:2:18: suite roles/web/tests/notes holds no tests; write roles/web/tests/notes/goss.yaml`}},
		{"directory without tests", "roles/base/tests/notes/README.md", "x\n", []string{`roles/base/image.yaml:1:1: suite roles/base/tests/notes holds no tests`}},
		{"conflict in tasks", "roles/base/tasks/main.yml", "---\n" + conflict, []string{"roles/base/tasks/main.yml:2:1: merge conflict marker; merge the two versions by hand"}},
		{"conflict in a suite", "roles/base/tests/default/goss.yaml", conflict, []string{"roles/base/tests/default/goss.yaml:1:1: merge conflict marker"}},
		{"conflict in group_vars", "group_vars/all.yml", conflict, []string{"group_vars/all.yml:1:1: merge conflict marker"}},
		{"conflict in a script, and a mistake elsewhere", "roles/web/image.yaml", "base: {role: bsae}\nprovision: [{shell: {script: x.sh}}]\n", []string{`roles/web/image.yaml:1:14: base.role "bsae"`, "roles/web/x.sh:1:1: merge conflict marker"}},
		{"syntax of tasks", "roles/base/tasks/main.yml", "- include_role: {name: [a}\n", []string{"roles/base/tasks/main.yml:1:1: YAML syntax: "}},
		{"lost zero", "imgops.yaml", strings.Replace(imgopsYAML, `"111111111111"`, "11111111111", 1), []string{"imgops.yaml:3:18: build account 11111111111 is a number of 11 digits; an account id has 12, so leading zeroes were lost; write \"011111111111\" with quotes"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newSandboxRepo(t, map[string]string{"imgops.yaml": imgopsYAML, "roles/base/image.yaml": debianBase + "build: {disk: 10GiB}\n", "roles/base/tasks/main.yml": "[]\n"})
			r.writeAll(map[string]string{"roles/web/tests/default": suiteOf, "roles/web/tests/notes/README.md": "x"})
			if !strings.Contains(c.content, "verify:") {
				r.remove("roles/web/tests")
				r.write("roles/web/tests/default/goss.yaml", suiteOf)
			}
			if strings.Contains(c.content, "x.sh") {
				r.write("roles/web/x.sh", conflict)
			}
			if strings.HasPrefix(c.file, "roles/Base") {
				r.write("roles/Base/tests/default/goss.yaml", suiteOf)
			}
			r.write(c.file, c.content)
			if c.content == "" {
				r.remove("roles/base/image.yaml")
			}
			r.commit()
			_, err := r.open().Load(t.Context(), "HEAD")
			var problems *ProblemsError
			require.ErrorAs(t, err, &problems)
			require.Len(t, problems.Problems, len(c.want), "%s", err)
			for i, want := range c.want {
				require.True(t, strings.HasPrefix(problems.Problems[i].Error(), want), "%s", problems.Problems[i])
				require.NotContains(t, problems.Problems[i].Error(), "\x1b")
			}
		})
	}
}

func TestConfig(t *testing.T) {
	c, problems := parseConfig([]byte(imgopsYAML))
	require.Empty(t, problems)
	require.Equal(t, Config{
		Version: 1, Fleet: "acme", Main: "main", Build: BuildLocation{Account: "111111111111", Region: "us-east-1"},
		Targets: []Target{
			{Name: "production", Accounts: []string{"222222222222", "333333333333"}, Regions: []string{"us-east-1", "eu-west-1"}, Mode: "share"},
			{Name: "staging", Accounts: []string{"444444444444"}, Regions: []string{"us-east-1"}, Mode: "share"},
		},
		Retention: Retention{Keep: 5, MinAge: DefaultMinAge}, Ledger: Ledger{Store: LedgerBranch},
	}, c)
	var d Duration
	require.NoError(t, d.UnmarshalText([]byte("90s")))
	require.Equal(t, "1m30s", d.String())
	require.Error(t, d.UnmarshalText([]byte("soon")))
}

func TestSelect(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	f := r.load()
	all, err := f.Select(nil)
	require.NoError(t, err)
	require.Equal(t, []string{"arm", "base", "web", "worker"}, roleNames(all))
	some, err := f.Select([]string{"worker", "base", "worker"})
	require.NoError(t, err)
	require.Equal(t, []string{"base", "worker"}, roleNames(some), "parents first, each once")
	_, err = f.Select([]string{"wbe", "base", "nothing-like-it"})
	var unknown *UnknownRoleError
	require.True(t, errors.As(err, &unknown))
	require.EqualError(t, err, `no role "wbe" (did you mean "web"?), no role "nothing-like-it"; roles of this fleet: arm, base, web, worker`)
}

func TestRoleDefaults(t *testing.T) {
	r := newSandboxRepo(t, fleetFiles())
	r.commit()
	f := r.load()
	base, arm, web, worker := roleOf(t, f, "base"), roleOf(t, f, "arm"), roleOf(t, f, "web"), roleOf(t, f, "worker")
	require.Equal(t, Build{InstanceTypes: []string{"t4g.small"}, SSHUser: "admin", Timeout: defaultBuildTimeout}, arm.Build)
	require.Equal(t, []Provisioner{{Ansible: &Ansible{Role: "base"}}}, base.Provision)
	require.Equal(t, []Suite{{Name: "default", Dir: "roles/base/tests/default", InstanceType: "t3.small", Wait: "cloud-init", Timeout: defaultSuiteTimeout}}, base.Verify, "found without `verify`")
	require.Len(t, worker.Verify, 1)
	require.Equal(t, []string{"production"}, web.Targets)
	require.Equal(t, []string{"production", "staging"}, worker.Targets)
	require.Same(t, base, web.Parent)
	require.Equal(t, "x86_64", web.Architecture)
	require.Equal(t, map[string]any{"port": 8080, "tls": map[string]any{"enabled": true}}, web.Provision[0].Ansible.Vars)
	require.Equal(t, map[string]string{"LEVEL": "2"}, web.Provision[1].Shell.Env)
	require.Equal(t, []External{
		{Role: "base", Key: "136693071363/debian-12-amd64-*/x86_64", Owner: "136693071363", Name: "debian-12-amd64-*", Architecture: "x86_64"},
		{Role: "arm", Key: "136693071363/debian-12-arm64-*/arm64", Owner: "136693071363", Name: "debian-12-arm64-*", Architecture: "arm64"},
	}, f.Externals())
}

// FuzzDefinition looks for input that makes the parser panic, hang or report a problem without a place and a fix.
func FuzzDefinition(f *testing.F) {
	for _, seed := range []string{debianBase, "base: &a {role: *a}", "a: [", "? {a: b}\n: c", "base: {image: ami-0123456789abcdef0}\nverify: [{suite: x, boot: {wait: ssh}}]", "<<: {}\nbase: 1", "provision: [{ansible: {role: x, vars: &v {a: [*v]}}}]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkProblems(t, parseDefinition("web", "roles/web/image.yaml", data).source.problems)
		_, problems := parseConfig(data)
		checkProblems(t, problems)
	})
}

func checkProblems(t *testing.T, problems []Problem) {
	for _, p := range problems {
		require.Positive(t, p.Line, p.Message)
		require.Positive(t, p.Column, p.Message)
		require.NotEmpty(t, p.Fix)
		require.NotContains(t, p.Error(), "\x1b")
	}
}
