package sandbox

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/imgops/imgops/images/sandbox/query"
)

func (q *call) keyPair(match func(*keyRow) bool) (keyRow, bool) {
	for _, k := range q.keys.Scan(q.tx, q.key()) {
		if match(k) {
			return *k, true
		}
	}
	return keyRow{}, false
}

func (q *call) keyPairByName(name string) (keyRow, error) {
	k, ok := q.keyPair(func(k *keyRow) bool { return k.Name == name })
	if !ok {
		return k, fail("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", name)
	}
	return k, nil
}

// seenKeyPair is keyPairByName for calls that may lag behind; whether a name is free is always known.
func (q *call) seenKeyPair(name string) (keyRow, error) {
	k, err := q.keyPairByName(name)
	if err == nil && q.unseen(k.Created) {
		return keyRow{}, fail("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", name)
	}
	return k, err
}

type keyAnswer struct {
	ID          string               `xml:"keyPairId"`
	Tags        *query.List[tagItem] `xml:"tagSet"`
	Name        string               `xml:"keyName"`
	Fingerprint string               `xml:"keyFingerprint"`
	Material    string               `xml:"keyMaterial,omitempty"`
}

type createKeyRequest struct {
	KeyName          string `query:",required"`
	KeyType          string
	KeyFormat        string
	TagSpecification []tagSpecParam
}

func createKeyPair(q *call, in *createKeyRequest) (*keyAnswer, error) {
	switch {
	case in.KeyFormat != "" && in.KeyFormat != "pem":
		return nil, badParameter(in.KeyFormat, "KeyFormat", "This sandbox makes pem only.")
	case in.KeyType != "" && in.KeyType != "rsa" && in.KeyType != "ed25519":
		return nil, badParameter(in.KeyType, "KeyType", "Valid values: rsa, ed25519.")
	}
	if err := q.freeKeyName(in.KeyName); err != nil {
		return nil, err
	}
	private, public, fingerprint, err := generateKey(in.KeyType)
	if err != nil {
		return nil, fmt.Errorf("make key pair %s: %w", in.KeyName, err)
	}
	answer, err := q.storeKey(in.KeyName, public, fingerprint, in.TagSpecification)
	if err == nil {
		answer.Material = private
	}
	return answer, err
}

// generateKey makes a key and its fingerprint: for RSA the SHA-1 of the private key's DER as EC2 does for the keys that
// it makes, for ED25519 OpenSSH's SHA-256.
func generateKey(kind string) (private string, public ssh.PublicKey, fingerprint string, err error) {
	var key crypto.Signer
	var block *pem.Block
	if kind == "ed25519" {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return "", nil, "", err
		}
		if block, err = ssh.MarshalPrivateKey(k, ""); err != nil {
			return "", nil, "", err
		}
		key = k
	} else {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return "", nil, "", err
		}
		block, key = &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}, k
	}
	if public, err = ssh.NewPublicKey(key.Public()); err != nil {
		return "", nil, "", err
	}
	if kind == "ed25519" {
		return string(pem.EncodeToMemory(block)), public, opensshFingerprint(public), nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", nil, "", err
	}
	sum := sha1.Sum(der)
	return string(pem.EncodeToMemory(block)), public, colons(sum[:]), nil
}

type importKeyRequest struct {
	KeyName           string `query:",required"`
	PublicKeyMaterial []byte `query:",required"`
	TagSpecification  []tagSpecParam
}

func importKeyPair(q *call, in *importKeyRequest) (*keyAnswer, error) {
	if err := q.freeKeyName(in.KeyName); err != nil {
		return nil, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(bytes.TrimSpace(in.PublicKeyMaterial))
	if err != nil {
		return nil, fail("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
	}
	switch public.Type() {
	case ssh.KeyAlgoED25519:
		return q.storeKey(in.KeyName, public, opensshFingerprint(public), in.TagSpecification)
	case ssh.KeyAlgoRSA:
		crypto, ok := public.(ssh.CryptoPublicKey)
		if !ok {
			break
		}
		der, err := x509.MarshalPKIXPublicKey(crypto.CryptoPublicKey())
		if err != nil {
			return nil, fail("InvalidKey.Format", "Key is not a valid RSA key: %v", err)
		}
		sum := md5.Sum(der) // EC2's fingerprint of an imported RSA key
		return q.storeKey(in.KeyName, public, colons(sum[:]), in.TagSpecification)
	}
	return nil, fail("InvalidKey.Format", "Keys of type %s are not supported; import an RSA or ED25519 key", public.Type())
}

func (q *call) freeKeyName(name string) error {
	if name == "" || len(name) > 255 || strings.TrimSpace(name) != name {
		return fail("InvalidParameterValue", "Invalid value '%s' for keyPairName. It must have 1 to 255 characters and no space around it.", name)
	}
	if _, err := q.keyPairByName(name); err == nil {
		return fail("InvalidKeyPair.Duplicate", "The keypair already exists")
	}
	return nil
}

func (q *call) storeKey(name string, public ssh.PublicKey, fingerprint string, tags []tagSpecParam) (*keyAnswer, error) {
	specs, err := tagSpecs(tags, "key-pair")
	if err != nil {
		return nil, err
	}
	kind := "rsa"
	if public.Type() == ssh.KeyAlgoED25519 {
		kind = "ed25519"
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))) + " " + name
	k := keyRow{place: q.place, ID: newID("key-"), Name: name, Type: kind, Fingerprint: fingerprint, Public: line, Created: q.now}
	q.keys.Put(q.tx, k.ID, k)
	q.setTags(k.ID, specs["key-pair"])
	return &keyAnswer{ID: k.ID, Tags: optionalTagSet(specs["key-pair"]), Name: name, Fingerprint: fingerprint}, nil
}

