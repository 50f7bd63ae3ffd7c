package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

func TestWrongCredentials(t *testing.T) {
	w := newWorld(t)
	calls := map[string]func(aws.Config) error{
		"ec2": func(c aws.Config) error {
			_, err := ec2.NewFromConfig(c).DescribeRegions(w.ctx, nil)
			return err
		},
		"sts": func(c aws.Config) error {
			_, err := sts.NewFromConfig(c).GetCallerIdentity(w.ctx, nil)
			return err
		},
		"ssm": func(c aws.Config) error {
			_, err := ssm.NewFromConfig(c).DescribeParameters(w.ctx, nil)
			return err
		},
	}
	for _, c := range []struct {
		name, service, key, secret, token, code string
		status                                  int
	}{
		{"unknown key", "ec2", "AKIAIOSFODNN7EXAMPLE", "sandbox", "", "AuthFailure", 401},
		{"unknown key", "sts", "AKIAIOSFODNN7EXAMPLE", "sandbox", "", "InvalidClientTokenId", 403},
		{"unknown key", "ssm", "AKIAIOSFODNN7EXAMPLE", "sandbox", "", "UnrecognizedClientException", 400},
		{"account of 11 digits", "ec2", "SANDBOX11111111111", "sandbox", "", "AuthFailure", 401},
		{"wrong secret", "ec2", "SANDBOX" + build, "sandbax", "", "AuthFailure", 401},
		{"wrong secret", "sts", "SANDBOX" + build, "sandbax", "", "SignatureDoesNotMatch", 403},
		{"wrong secret", "ssm", "SANDBOX" + build, "sandbax", "", "InvalidSignatureException", 400},
		{"token of nobody", "ec2", "SANDBOX" + build, "sandbox", "token", "AuthFailure", 401},
	} {
		err := calls[c.service](w.config(c.key, c.secret, c.token, home))
		require.Equal(t, c.code, code(err), "%s: %s", c.service, c.name)
		require.Equal(t, c.status, status(err), "%s: %s", c.service, c.name)
	}
	err := calls["ec2"](w.account(build, "moon-west-1"))
	require.Equal(t, "AuthFailure", code(err))
}

// A request that is changed on its way, or sent late, does not pass.
func TestSignatureCoversTheRequest(t *testing.T) {
	w := newWorld(t)
	var seen *http.Request
	var body []byte
	cfg := w.account(build, home)
	cfg.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
		seen = r.Clone(w.ctx)
		body, _ = io.ReadAll(r.Body)
		seen.Body = io.NopCloser(strings.NewReader(string(body)))
		return http.DefaultClient.Do(seen)
	})
	_, err := ec2.NewFromConfig(cfg).DescribeRegions(w.ctx, &ec2.DescribeRegionsInput{AllRegions: aws.Bool(true)})
	require.NoError(t, err)

	for name, change := range map[string]func(r *http.Request, body string) string{
		"body":   func(_ *http.Request, body string) string { return strings.Replace(body, "true", "false", 1) },
		"query":  func(r *http.Request, body string) string { r.URL.RawQuery = "DryRun=true"; return body },
		"header": func(r *http.Request, body string) string { r.Header.Set("Content-Type", "text/plain"); return body },
		"date":   func(r *http.Request, body string) string { r.Header.Set("X-Amz-Date", "20260101T000000Z"); return body },
		"path":   func(r *http.Request, body string) string { r.URL.Path = "/other"; return body },
	} {
		r := seen.Clone(w.ctx)
		text := change(r, string(body))
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, name)
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func TestAssumeRole(t *testing.T) {
	w := newWorld(t)
	cfg := w.account(build, home)
	role := "arn:aws:iam::" + consumer + ":role/imgops"
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(w.sts(build), role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName, o.ExternalID = "promote", aws.String("secret-1")
	}))
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(w.ctx, nil)
	require.NoError(t, err)
	require.Equal(t, consumer, *out.Account)
	require.Equal(t, "arn:aws:sts::"+consumer+":assumed-role/imgops/promote", *out.Arn)

	_, err = sts.NewFromConfig(cfg).GetSessionToken(w.ctx, nil)
	require.Equal(t, "AccessDenied", code(err), "session credentials cannot make more")

	chained := func(seconds int32) error {
		_, err := sts.NewFromConfig(cfg).AssumeRole(w.ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + stranger + ":role/x"),
			RoleSessionName: aws.String("again"), DurationSeconds: aws.Int32(seconds)})
		return err
	}
	require.NoError(t, chained(3600))
	require.Equal(t, "ValidationError", code(chained(3601)), "role chaining is capped at one hour")

	for _, in := range []sts.AssumeRoleInput{
		{RoleArn: aws.String("arn:aws:iam::123:role/x"), RoleSessionName: aws.String("ok")},
		{RoleArn: &role, RoleSessionName: aws.String("not ok")},
		{RoleArn: &role, RoleSessionName: aws.String("ok"), DurationSeconds: aws.Int32(899)},
		{RoleArn: &role, RoleSessionName: aws.String("ok"), DurationSeconds: aws.Int32(43201)},
		{RoleArn: &role, RoleSessionName: aws.String("ok"), ExternalId: aws.String("a b")},
	} {
		_, err := w.sts(build).AssumeRole(w.ctx, &in)
		require.Equal(t, "ValidationError", code(err))
	}
}

