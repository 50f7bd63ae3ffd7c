package verifier

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/imgops/imgops/images"
)

const uncheckedSSH = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"

// The last test changes the options in code, which a setting of a newer testinfra does too.
var uncheckedTestinfra = map[string]string{
	"s/pytest.ini": "[pytest]\naddopts = --ssh-config=unchecked --ssh-extra-args='" + uncheckedSSH + "' --connection=ssh\n",
	"s/unchecked":  "Host *\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n",
	"s/test_web.py": `
import os, testinfra

def test_settings(host):
    assert host.run("true").rc == 0

def test_own_options():
    options = dict(ssh_config=os.environ["REAL_CONFIG"], ssh_extra_args="` + uncheckedSSH + `")
    assert testinfra.get_host("ssh://machine", **options).run("true").rc == 0
`,
}

var uncheckedServerspec = map[string]string{"s/web_spec.rb": `
options = Net::SSH::Config.for('machine', [ENV['TARGET_SSH_CONFIG']]).slice(*Net::SSH::VALID_OPTIONS)
options.update(config: false, use_agent: false, non_interactive: true, user_known_hosts_file: '/dev/null', verify_host_key: :never)
set :ssh_options, options

describe command('true') do
  its(:exit_status) { should eq 0 }
end
`}

// Settings of a suite or of the environment do not lead to a machine with another host key.
func TestHostKeyIsAlwaysChecked(t *testing.T) {
	for name, c := range map[string]struct {
		need  func(*testing.T)
		files map[string]string
		tests int
		want  string
	}{
		"testinfra":  {needTestinfra, uncheckedTestinfra, 2, "Host key verification failed"},
		"serverspec": {needServerspec, uncheckedServerspec, 1, "does not match for"},
	} {
		for _, same := range []bool{true, false} {
			t.Run(name+map[bool]string{true: " and its machine", false: " and another machine"}[same], func(t *testing.T) {
				c.need(t)
				b := newBench(t, c.files)
				home := b.conns["s"].home
				serveSSH(t, b.conns["s"])
				t.Setenv("REAL_CONFIG", filepath.Join(home, "ssh_config"))
				t.Setenv("PYTEST_ADDOPTS", "--ssh-extra-args='"+uncheckedSSH+"'")
				if !same {
					otherHostKey(t, filepath.Join(home, "known_hosts"))
				}
				report, err := b.verify(t)
				if same {
					require.NoError(t, err, b.log.String())
					return
				}
				require.ErrorAs(t, err, new(*FailedError), b.log.String())
				require.Equal(t, c.tests, report.Counts.Failed+report.Counts.Errors, b.log.String())
				for _, failed := range report.Failures() {
					require.Contains(t, failed.Output, c.want)
				}
			})
		}
	}
}

// otherHostKey replaces the key in a known_hosts file.
func otherHostKey(t *testing.T, path string) {
	t.Helper()
	line, err := os.ReadFile(path)
	require.NoError(t, err)
	address, _, _ := strings.Cut(string(line), " ")
	other, _ := newKey(t)
	require.NoError(t, os.WriteFile(path, append([]byte(address+" "), ssh.MarshalAuthorizedKey(other.PublicKey())...), 0o600))
}

func TestMissingAgentIsFoundBeforeLaunching(t *testing.T) {
	b := newBench(t, map[string]string{"s/goss.yaml": "file: {/etc/passwd: {exists: true}}\n"})
	b.req.Image = images.Image{ID: "ami-1", Architecture: "riscv64"}
	report, err := b.verify(t)
	requireNotJudged(t, report, err)
	require.ErrorIs(t, err, errNoAgent)
	require.Empty(t, b.specs)
}
