package sandbox_test

import (
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

// get fetches a URL without signing it.
func (w *world) get(url string) (status int, body string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, url, nil)
	require.NoError(w.t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	return resp.StatusCode, string(text)
}

// A presigned URL works for as long as it says, in the words of its service after that.
func TestPresignedURLs(t *testing.T) {
	clock := &fakeClock{at: time.Now()}
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Clock: clock.now})
	identity, err := sts.NewPresignClient(w.sts(build)).PresignGetCallerIdentity(w.ctx, nil)
	require.NoError(t, err)
	presign := func(query, expires string) string {
		r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.url+"/?Version=2016-11-15&X-Amz-Expires="+expires+"&"+query, nil)
		require.NoError(t, err)
		const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		url, _, err := v4.NewSigner().PresignHTTP(w.ctx, aws.Credentials{AccessKeyID: "SANDBOX" + build, SecretAccessKey: "sandbox"}, r, empty, "ec2", home, time.Now())
		require.NoError(t, err)
		return url
	}
	regions := presign("Action=DescribeRegions", "1800")

	status, text := w.get(identity.URL)
	require.Equal(t, 200, status, text)
	require.Contains(t, text, "<Account>"+build+"</Account>")
	status, text = w.get(regions)
	require.Equal(t, 200, status, text)
	for _, expires := range []string{"0", "-1", "604801", "soon"} {
		status, text = w.get(presign("Action=DescribeRegions", expires))
		require.Equal(t, 400, status, expires)
		require.Contains(t, text, "<Code>RequestExpired</Code>")
	}
	status, text = w.get(presign("Action=DescribeRegions&Color=red", "60"))
	require.Equal(t, 400, status)
	require.Contains(t, text, "<Code>UnknownParameter</Code>", "what is no part of the signature is looked at as ever")

	clock.add(29 * time.Minute)
	status, _ = w.get(regions)
	require.Equal(t, 200, status, "longer than what a signed header is good for")
	status, text = w.get(identity.URL)
	require.Equal(t, 400, status)
	require.Contains(t, text, "<Code>RequestExpired</Code>", "the SDK's own expiry is 15 minutes")
	clock.add(2 * time.Minute)
	status, text = w.get(regions)
	require.Equal(t, 400, status)
	require.Contains(t, text, "<Code>RequestExpired</Code>")
	clock.add(-time.Hour)
	status, _ = w.get(regions)
	require.Equal(t, 400, status, "signed in the future")
}

func TestPresignedByBoto3(t *testing.T) {
	w := newWorld(t)
	python := pythonWith(t, "boto3", "create_image_usage_report")
	require.Contains(t, w.program(t, python, "-B", filepath.Join("testdata", "strangers", "presigned.py")), "all is well")
}
