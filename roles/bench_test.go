package roles

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// bigFleet is a fleet of n roles with 40 files each.
func bigFleet(n int) map[string]string {
	files := map[string]string{"imgops.yaml": imgopsYAML, "group_vars/all.yml": "domain: example.com\n", "requirements.yml": "collections: []\n"}
	for i := range n {
		dir := fmt.Sprintf("roles/role-%03d", i)
		definition := debianBase
		if i > 0 {
			definition = fmt.Sprintf("base: {role: role-%03d}\n", (i-1)/10)
		}
		files[dir+"/image.yaml"] = definition + "build: {instance_type: [t3.small, t3a.small], disk: 8GiB}\nprovision:\n  - ansible: {role: " + dir[6:] + fmt.Sprintf(", vars: {port: %d}}\n", i)
		files[dir+"/meta/main.yml"] = "galaxy_info: {author: acme}\ndependencies: []\n"
		files[dir+"/defaults/main.yml"] = fmt.Sprintf("port: %d\n", i)
		files[dir+"/handlers/main.yml"] = "- name: restart\n  service: {name: app, state: restarted}\n"
		files[dir+"/tests/default/goss.yaml"] = "port: {tcp:80: {listening: true}}\n"
		files[dir+"/tests/default/app.bats"] = "@test up { true; }\n"
		for j := range 8 {
			tasks := ""
			for k := range 10 {
				tasks += fmt.Sprintf("- name: step %d\n  template:\n    src: app-%d.conf\n    dest: /etc/app/%d-%d.conf\n    mode: '0644'\n  notify: restart\n", k, k, i, k)
			}
			files[fmt.Sprintf("%s/tasks/part-%d.yml", dir, j)] = tasks
		}
		for j := range 13 {
			files[fmt.Sprintf("%s/templates/app-%d.conf", dir, j)] = fmt.Sprintf("# %d %d\nport={{ port }}\n", i, j)
			files[fmt.Sprintf("%s/files/data-%d", dir, j)] = fmt.Sprintf("data %d %d\n", i, j)
		}
	}
	return files
}

// BenchmarkPlan measures what `imgops plan` needs of this package on a clean checkout of 500 roles and 20,000 files:
// opening the repository, reading the working tree, all digests. The git sub-benchmark is what it is compared with.
func BenchmarkPlan(b *testing.B) {
	r := newSandboxRepo(b, bigFleet(500))
	r.commit()
	r.git("gc", "-q")
	r.settled()
	b.Run("git", func(b *testing.B) {
		for b.Loop() {
			for _, args := range [][]string{{"status", "--porcelain"}, {"diff", "--name-only"}} {
				require.NoError(b, exec.Command("git", append([]string{"-C", r.dir}, args...)...).Run())
			}
		}
	})
	run := func(name string, load func(repo *Repo) (*Fleet, error)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				repo, err := OpenRepo(b.Context(), r.dir)
				require.NoError(b, err)
				f, err := load(repo)
				require.NoError(b, err)
				require.NoError(b, f.Resolve(testPins))
				require.Len(b, f.Roles, 500)
				require.NoError(b, repo.Close())
			}
		})
	}
	run("worktree", func(repo *Repo) (*Fleet, error) { return repo.LoadWorktree(b.Context()) })
	run("commit", func(repo *Repo) (*Fleet, error) { return repo.Load(b.Context(), "HEAD") })
	run("affected", func(repo *Repo) (*Fleet, error) {
		f, err := repo.LoadWorktree(b.Context())
		if err != nil {
			return nil, err
		}
		base, err := repo.Load(b.Context(), "HEAD")
		if err != nil {
			return nil, err
		}
		return f, base.Resolve(testPins)
	})
}
