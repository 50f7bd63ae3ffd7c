package ledger_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

// bucket makes a bucket and gives a client of it.
func bucket(t *testing.T, url, key, secret string) *s3.Client {
	t.Helper()
	api := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &url, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	})
	_, err := api.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("acme-ledger")})
	require.NoError(t, err)
	return api
}

func testS3(t *testing.T, api *s3.Client) {
	for _, place := range []string{"s3://acme-ledger", "s3://acme-ledger/fleets/one/"} {
		t.Run(place, func(t *testing.T) {
			testStore(t, func(t *testing.T) ledger.Store {
				s, err := ledger.NewS3(api, place)
				require.NoError(t, err)
				return s
			})
		})
		// What the first test has left is below the second one's prefix only if prefixes leak.
	}
	t.Run("no such bucket", func(t *testing.T) {
		s, err := ledger.NewS3(api, "s3://nobodys-bucket/x")
		require.NoError(t, err)
		var refused *ledger.RefusedError
		require.ErrorAs(t, s.Append(t.Context(), "", []ledger.Entry{event(t, "web", "hold", "", noon)}), &refused)
		require.Error(t, s.Ready(t.Context()))
	})
}

func TestS3OnSandbox(t *testing.T) {
	testS3(t, bucket(t, sandboxtest.New(t).URL, "SANDBOX111111111111", "sandbox"))
}

func TestS3OnMoto(t *testing.T) {
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
	require.NoError(t, l.Close())
	cmd := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	require.Eventually(t, func() bool {
		answer, err := http.Get(url + "/moto-api/data.json") //nolint:noctx // polled
		return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "moto_server does not answer")
	testS3(t, bucket(t, url, "test", "test"))
}

func TestParseS3(t *testing.T) {
	for place, want := range map[string][2]string{
		"s3://acme": {"acme", ""}, "s3://acme/": {"acme", ""}, "s3://acme/a/b": {"acme", "a/b/"}, "s3://acme/a/b/": {"acme", "a/b/"},
	} {
		bucket, prefix, err := ledger.ParseS3(place)
		require.NoError(t, err)
		require.Equal(t, want, [2]string{bucket, prefix})
	}
	for _, place := range []string{"", "acme", "s3://", "s3:///x", "https://acme", "s3://Acme"} {
		_, _, err := ledger.ParseS3(place)
		require.Error(t, err, place)
	}
}
