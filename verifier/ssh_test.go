package verifier

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/imgops/imgops/images/machine"
)

// serveSSH lets real SSH clients run commands on a local machine, and writes the ssh_config that leads there.
func serveSSH(t *testing.T, conn *localConn) {
	t.Helper()
	hostKey, _ := newKey(t)
	userKey, userPEM := newKey(t)
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(userKey.PublicKey().Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(hostKey)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &sshServer{conn: conn, config: config, open: map[net.Conn]bool{}}
	server.group.Go(func() { server.accept(t.Context(), listener) })
	t.Cleanup(func() {
		_ = listener.Close()
		server.closeAll() // also those that a ControlMaster keeps, which ends with its connection
		server.group.Wait()
	})

	address := listener.Addr().(*net.TCPAddr)
	// Not in the machine's home: the path of a socket is at most 108 bytes long.
	control, err := os.MkdirTemp("", "imgops-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(control) })
	line := knownhosts.Line([]string{address.String()}, hostKey.PublicKey())
	write(t, conn.home, map[string]string{"key": string(userPEM), "known_hosts": line + "\n", "ssh_config": fmt.Sprintf(
		"Host machine\n HostName 127.0.0.1\n Port %d\n User admin\n IdentityFile %s\n IdentitiesOnly yes\n IdentityAgent none\n"+
			" UserKnownHostsFile %s\n StrictHostKeyChecking yes\n BatchMode yes\n ControlMaster auto\n ControlPersist 60\n ControlPath %s/s\n",
		address.Port, filepath.Join(conn.home, "key"), filepath.Join(conn.home, "known_hosts"), control)})
	require.NoError(t, os.Chmod(filepath.Join(conn.home, "key"), 0o600))
}

func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	require.NoError(t, err)
	return signer, pem.EncodeToMemory(block)
}

type sshServer struct {
	conn   *localConn
	config *ssh.ServerConfig
	group  sync.WaitGroup

	mu    sync.Mutex
	open  map[net.Conn]bool
	total int // connections that were ever made
}

func (s *sshServer) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
}

func (s *sshServer) accept(ctx context.Context, l net.Listener) {
	for {
		tcp, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[tcp] = true
		s.total++
		s.mu.Unlock()
		s.group.Go(func() { s.serve(ctx, tcp) })
	}
}

func (s *sshServer) serve(ctx context.Context, tcp net.Conn) {
	defer func() { _ = tcp.Close() }()
	_, channels, requests, err := ssh.NewServerConn(tcp, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			_ = c.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		s.group.Go(func() { s.session(ctx, channel, requests) })
	}
}

func (s *sshServer) session(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer func() { _ = channel.Close() }()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(r.Type == "env", nil)
			continue
		}
		var exec struct{ Command string }
		_ = r.Reply(ssh.Unmarshal(r.Payload, &exec) == nil, nil)
		// Without stdin: exec.Cmd would wait for its end after the command's.
		err := s.conn.Run(ctx, exec.Command, nil, channel, channel.Stderr())
		status := struct{ Status uint32 }{}
		if exit := (*machine.ExitError)(nil); errors.As(err, &exit) {
			status.Status = uint32(exit.Status)
		} else if err != nil {
			return
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}
