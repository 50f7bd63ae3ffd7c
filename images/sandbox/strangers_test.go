package sandbox_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
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

// TestBoto3 has an unmodified boto3 make every call that the sandbox has.
func TestBoto3(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import boto3").CombinedOutput(); err != nil {
		t.Skipf("boto3 is not installed: %s", out)
	}
	w := newWorld(t)
	var made []string
	require.NoError(t, json.Unmarshal([]byte(w.program(t, python, filepath.Join("testdata", "strangers", "calls.py"))), &made))
	require.Subset(t, made, sandbox.Actions(), "boto3 has not made all calls")
}

// TestAWSCLI has the AWS CLI, unmodified, do the rounds of a day: look, bake, wait, share, switch accounts, retire.
func TestAWSCLI(t *testing.T) {
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the AWS CLI is not installed")
	}
	w := newWorld(t)
	out := w.program(t, "sh", filepath.Join("testdata", "strangers", "cli.sh"))
	require.Contains(t, out, "all is well")
}
