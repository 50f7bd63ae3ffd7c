package awsproxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox/awsproxy"
)

var domains = []string{"amazonaws.com", "api.aws"}

// stand is a proxy behind a listener.
type stand struct {
	address string
	dir     string
}

func newStand(t *testing.T) stand {
	t.Helper()
	dir := t.TempDir()
	authority, err := awsproxy.OpenAuthority(dir, domains, time.Now)
	require.NoError(t, err)
	says := func(who string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				_, _ = io.WriteString(w, who+" "+r.Method+" "+r.Host+r.URL.Path+" "+string(body))
			}
		})
	}
	p := awsproxy.New(awsproxy.Options{Authority: authority, Domains: domains, AWS: says("aws"), Direct: says("direct"), Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return stand{address: strings.TrimPrefix(server.URL, "http://"), dir: dir}
}

// client is one with that environment, which trusts the authority and, where they are given, other certificates.
func (s stand) client(t *testing.T, outer awsproxy.Outer, others ...*x509.Certificate) *http.Client {
	t.Helper()
	via, err := url.Parse(outer.URL(s.address))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(s.dir, awsproxy.CertificateFile))
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(pem))
	for _, c := range others {
		roots.AddCert(c)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(via), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, target string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader("body"))
	require.NoError(t, err)
	resp, err := c.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

func TestHostsOfAWSAreAnsweredHere(t *testing.T) {
	s := newStand(t)
	c := s.client(t, awsproxy.Outer{})
	for target, want := range map[string]string{
		"https://ec2.us-east-1.amazonaws.com/a":         "aws POST ec2.us-east-1.amazonaws.com/a body",
		"https://bucket.with.dots.s3.amazonaws.com/":    "aws POST bucket.with.dots.s3.amazonaws.com/ body",
		"https://ec2.us-east-1.api.aws/":                "aws POST ec2.us-east-1.api.aws/ body",
		"http://ec2.us-east-1.amazonaws.com/plain/http": "aws POST ec2.us-east-1.amazonaws.com/plain/http body",
	} {
		for range 2 {
			status, body := get(t, c, target)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, want, body)
		}
	}
	status, body := get(t, &http.Client{}, "http://"+s.address+"/x")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "direct POST "+s.address+"/x body", body)

	// within a connection for a host of AWS, no other host is served; and at other ports nothing of AWS
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://ec2.us-east-1.amazonaws.com/", nil)
	require.NoError(t, err)
	r.Host = "example.com"
	resp, err := c.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusMisdirectedRequest, resp.StatusCode)
	_, err = c.Get("https://ec2.us-east-1.amazonaws.com:8443/") //nolint:noctx // it fails at once
	require.ErrorContains(t, err, "Bad Gateway")
}

// Another host's TLS goes through whole: the client sees the host's own certificate.
func TestOtherHostsGetATunnel(t *testing.T) {
	s := newStand(t)
	far := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "far "+r.Host) }))
	defer far.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "plain "+r.Header.Get("X-Forwarded-For")+r.Header.Get("Proxy-Authorization"))
	}))
	defer plain.Close()
	c := s.client(t, awsproxy.Outer{}, far.Certificate())
	_, body := get(t, c, far.URL)
	require.Equal(t, "far "+strings.TrimPrefix(far.URL, "https://"), body)
	_, body = get(t, c, plain.URL)
	require.Equal(t, "plain ", body)

	_, err := s.client(t, awsproxy.Outer{}).Get(far.URL) //nolint:noctx // it fails at once
	require.ErrorContains(t, err, "unknown authority", "the sandbox has no certificate for it")
	plain.Close()
	status, body := get(t, c, plain.URL)
	require.Equal(t, http.StatusBadGateway, status)
	require.Contains(t, body, "imgops sandbox: connecting to")
}

// recorder is the user's own proxy, which notes what it is asked for and connects it all to one address.
type recorder struct {
	url  string
	mu   sync.Mutex
	seen []string
}

func newRecorder(t *testing.T, leadsTo string) *recorder {
	t.Helper()
	r := &recorder{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.seen = append(r.seen, req.Method+" "+req.Host+" "+req.Header.Get("Proxy-Authorization"))
		r.mu.Unlock()
		if req.Method != http.MethodConnect {
			_, _ = io.WriteString(w, "by the outer proxy")
			return
		}
		far, err := (&net.Dialer{}).DialContext(req.Context(), "tcp", leadsTo)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
		go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *recorder) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.seen...)
}

func TestOuterProxy(t *testing.T) {
	s := newStand(t)
	far := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "far") }))
	defer far.Close()
	rec := newRecorder(t, strings.TrimPrefix(far.URL, "https://"))
	withUser := strings.Replace(rec.url, "http://", "http://me:pw@", 1)
	c := s.client(t, awsproxy.Outer{HTTPS: withUser, HTTP: rec.url, No: "direct.example,.amazonaws.com"}, far.Certificate())

	_, body := get(t, c, "https://example.com/") // a name that httptest's certificate has
	require.Equal(t, "far", body)
	_, body = get(t, c, "http://example.org/")
	require.Equal(t, "by the outer proxy", body)
	_, body = get(t, c, "https://ec2.us-east-1.amazonaws.com/")
	require.Equal(t, "aws POST ec2.us-east-1.amazonaws.com/ body", body)
	require.Equal(t, []string{"CONNECT example.com:443 Basic bWU6cHc=", "POST example.org "}, rec.requests())

	_, err := c.Get("https://direct.example/") //nolint:noctx // there is no such host
	require.Error(t, err)
	require.Len(t, rec.requests(), 2, "NO_PROXY is heeded")

	_, err = s.client(t, awsproxy.Outer{HTTPS: "gopher://127.0.0.1:1"}).Get("https://example.com/") //nolint:noctx // refused
	require.ErrorContains(t, err, "Bad Gateway")
	address, outer, ok := awsproxy.ParseURL(awsproxy.Outer{HTTPS: withUser, No: "a,b"}.URL("127.0.0.1:80"))
	require.True(t, ok)
	require.Equal(t, "127.0.0.1:80", address)
	require.Equal(t, awsproxy.Outer{HTTPS: withUser, No: "a,b"}, outer)
	for _, other := range []string{"http://me:pw@127.0.0.1:3128", "https://127.0.0.1:80", "socks5://127.0.0.1:1", ":", "http://outer:!@127.0.0.1:80"} {
		_, _, ok := awsproxy.ParseURL(other)
		require.False(t, ok, other)
	}
}

// A client whose first bytes come along with its CONNECT loses none of them.
func TestEarlyBytes(t *testing.T) {
	s := newStand(t)
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer echo.Close()
	go func() {
		if c, err := echo.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	var d net.Dialer
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", s.address)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "CONNECT "+echo.Addr().String()+" HTTP/1.1\r\nHost: x\r\n\r\nearly")
	require.NoError(t, err)
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	all, err := io.ReadAll(in)
	require.NoError(t, err)
	require.Equal(t, "early", string(all))

	for _, target := range []string{"no-port", "[::1"} {
		c, err := d.DialContext(ctx, "tcp", s.address)
		require.NoError(t, err)
		_, err = io.WriteString(c, "CONNECT "+target+" HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, resp.StatusCode, target)
		require.NoError(t, c.Close())
	}
}
