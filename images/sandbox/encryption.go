package sandbox

import (
	"errors"
	"strings"

	"github.com/imgops/imgops/images/sandbox/state"
)

// defaultKey is the ARN of the account's aws/ebs key in the Region.
func defaultKey(p place) string { return managedKeyARN(p, "aws/ebs") }

func managedKeyARN(p place, name string) string {
	h := hashID("", p.key(name)) + hashID("", p.key(name+"2"))
	return keyARN(p, h[:8]+"-"+h[8:12]+"-4"+h[13:16]+"-8"+h[17:20]+"-"+h[20:32])
}

// keyARN is the ARN of a key that is named by id, alias or ARN.
func keyARN(p place, name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	if !strings.HasPrefix(name, "alias/") {
		name = "key/" + strings.TrimPrefix(name, "key/")
	}
	return "arn:aws:kms:" + p.Region + ":" + p.Account + ":" + name
}

// cipher is how a snapshot or a volume is encrypted. Fault is what keeps EBS from using the key, or empty: the calls that
// name a key are accepted whatever it is, and what they make fails later (ec2-facts 1.13, 3.6).
type cipher struct {
	Encrypted  bool
	Key, Fault string
}

const keyFault = "Given key ID is not accessible"

// faultError is a fault as an error, or nil.
func faultError(fault string) error {
	if fault == "" {
		return nil
	}
	return &keyError{fault}
}

// keyError is a key that EBS cannot use.
type keyError struct{ fault string }

func (e *keyError) Error() string { return e.fault }

// launchReason is the StateReason of an instance that did not start: EC2 tells nobody that it was for a key (ec2-facts 1.13).
func launchReason(err error) *reason {
	var key *keyError
	if errors.As(err, &key) {
		return &reason{"Client.InternalError", "Client.InternalError: Client error on launch"}
	}
	return &reason{"Server.InternalError", "Server.InternalError: the machine did not start: " + err.Error()}
}

// keyWorks is an error when the key is not enabled (any more). An empty ARN is no key, and works.
func (c *Cloud) keyWorks(arn string) error {
	if arn == "" {
		return nil
	}
	var err error
	_ = c.store.View(func(tx *state.Tx) error {
		p, _, _ := parseKeyARN(arn)
		q := &call{Cloud: c, place: p, tx: tx, now: c.clock().UTC()}
		if k, missing := q.kmsKey(arn); missing != nil || k.State != keyEnabled {
			err = &keyError{keyFault}
		}
		return nil
	})
	return err
}

// What EBS does with a key, for its caller: with that of a source, and with that of what is made (ec2-facts 4.9).
var (
	usesOfSource = []string{"DescribeKey", "CreateGrant", "Decrypt", "ReEncryptFrom"}
	usesOfTarget = []string{"DescribeKey", "CreateGrant", "Decrypt", "ReEncryptTo", "GenerateDataKeyWithoutPlaintext"}
)

// encryption decides the key of a copy or a volume (ec2-facts 3.7): encrypted stays encrypted; with a key of its own only
// where that key is valid, in the owner's Region; otherwise the default key of the destination.
func (q *call) encryption(asked *bool, key string, source snapshotRow) (cipher, error) {
	s := q.settingsOf(q.place)
	c := cipher{Encrypted: source.Encrypted || s.EncryptByDefault || asked != nil && *asked}
	if key != "" && !s.EncryptByDefault && (asked == nil || !*asked) {
		return c, fail("InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set.")
	}
	if !c.Encrypted {
		return c, nil
	}
	switch {
	case key != "":
		c.Key = key
	case source.Encrypted && source.place == q.place:
		c.Key = source.KMSKey
	default:
		c.Key = s.ebsKey()
	}
	if source.Encrypted {
		_, c.Fault = q.at(source.Region).usable(source.KMSKey, usesOfSource)
	}
	arn, fault := q.usable(c.Key, usesOfTarget)
	if c.Key = arn; c.Fault == "" {
		c.Fault = fault
	}
	return c, nil
}

// encrypted is the device with its encryption decided.
func (q *call) encrypted(d device, asked *bool, key string, source snapshotRow) (device, error) {
	c, err := q.encryption(asked, key, source)
	d.Encrypted, d.KMSKey, d.fault = c.Encrypted, c.Key, c.Fault
	return d, err
}

// usable looks a key up as EBS does for the caller: its ARN, and the fault for which it cannot be used.
func (q *call) usable(name string, uses []string) (arn, fault string) {
	ebs := *q
	ebs.forEBS = true
	k, err := ebs.kmsKey(name)
	switch {
	case err != nil:
		return keyARN(q.place, name), keyFault
	case k.State != keyEnabled || k.Spec != symmetricSpec || k.Region != q.Region:
		return k.arn(), keyFault
	}
	for _, action := range uses {
		if !ebs.may(&k, action) {
			return k.arn(), keyFault + ". You must have DescribeKey permissions on the default CMK"
		}
	}
	return k.arn(), ""
}
