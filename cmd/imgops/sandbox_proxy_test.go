package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoProxyLeavesAWSOut(t *testing.T) {
	for entry, want := range map[string]bool{
		"*": true, "amazonaws.com": true, ".amazonaws.com": true, "*.amazonaws.com": true, "ec2.us-east-1.amazonaws.com:443": true, "COM": true, "aws": true,
		".eu-west-1.api.aws": true, "vpce-1.ssm.us-east-1.vpce.amazonaws.com": true, "amazonaws.com.cn": true,
		"intern.example": false, ".example.com": false, "10.0.0.0/8": false, "169.254.169.254": false, "fd00::/8": false, "[::1]:80": false, "host:8080": false,
	} {
		require.Equal(t, want, meansAWS(entry), entry)
	}
	require.Equal(t, "localhost,.localhost,127.0.0.1,127.0.0.0/8,::1,10.213.0.0/16,intern.example", noProxy(" intern.example, .amazonaws.com,,localhost,*", "10.213.0.0/16"))
}

// usersProxy is the proxy that the user has for the world outside, which leads nowhere and notes what it is asked for.
type usersProxy struct {
	url  string
	mu   sync.Mutex
	seen []string
}

func newUsersProxy(t *testing.T) *usersProxy {
	t.Helper()
	p := &usersProxy{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen = append(p.seen, r.Method+" "+r.Host)
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *usersProxy) requests() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.seen, "\n")
}

// withoutEndpoint runs a program within sandbox exec that knows AWS' own host names only.
func (w *realWorld) withoutEndpoint(t *testing.T, args ...string) string {
	t.Helper()
	all := append([]string{"sandbox", "exec", "--name", w.sandbox, "--", "env", "-u", "AWS_ENDPOINT_URL", "-u", "IMGOPS_SANDBOX"}, args...)
	out, _ := w.imgops(t, w.dir, all...)
	return out
}

// strangerScript is boto3 at work; its arguments are the endpoints that it must not be given.
const strangerScript = `
import boto3, os
assert not [v for v in os.environ if v.startswith("AWS_ENDPOINT_URL")], os.environ
ec2 = boto3.client("ec2")
assert ec2.meta.endpoint_url == "https://ec2.us-east-1.amazonaws.com", ec2.meta.endpoint_url
print(ec2.describe_images(Owners=["136693071363"])["Images"][0]["Name"])
print(boto3.client("sts", region_name="eu-west-1").get_caller_identity()["Account"])
s3 = boto3.client("s3")
s3.create_bucket(Bucket="records")
s3.put_object(Bucket="records", Key="a", Body=b"content")
print(s3.get_object(Bucket="records", Key="a")["Body"].read().decode())
role = boto3.client("sts").assume_role(RoleArn="arn:aws:iam::222222222222:role/imgops", RoleSessionName="stranger")["Credentials"]
print(boto3.client("sts", aws_access_key_id=role["AccessKeyId"], aws_secret_access_key=role["SecretAccessKey"],
    aws_session_token=role["SessionToken"]).get_caller_identity()["Account"])
`

// Clients of the Go SDK (imgops itself, without its sandbox) and of boto3 that read no endpoint from the environment work in sandbox exec; nothing
// for a host of AWS reaches the user's own proxy or goes around it, whatever NO_PROXY says, and everything else does.
func TestClientsWithoutEndpoint(t *testing.T) {
	w := newMachinelessWorld(t)
	w.sandboxUp(t, "none")
	users := newUsersProxy(t)
	plain := w.env
	w.env = append(w.env, "HTTPS_PROXY="+users.url, "http_proxy="+users.url, "NO_PROXY=*.amazonaws.com,intern.example", "AWS_ENDPOINT_URL_EC2=https://ec2.example")

	fleet := w.newFleet(t)
	dir := w.dir
	w.dir = fleet
	w.withoutEndpoint(t, "imgops", "update")
	require.Contains(t, w.withoutEndpoint(t, "imgops", "list"), "missing")
	w.dir = dir
	if python, err := exec.LookPath("python3"); err == nil && exec.Command(python, "-c", "import boto3").Run() == nil {
		out := w.withoutEndpoint(t, python, "-c", strangerScript)
		require.Equal(t, "debian-12-amd64-20260101-0001\n111111111111\ncontent\n222222222222\n", out)
	}
	require.Empty(t, users.requests())

	if _, err := exec.LookPath("curl"); err == nil {
		for _, url := range []string{"https://example.org/", "http://example.org/"} {
			w.try(t, w.dir, "sandbox", "exec", "--name", w.sandbox, "--", "curl", "-sS", url)
		}
		require.Equal(t, "CONNECT example.org:443\nGET example.org", users.requests())
	}
	w.requireNested(t)
	w.env = plain
	w.requireSameCertificate(t)
}

// requireNested: an exec within an exec is like one.
func (w *realWorld) requireNested(t *testing.T) {
	t.Helper()
	exec := []string{"sandbox", "exec", "--name", w.sandbox, "--"}
	shown := []string{"sh", "-c", "echo $HTTPS_PROXY $https_proxy $NO_PROXY $AWS_CA_BUNDLE"}
	once, _ := w.imgops(t, w.dir, append(exec, shown...)...)
	twice, _ := w.imgops(t, w.dir, append(append(exec, w.binary), append(exec, shown...)...)...)
	require.Equal(t, once, twice)
	without, _ := w.imgops(t, w.dir, append([]string{"sandbox", "exec", "--name", w.sandbox, "--no-proxy", "--"}, "sh", "-c", "echo ${AWS_CA_BUNDLE-none} $NO_PROXY ${AWS_ENDPOINT_URL_EC2-none}")...)
	require.Equal(t, "none *.amazonaws.com,intern.example none\n", without)
	env, _ := w.imgops(t, w.dir, "sandbox", "env", "--name", w.sandbox)
	require.NotContains(t, env, "PROXY")
	require.Contains(t, env, " AWS_ENDPOINT_URL_EC2")
	env, _ = w.imgops(t, w.dir, "sandbox", "env", "--name", w.sandbox, "--proxy")
	require.Contains(t, env, "export HTTPS_PROXY="+strings.Fields(once)[0]+"\n")
}

// requireSameCertificate: after a server was killed, the next one has the same certificate, and nothing half-written is left.
func (w *realWorld) requireSameCertificate(t *testing.T) {
	t.Helper()
	proxy := filepath.Join(w.dir, "state", "imgops", "sandbox", w.sandbox, "proxy")
	before, err := os.ReadFile(filepath.Join(proxy, "ca.pem"))
	require.NoError(t, err)
	w.kill(t)
	require.NoError(t, os.WriteFile(filepath.Join(proxy, ".ca.pem123"), nil, 0o600)) // as if it had been writing
	w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox)
	after, err := os.ReadFile(filepath.Join(proxy, "ca.pem"))
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoFileExists(t, filepath.Join(proxy, ".ca.pem123"))
}
