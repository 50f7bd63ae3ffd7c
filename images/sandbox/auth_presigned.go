package sandbox

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const longestPresign = 7 * 24 * time.Hour

// requestScope finds the signature where the sender has put it: in the header Authorization, or in the query string of a
// presigned URL.
func requestScope(r *http.Request) (scope, bool) {
	if r.Header.Get("Authorization") == "" && strings.Contains(r.URL.RawQuery, "X-Amz-Signature=") {
		in := r.URL.Query()
		s, ok := newScope(in.Get("X-Amz-Credential"), in.Get("X-Amz-SignedHeaders"), in.Get("X-Amz-Signature"))
		s.At, s.Token, s.Presigned, s.Expires = in.Get("X-Amz-Date"), in.Get("X-Amz-Security-Token"), true, in.Get("X-Amz-Expires")
		return s, ok && in.Get("X-Amz-Algorithm") == signingAlgorithm
	}
	s, ok := parseScope(r.Header.Get("Authorization"))
	s.At, s.Token = r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Security-Token")
	return s, ok
}

// lasts: a presigned URL is good from when it was signed, for as long as it says: a week at most, or as long as a signed header
// when it does not say (those of the Go SDK's STS do not).
func (s scope) lasts(signed, now time.Time) bool {
	if s.Expires == "" {
		return now.Sub(signed).Abs() <= maxSkew
	}
	seconds, err := strconv.Atoi(s.Expires)
	lifetime := time.Duration(seconds) * time.Second
	return err == nil && seconds > 0 && lifetime <= longestPresign && now.Before(signed.Add(lifetime)) && signed.Sub(now) <= maxSkew
}

// presignature is the signature that the URL must have.
func presignature(ctx context.Context, signer *v4.Signer, key aws.Credentials, r *http.Request, payload string, s scope, at time.Time) string {
	in := r.URL.Query()
	in.Del("X-Amz-Signature")
	r.URL.RawQuery = in.Encode()
	signed, _, err := signer.PresignHTTP(ctx, key, r, payload, s.Service, s.Region, at, func(o *v4.SignerOptions) { o.DisableHeaderHoisting = true })
	if err != nil {
		return ""
	}
	u, err := url.Parse(signed)
	if err != nil {
		return ""
	}
	return u.Query().Get("X-Amz-Signature")
}

// withoutSigning takes the parameters of a presigned URL's signature out.
func withoutSigning(params url.Values) url.Values {
	for _, name := range []string{"Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Security-Token", "Content-Sha256"} {
		params.Del("X-Amz-" + name)
	}
	return params
}
