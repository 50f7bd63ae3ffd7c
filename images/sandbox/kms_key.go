package sandbox

import (
	"slices"
	"strings"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

// States of KMS keys, and how long a deletion waits (docs.aws.amazon.com/kms/latest/developerguide/key-state.html).
const (
	keyEnabled  = "Enabled"
	keyDisabled = "Disabled"
	keyDeleting = "PendingDeletion"

	keyReplicaDeleting = "PendingReplicaDeletion"

	keyMostWait   = 30 // days
	keyLeastWait  = 7
	keyUsage      = "ENCRYPT_DECRYPT"
	symmetricSpec = "SYMMETRIC_DEFAULT"
)

// managedKeys are the AWS managed keys that every account has in every Region, by the name in their alias.
var managedKeys = []string{"aws/ebs", "aws/ssm"}

// kmsKeyRow is a KMS key; key: its ARN. There is no key material: what is encrypted in a sandbox is encrypted in name only,
// but the rules about who may use the key hold.
type kmsKeyRow struct {
	place
	ID, Description string
	State           string
	Spec, Usage     string
	Managed         string // the AWS managed key's name, or "" for a customer's key
	Policy          string // JSON
	Rotation        bool
	Created, Delete time.Time
	Grants          []kmsGrant
	Primary         string // of a multi-Region key: the Region of the primary one
	WaitDays        int    // in state PendingReplicaDeletion: the waiting period that is to begin
}

func (k *kmsKeyRow) arn() string { return keyARN(k.place, k.ID) }

// gone: the key's waiting period is over.
func (k *kmsKeyRow) gone(now time.Time) bool { return k.State == keyDeleting && !now.Before(k.Delete) }

// readsKeys: the call is a read of KMS, which may be behind (docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html,
// "Eventual consistency").
func (q *call) readsKeys() bool { return q.service == "kms" && isRead(q.action) }

// managedKey is the AWS managed key with that name. It is not stored: it is the same for ever.
func managedKey(p place, name string) kmsKeyRow {
	policy := `{"Version":"2012-10-17","Id":"auto-` + strings.ReplaceAll(name, "/", "-") + `","Statement":[{"Sid":"Allow access for all principals in the account that are authorized to use it",` +
		`"Effect":"Allow","Principal":{"AWS":"*"},"Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*","kms:CreateGrant","kms:DescribeKey"],` +
		`"Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"` + p.Account + `"}}},{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + p.Account + `:root"},` +
		`"Action":["kms:Describe*","kms:Get*","kms:List*","kms:RevokeGrant"],"Resource":"*"}]}`
	arn := managedKeyARN(p, name)
	return kmsKeyRow{place: p, ID: arn[strings.LastIndex(arn, "/")+1:], Description: "Default key that protects my " + strings.ToUpper(name[4:]) +
		" data when no other key is defined", State: keyEnabled, Spec: symmetricSpec, Usage: keyUsage, Managed: name, Policy: policy, Rotation: true,
		Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func kmsKeyMissing(arn string) error {
	return fail("NotFoundException", "Key '%s' does not exist", arn)
}

// kmsKey finds a key by id, ARN, alias or alias ARN. A key of another account is found by an ARN only; whether the caller
// may do something with it is for may to say.
func (q *call) kmsKey(name string) (kmsKeyRow, error) {
	arn := keyARN(q.place, name)
	p, rest, ok := parseKeyARN(arn)
	if !ok || p.Region != q.Region {
		return kmsKeyRow{}, fail("NotFoundException", "Invalid arn %s: it is not the ARN of a KMS key in %s", arn, q.Region)
	}
	if alias, isAlias := strings.CutPrefix(rest, "alias/"); isAlias {
		target, ok := q.aliasTarget(p, alias)
		if !ok {
			return kmsKeyRow{}, fail("NotFoundException", "Alias %s is not found.", arn)
		}
		arn = target
	}
	for _, managed := range managedKeys {
		if arn == managedKeyARN(p, managed) {
			return managedKey(p, managed), nil
		}
	}
	k, ok := q.kmsKeys.Get(q.tx, arn)
	k = q.deletion(k)
	if !ok || k.gone(q.now) || q.readsKeys() && q.unseen(k.Created) {
		return k, kmsKeyMissing(arn)
	}
	return k, nil
}

func parseKeyARN(arn string) (place, string, bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[1] != "aws" || parts[2] != "kms" || !strings.Contains(parts[5], "/") {
		return place{}, "", false
	}
	return place{parts[4], parts[3]}, parts[5], true
}

// ownKMSKey is a customer's key of the caller's account that the caller may manage.
func (q *call) ownKMSKey(name, action string) (kmsKeyRow, error) {
	k, err := q.permittedKey(name, action)
	switch {
	case err != nil:
		return k, err
	case k.Account != q.Account:
		return k, q.keyDenied(&k, action)
	case k.Managed != "":
		return k, query.Errorf("AccessDeniedException", "User: %s is not authorized to perform: kms:%s on %s: it is an AWS managed key", q.who.ARN, action, k.arn())
	}
	return k, nil
}

// permittedKey finds a key on which the key policy or a grant lets the caller do the action.
func (q *call) permittedKey(name, action string) (kmsKeyRow, error) {
	k, err := q.kmsKey(name)
	if err == nil && !q.may(&k, action) {
		err = q.keyDenied(&k, action)
	}
	return k, err
}

func (q *call) keyDenied(k *kmsKeyRow, action string) error {
	return fail("AccessDeniedException", "User: %s is not authorized to perform: kms:%s on resource: %s because no resource-based policy allows the kms:%s action",
		q.who.ARN, action, k.arn(), action)
}

type keyMetadata struct {
	AWSAccountId, KeyId, Arn string
	CreationDate             float64
	Enabled                  bool
	Description              string
	KeyUsage, KeyState       string
	DeletionDate             *float64 `json:",omitempty"`
	Origin, KeyManager       string
	KeySpec                  string
	CustomerMasterKeySpec    string
	EncryptionAlgorithms     []string
	MultiRegion              bool
	MultiRegionConfiguration *multiRegionConfiguration `json:",omitempty"`
	PendingDeletionWindow    int                       `json:"PendingDeletionWindowInDays,omitempty"`
}

func (q *call) metadata(k *kmsKeyRow) keyMetadata {
	m := keyMetadata{AWSAccountId: k.Account, KeyId: k.ID, Arn: k.arn(), CreationDate: epoch(k.Created), Enabled: k.State == keyEnabled,
		Description: k.Description, KeyUsage: k.Usage, KeyState: k.State, Origin: "AWS_KMS", KeyManager: "CUSTOMER", KeySpec: k.Spec,
		CustomerMasterKeySpec: k.Spec, EncryptionAlgorithms: []string{symmetricSpec}, MultiRegion: k.Primary != "", MultiRegionConfiguration: q.multiRegion(k)}
	if k.Managed != "" {
		m.KeyManager = "AWS"
	}
	switch k.State {
	case keyDeleting:
		at := epoch(k.Delete)
		m.DeletionDate = &at
	case keyReplicaDeleting:
		m.PendingDeletionWindow = k.WaitDays
	}
	if k.Spec != symmetricSpec {
		m.EncryptionAlgorithms = []string{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}
	}
	return m
}

type kmsTag struct{ TagKey, TagValue string }

type createKMSKeyRequest struct {
	Description, Policy, Origin             string
	KeyUsage, KeySpec                       string
	CustomerMasterKeySpec, CustomKeyStoreId string
	MultiRegion                             bool
	BypassPolicyLockoutSafetyCheck          bool
	Tags                                    []kmsTag
}

type keyMetadataAnswer struct{ KeyMetadata keyMetadata }

func createKey(q *call, in *createKMSKeyRequest) (*keyMetadataAnswer, error) {
	k := kmsKeyRow{place: q.place, ID: newUUID(), Description: in.Description, State: keyEnabled, Spec: in.KeySpec, Usage: in.KeyUsage, Policy: in.Policy, Created: q.now}
	if k.Spec == "" {
		k.Spec = in.CustomerMasterKeySpec
	}
	if k.Spec == "" {
		k.Spec = symmetricSpec
	}
	if k.Usage == "" {
		k.Usage = keyUsage
	}
	switch {
	case !slices.Contains([]string{symmetricSpec, "RSA_2048", "RSA_3072", "RSA_4096"}, k.Spec) || k.Usage != keyUsage:
		return nil, fail("UnsupportedOperationException", "This sandbox has keys for ENCRYPT_DECRYPT of the specs SYMMETRIC_DEFAULT and RSA_*, not %s for %s", k.Spec, k.Usage)
	case in.Origin != "" && in.Origin != "AWS_KMS" || in.CustomKeyStoreId != "":
		return nil, fail("UnsupportedOperationException", "This sandbox has no imported key material and no custom key stores")
	case len(in.Description) > 8192:
		return nil, fail("ValidationException", "A description can have 8192 characters at most")
	}
	if in.MultiRegion {
		k.ID, k.Primary = newMultiRegionID(), q.Region
	}
	if k.Policy == "" {
		k.Policy = defaultKeyPolicy(q.Account)
	}
	if err := q.checkKeyPolicy(&k, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	tags, err := checkKMSTags(in.Tags)
	if err != nil {
		return nil, err
	}
	q.kmsKeys.Put(q.tx, k.arn(), k)
	q.setTags(keyResource(k.arn()), tags)
	return &keyMetadataAnswer{q.metadata(&k)}, nil
}

type keyRequest struct{ KeyId string }

type describeKeyRequest struct {
	KeyId       string
	GrantTokens []string
}

func describeKey(q *call, in *describeKeyRequest) (*keyMetadataAnswer, error) {
	k, err := q.permittedKey(in.KeyId, "DescribeKey")
	if err != nil {
		return nil, err
	}
	return &keyMetadataAnswer{q.metadata(&k)}, nil
}

type kmsPageRequest struct {
	Limit  *int32
	Marker string
}

// kmsPage is page in the words of KMS.
func kmsPage[T any](q *call, p kmsPageRequest, usual, most int32, rows []T, key func(T) string) (out []T, next string, err error) {
	if p.Limit == nil {
		p.Limit = &usual
	}
	if *p.Limit < 1 || *p.Limit > most {
		return nil, "", fail("ValidationException", "1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value from 1 to %d", *p.Limit, most)
	}
	if out, next, err = page(q, pageParams{p.Limit, p.Marker}, 1, rows, key); err != nil {
		return nil, "", fail("InvalidMarkerException", "Invalid marker")
	}
	return out, next, nil
}

type keyListEntry struct{ KeyId, KeyArn string }

type listKeysAnswer struct {
	Keys       []keyListEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

func listKeys(q *call, in *kmsPageRequest) (*listKeysAnswer, error) {
	var all []keyListEntry
	for arn, k := range q.kmsKeys.Scan(q.tx, q.key()) {
		if now := q.deletion(*k); !now.gone(q.now) && !q.unseen(k.Created) {
			all = append(all, keyListEntry{k.ID, arn})
		}
	}
	for _, name := range managedKeys {
		k := managedKey(q.place, name)
		all = append(all, keyListEntry{k.ID, k.arn()})
	}
	rows, next, err := kmsPage(q, *in, 100, 1000, all, func(e keyListEntry) string { return e.KeyId })
	return &listKeysAnswer{append([]keyListEntry{}, rows...), next, next != ""}, err
}
