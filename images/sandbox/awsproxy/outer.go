package awsproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// Outer is how a client's user reaches hosts that are not AWS', as the variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY say it. It travels in the
// user name and password of the proxy's own URL: each client has its own, and none can use another's.
type Outer struct {
	HTTPS string `json:"https,omitempty"`
	HTTP  string `json:"http,omitempty"`
	No    string `json:"no,omitempty"`
}

const outerUser = "outer"

// URL is that of the proxy at address (host:port) for a client with this outer proxy.
func (o Outer) URL(address string) string {
	u := url.URL{Scheme: "http", Host: address}
	if o.HTTPS != "" || o.HTTP != "" {
		data, _ := json.Marshal(o) // strings in a struct
		u.User = url.UserPassword(outerUser, base64.RawURLEncoding.EncodeToString(data))
	}
	return u.String()
}

// ParseURL takes apart what URL has made. ok is false for any other URL.
func ParseURL(text string) (address string, o Outer, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" {
		return "", Outer{}, false
	}
	if u.User == nil {
		return u.Host, Outer{}, true
	}
	password, _ := u.User.Password()
	o, err = decodeOuter(u.User.Username(), password)
	return u.Host, o, err == nil
}

func decodeOuter(user, password string) (o Outer, err error) {
	if user != outerUser {
		return o, errors.New("the proxy's user name is not one that imgops sandbox gives")
	}
	data, err := base64.RawURLEncoding.DecodeString(password)
	if err == nil {
		err = json.Unmarshal(data, &o)
	}
	if err != nil {
		return Outer{}, fmt.Errorf("reading the outer proxy from the proxy's password: %w", err)
	}
	return o, nil
}

// outerOf is that of the client that sent the request.
func outerOf(r *http.Request) (Outer, error) {
	header := r.Header.Get("Proxy-Authorization")
	if header == "" {
		return Outer{}, nil
	}
	as := http.Request{Header: http.Header{"Authorization": {header}}}
	user, password, ok := as.BasicAuth()
	if !ok {
		return Outer{}, errors.New("the proxy's user and password cannot be read")
	}
	return decodeOuter(user, password)
}

// proxyFor is the outer proxy on the way to a URL; nil when there is none.
func (o Outer) proxyFor(u *url.URL) (*url.URL, error) {
	c := httpproxy.Config{HTTPSProxy: o.HTTPS, HTTPProxy: o.HTTP, NoProxy: o.No}
	return c.ProxyFunc()(u)
}

// dial connects to address (host:port), through the outer proxy if the user has one for it.
func (o Outer) dial(ctx context.Context, address string) (net.Conn, error) {
	direct := &net.Dialer{Timeout: 30 * time.Second}
	u, err := o.proxyFor(&url.URL{Scheme: "https", Host: address})
	if err != nil {
		return nil, fmt.Errorf("reading HTTPS_PROXY: %w", err)
	}
	if u == nil {
		return direct.DialContext(ctx, "tcp", address)
	}
	switch u.Scheme {
	case "socks5", "socks5h":
		d, err := proxy.FromURL(u, direct)
		if err != nil {
			return nil, fmt.Errorf("using the outer proxy %s: %w", u.Redacted(), err)
		}
		return d.(proxy.ContextDialer).DialContext(ctx, "tcp", address) //nolint:forcetypeassert // socks5's has it
	case "http", "https":
		return connectThrough(ctx, direct, u, address)
	}
	return nil, fmt.Errorf("the outer proxy %s is of a kind that is not known here: use http, https or socks5", u.Redacted())
}

// connectThrough has an HTTP proxy make the connection.
func connectThrough(ctx context.Context, direct *net.Dialer, u *url.URL, address string) (net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	conn, err := direct.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("connecting to the outer proxy: %w", err)
	}
	if u.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12})
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	through, err := askProxy(conn, u, address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("asking the outer proxy %s for %s: %w", u.Redacted(), address, err), conn.Close())
	}
	return through, nil
}

func askProxy(conn net.Conn, u *url.URL, address string) (net.Conn, error) {
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if u.User != nil {
		password, _ := u.User.Password()
		ask.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
	}
	if err := ask.Write(conn); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, ask) //nolint:bodyclose // what follows is the tunnel
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", answer.Status)
	}
	return &buffered{conn, in}, nil
}

// buffered is a connection of which a reader may have read ahead.
type buffered struct {
	net.Conn
	in *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.in.Read(p) }

// CloseWrite says that no more comes, where the connection can say it.
func (b *buffered) CloseWrite() error { return closeWrite(b.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
