package sandbox_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

// environment is what a program needs to work against the sandbox: the endpoint, keys, and a profile with a role_arn. Its home
// is empty: the AWS CLI keeps the credentials of assumed roles there.
func (w *world) environment(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte("[profile source]\naws_access_key_id = SANDBOX"+build+"\naws_secret_access_key = sandbox\n"+
		"[profile target]\nrole_arn = arn:aws:iam::"+consumer+":role/deploy\nsource_profile = source\nrole_session_name = stranger\nregion = "+home+"\n"), 0o600))
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_ENDPOINT_URL=" + w.url, "AWS_CONFIG_FILE=" + file,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_ACCESS_KEY_ID=SANDBOX" + build, "AWS_SECRET_ACCESS_KEY=sandbox", "AWS_REGION=" + home,
		"AWS_DEFAULT_REGION=" + home, "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER="}
}

// program runs a program to its end and returns what it prints.
func (w *world) program(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = w.environment(t)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), "%s\n%s", errs.String(), out.String())
	return out.String()
}

// pythonWith finds a Python that has the library, which knows the call.
func pythonWith(t *testing.T, library, knows string) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed; apt-get install python3")
	}
	code := "import boto3, " + library + "; assert hasattr(boto3.client('ec2', region_name='us-east-1'), '" + knows + "'), 'botocore is too old'"
	if out, err := exec.CommandContext(t.Context(), python, "-c", code).CombinedOutput(); err != nil {
		t.Skipf("there is no %s of 2025 or newer: pip install boto3 awscli: %s", library, out)
	}
	return python
}

// calls has all calls made, in one of the two ways of calls.py.
func (w *world) calls(t *testing.T, library, way string) (report struct{ Made, Dry, NotWaited, NotPaged []string }) {
	t.Helper()
	python := pythonWith(t, library, "create_image_usage_report")
	require.NoError(t, json.Unmarshal([]byte(w.program(t, python, "-B", filepath.Join("testdata", "strangers", "calls.py"), way)), &report))
	require.Subset(t, report.Made, sandbox.Actions(), "%s has not made all calls", library)
	return report
}

// TestBoto3 has an unmodified boto3 make every call that the sandbox has, those of EC2 with DryRun too, and use all the waiters
// and paginators that it has for them.
func TestBoto3(t *testing.T) {
	w := newWorld(t)
	report := w.calls(t, "boto3", "boto3")
	var ec2 []string
	for _, action := range sandbox.Actions() {
		if strings.HasPrefix(action, "ec2:") {
			ec2 = append(ec2, action)
		}
	}
	for _, action := range ec2 {
		if !slices.Contains(report.Dry, action) && !slices.Contains(withoutDryRun, action) {
			require.Fail(t, action+" was not made with DryRun")
		}
	}
	require.Equal(t, []string{"ec2:network_interface_available"}, report.NotWaited, "an interface here is always in use: there is none without an instance")
	require.Empty(t, report.NotPaged)
}

// withoutDryRun are the calls of EC2 that have no such parameter.
var withoutDryRun = []string{"ec2:DescribeIamInstanceProfileAssociations", "ec2:DisassociateIamInstanceProfile", "ec2:AssociateIamInstanceProfile", "ec2:ReplaceIamInstanceProfileAssociation"}

// TestAWSCLIMakesEveryCall has the AWS CLI make the same calls.
func TestAWSCLIMakesEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the AWS CLI for every call; run without -short")
	}
	w := newWorld(t)
	w.calls(t, "awscli", "cli")
}

// TestAWSCLI has the AWS CLI, unmodified, do the rounds of a day: look, bake, wait, share, switch accounts, retire.
func TestAWSCLI(t *testing.T) {
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the AWS CLI is not installed; pip install awscli")
	}
	if out, err := exec.CommandContext(t.Context(), "aws", "ec2", "enable-image-deregistration-protection", "--generate-cli-skeleton").CombinedOutput(); err != nil {
		t.Skipf("this AWS CLI is older than 2024; pip install awscli: %s", out)
	}
	w := newWorld(t)
	out := w.program(t, "sh", filepath.Join("testdata", "strangers", "cli.sh"))
	require.Contains(t, out, "all is well")
}
