package sandbox

import "strings"

// There is no KMS here yet: encryption flags and keys are stored and shown, and the rules about the default key hold.

// defaultKey is the ARN of the account's aws/ebs key in the Region.
func defaultKey(p place) string {
	h := hashID("", p.key("aws/ebs")) + hashID("", p.key("aws/ebs2"))
	return keyARN(p, h[:8]+"-"+h[8:12]+"-4"+h[13:16]+"-8"+h[17:20]+"-"+h[20:32])
}

// keyARN is the ARN of a key that is named by id, alias or ARN.
func keyARN(p place, name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	if name == "alias/aws/ebs" {
		return defaultKey(p)
	}
	if !strings.HasPrefix(name, "alias/") {
		name = "key/" + strings.TrimPrefix(name, "key/")
	}
	return "arn:aws:kms:" + p.Region + ":" + p.Account + ":" + name
}

// encryption decides the key of a copy or a volume (ec2-facts 3.7): encrypted stays encrypted; with a key of its own only
// where that key is valid, in the owner's Region; otherwise the default key of the destination.
func (q *call) encryption(asked *bool, key string, source snapshotRow) (encrypted bool, arn string, err error) {
	encrypted = source.Encrypted || asked != nil && *asked
	switch {
	case key != "" && (asked == nil || !*asked):
		return false, "", fail("InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set.")
	case !encrypted:
		return false, "", nil
	case key != "":
		return true, keyARN(q.place, key), nil
	case source.Encrypted && source.place == q.place:
		return true, source.KMSKey, nil
	}
	return true, defaultKey(q.place), nil
}
