package awsproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Options is what a Proxy is made of.
type Options struct {
	Authority *Authority
	Domains   []string     // those of AWS; names below them, too, are answered by AWS
	AWS       http.Handler // gets the requests for AWS' hosts, with the host's name as Request.Host
	Direct    http.Handler // gets what is not for a proxy: requests to this server itself
	Log       *slog.Logger
}

// Proxy is an HTTP proxy and the server behind it at one address.
type Proxy struct {
	Options
	ended   *handoff
	server  *http.Server
	forward *httputil.ReverseProxy
	served  sync.WaitGroup
}

var _ http.Handler = (*Proxy)(nil)

type outerKey struct{}

// New makes a proxy. Close ends it.
func New(o Options) *Proxy {
	p := &Proxy{Options: o, ended: &handoff{conns: make(chan net.Conn), done: make(chan struct{})}}
	errorLog := slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn)
	p.server = &http.Server{Handler: http.HandlerFunc(p.serveAWS), ReadHeaderTimeout: 10 * time.Second, ErrorLog: errorLog}
	p.forward = &httputil.ReverseProxy{
		Rewrite:  func(*httputil.ProxyRequest) {}, // the request goes where it was sent
		ErrorLog: errorLog,
		Transport: &http.Transport{DisableCompression: true, Proxy: func(r *http.Request) (*url.URL, error) {
			outer, _ := r.Context().Value(outerKey{}).(Outer)
			return outer.proxyFor(r.URL)
		}},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { badGateway(w, r.URL.Host, err) },
	}
	p.served.Go(func() { _ = p.server.Serve(p.ended) }) // ends with Close
	return p
}

// Close ends the connections whose TLS ends here. Tunnels end with their clients, or with the process.
func (p *Proxy) Close() error {
	err := p.server.Close()
	p.served.Wait()
	if err != nil {
		return fmt.Errorf("ending the proxy's connections: %w", err)
	}
	return nil
}

// ServeHTTP answers a proxy's clients, who ask for a tunnel or name a whole URL, and gives all else to Direct.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect && !r.URL.IsAbs() {
		p.Direct.ServeHTTP(w, r)
		return
	}
	outer, err := outerOf(r)
	switch {
	case err != nil:
		http.Error(w, "imgops sandbox: "+err.Error(), http.StatusProxyAuthRequired)
	case r.Method == http.MethodConnect:
		p.connect(w, r, outer)
	case p.isAWS(r.URL.Hostname()):
		p.AWS.ServeHTTP(w, r)
	default:
		p.forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), outerKey{}, outer)))
	}
}

func (p *Proxy) connect(w http.ResponseWriter, r *http.Request, outer Outer) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		http.Error(w, "imgops sandbox: a tunnel needs HOST:PORT: "+err.Error(), http.StatusBadRequest)
		return
	}
	if p.isAWS(host) {
		if port != "443" {
			badGateway(w, r.Host, errors.New("of AWS' hosts, the sandbox answers at port 443"))
			return
		}
		if conn, ok := p.hijack(w, r); ok {
			p.ended.take(p.end(conn, strings.ToLower(strings.TrimSuffix(host, "."))))
		}
		return
	}
	far, err := outer.dial(r.Context(), r.Host)
	if err != nil {
		badGateway(w, r.Host, err)
		return
	}
	defer func() { _ = far.Close() }()
	if near, ok := p.hijack(w, r); ok {
		defer func() { _ = near.Close() }()
		splice(near, far)
	}
}

// end is the connection within the client's TLS, which is for the host.
func (p *Proxy) end(conn net.Conn, host string) net.Conn {
	return tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.Authority.certificate(host) }})
}

// hijack tells the client that its tunnel is there, and takes the connection over.
func (p *Proxy) hijack(w http.ResponseWriter, r *http.Request) (net.Conn, bool) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "imgops sandbox: this connection cannot become a tunnel: "+err.Error(), http.StatusInternalServerError)
		return nil, false
	}
	err = conn.SetDeadline(time.Time{})
	if err == nil {
		_, err = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	}
	if err != nil {
		p.Log.Debug("a client went before its tunnel was there", "host", r.Host, "error", err)
		_ = conn.Close()
		return nil, false
	}
	return &buffered{conn, rw.Reader}, true
}

// splice carries bytes both ways until both ends have said all.
func splice(near, far net.Conn) {
	var both sync.WaitGroup
	carry := func(to, from net.Conn) {
		if _, err := io.Copy(to, from); err != nil {
			_ = to.Close() // whoever waits for more need not
			_ = from.Close()
			return
		}
		_ = closeWrite(to)
	}
	both.Go(func() { carry(far, near) })
	both.Go(func() { carry(near, far) })
	both.Wait()
}

// serveAWS gets what came through a connection whose TLS ended here.
func (p *Proxy) serveAWS(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if !p.isAWS(host) {
		http.Error(w, "imgops sandbox: "+r.Host+" is no host of AWS", http.StatusMisdirectedRequest)
		return
	}
	p.AWS.ServeHTTP(w, r)
}

func (p *Proxy) isAWS(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, d := range p.Domains {
		if host == d || strings.HasSuffix(host, "."+d) {
			return true
		}
	}
	return false
}

func badGateway(w http.ResponseWriter, host string, err error) {
	http.Error(w, fmt.Sprintf("imgops sandbox: connecting to %s: %v", host, err), http.StatusBadGateway)
}

// handoff is the listener of connections that others have accepted.
type handoff struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (h *handoff) take(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		_ = c.Close()
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handoff) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
