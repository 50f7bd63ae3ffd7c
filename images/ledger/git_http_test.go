package ledger_test

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

// httpOrigin serves a bare repository as Git servers do, by git http-backend. Reading is free when open; all else needs the
// password, or the header that actions/checkout leaves in the clone's configuration.
func httpOrigin(t *testing.T, open bool) string {
	t.Helper()
	bare := origin(t)
	run(t, bare, "config", "http.receivepack", "true")
	exec, err := exec.LookPath("git")
	require.NoError(t, err)
	backend := &cgi.Handler{Path: exec, Args: []string{"http-backend"}, Env: []string{
		"GIT_PROJECT_ROOT=" + filepath.Dir(bare), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=test", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		writes := strings.Contains(r.URL.String(), "receive-pack")
		if (!open || writes) && (user != "ci" || password != "token") {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/" + filepath.Base(bare)
}

// TestGitOverHTTP has every way to be let in append to a ledger that others append to as well.
func TestGitOverHTTP(t *testing.T) {
	url := httpOrigin(t, false)
	withToken := strings.Replace(url, "http://", "http://ci:token@", 1)
	env := func(pairs ...string) ledger.GitOptions {
		o := quick
		o.Getenv = func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
		return o
	}
	alone := func(o ledger.GitOptions) ledger.GitOptions { // go-git, without a git command to fall back on
		o.NoCommand = true
		return o
	}
	n := 0
	for name, c := range map[string]struct {
		prepare func(dir string)
		opts    ledger.GitOptions
		refused bool
	}{
		"the URL has it":         {func(string) {}, alone(env()), false},
		"the environment has it": {func(dir string) { run(t, dir, "remote", "set-url", "origin", url) }, alone(env("IMGOPS_GIT_USERNAME", "ci", "IMGOPS_GIT_PASSWORD", "token")), false},
		"the environment has it, and the URL a token that may not": {func(dir string) {
			run(t, dir, "remote", "set-url", "origin", strings.Replace(url, "http://", "http://gitlab-ci-token:reads@", 1))
		}, alone(env("IMGOPS_GIT_USERNAME", "ci", "IMGOPS_GIT_PASSWORD", "token")), false},
		"a credential helper has it": {func(dir string) {
			run(t, dir, "remote", "set-url", "origin", url)
			run(t, dir, "config", "credential.helper", "!f() { echo username=ci; echo password=token; }; f")
		}, env(), false},
		"an extraheader, which go-git does not know": {func(dir string) {
			run(t, dir, "remote", "set-url", "origin", url)
			run(t, dir, "config", "http."+url[:strings.LastIndex(url, "/")+1]+".extraheader", "AUTHORIZATION: basic Y2k6dG9rZW4=")
		}, env(), false},
		"nobody has it": {func(dir string) { run(t, dir, "remote", "set-url", "origin", url) }, env(), true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := clone(t, withToken, "--depth", "1")
			c.prepare(dir)
			n++
			e := event(t, "web", "hold", name, noon)
			for range 2 { // with and without a ledger on the remote, and nothing is left to do the second time
				g, err := ledger.OpenGit(dir, c.opts)
				require.NoError(t, err)
				if c.refused {
					require.Error(t, g.Append(t.Context(), "x", []ledger.Entry{e}))
					require.Error(t, g.Ready(t.Context()))
					return
				}
				require.NoError(t, g.Ready(t.Context()))
				require.NoError(t, g.Append(t.Context(), "x", []ledger.Entry{e}))
			}
			other := open(t, clone(t, withToken))
			require.NoError(t, other.Sync(t.Context()))
			require.Contains(t, paths(t, other, ""), e.Path)
		})
	}
	require.Equal(t, 6, n)
}

// TestGitReadOnly may read and not write: Ready says so before anything is done.
func TestGitReadOnly(t *testing.T) {
	dir := clone(t, httpOrigin(t, true))
	g := open(t, dir)
	require.NoError(t, g.Sync(t.Context()))
	require.Error(t, g.Ready(t.Context()))
}
