package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/cmd/imgops/iam"
)

// watcher is a proxy before the sandbox that notes which account made which call.
type watcher struct {
	mu   sync.Mutex
	keys map[string]string          // access key id of an assumed role -> account
	seen map[string]map[string]bool // account -> "ec2:DescribeImages"
}

var (
	credentialOf = regexp.MustCompile(`Credential=([^/]+)/\d+/[^/]+/([^/]+)/`)
	roleOfCall   = regexp.MustCompile(`RoleArn=arn%3Aaws%3Aiam%3A%3A(\d{12})`)
	keyOfAnswer  = regexp.MustCompile(`<AccessKeyId>([^<]+)<`)
)

func newWatcher(t *testing.T, target string) (*watcher, string) {
	t.Helper()
	w := &watcher{keys: map[string]string{}, seen: map[string]map[string]bool{}}
	to, err := url.Parse(target)
	require.NoError(t, err)
	assumed := func(r *http.Response, account string) error {
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if m := keyOfAnswer.FindSubmatch(body); m != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.keys[string(m[1])] = account
		}
		return err
	}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		body, err := io.ReadAll(in.Body)
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadGateway)
			return
		}
		in.Body = io.NopCloser(bytes.NewReader(body))
		w.note(in, body)
		p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = in.Host // it is part of the signature
		}}
		if m := roleOfCall.FindSubmatch(body); m != nil {
			p.ModifyResponse = func(r *http.Response) error { return assumed(r, string(m[1])) }
		}
		p.ServeHTTP(out, in)
	}))
	t.Cleanup(server.Close)
	return w, server.URL
}

func (w *watcher) note(in *http.Request, body []byte) {
	m := credentialOf.FindStringSubmatch(in.Header.Get("Authorization"))
	if m == nil {
		return
	}
	_, action, ok := strings.Cut(in.Header.Get("X-Amz-Target"), ".")
	if !ok {
		form, _ := url.ParseQuery(string(body))
		action = form.Get("Action")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	account, ok := w.keys[m[1]]
	if !ok {
		account = strings.TrimPrefix(m[1], "SANDBOX")
	}
	if w.seen[account] == nil {
		w.seen[account] = map[string]bool{}
	}
	w.seen[account][m[2]+":"+action] = true
}

// TestPolicyCoversCalls: what the commands ask of each account is what the printed policies allow there.
func TestPolicyCoversCalls(t *testing.T) {
	w := newAPIWorld(t)
	watch, proxy := newWatcher(t, w.box.URL)
	t.Setenv("AWS_ENDPOINT_URL", proxy)
	w.write("imgops.yaml", `version: 1
fleet: acme
build: {account: "111111111111", region: us-east-1}
targets:
  - {name: production, accounts: ["222222222222"], regions: [us-east-1], role_arn: "arn:aws:iam::{account}:role/imgops"}
  - {name: vault, accounts: ["333333333333"], regions: [us-east-1, eu-west-1], role_arn: "arn:aws:iam::{account}:role/imgops", mode: copy}
retention: {keep: 1, min_age: 1ns}
`)
	var made []string
	for _, content := range []string{"one", "two", "three"} {
		w.commit(content)
		made = append(made, w.bake())
		w.do(exitDone, "promote", "web")
	}
	w.do(exitDone, "rollback", "web", "--reason", "night")
	w.do(exitDone, "release", "web")
	w.do(exitDone, "list")
	w.do(exitDone, "plan")
	w.do(exitDone, "history", "web")
	w.do(exitDone, "show", made[0])
	w.do(exitDone, "reject", made[0], "--reason", "bad")
	w.do(exitDone, "gc", "--images")
	w.write("imgops.yaml", strings.Replace(w.read("imgops.yaml"), "keep: 1,", "keep: 1, deprecate_for: 24h,", 1))
	for _, content := range []string{"four", "five"} {
		w.commit(content)
		w.bake()
		w.do(exitDone, "promote", "web")
	}
	w.do(exitDone, "gc", "--images")
	w.do(exitDone, "hold", "web", "--reason", "day")
	w.do(exitDone, "gc", "--images")

	policy := func(args ...string) iam.Policy {
		out, _ := w.do(exitDone, append([]string{"iam-policy"}, args...)...)
		return decode[iam.Policy](t, out)
	}
	for account, p := range map[string]iam.Policy{
		"111111111111": policy("build"), "222222222222": policy("target", "--account", "222222222222"), "333333333333": policy("target", "--account", "333333333333"),
	} {
		require.NotEmpty(t, watch.seen[account], account)
		for call := range watch.seen[account] {
			allowed := call == "sts:GetCallerIdentity" || slices.ContainsFunc(p.Statement, func(s iam.Statement) bool { return slices.Contains(s.Action, call) })
			require.True(t, allowed, "account %s asks for %s, which its policy does not allow", account, call)
		}
	}
	for _, call := range []string{"CopyImage", "DeregisterImage", "EnableImageDeprecation", "DisableImageDeprecation"} {
		require.True(t, watch.seen["333333333333"]["ec2:"+call], "the copy is the account's own: %s", call)
	}
	require.NotEmpty(t, policy("trust").Statement[0].Principal)
	require.NotEmpty(t, policy("read").Statement)

	_, errs := w.do(exitUsage, "iam-policy", "target")
	require.Contains(t, errs, "add --account, one of 222222222222, 333333333333")
	_, errs = w.do(exitUsage, "iam-policy", "read", "--account", "444444444444")
	require.Contains(t, errs, "is not in imgops.yaml")
}
