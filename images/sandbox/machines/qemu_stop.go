package machines

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// askPoweroff presses the power button, to which logind listens. Before the kernel has a driver for the button, nobody notices.
func (d *QEMU) askPoweroff(ctx context.Context, m *machine) {
	q, err := d.dialQMP(ctx, m.Machine.ID)
	if err != nil {
		return // it is ending
	}
	defer q.Close() //nolint:errcheck // all has been said
	if err := q.execute("system_powerdown"); err != nil {
		d.log.Warn("pressing a machine's power button", "id", m.Machine.ID, "error", err)
	}
}

// ended boots a machine again that has rebooted from inside; any other end is delivered by Exited.
func (d *QEMU) ended(m *machine) {
	if !d.rebooted(m) {
		d.finish(m)
		return
	}
	d.log.Info("a machine reboots", "id", m.Machine.ID)
	if err := d.relaunch(context.Background(), m); err != nil {
		d.log.Error("booting a machine again", "id", m.Machine.ID, "error", err)
		go d.tellExited(m.Machine.ID)
	}
}

// rebooted asks the console what the kernel said last (kernel/reboot.c): QEMU ends in the same way for a reset and for a power-off, and this
// also tells of what happened while no server was there.
func (d *QEMU) rebooted(m *machine) bool {
	f, err := os.Open(d.file(m.Machine.ID, ".console"))
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	const tail = 4 << 10
	start := max(m.From, info.Size()-tail)
	last, err := io.ReadAll(io.NewSectionReader(f, start, info.Size()-start))
	return err == nil && bytes.Contains(last, []byte("reboot: Restarting system"))
}

// qmp is a connection to QEMU's control socket (QEMU Machine Protocol).
type qmp struct {
	net.Conn
	lines *bufio.Scanner
}

// dialQMP connects and shakes hands. The path leads through the directory's descriptor: that of a socket may have 107 characters only.
func (d *QEMU) dialQMP(ctx context.Context, id string) (*qmp, error) {
	dir, err := os.Open(filepath.Join(d.dir, "machines"))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s.qmp", dir.Fd(), id))
	if err != nil {
		return nil, err
	}
	q := &qmp{Conn: c, lines: bufio.NewScanner(c)}
	if err := errors.Join(c.SetDeadline(time.Now().Add(5*time.Second)), q.execute("qmp_capabilities")); err != nil {
		_ = c.Close()
		return nil, err
	}
	return q, nil
}

// execute sends a command without arguments and waits for its answer. The greeting and the events between are passed over.
func (q *qmp) execute(command string) error {
	if _, err := fmt.Fprintf(q, "{\"execute\":%q}\n", command); err != nil {
		return err
	}
	for q.lines.Scan() {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := json.Unmarshal(q.lines.Bytes(), &answer); err != nil {
			return fmt.Errorf("QEMU answers %s with %q: %w", command, q.lines.Bytes(), err)
		}
		switch {
		case answer.Error != nil:
			return fmt.Errorf("QEMU refuses %s: %s", command, answer.Error.Desc)
		case answer.Return != nil:
			return nil
		}
	}
	return errors.Join(fmt.Errorf("QEMU does not answer %s", command), q.lines.Err())
}
