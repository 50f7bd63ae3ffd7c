package sandbox

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/imgops/imgops/images/sandbox/query"
)

// LoopbackOnly answers only requests that name this computer as their host. The keys of a sandbox are no secret: without
// this, a web page whose name is made to resolve to 127.0.0.1 (DNS rebinding) could act in it from the user's browser.
func LoopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !IsLoopback(r.Host) {
			id := newUUID()
			err := query.Errorf("InvalidHost", "This sandbox is for this computer only: call it by 127.0.0.1 or localhost, not by %s", r.Host)
			writeXML(w, id, http.StatusForbidden, errorXML("ec2", err, id))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// IsLoopback reports whether the host, with or without a port, is localhost, a name below it (RFC 6761), or a
// loopback address.
func IsLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
