package sandbox

import (
	"crypto/subtle"
	"time"

	"github.com/imgops/imgops/images/sandbox/state"
)

// identity is who a request is from.
type identity struct {
	Account, ARN, UserID string
	Temporary, Role      bool
}

// credential is the secret behind an access key id.
type credential struct {
	identity
	Secret, Token string
	Expires       time.Time // zero: never
}

var (
	longTermKey = lazy(`^SANDBOX(\d{12})$`)
	accountID   = lazy(`^\d{12}$`)
)

// credential looks an access key id up: SANDBOX<account>, whose secret is "sandbox", or one that STS has given out.
func (c *Cloud) credential(tx *state.Tx, accessKey string) (credential, bool) {
	if m := longTermKey().FindStringSubmatch(accessKey); m != nil {
		return credential{identity: user(m[1]), Secret: "sandbox"}, true
	}
	s, ok := c.sessions.Get(tx, accessKey)
	if !ok {
		return credential{}, false
	}
	who := identity{Account: s.Account, ARN: s.ARN, UserID: s.UserID, Temporary: true, Role: s.Role}
	return credential{identity: who, Secret: s.Secret, Token: s.Token, Expires: s.Expires}, true
}

// user is the one IAM user that every account has.
func user(account string) identity {
	return identity{Account: account, ARN: "arn:aws:iam::" + account + ":user/sandbox", UserID: stableID("AIDA", account)}
}

// stableID is an IAM unique id: four letters and 17 more of A-Z and 2-7.
func stableID(prefix string, parts ...string) string {
	digits := hashID("", parts...)
	b := make([]byte, 17)
	for i := range b {
		b[i] = upperDigits[(int(digits[i])+7*i)%len(upperDigits)]
	}
	return prefix + string(b)
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
