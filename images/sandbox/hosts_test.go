package sandbox_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/awsproxy"
)

func TestHostsOfAWS(t *testing.T) {
	for host, want := range map[string]string{
		"ec2.us-east-1.amazonaws.com":                      "ec2 us-east-1 ",
		"EC2.us-east-1.amazonaws.com.:443":                 "ec2 us-east-1 ",
		"ec2.amazonaws.com":                                "ec2 us-east-1 ",
		"sts.amazonaws.com":                                "sts us-east-1 ",
		"sts.eu-west-1.amazonaws.com":                      "sts eu-west-1 ",
		"ec2.eu-west-1.api.aws":                            "ec2 eu-west-1 ",
		"ec2-fips.us-gov-west-1.amazonaws.com":             "ec2 us-gov-west-1 ",
		"kms.cn-north-1.amazonaws.com.cn":                  "kms cn-north-1 ",
		"vpce-1-abc.ssm.us-east-2.vpce.amazonaws.com":      "ssm us-east-2 ",
		"iam.amazonaws.com":                                "iam  ",
		"s3.amazonaws.com":                                 "s3  ",
		"s3.eu-west-1.amazonaws.com":                       "s3 eu-west-1 ",
		"s3-eu-west-1.amazonaws.com":                       "s3 eu-west-1 ",
		"s3.dualstack.eu-west-1.amazonaws.com":             "s3 eu-west-1 ",
		"s3-fips.us-east-1.amazonaws.com":                  "s3 us-east-1 ",
		"records.s3.eu-west-1.amazonaws.com":               "s3 eu-west-1 records",
		"my.own.s3.records.s3.eu-west-1.amazonaws.com:443": "s3 eu-west-1 my.own.s3.records",
		"records.s3-eu-west-1.amazonaws.com":               "s3 eu-west-1 records",
		"s3-records.s3.amazonaws.com":                      "s3  s3-records",
		"records.s3-accelerate.dualstack.amazonaws.com":    "s3  records",
		"127.0.0.1:4566":                                   "",
		"amazonaws.com":                                    "",
		"ec2.amazonaws.com.example.org":                    "",
		"notamazonaws.com":                                 "",
		"":                                                 "",
	} {
		require.Equal(t, want, sandbox.EndpointOf(host), host)
	}
}

// byName is a configuration that knows AWS' own host names only, and a proxy that leads to the sandbox.
func (w *world) byName(account, region string) aws.Config {
	w.t.Helper()
	dir := w.t.TempDir()
	authority, err := awsproxy.OpenAuthority(dir, sandbox.Domains(), time.Now)
	require.NoError(w.t, err)
	p := awsproxy.New(awsproxy.Options{Authority: authority, Domains: sandbox.Domains(), AWS: w.cloud.Handler(), Direct: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)})
	w.t.Cleanup(func() { require.NoError(w.t, p.Close()) })
	server := httptest.NewServer(p)
	w.t.Cleanup(server.Close)
	via, err := url.Parse(server.URL)
	require.NoError(w.t, err)
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(dir, awsproxy.CertificateFile))
	require.NoError(w.t, err)
	require.True(w.t, roots.AppendCertsFromPEM(pem))
	transport := &http.Transport{Proxy: http.ProxyURL(via), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	w.t.Cleanup(transport.CloseIdleConnections)
	return aws.Config{Region: region, RetryMaxAttempts: 1, HTTPClient: images.PlainBodies{HTTPClient: &http.Client{Transport: transport}},
		Credentials: credentials.NewStaticCredentialsProvider("SANDBOX"+account, "sandbox", "")}
}