// opensshFingerprint is EC2's form for ED25519 keys: base64 of the SHA-256, with padding and without "SHA256:".
func opensshFingerprint(public ssh.PublicKey) string {
	sum := sha256.Sum256(public.Marshal())
	return base64.StdEncoding.EncodeToString(sum[:])
}

func colons(sum []byte) string {
	var parts []string
	for _, b := range sum {
		parts = append(parts, hex.EncodeToString([]byte{b}))
	}
	return strings.Join(parts, ":")
}

type describeKeysRequest struct {
	KeyName, KeyPairId []string
	IncludePublicKey   bool
	Filter             []filterParam
}

type keyItem struct {
	ID          string              `xml:"keyPairId"`
	Type        string              `xml:"keyType"`
	Tags        query.List[tagItem] `xml:"tagSet"`
	Public      string              `xml:"publicKey,omitempty"`
	Created     string              `xml:"createTime"`
	Name        string              `xml:"keyName"`
	Fingerprint string              `xml:"keyFingerprint"`
}

type describeKeysAnswer struct {
	Keys query.List[keyItem] `xml:"keySet"`
}

var keyFilters = fields[keyRow]{
	"key-pair-id": one(func(k *keyRow) string { return k.ID }),
	"key-name":    one(func(k *keyRow) string { return k.Name }),
	"fingerprint": one(func(k *keyRow) string { return k.Fingerprint }),
}

func describeKeyPairs(q *call, in *describeKeysRequest) (*describeKeysAnswer, error) {
	match, err := filters(in.Filter, keyFilters, func(k *keyRow) map[string]string { return q.ownTags(k.ID) })
	if err != nil {
		return nil, err
	}
	for _, name := range in.KeyName {
		if _, err := q.seenKeyPair(name); err != nil {
			return nil, err
		}
	}
	for _, id := range in.KeyPairId {
		if err := q.taggable(id); err != nil {
			return nil, fail("InvalidKeyPair.NotFound", "The key pair ID '%s' does not exist", id)
		}
	}
	all, out := len(in.KeyName)+len(in.KeyPairId) == 0, &describeKeysAnswer{}
	byName, byID := patterns(in.KeyName), patterns(in.KeyPairId)
	for _, k := range q.keys.Scan(q.tx, q.key()) {
		if !all && !byName(k.Name) && !byID(k.ID) || !match.match(k) || q.unseen(k.Created) {
			continue
		}
		item := keyItem{ID: k.ID, Type: k.Type, Tags: tagSet(q.ownTags(k.ID)), Created: k.Created.UTC().Format(time.RFC3339),
			Name: k.Name, Fingerprint: k.Fingerprint}
		if in.IncludePublicKey {
			item.Public = k.Public
		}
		out.Keys.Items = append(out.Keys.Items, item)
	}
	return out, nil
}

type deleteKeyRequest struct{ KeyName, KeyPairId string }

type deleteKeyAnswer struct {
	Return bool   `xml:"return"`
	ID     string `xml:"keyPairId,omitempty"`
}

// deleteKeyPair succeeds for a key pair that is not there, as on EC2.
func deleteKeyPair(q *call, in *deleteKeyRequest) (*deleteKeyAnswer, error) {
	if in.KeyName == "" && in.KeyPairId == "" {
		return nil, missing("KeyName or KeyPairId")
	}
	k, found := q.keyPair(func(k *keyRow) bool { return k.Name == in.KeyName || k.ID == in.KeyPairId })
	if !found {
		return &deleteKeyAnswer{Return: true}, nil
	}
	q.keys.Delete(q.tx, k.ID)
	q.dropTags(k.ID)
	return &deleteKeyAnswer{true, k.ID}, nil
}
