package ledger_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/imgops/imgops/images/ledger"
)

// sshKey is a key, on disk as ssh wants it, too.
type sshKey struct {
	private ed25519.PrivateKey
	signer  ssh.Signer
	file    string
	line    string // for authorized_keys and known_hosts
}

func newSSHKey(t *testing.T) sshKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	return sshKey{private, signer, file, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))}
}

// listen hands each connection to a port of loopback to serve, which closes it.
func listen(t *testing.T, serve func(*net.TCPConn)) (port int) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := l.AcceptTCP()
			if err != nil {
				return
			}
			wg.Go(func() { serve(conn) })
		}
	})
	addr, ok := l.Addr().(*net.TCPAddr)
	require.True(t, ok)
	return addr.Port
}

// goServer is an ssh server of this process that runs commands with sh, for whoever has the user's key.
func goServer(t *testing.T, host, user sshKey) (port int) {
	t.Helper()
	conf := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(user.signer.PublicKey().Marshal()) {
			return nil, errors.New("another key")
		}
		return nil, nil
	}}
	conf.AddHostKey(host.signer)
	return listen(t, func(conn *net.TCPConn) {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute)) // nobody stays longer
		serveSSH(conn, conf)
	})
}

func serveSSH(conn net.Conn, conf *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(conn, conf)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for open := range channels {
		ch, requests, err := open.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				var p struct{ Line string }
				if r.Type != "exec" || ssh.Unmarshal(r.Payload, &p) != nil {
					_ = r.Reply(r.Type == "env", nil)
					continue
				}
				_ = r.Reply(true, nil)
				cmd := exec.Command("sh", "-c", p.Line)
				cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
				in, err := cmd.StdinPipe()
				if err == nil {
					go func() {
						_, _ = io.Copy(in, ch)
						_ = in.Close()
					}()
					err = cmd.Run()
				}
				status := uint32(0)
				if err != nil {
					status = 1
				}
				_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
				_ = ch.Close()
			}
		}()
	}
}

// openSSH has sshd serve each connection, with a configuration of its own. As root it wants its directory below /run, which
// it gets in a mount namespace of its own.
func openSSH(t *testing.T, host, user sshKey) (port int) {
	t.Helper()
	const sshd = "/usr/sbin/sshd" // it wants to be called by its path
	if _, err := os.Stat(sshd); err != nil {
		t.Skip("sshd is not installed: apt-get install openssh-server")
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authorized_keys"), []byte(user.line+"\n"), 0o600))
	conf := filepath.Join(dir, "sshd_config")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "HostKey %s\nAuthorizedKeysFile %s/authorized_keys\nStrictModes no\nUsePAM no\nPidFile none\n"+
		"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n", host.file, dir), 0o600))
	argv := []string{sshd, "-i", "-e", "-f", conf}
	if os.Geteuid() == 0 {
		own := []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o mode=755 none /run && mkdir -m 755 /run/sshd && exec "$@"`, "sh"}
		if out, err := exec.CommandContext(t.Context(), own[0], append(own[1:], "true")...).CombinedOutput(); err != nil {
			t.Skipf("sshd wants a directory in /run, and no mount namespace can be made here: %s", out)
		}
		argv = append(own, argv...)
	}
	return listen(t, func(conn *net.TCPConn) {
		defer conn.Close()
		socket, err := conn.File()
		if err != nil {
			return
		}
		defer socket.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdin, cmd.Stdout = socket, socket
		_ = cmd.Run() // the client is told what is wrong
	})
}

// sshAgent is an agent with a key, on the socket that SSH_AUTH_SOCK names.
func sshAgent(t *testing.T, key sshKey) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // a socket's path has to be short
	require.NoError(t, err)
	socket := filepath.Join(dir, "s")
	ring := agent.NewKeyring()
	require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: key.private}))
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, conn) }()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
		_ = os.RemoveAll(dir)
	})
	t.Setenv("SSH_AUTH_SOCK", socket)
}

// TestGitOverSSH pushes through go-git with the agent's key, and through ssh(1) with a key file. The host's key has to be
// known, whoever connects; what is refused is said in a line that says what to do.
func TestGitOverSSH(t *testing.T) {
	for name, serve := range map[string]func(*testing.T, sshKey, sshKey) int{"in this process": goServer, "OpenSSH": openSSH} {
		t.Run(name, func(t *testing.T) {
			host, user, other := newSSHKey(t), newSSHKey(t), newSSHKey(t)
			port := serve(t, host, user)
			bare := origin(t)
			url := fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", login(t), port, bare)
			at := fmt.Sprintf("[127.0.0.1]:%d", port)
			hosts := func(t *testing.T, key sshKey) string {
				file := filepath.Join(t.TempDir(), "known_hosts")
				line := at + " " + key.line + "\n"
				if key.line == "" {
					line = "example.com " + other.line + "\n"
				}
				require.NoError(t, os.WriteFile(file, []byte(line), 0o600))
				return file
			}
			for name, c := range map[string]struct {
				known, key sshKey
				want       string // an error; "" is none
			}{
				"known, and let in":  {host, user, ""},
				"unknown host":       {sshKey{}, user, "the ssh host " + at + " is not in known_hosts; compare the fingerprints that 'ssh-keyscan -p " + fmt.Sprint(port) + " 127.0.0.1 | ssh-keygen -lf -' prints"},
				"another host's key": {other, user, "the ssh host " + at + " has another host key than known_hosts says, so somebody may be in between"},
				"refused key":        {host, other, "the ssh host " + at + " takes none of the keys that are offered (ssh-add -l lists the agent's)"},
			} {
				for way, by := range map[string]func(t *testing.T, known string, dir string) ledger.GitOptions{
					"go-git and the agent": func(t *testing.T, known, _ string) ledger.GitOptions {
						sshAgent(t, c.key)
						t.Setenv("SSH_KNOWN_HOSTS", known)
						o := quick
						o.NoCommand = true
						return o
					},
					"ssh and a file": func(t *testing.T, known, dir string) ledger.GitOptions {
						t.Setenv("SSH_AUTH_SOCK", "")
						t.Setenv("SSH_KNOWN_HOSTS", known)
						run(t, dir, "config", "core.sshCommand", "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -o GlobalKnownHostsFile=none -o UserKnownHostsFile="+known+" -i "+c.key.file)
						return quick
					},
				} {
					t.Run(name+", "+way, func(t *testing.T) {
						dir := clone(t, "file://"+bare)
						run(t, dir, "remote", "set-url", "origin", url)
						g, err := ledger.OpenGit(dir, by(t, hosts(t, c.known), dir))
						require.NoError(t, err)
						e := event(t, "web", "hold", name+way, noon)
						before := run(t, bare, "for-each-ref")
						if c.want == "" {
							require.NoError(t, g.Ready(t.Context()))
							require.NoError(t, g.Append(t.Context(), "x", []ledger.Entry{e}))
							require.Contains(t, run(t, bare, "ls-tree", "-r", "--name-only", ledger.Branch), e.Path)
							return
						}
						for _, err := range []error{g.Ready(t.Context()), g.Append(t.Context(), "x", []ledger.Entry{e})} {
							require.ErrorContains(t, err, c.want)
							require.NotContains(t, err.Error(), "\n")
						}
						require.Equal(t, before, run(t, bare, "for-each-ref"), "nothing was pushed")
					})
				}
			}
		})
	}
}

// login is who runs this test.
func login(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "id", "-un").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}