// A client that knows no endpoint but AWS' own works as one that was given the sandbox's; its signatures are for those hosts.
func TestClientsThatKnowAWSOnly(t *testing.T) {
	w := newWorld(t)
	cfg := w.byName(build, away)
	images, err := ec2.NewFromConfig(cfg).DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{debian}})
	require.NoError(t, err)
	require.Len(t, images.Images, 1)
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(w.ctx, nil)
	require.NoError(t, err)
	require.Equal(t, build, *who.Account)
	_, err = ssm.NewFromConfig(cfg).PutParameter(w.ctx, &ssm.PutParameterInput{Name: aws.String("/a"), Value: aws.String("b"), Type: "String"})
	require.NoError(t, err)
	_, err = ssm.NewFromConfig(w.account(build, away)).GetParameter(w.ctx, &ssm.GetParameterInput{Name: aws.String("/a")})
	require.NoError(t, err, "it is the same sandbox")
	_, err = kms.NewFromConfig(cfg).ListKeys(w.ctx, nil)
	require.NoError(t, err)
}

func TestS3ByHostName(t *testing.T) {
	w := newWorld(t)
	cfg := w.byName(build, home)
	for _, bucket := range []string{"records", "my.records"} { // the SDK puts the first into the host's name
		api := s3.NewFromConfig(cfg)
		_, err := api.CreateBucket(w.ctx, &s3.CreateBucketInput{Bucket: &bucket})
		require.NoError(t, err)
		_, err = api.PutObject(w.ctx, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("a b/c"), Body: strings.NewReader("content")})
		require.NoError(t, err)
		out, err := api.GetObject(w.ctx, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("a b/c")})
		require.NoError(t, err)
		content, err := io.ReadAll(out.Body)
		require.NoError(t, err)
		require.Equal(t, "content", string(content))
		list, err := api.ListObjectsV2(w.ctx, &s3.ListObjectsV2Input{Bucket: &bucket})
		require.NoError(t, err)
		require.Len(t, list.Contents, 1)
	}
	url, err := s3.NewPresignClient(s3.NewFromConfig(cfg)).PresignGetObject(w.ctx, &s3.GetObjectInput{Bucket: aws.String("records"), Key: aws.String("a b/c")})
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, url.URL, nil)
	require.NoError(t, err)
	resp, err := cfg.HTTPClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	buckets, err := s3.NewFromConfig(cfg).ListBuckets(w.ctx, nil)
	require.NoError(t, err)
	require.Len(t, buckets.Buckets, 2)
}

// What was signed for another Region or service than that of the host is refused, and a service that is not here says so in its own words.
func TestMisdirectedRequests(t *testing.T) {
	w := newWorld(t)
	cfg := w.byName(build, home)
	to := func(host string) func(*ec2.Options) {
		return func(o *ec2.Options) { o.BaseEndpoint = aws.String("https://" + host) }
	}
	for host, want := range map[string]string{
		"ec2.us-east-1.amazonaws.com":   "",
		"ec2.amazonaws.com":             "",
		"ec2.eu-west-1.amazonaws.com":   "AuthFailure",
		"elasticloadbalancing.api.aws":  "AuthFailure",
		"rds.us-east-1.amazonaws.com":   "AuthFailure",
		"a.b.c.us-east-1.amazonaws.com": "AuthFailure",
	} {
		_, err := ec2.NewFromConfig(cfg, to(host)).DescribeRegions(w.ctx, nil)
		require.Equal(t, want, code(err), host)
	}
	send := func(host, path, contentType, body string) (int, http.Header, string) {
		r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, "https://"+host+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", contentType)
		resp, err := cfg.HTTPClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, resp.Header, string(got)
	}
	status, header, body := send("lambda.us-east-1.amazonaws.com", "/2015-03-31/functions", "application/json", "{}")
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "UnknownOperationException", header.Get("X-Amzn-Errortype"))
	require.Contains(t, body, "The service lambda is not in this sandbox, which has ec2, s3, ssm, sts and kms")
	status, _, body = send("autoscaling.us-east-1.amazonaws.com", "/", "application/x-www-form-urlencoded; charset=utf-8", "Action=DescribeAutoScalingGroups&Version=2011-01-01")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "<ErrorResponse")
	require.Contains(t, body, "The action DescribeAutoScalingGroups of service autoscaling is not in this sandbox")
	status, _, body = send("s3.amazonaws.com", "/", "", "")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, "AccessDenied", "without a signature")
}
