package machine

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"
)

// userDataLimit is EC2's, before base64 (EC2 user guide, "Run commands at launch").
const userDataLimit = 16 << 10

// expiry powers the machine off when its time is over. The time is a date, not a span: a reboot does not extend it. The
// units lie in /run, so that they never get into an image. --no-block: cloud-init runs this before systemd has
// reached the targets that a timer waits for. Where there is no systemd, or it refuses, the machine lives until gc.
const expiry = `set -u
left=$(( %d - $(date +%%s) ))
[ "$left" -gt 60 ] || left=60
mkdir -p /run/systemd/system
printf '[Unit]\nDescription=Power off an expired imgops machine\n[Service]\nType=oneshot\nExecStart=/usr/bin/systemctl --no-block poweroff\n' >/run/systemd/system/imgops-expiry.service
printf '[Unit]\nDescription=Expiry of an imgops machine\n[Timer]\nOnActiveSec=%%ss\n' "$left" >/run/systemd/system/imgops-expiry.timer
systemctl daemon-reload
systemctl start --no-block imgops-expiry.timer
`

// userData is the machine's cloud-config: the SSH host key that it must prove to have, and its expiry.
func (m *Machine) userData() ([]byte, error) {
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(m.spec.UserData), &config); err != nil {
		return nil, fmt.Errorf("reading the further user data: %w; it must be a cloud-config", err)
	}
	for _, key := range []string{"ssh_keys", "ssh_deletekeys", "ssh_genkeytypes"} {
		if _, taken := config[key]; taken {
			return nil, fmt.Errorf("the further user data sets %s, which imgops needs for the SSH host key", key)
		}
	}
	config["ssh_deletekeys"] = true
	config["ssh_genkeytypes"] = []string{"ed25519"}
	config["ssh_keys"] = map[string]string{
		"ed25519_private": string(m.hostKeyPEM),
		"ed25519_public":  strings.TrimSpace(string(ssh.MarshalAuthorizedKey(m.hostKey))),
	}
	first := []any{[]string{"sh", "-c", fmt.Sprintf(expiry, m.expires.Unix())}}
	switch further := config["bootcmd"].(type) {
	case nil:
		config["bootcmd"] = first
	case []any:
		config["bootcmd"] = append(first, further...)
	default:
		return nil, fmt.Errorf("the further user data's bootcmd is no list")
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("writing the user data: %w", err)
	}
	text = append([]byte("#cloud-config\n"), text...)
	if len(text) > userDataLimit {
		return nil, fmt.Errorf("the user data has %d bytes, more than EC2's %d", len(text), userDataLimit)
	}
	return text, nil
}
