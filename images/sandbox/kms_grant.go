package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// kmsGrant lets one principal do some operations with a key.
type kmsGrant struct {
	ID, Token, Name   string
	Grantee, Retiring string
	Issuer            string // account
	Operations        []string
	Created           time.Time
}

var grantOperations = []string{"Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
	"Sign", "Verify", "GetPublicKey", "CreateGrant", "RetireGrant", "DescribeKey", "GenerateDataKeyPair",
	"GenerateDataKeyPairWithoutPlaintext", "GenerateMac", "VerifyMac", "DeriveSharedSecret"}

func (g kmsGrant) allows(who identity, action string) bool {
	return isPrincipal(g.Grantee, who) && slices.Contains(g.Operations, action)
}

type createGrantRequest struct {
	KeyId, GranteePrincipal, RetiringPrincipal, Name string
	Operations, GrantTokens                          []string
	Constraints                                      *struct {
		EncryptionContextEquals, EncryptionContextSubset map[string]string
	}
	DryRun bool
}

type createGrantAnswer struct{ GrantId, GrantToken string }

// createGrant with a name gives the grant that the same request has made before (KMS API reference, CreateGrant). The
// context that a constraint asks for is EC2's to give, so constraints are refused rather than ignored.
func createGrant(q *call, in *createGrantRequest) (*createGrantAnswer, error) {
	k, err := q.permittedKey(in.KeyId, "CreateGrant")
	if err != nil {
		return nil, err
	}
	switch {
	case k.State != keyEnabled:
		return nil, k.invalidState()
	case !strings.HasPrefix(in.GranteePrincipal, "arn:aws:iam::") && !strings.HasPrefix(in.GranteePrincipal, "arn:aws:sts::"):
		return nil, fail("InvalidArnException", "The grantee principal '%s' is not the ARN of a principal", in.GranteePrincipal)
	case len(in.Operations) == 0:
		return nil, fail("ValidationException", "1 validation error detected: Value at 'operations' failed to satisfy constraint: Member must not be null")
	case in.Constraints != nil:
		return nil, fail("UnsupportedOperationException", "Grant constraints are not enforced by this sandbox; leave Constraints out")
	}
	for _, operation := range in.Operations {
		if !slices.Contains(grantOperations, operation) {
			return nil, fail("ValidationException", "1 validation error detected: Value '%s' at 'operations' failed to satisfy constraint: Member must satisfy enum value set: %v", operation, grantOperations)
		}
	}
	for _, g := range k.Grants {
		if in.Name != "" && g.Name == in.Name && g.Grantee == in.GranteePrincipal && slices.Equal(g.Operations, in.Operations) {
			return &createGrantAnswer{g.ID, g.Token}, nil
		}
	}
	if in.DryRun {
		return nil, errKMSDryRun
	}
	g := kmsGrant{ID: grantID(), Token: randomText(secretLetter, 160), Name: in.Name, Grantee: in.GranteePrincipal, Retiring: in.RetiringPrincipal,
		Issuer: q.Account, Operations: in.Operations, Created: q.now}
	k.Grants = append(slices.Clone(k.Grants), g)
	q.kmsKeys.Put(q.tx, k.arn(), k)
	return &createGrantAnswer{g.ID, g.Token}, nil
}

var errKMSDryRun = fail("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")

func grantID() string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

type listGrantsRequest struct {
	KeyId, GrantId, GranteePrincipal string
	kmsPageRequest
}

type grantEntry struct {
	KeyId, GrantId, GranteePrincipal, IssuingAccount string
	Name                                             string `json:",omitempty"`
	RetiringPrincipal                                string `json:",omitempty"`
	Operations                                       []string
	CreationDate                                     float64
}

type listGrantsAnswer struct {
	Grants     []grantEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

func listGrants(q *call, in *listGrantsRequest) (*listGrantsAnswer, error) {
	k, err := q.permittedKey(in.KeyId, "ListGrants")
	if err != nil {
		return nil, err
	}
	var all []grantEntry
	for _, g := range k.Grants {
		if (in.GrantId == "" || g.ID == in.GrantId) && (in.GranteePrincipal == "" || g.Grantee == in.GranteePrincipal) {
			all = append(all, grantEntry{k.arn(), g.ID, g.Grantee, "arn:aws:iam::" + g.Issuer + ":root", g.Name, g.Retiring, g.Operations, epoch(g.Created)})
		}
	}
	rows, next, err := kmsPage(q, in.kmsPageRequest, 50, 100, all, func(g grantEntry) string { return g.GrantId })
	return &listGrantsAnswer{append([]grantEntry{}, rows...), next, next != ""}, err
}

type revokeGrantRequest struct {
	KeyId, GrantId string
	DryRun         bool
}

func revokeGrant(q *call, in *revokeGrantRequest) (*struct{}, error) {
	k, err := q.permittedKey(in.KeyId, "RevokeGrant")
	if err != nil {
		return nil, err
	}
	return q.dropGrant(k, in.DryRun, func(g kmsGrant) bool { return g.ID == in.GrantId })
}

func (q *call) dropGrant(k kmsKeyRow, dryRun bool, which func(kmsGrant) bool) (*struct{}, error) {
	left := slices.DeleteFunc(slices.Clone(k.Grants), which)
	if len(left) == len(k.Grants) {
		return nil, fail("NotFoundException", "Grant ID was not found on %s", k.arn())
	}
	if dryRun {
		return nil, errKMSDryRun
	}
	k.Grants = left
	q.kmsKeys.Put(q.tx, k.arn(), k)
	return &struct{}{}, nil
}

type retireGrantRequest struct {
	KeyId, GrantId, GrantToken string
	DryRun                     bool
}

// retireGrant is for the key's account, the grant's retiring principal, and a grantee whose grant allows it.
func retireGrant(q *call, in *retireGrantRequest) (*struct{}, error) {
	for _, row := range q.kmsKeys.All(q.tx) {
		k := *row
		for _, g := range k.Grants {
			if (in.GrantToken == "" || g.Token != in.GrantToken) && (in.GrantId == "" || g.ID != in.GrantId || in.KeyId != k.arn()) {
				continue
			}
			if k.Account != q.Account && !isPrincipal(g.Retiring, q.who) && !g.allows(q.who, "RetireGrant") {
				return nil, q.keyDenied(&k, "RetireGrant")
			}
			return q.dropGrant(k, in.DryRun, func(x kmsGrant) bool { return x.ID == g.ID })
		}
	}
	return nil, fail("NotFoundException", "The grant was not found")
}
