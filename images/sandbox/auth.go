package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/imgops/imgops/images/sandbox/query"
	"github.com/imgops/imgops/images/sandbox/state"
)

const (
	signingAlgorithm = "AWS4-HMAC-SHA256"
	maxSkew          = 15 * time.Minute
)

// scope is what an Authorization header, or the query string of a presigned URL, says about a request.
type scope struct {
	AccessKey, Date, Region, Service string
	SignedHeaders                    []string
	Signature                        string
	At, Token                        string // X-Amz-Date and X-Amz-Security-Token
	Presigned                        bool
	Expires                          string // X-Amz-Expires: seconds, of a presigned URL
}

// parseScope reads "AWS4-HMAC-SHA256 Credential=KEY/20260102/us-east-1/ec2/aws4_request, SignedHeaders=a;b, Signature=hex".
func parseScope(header string) (scope, bool) {
	rest, ok := strings.CutPrefix(header, signingAlgorithm)
	if !ok {
		return scope{}, false
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	return newScope(fields["Credential"], fields["SignedHeaders"], fields["Signature"])
}

func newScope(credential, headers, signature string) (scope, bool) {
	c := strings.Split(credential, "/")
	if len(c) != 5 || c[4] != "aws4_request" || headers == "" || signature == "" {
		return scope{}, false
	}
	return scope{AccessKey: c[0], Date: c[1], Region: c[2], Service: c[3], SignedHeaders: strings.Split(headers, ";"), Signature: signature}, true
}

// authFault is why a request was not let in; each service words it its own way.
type authFault int

const (
	faultNone authFault = iota
	faultMissing
	faultKey
	faultSignature
	faultToken
	faultExpired
	faultSkew
	faultRegion
	faultService // signed for another service than that of the host it was sent to
	faultLapsed  // a presigned URL's time is over, or has not come
)

// authenticate finds out who sent the request and verifies that the holder of the key's secret did.
func (c *Cloud) authenticate(r *http.Request, s scope, body []byte) (identity, authFault) {
	if _, known := regionByName(s.Region); !known {
		return identity{}, faultRegion
	}
	if fault := misdirected(r.Host, s); fault != faultNone {
		return identity{}, fault
	}
	var cred credential
	var known bool
	_ = c.store.View(func(tx *state.Tx) error {
		cred, known = c.credential(tx, s.AccessKey)
		return nil
	})
	if !known {
		return identity{}, faultKey
	}
	at, err := time.Parse("20060102T150405Z", s.At)
	if err != nil || at.Format("20060102") != s.Date {
		return identity{}, faultSignature
	}
	if !sameText(c.sign(r, s, cred, body, at), s.Signature) {
		return identity{}, faultSignature
	}
	now := c.clock()
	switch {
	case s.Presigned && !s.lasts(at, now):
		return identity{}, faultLapsed
	case !s.Presigned && now.Sub(at).Abs() > maxSkew:
		return identity{}, faultSkew
	case !sameText(s.Token, cred.Token):
		return identity{}, faultToken
	case !cred.Expires.IsZero() && !now.Before(cred.Expires):
		return identity{}, faultExpired
	}
	return cred.identity, faultNone
}

// sign signs what was received as its sender must have done, and returns the signature. Only the headers that the sender
// signed take part. The payload's hash is that of the bytes received, whatever the sender claims it to be.
func (c *Cloud) sign(r *http.Request, s scope, cred credential, body []byte, at time.Time) string {
	again := &http.Request{Method: r.Method, Host: r.Host, Header: http.Header{},
		URL: &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}}
	for _, name := range s.SignedHeaders {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength, _ = strconv.ParseInt(r.Header.Get("Content-Length"), 10, 64)
			if again.ContentLength == 0 {
				again.ContentLength = r.ContentLength
			}
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	if s.Service == "s3" {
		payload = payloadSum(r, s, payload)
	}
	key := aws.Credentials{AccessKeyID: s.AccessKey, SecretAccessKey: cred.Secret}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = s.Service == "s3" })
	if s.Presigned {
		return presignature(r.Context(), signer, key, again, payload, s, at)
	}
	if err := signer.SignHTTP(r.Context(), key, again, payload, s.Service, s.Region, at); err != nil {
		return ""
	}
	signed, _ := parseScope(again.Header.Get("Authorization"))
	return signed.Signature
}

// authError words a fault as the service does.
func authError(service string, fault authFault, region string) *query.Error {
	type words struct {
		code, message string
		status        int
	}
	notRegion := "Credential should be scoped to a valid region, not '" + region + "'."
	notService := "Credential should be scoped to correct service: '" + service + "'."
	mismatch := "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method."
	invalid := "The security token included in the request is invalid"
	table := map[string]map[authFault]words{
		"ec2": {
			faultMissing:   {"MissingParameter", "The request must contain the parameter AWSAccessKeyId", 400},
			faultKey:       {"AuthFailure", "AWS was not able to validate the provided access credentials", 401},
			faultSignature: {"AuthFailure", "AWS was not able to validate the provided access credentials", 401},
			faultToken:     {"AuthFailure", "AWS was not able to validate the provided access credentials", 401},
			faultExpired:   {"RequestExpired", "Request has expired.", 400},
			faultSkew:      {"RequestExpired", "Request has expired.", 400},
			faultRegion:    {"AuthFailure", notRegion, 401},
			faultService:   {"AuthFailure", notService, 401},
			faultLapsed:    {"RequestExpired", "Request has expired.", 400},
		},
		"sts": {
			faultMissing:   {"MissingAuthenticationToken", "Request is missing Authentication Token", 403},
			faultKey:       {"InvalidClientTokenId", invalid + ".", 403},
			faultSignature: {"SignatureDoesNotMatch", mismatch, 403},
			faultToken:     {"InvalidClientTokenId", invalid + ".", 403},
			faultExpired:   {"ExpiredToken", "The security token included in the request is expired", 403},
			faultSkew:      {"SignatureDoesNotMatch", "Signature expired: it is more than 15 min old or in the future", 403},
			faultRegion:    {"SignatureDoesNotMatch", notRegion, 403},
			faultService:   {"SignatureDoesNotMatch", notService, 403},
			faultLapsed:    {"RequestExpired", "Request has expired.", 400},
		},
		"ssm": {
			faultMissing:   {"MissingAuthenticationTokenException", "Missing Authentication Token", 400},
			faultKey:       {"UnrecognizedClientException", invalid + ".", 400},
			faultSignature: {"InvalidSignatureException", mismatch, 400},
			faultToken:     {"UnrecognizedClientException", invalid + ".", 400},
			faultExpired:   {"ExpiredTokenException", "The security token included in the request is expired", 400},
			faultSkew:      {"InvalidSignatureException", "Signature expired: it is more than 15 min old or in the future", 400},
			faultRegion:    {"InvalidSignatureException", notRegion, 400},
			faultService:   {"InvalidSignatureException", notService, 400},
			faultLapsed:    {"RequestExpired", "Request has expired.", 400},
		},
	}
	w := table[service][fault]
	return query.Errorf(w.code, "%s", w.message).WithStatus(w.status)
}
