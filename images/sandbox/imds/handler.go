package imds

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

const tokenPath = "/latest/api/token"

// Handler answers the metadata requests of the instances that lookup finds by their address. An address that lookup does not know
// gets 404. Tokens are valid for one instance and one Handler: a client that is refused with 401 fetches a new one.
func Handler(lookup func(netip.Addr) (Document, bool)) http.Handler {
	return &service{lookup: lookup, tokens: newTokens()}
}

type service struct {
	lookup func(netip.Addr) (Document, bool)
	tokens *tokens
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "EC2ws")
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	doc, ok := s.lookup(peer.Addr().Unmap())
	if !ok {
		refuse(w, http.StatusNotFound)
		return
	}
	if r.URL.Path == tokenPath {
		s.token(w, r, doc)
		return
	}
	setTTL(r.Context(), defaultTTL)
	s.get(w, r, doc)
}

// token answers PUT /latest/api/token. EC2 refuses it behind a proxy (X-Forwarded-For) and limits how far the answer
// travels by its IP TTL.
func (s *service) token(w http.ResponseWriter, r *http.Request, doc Document) {
	switch {
	case r.Method != http.MethodPut:
		w.Header().Set("Allow", "OPTIONS, PUT")
		refuse(w, http.StatusMethodNotAllowed)
		return
	case r.Header.Get("X-Forwarded-For") != "":
		refuse(w, http.StatusForbidden)
		return
	}
	ttl, ok := parseTTL(r.Header.Get(ttlHeader))
	if !ok {
		refuse(w, http.StatusBadRequest)
		return
	}
	setTTL(r.Context(), max(doc.HopLimit, 1))
	w.Header().Set(ttlHeader, r.Header.Get(ttlHeader))
	text(w, s.tokens.issue(doc.InstanceID, ttl))
}

func (s *service) get(w http.ResponseWriter, r *http.Request, doc Document) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed)
		return
	}
	switch token := r.Header.Get(tokenHeader); {
	case token == "" && doc.HTTPTokensRequired:
		refuse(w, http.StatusUnauthorized)
		return
	case token != "" && !s.tokens.valid(token, doc.InstanceID):
		refuse(w, http.StatusUnauthorized)
		return
	}
	version, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if version == "" {
		text(w, strings.Join(versions, "\n"))
		return
	}
	if !known(version) {
		refuse(w, http.StatusNotFound)
		return
	}
	found, ok := tree(doc, version).find(rest)
	switch {
	case !ok:
		refuse(w, http.StatusNotFound)
	case rest == "user-data":
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write([]byte(found.text))
	default:
		text(w, found.String())
	}
}

func text(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(body))
}

// refuse answers an error with the page that EC2 sends.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	line := http.StatusText(status)
	_, _ = w.Write([]byte(`<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>` + line + `</title>
 </head>
 <body>
  <h1>` + line + `</h1>
 </body>
</html>
`))
}

const defaultTTL = 64

type connKey struct{}

// ConnContext is for http.Server.ConnContext: it lets the Handler set the IP TTL of its answers, which is how the
// hop limit of an instance works. Without it the hop limit is not enforced.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// setTTL holds for the answers that follow on the connection; each request of it sets its own. It is best effort: a connection
// that is no TCP socket (a test's pipe) has no TTL.
func setTTL(ctx context.Context, ttl int) {
	c, ok := ctx.Value(connKey{}).(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, ttl) })
}