// Expired credentials are refused, by each service in its own words (ec2-facts 7.2), and so is a clock that is off.
func TestExpiry(t *testing.T) {
	clock := &fakeClock{at: time.Now()}
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Clock: clock.now})
	out, err := w.sts(build).AssumeRole(w.ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + build + ":role/x"),
		RoleSessionName: aws.String("short"), DurationSeconds: aws.Int32(900)})
	require.NoError(t, err)
	c := w.config(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken, home)
	_, err = ec2.NewFromConfig(c).DescribeRegions(w.ctx, nil)
	require.NoError(t, err)
	_, err = ec2.NewFromConfig(w.config(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, "other", home)).DescribeRegions(w.ctx, nil)
	require.Equal(t, "AuthFailure", code(err))

	clock.add(14*time.Minute + 59*time.Second + time.Second) // the session ends; the skew is just allowed
	_, err = ec2.NewFromConfig(c).DescribeRegions(w.ctx, nil)
	require.Equal(t, "RequestExpired", code(err))
	clock.add(-10 * time.Second)
	_, err = ssm.NewFromConfig(c).DescribeParameters(w.ctx, nil)
	require.NoError(t, err)
	clock.add(time.Minute)
	_, err = ec2.NewFromConfig(w.account(build, home)).DescribeRegions(w.ctx, nil)
	require.Equal(t, "RequestExpired", code(err), "more than 15 minutes off")
}

func TestUnknownActions(t *testing.T) {
	w := newWorld(t)
	_, err := w.ec2(build, home).DescribeTransitGateways(w.ctx, nil)
	require.Equal(t, "InvalidAction", code(err))
	require.Equal(t, 400, status(err))
	require.ErrorContains(t, err, "DescribeTransitGateways")
	_, err = w.ssm(build, home).DescribeDocument(w.ctx, &ssm.DescribeDocumentInput{Name: aws.String("x")})
	require.Equal(t, "UnknownOperationException", code(err))
	_, err = w.sts(build).GetAccessKeyInfo(w.ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: aws.String("AKIAIOSFODNN7EXAMPLE")})
	require.Equal(t, "InvalidAction", code(err))
}

// Nothing that is not understood is answered with HTML, or with silence.
func TestMalformedRequests(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ name, body, code string }{
		{"no action", "", "MissingAction"},
		{"unsigned", url.Values{"Action": {"DescribeImages"}}.Encode(), "MissingParameter"},
		{"not a form", "%zz", "MalformedQueryString"},
		{"too large", strings.Repeat("x", 1<<20+1), "RequestEntityTooLarge"},
	} {
		resp, err := http.Post(w.url, "application/x-www-form-urlencoded", strings.NewReader(c.body))
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Contains(t, string(text), "<Code>"+c.code+"</Code>", c.name)
		require.GreaterOrEqual(t, resp.StatusCode, 400)
	}
	_, err := w.ec2(build, home).RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String("ami-12345678"), InstanceType: "t3.small",
		MinCount: aws.Int32(1), MaxCount: aws.Int32(1), KernelId: aws.String("aki-1")})
	require.Equal(t, "UnknownParameter", code(err))
	require.ErrorContains(t, err, "KernelId")
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.run(w.ec2(build, home), nil)
	resp, err := http.Get(w.url + "/_imgops/status")
	require.NoError(t, err)
	defer resp.Body.Close()
	var s sandbox.Status
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	require.Equal(t, w.cloud.ID(), s.ID)
	require.Equal(t, "none", s.Machines)
	require.Equal(t, []string{build}, s.Accounts)
	require.Equal(t, 1, s.Counts["instances_running"])
}

// Only this computer's names lead to a sandbox: a page that makes its own name resolve to loopback gets nothing.
func TestLoopbackOnly(t *testing.T) {
	w := newWorld(t)
	guarded := httptest.NewServer(sandbox.LoopbackOnly(w.cloud.Handler()))
	t.Cleanup(guarded.Close)
	for host, want := range map[string]int{
		"127.0.0.1:4000": 200, "127.0.0.53": 200, "localhost": 200, "LOCALHOST:4000": 200, "ec2.localhost:4000": 200, "[::1]:4000": 200, "[::1]": 200, "localhost.": 200,
		"evil.example": 403, "evil.example:4000": 403, "localhost.evil.example": 403, "10.0.0.1:4000": 403, "127.0.0.1.evil.example": 403, "notlocalhost": 403, "169.254.169.254": 403,
	} {
		r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, guarded.URL+"/_imgops/status", nil)
		require.NoError(t, err)
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, host)
		if want != 200 {
			require.Contains(t, string(text), "<Code>InvalidHost</Code>")
			require.Contains(t, string(text), "for this computer only")
		}
	}
}
