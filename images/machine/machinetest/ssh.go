package machinetest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"
)

// Command is a command that the server was asked to run.
type Command struct {
	Line   string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Ctx    context.Context // ends with the session, or when the client signals the command
}

// Server is an SSH server for the machines of a Cloud: each machine has the host key of its user data and lets the
// user of its key pair in, as cloud-init would have it. It is the Dialer of a Launcher.
type Server struct {
	// Exec runs a command and returns its exit status. Without it every command succeeds.
	Exec func(Command) int
	// HostKey replaces the machines' own: an impostor.
	HostKey ssh.Signer

	cloud *Cloud
	mu    sync.Mutex
	lines []string
	conns []net.Conn
	wg    sync.WaitGroup
}

// NewServer makes a server that ends with the test.
func NewServer(t testing.TB, cloud *Cloud) *Server {
	s := &Server{cloud: cloud}
	t.Cleanup(func() {
		s.Drop()
		s.wg.Wait()
	})
	return s
}

// Commands lists the command lines that were run.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// Drop cuts all connections.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

// DialContext connects to the machine that has the address.
func (s *Server) DialContext(ctx context.Context, network, target string) (net.Conn, error) {
	config, err := s.config(target)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	client, err := (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
	if err != nil {
		return nil, err
	}
	server, err := l.Accept()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.conns = append(s.conns, client)
	s.mu.Unlock()
	s.wg.Go(func() { s.serve(server, config) })
	return client, nil
}

// config finds the machine and reads its user data as cloud-init does.
func (s *Server) config(target string) (*ssh.ServerConfig, error) {
	refused := &net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	for _, i := range s.cloud.Instances() {
		if aws.ToString(i.PrivateIpAddress) != host {
			continue
		}
		data, err := base64.StdEncoding.DecodeString(s.cloud.UserData(aws.ToString(i.InstanceId)))
		if err != nil {
			return nil, err
		}
		var seen struct {
			Keys map[string]string `yaml:"ssh_keys"`
		}
		if err := yaml.Unmarshal(data, &seen); err != nil {
			return nil, err
		}
		key := s.HostKey
		if key == nil {
			if key, err = ssh.ParsePrivateKey([]byte(seen.Keys["ed25519_private"])); err != nil {
				return nil, err
			}
		}
		user := s.cloud.publicKey(aws.ToString(i.KeyName))
		config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
			if user == nil || string(user.Marshal()) != string(offered.Marshal()) {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, nil
		}}
		config.AddHostKey(key)
		return config, nil
	}
	return nil, refused
}

func (c *Cloud) publicKey(name string) ssh.PublicKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(aws.ToString(c.keys[name].PublicKey)))
	if err != nil {
		return nil
	}
	return key
}

func (s *Server) serve(conn net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = conn.Close() }()
	c, chans, reqs, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	s.wg.Go(func() {
		for r := range reqs {
			_ = r.Reply(true, nil) // keepalives
		}
	})
	for ch := range chans {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, ch.ChannelType())
			continue
		}
		channel, requests, err := ch.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.session(channel, requests) })
	}
}

func (s *Server) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for r := range requests {
		if r.Type == "signal" {
			cancel()
		}
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		var p struct{ Line string }
		_ = ssh.Unmarshal(r.Payload, &p)
		_ = r.Reply(true, nil)
		s.mu.Lock()
		s.lines = append(s.lines, p.Line)
		s.mu.Unlock()
		s.wg.Go(func() {
			status := 0
			if s.Exec != nil {
				status = s.Exec(Command{Line: p.Line, Stdin: ch, Stdout: ch, Stderr: ch.Stderr(), Ctx: ctx})
			}
			_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
			_ = ch.Close()
		})
	}
}

// OtherKey makes an SSH key that no machine has.
func OtherKey(t testing.TB) ssh.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	return signer
}
