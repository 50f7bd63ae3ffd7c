package awsproxy_test

import (
	"crypto/x509"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crypto/tls"
	"log/slog"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox/awsproxy"
)

func TestAuthorityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "proxy")
	now := time.Now()
	open := func(domains ...string) string {
		_, err := awsproxy.OpenAuthority(dir, domains, func() time.Time { return now })
		require.NoError(t, err)
		pem, err := os.ReadFile(filepath.Join(dir, awsproxy.CertificateFile))
		require.NoError(t, err)
		return string(pem)
	}
	first := open("amazonaws.com")
	require.Equal(t, first, open("amazonaws.com"))
	info, err := os.Stat(filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	info, err = os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())

	second := open("amazonaws.com", "api.aws")
	require.NotEqual(t, first, second, "it is for its domains only")
	now = now.Add(340 * 24 * time.Hour)
	third := open("amazonaws.com", "api.aws")
	require.NotEqual(t, second, third, "its year is nearly over")
	require.NoError(t, os.WriteFile(filepath.Join(dir, awsproxy.CertificateFile), []byte(second), 0o600)) // of another key
	fourth := open("amazonaws.com", "api.aws")
	require.NotEqual(t, second, fourth)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), nil, 0o600))
	require.NotEqual(t, fourth, open("amazonaws.com", "api.aws"))
}

// Even one who has the authority's key can make no certificate that a client accepts for a host outside of its domains.
func TestAuthorityIsForItsDomainsOnly(t *testing.T) {
	dir := t.TempDir()
	authority, err := awsproxy.OpenAuthority(dir, []string{"amazonaws.com"}, time.Now)
	require.NoError(t, err)
	p := awsproxy.New(awsproxy.Options{Authority: authority, Domains: []string{"amazonaws.com", "example.com"}, AWS: http.NotFoundHandler(),
		Direct: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)})
	defer p.Close()
	server := httptest.NewServer(p)
	defer server.Close()
	s := stand{address: strings.TrimPrefix(server.URL, "http://"), dir: dir}
	status, _ := get(t, s.client(t, awsproxy.Outer{}), "https://sts.amazonaws.com/")
	require.Equal(t, http.StatusNotFound, status)
	_, err = s.client(t, awsproxy.Outer{}).Get("https://www.example.com/") //nolint:noctx // it fails at once
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	require.ErrorAs(t, err, &verify)
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, x509.CANotAuthorizedForThisName, invalid.Reason)
}
