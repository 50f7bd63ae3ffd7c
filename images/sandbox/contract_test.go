package sandbox_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// endpoint is one side that the contract is checked against, as one account in one Region.
type endpoint struct {
	t    *testing.T
	ctx  context.Context
	cfg  aws.Config
	zone string
	name string // unlike that of any earlier run
	ec2  *ec2.Client
	ssm  *ssm.Client
	kms  *kms.Client
}

// contractCase is one rule of AWS. page is the documentation that has it, below docs.aws.amazon.com; moto is what moto gets wrong
// about it, or empty when moto must get it right.
type contractCase struct {
	name, page, moto string
	run              func(*endpoint)
}

func (c contractCase) on(t *testing.T, cfg aws.Config) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	e := &endpoint{t: t, ctx: ctx, cfg: cfg, name: "contract-" + strings.ToLower(rand.Text()[:10]), ec2: ec2.NewFromConfig(cfg), ssm: ssm.NewFromConfig(cfg), kms: kms.NewFromConfig(cfg)}
	zones, err := e.ec2.DescribeAvailabilityZones(ctx, nil)
	require.NoError(t, err)
	e.zone = *zones.AvailabilityZones[0].ZoneName
	t.Logf("the rule: https://docs.aws.amazon.com/%s", c.page)
	c.run(e)
}

const undoAtMost = 5 * time.Minute

// undo removes what a case has made, also in a real account, when the case's own context may be over.
func (e *endpoint) undo(what string, fn func(context.Context) error) {
	e.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.t.Context()), undoAtMost)
		defer cancel()
		if err := fn(ctx); err != nil {
			e.t.Errorf("%s is left behind: %v", what, err)
		}
	})
}

// TestContract checks the rules against the sandbox.
func TestContract(t *testing.T) {
	w := newWorld(t)
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) { c.on(t, w.account(build, home)) })
	}
}

// TestContractOnMoto checks the rules against moto, which knows nothing of this sandbox, so that a misreading of AWS does not
// stay among ourselves. Where both differ AWS's documentation decides, and the case says what moto gets wrong.
func TestContractOnMoto(t *testing.T) {
	cfg := motoServer(t)
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			if c.moto != "" {
				t.Skipf("moto: %s", c.moto)
			}
			c.on(t, cfg)
		})
	}
}

// TestContractOnAWS checks the rules against the account and Region of the credentials that the AWS SDK finds (environment,
// profile, role). It makes and removes volumes and snapshots of 1 GiB, t3.micro instances in the default VPC, images, tags, key
// pairs, a security group, parameters, launch templates and KMS keys (which KMS deletes a week later), for a few cents. The
// cases run side by side and take some ten minutes: go test -timeout 30m -run TestContractOnAWS ./images/sandbox. A run
// that is killed leaves what is named or tagged contract-*.
func TestContractOnAWS(t *testing.T) {
	if os.Getenv("IMGOPS_TEST_AWS") != "1" {
		t.Skip("set IMGOPS_TEST_AWS=1 to run the contract in the AWS account of your credentials")
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	require.NoError(t, err)
	if _, err := cfg.Credentials.Retrieve(t.Context()); err != nil {
		t.Skipf("there are no AWS credentials: %v", err)
	}
	require.Empty(t, aws.ToString(cfg.BaseEndpoint), "AWS_ENDPOINT_URL leads elsewhere; unset it to run the contract on AWS")
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	require.NoError(t, err)
	t.Logf("as %s in %s", *who.Arn, cfg.Region)
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.on(t, cfg)
		})
	}
}

// motoServer starts moto on loopback until the test ends.
func motoServer(t *testing.T) aws.Config {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().(*net.TCPAddr)
	require.NoError(t, l.Close())
	cmd := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", fmt.Sprint(address.Port))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "MOTO_EC2_LOAD_DEFAULT_AMIS=false"}
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	url := "http://" + address.String()
	require.Eventually(t, func() bool {
		answer, err := http.Get(url + "/moto-api/data.json")
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "moto_server does not answer")
	return aws.Config{HTTPClient: images.PlainBodies{HTTPClient: http.DefaultClient}, Region: home, BaseEndpoint: &url, RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
}
