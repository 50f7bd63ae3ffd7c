package awsproxy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

const (
	authorityLife = 365 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour
	leafLife      = 30 * 24 * time.Hour
	mostLeaves    = 1000
)

// CertificateFile is the authority's certificate in its directory; the private key beside it is for its owner's eyes only.
const (
	CertificateFile = "ca.pem"
	keyFile         = "key.pem"
)

// Authority is a certificate authority of one sandbox. By its name constraints, no client accepts its certificates for any host but
// those of its domains, and for no address. Its methods may be called from several goroutines.
type Authority struct {
	cert  *x509.Certificate
	key   crypto.Signer
	clock func() time.Time
	leaf  *ecdsa.PrivateKey // of all certificates of this process

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// OpenAuthority opens the authority whose files are in dir, or makes it: when there is none, when it is damaged or for other domains, and
// a month before its year is over.
func OpenAuthority(dir string, domains []string, clock func() time.Time) (*Authority, error) {
	a := &Authority{clock: clock, leaves: map[string]*tls.Certificate{}}
	var err error
	if a.cert, a.key, err = readAuthority(dir); err != nil || !a.good(domains) {
		if a.cert, a.key, err = makeAuthority(dir, domains, clock()); err != nil {
			return nil, fmt.Errorf("making the certificate authority in %s: %w", dir, err)
		}
	}
	if a.leaf, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("making a private key: %w", err)
	}
	return a, nil
}

// good says whether the authority can be used on.
func (a *Authority) good(domains []string) bool {
	now := a.clock()
	public, ok := a.key.Public().(*ecdsa.PublicKey)
	return ok && public.Equal(a.cert.PublicKey) && slices.Equal(a.cert.PermittedDNSDomains, domains) &&
		now.After(a.cert.NotBefore) && now.Add(renewBefore).Before(a.cert.NotAfter)
}

func readAuthority(dir string) (*x509.Certificate, crypto.Signer, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, CertificateFile), filepath.Join(dir, keyFile))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the authority: %w", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, errors.New("the authority's key cannot sign")
	}
	return pair.Leaf, key, nil
}

func makeAuthority(dir string, domains []string, now time.Time) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "imgops sandbox", SerialNumber: serial.Text(16)},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(authorityLife), KeyUsage: x509.KeyUsageCertSign,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: domains, ExcludedIPRanges: everyAddress(),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(os.MkdirAll(dir, 0o700), writePEM(dir, keyFile, "PRIVATE KEY", private), writePEM(dir, CertificateFile, "CERTIFICATE", der))
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

func everyAddress() []*net.IPNet {
	return []*net.IPNet{{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}}
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

func writePEM(dir, name, kind string, der []byte) error {
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return renameio.WriteFile(filepath.Join(dir, name), block, 0o600, renameio.WithTempDir(dir))
}

// certificate is one for the host. It is kept until it is half as old as it may become.
func (a *Authority) certificate(host string) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	if c := a.leaves[host]; c != nil && now.Add(leafLife/2).Before(c.Leaf.NotAfter) {
		return c, nil
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{Organization: []string{"imgops sandbox"}}, DNSNames: []string{host},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(leafLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.leaf.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for %s: %w", host, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for %s: %w", host, err)
	}
	if len(a.leaves) >= mostLeaves { // hosts come from clients
		clear(a.leaves)
	}
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.leaf, Leaf: leaf}
	a.leaves[host] = c
	return c, nil
}
