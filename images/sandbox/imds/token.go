package imds

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"
)

const (
	tokenHeader = "X-aws-ec2-metadata-token"
	ttlHeader   = "X-aws-ec2-metadata-token-ttl-seconds"
	maxTTL      = 21600 // six hours
)

// parseTTL reads the lifetime that a token request asks for: 1 to 21600 seconds.
func parseTTL(header string) (time.Duration, bool) {
	n, err := strconv.Atoi(header)
	if err != nil || n < 1 || n > maxTTL {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

// tokens issues and checks session tokens without remembering them: a token is its expiry and a MAC over the expiry and
// the instance.
type tokens struct {
	key [32]byte
	now func() time.Time
}

func newTokens() *tokens {
	t := &tokens{now: time.Now}
	_, _ = rand.Read(t.key[:]) // never returns an error
	return t
}

func (t *tokens) issue(instance string, ttl time.Duration) string {
	expiry := binary.BigEndian.AppendUint64(nil, uint64(t.now().Add(ttl).UnixNano()))
	return base64.URLEncoding.EncodeToString(append(expiry, t.mac(expiry, instance)...))
}

func (t *tokens) valid(token, instance string) bool {
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil || len(raw) != 8+sha256.Size {
		return false
	}
	expiry := int64(binary.BigEndian.Uint64(raw[:8]))
	return hmac.Equal(raw[8:], t.mac(raw[:8], instance)) && t.now().UnixNano() < expiry
}

func (t *tokens) mac(expiry []byte, instance string) []byte {
	h := hmac.New(sha256.New, t.key[:])
	h.Write(expiry)
	h.Write([]byte(instance))
	return h.Sum(nil)
}
