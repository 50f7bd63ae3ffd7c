package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/imgops/imgops/images"
)

const (
	connectTime   = 10 * time.Minute // how long a machine may take from running to SSH
	handshakeTime = 20 * time.Second // how long one SSH handshake may take
	keepAlive     = 15 * time.Second // how often a silent connection is asked for life
)

// HostKeyError says that something else than the machine that was launched answers at its address. It is final.
type HostKeyError struct {
	Address string
	Offered string // fingerprint, SHA256:...
	Want    string
}

func (e *HostKeyError) Error() string {
	return fmt.Sprintf("%s proves to have host key %s, but the machine was given %s: another machine answers at the address, "+
		"or the image's cloud-init does not apply ssh_keys of the user data", e.Address, e.Offered, e.Want)
}

// connect waits until the machine answers over SSH, and writes the files by which other programs reach it.
func (m *Machine) connect(ctx context.Context, progress images.Progress) error {
	progress.Say("connect", "SSH of "+m.ID+" at "+m.Address)
	if err := m.writeFiles(); err != nil {
		return fmt.Errorf("writing the SSH files of %s: %w", m, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("no SSH after %s", connectTime))
	defer cancel()
	if err := m.tryConnect(ctx); err != nil {
		return fmt.Errorf("connecting to %s: %w", m, err)
	}
	return nil
}

// tryConnect asks again at short intervals, unlike images.Poll: what it asks is one machine, not a service that throttles.
func (m *Machine) tryConnect(ctx context.Context) error {
	for wait := 50 * time.Millisecond; ; wait = min(wait*5/4, time.Second) {
		_, err := m.connection(ctx)
		if wrong := (*HostKeyError)(nil); err == nil || errors.As(err, &wrong) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(err, cause) {
				err = fmt.Errorf("%w (last answer: %w)", cause, err)
			}
			return err
		}
	}
}

// connection gives the kept SSH connection, made if there is none.
func (m *Machine) connection(ctx context.Context) (*ssh.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != nil {
		return m.client, nil
	}
	client, err := m.handshake(ctx)
	if err != nil {
		return nil, err
	}
	m.client = client
	go m.watch(client)
	return client, nil
}

// session opens a session on the kept connection, and on a new one when that has ended, as after a reboot.
func (m *Machine) session(ctx context.Context) (*ssh.Session, error) {
	for again := true; ; again = false {
		client, err := m.connection(ctx)
		if err != nil {
			return nil, fmt.Errorf("connecting to %s: %w", m, err)
		}
		s, err := newSession(ctx, client)
		if err == nil {
			return s, nil
		}
		m.forget(client)
		if !again || ctx.Err() != nil {
			return nil, fmt.Errorf("opening an SSH session on %s: %w", m, err)
		}
	}
}

// newSession bounds the opening by ctx, which the ssh package does not.
func newSession(ctx context.Context, client *ssh.Client) (*ssh.Session, error) {
	type result struct {
		s   *ssh.Session
		err error
	}
	opened := make(chan result, 1)
	go func() {
		s, err := client.NewSession()
		opened <- result{s, err}
	}()
	select {
	case r := <-opened:
		return r.s, r.err
	case <-ctx.Done():
		go func() {
			if r := <-opened; r.err == nil {
				_ = r.s.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// handshake makes one connection. The host key is pinned: only the key that was given to the machine in its user data
// is accepted, from the first connection on.
func (m *Machine) handshake(ctx context.Context) (*ssh.Client, error) {
	target := net.JoinHostPort(m.Address, "22")
	conn, err := m.dial.DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(handshakeTime))
	var wrong error
	c, chans, reqs, err := ssh.NewClientConn(conn, target, &ssh.ClientConfig{
		User: m.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(m.signer)}, HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if !sameKey(key, m.hostKey) {
				wrong = &HostKeyError{Address: m.Address, Offered: ssh.FingerprintSHA256(key), Want: ssh.FingerprintSHA256(m.hostKey)}
			}
			return wrong
		},
	})
	if err != nil {
		_ = conn.Close()
		if wrong != nil {
			return nil, wrong
		}
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return ssh.NewClient(c, chans, reqs), nil
}

// watch ends a connection whose other side is silent, and forgets it when it ends, so that the next command makes a
// new one.
func (m *Machine) watch(client *ssh.Client) {
	ended := make(chan struct{})
	go func() {
		_ = client.Wait()
		close(ended)
	}()
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for answered := make(chan struct{}, 1); ; {
		select {
		case <-ended:
			m.forget(client)
			return
		case <-alive.C:
		}
		go func() {
			_, _, _ = client.SendRequest("keepalive@openssh.com", true, nil) // an error is an answer, too
			answered <- struct{}{}
		}()
		select {
		case <-answered:
		case <-ended:
		case <-time.After(3 * keepAlive):
			_ = client.Close()
		}
	}
}

func (m *Machine) forget(client *ssh.Client) {
	_ = client.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client == client {
		m.client = nil
	}
}
