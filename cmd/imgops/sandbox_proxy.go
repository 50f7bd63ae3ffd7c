package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/awsproxy"
)

// openProxy puts the proxy for AWS' own host names in front of a sandbox. direct gets what is not for it.
func (h *sandboxHome) openProxy(c *sandbox.Cloud, direct http.Handler, log *slog.Logger) (*awsproxy.Proxy, error) {
	authority, err := awsproxy.OpenAuthority(h.path("proxy"), sandbox.Domains(), time.Now)
	if err != nil {
		return nil, fmt.Errorf("opening the proxy of sandbox %s: %w", h.name, err)
	}
	return awsproxy.New(awsproxy.Options{Authority: authority, Domains: sandbox.Domains(), AWS: c.Handler(), Direct: direct, Log: log}), nil
}

// proxyEnvironment is what leads a client to the sandbox that knows AWS' host names only. What the user has set for other hosts
// goes on, within the proxy's URL; AWS' hosts are taken out of NO_PROXY, so that nothing for them leaves this computer.
func (a *app) proxyEnvironment(h *sandboxHome, r serverRecord, network string) ([][2]string, error) {
	bundle, err := a.writeBundle(h)
	if err != nil {
		return nil, err
	}
	address := strings.TrimPrefix(r.URL, "http://")
	first := func(names ...string) string {
		values := make([]string, len(names))
		for i, name := range names {
			values[i] = a.Getenv(name)
		}
		return cmp.Or(values...)
	}
	no := first("NO_PROXY", "no_proxy")
	outer := awsproxy.Outer{No: no, HTTPS: first("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), HTTP: first("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")}
	if at, before, ok := awsproxy.ParseURL(outer.HTTPS); ok && at == address { // within exec, or after env --proxy
		outer = before
	}
	proxy := outer.URL(address)
	var out [][2]string
	for _, kv := range [][2]string{{"HTTPS_PROXY", proxy}, {"HTTP_PROXY", proxy}, {"NO_PROXY", noProxy(no, network)}} {
		out = append(out, kv, [2]string{strings.ToLower(kv[0]), kv[1]})
	}
	return append(out, [2]string{"AWS_CA_BUNDLE", bundle}), nil
}

// noProxy is what clients reach without a proxy: this computer, the sandbox's machines, and what the user's list has, but not AWS.
func noProxy(users, network string) string {
	list := []string{"localhost", ".localhost", "127.0.0.1", "127.0.0.0/8", "::1"}
	if network != "" {
		list = append(list, network)
	}
	for entry := range strings.SplitSeq(users, ",") {
		if entry = strings.TrimSpace(entry); entry != "" && !meansAWS(entry) && !slices.Contains(list, entry) {
			list = append(list, entry)
		}
	}
	return strings.Join(list, ",")
}

// meansAWS says whether some client could take an entry of NO_PROXY to be about a host of AWS.
func meansAWS(entry string) bool {
	entry = strings.ToLower(entry)
	if _, err := netip.ParsePrefix(entry); err == nil {
		return false
	}
	if u, err := url.Parse("//" + entry); err == nil && u.Hostname() != "" {
		entry = u.Hostname()
	}
	if _, err := netip.ParseAddr(entry); err == nil {
		return false
	}
	entry = strings.TrimLeft(entry, "*.")
	return slices.ContainsFunc(sandbox.Domains(), func(d string) bool {
		return strings.HasSuffix(d, entry) || strings.HasSuffix(entry, "."+d)
	})
}

// rootFiles are where systems keep the certificates that they trust (as crypto/x509 looks for them).
var rootFiles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem"}

// writeBundle writes the certificates that AWS clients are to trust, the sandbox's and those that they trust without it, and returns the file.
func (a *app) writeBundle(h *sandboxHome) (string, error) {
	own, err := os.ReadFile(h.path("proxy", awsproxy.CertificateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the server of sandbox %s is of an imgops that had no proxy; restart it (imgops sandbox down%[2]s && imgops sandbox up%[2]s), or do without (--no-proxy)", h.name, h.flag())
	}
	if err != nil {
		return "", fmt.Errorf("reading the certificate of sandbox %s: %w", h.name, err)
	}
	users := a.Getenv("AWS_CA_BUNDLE")
	if strings.HasPrefix(users, h.path("proxy")+"/") { // within exec, or after env --proxy
		users = ""
	}
	others, err := a.trusted(users)
	if err != nil {
		return "", err
	}
	bundle := slices.Concat(own, others)
	sum := sha256.Sum256(bundle)
	path := h.path("proxy", "bundle-"+hex.EncodeToString(sum[:8])+".pem")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := renameio.WriteFile(path, bundle, 0o600, renameio.WithTempDir(h.path("proxy"))); err != nil {
		return "", fmt.Errorf("writing the certificates for AWS clients: %w", err)
	}
	return path, nil
}

// trusted are the certificates of the user's bundle, or of the system; none where neither has any.
func (a *app) trusted(users string) ([]byte, error) {
	if users != "" {
		data, err := os.ReadFile(users)
		if err != nil {
			return nil, fmt.Errorf("reading AWS_CA_BUNDLE: %w", err)
		}
		return data, nil
	}
	for _, path := range append([]string{a.Getenv("SSL_CERT_FILE")}, rootFiles...) {
		if data, err := os.ReadFile(path); err == nil {
			return data, nil
		}
	}
	return nil, nil
}
