package main

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The server listens on loopback only: the same port at the host's other addresses is closed, a record that names another
// address is not followed, and a request that names another host is refused.
func TestServerIsOnLoopback(t *testing.T) {
	w := newMachinelessWorld(t)
	w.sandboxUp(t, "none")
	u, err := url.Parse(w.url)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", u.Hostname())
	others := otherAddresses(t)
	if len(others) == 0 {
		t.Log("this host has no address but loopback to try")
	}
	for _, address := range others {
		requireClosed(t, net.JoinHostPort(address, u.Port()))
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+homePath, nil)
	require.NoError(t, err)
	r.Host = "rebound.example:" + u.Port()
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusForbidden, resp.StatusCode)

	w.imgops(t, w.dir, "sandbox", "down", "--name", w.sandbox)
	write(t, filepath.Join(w.dir, "state", "imgops", "sandbox", w.sandbox, "server.json"), `{"url":"http://0.0.0.0:`+u.Port()+`","machines":"none"}`)
	w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "none")
	out, _ := w.imgops(t, w.dir, "sandbox", "status", "--name", w.sandbox, "-o", "json")
	again, err := url.Parse(decode[struct{ URL string }](t, out).URL)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", again.Hostname())
	for _, address := range others {
		requireClosed(t, net.JoinHostPort(address, again.Port()))
	}
}

func requireClosed(t *testing.T, address string) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err == nil {
		require.NoError(t, c.Close())
	}
	require.True(t, errors.Is(err, syscall.ECONNREFUSED), "%s: %v", address, err)
}

// otherAddresses are the host's own addresses beside loopback.
func otherAddresses(t *testing.T) (out []string) {
	t.Helper()
	all, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			out = append(out, n.IP.String())
		}
	}
	return out
}
