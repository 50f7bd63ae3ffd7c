package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/imgops/imgops/images"
)

// What "booted" can mean; see WaitBooted.
const (
	WaitSSH       = "ssh"
	WaitSystemd   = "systemd"
	WaitCloudInit = "cloud-init"
)

// The questions and, when the answer is bad, those after the reason; all but systemdWait are asked as root.
const (
	cloudInitWait = `command -v cloud-init >/dev/null || exit 127; cloud-init status --wait --long 2>&1`
	cloudInitWhy  = `grep -hE "(WARNING|ERROR|CRITICAL)" /var/log/cloud-init.log 2>&1 | tail -n 15; tail -n 15 /var/log/cloud-init-output.log 2>&1`
	systemdWait   = `systemctl is-system-running --wait 2>&1`
	systemdWhy    = `systemctl --failed --no-pager --plain --no-legend 2>&1; ` +
		`for u in $(systemctl --failed --plain --no-legend | cut -d" " -f1); do journalctl --no-pager -b -n 10 -o cat -u "$u" 2>&1; done`
)

// WaitBooted waits until the machine has booted, in the sense of wait: WaitSSH is satisfied by the connection;
// WaitSystemd means that systemd has started everything and no unit has failed; WaitCloudInit (also the empty
// string) means that cloud-init has done the first boot without an error, and that systemd has nothing left to start.
// A first boot that failed, and under WaitSystemd a failed unit, is an error with cloud-init's or systemd's own words.
func (m *Machine) WaitBooted(ctx context.Context, wait string, progress images.Progress) error {
	switch wait {
	case WaitSSH:
		return nil
	case WaitSystemd:
		progress.Say("boot", "systemd to start everything on "+m.ID)
		return m.waitSystemd(ctx, true)
	case WaitCloudInit, "":
		progress.Say("boot", "cloud-init's first boot of "+m.ID)
		if err := m.waitCloudInit(ctx); err != nil {
			return err
		}
		return m.waitSystemd(ctx, false)
	}
	return fmt.Errorf("waiting for %s to boot: unknown condition %q; use %s, %s or %s", m, wait, WaitCloudInit, WaitSystemd, WaitSSH)
}

func (m *Machine) waitCloudInit(ctx context.Context) error {
	out, err := m.ask(ctx, m.AsRoot(cloudInitWait))
	if err == nil {
		return nil
	}
	exit := (*ExitError)(nil)
	switch {
	case !errors.As(err, &exit):
		return fmt.Errorf("waiting for cloud-init on %s: %w", m, err)
	case exit.Status == 2 && strings.Contains(out, "status: done"):
		return nil // done, with warnings (cloud-init 23.4 and later, "return codes")
	case exit.Status == 127:
		return fmt.Errorf("waiting for cloud-init on %s: the image has no cloud-init; set wait to %s or %s", m, WaitSystemd, WaitSSH)
	}
	why, _ := m.ask(ctx, m.AsRoot(cloudInitWhy))
	return fmt.Errorf("the first boot of %s failed, cloud-init says:\n%s", m, joinText(strings.TrimLeft(out, "."), why))
}

// waitSystemd waits for the end of systemd's job queue. strict makes a failed unit an error.
func (m *Machine) waitSystemd(ctx context.Context, strict bool) error {
	out, err := m.ask(ctx, systemdWait)
	if exit := (*ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("waiting for systemd on %s: %w", m, err)
	}
	if err == nil || !strict {
		return nil
	}
	why, _ := m.ask(ctx, m.AsRoot(systemdWhy))
	return fmt.Errorf("systemd on %s is %s, failed units:\n%s", m, out, why)
}

// ask runs a command until it answers, as long as ctx lasts: a machine may reboot in its first boot (cloud-init's
// power_state), so a lost connection is made again, while an answer is final.
func (m *Machine) ask(ctx context.Context, command string) (string, error) {
	var text string
	var answer error
	err := images.Poll(ctx, func(ctx context.Context) (bool, error) {
		out, err := m.Output(ctx, command)
		text, answer = strings.TrimSpace(string(out)), err
		exit, wrong := (*ExitError)(nil), (*HostKeyError)(nil)
		return err == nil || errors.As(err, &exit) || errors.As(err, &wrong), nil
	})
	if err != nil && answer == nil {
		answer = err
	}
	return text, answer
}

func joinText(a, b string) string { return strings.TrimSpace(a + "\n" + b) }
