package sandbox

// settingsRow is what an account has set for a Region; key: place. Without a row everything is as in a new account.
type settingsRow struct {
	place
	EncryptByDefault bool
	EBSKey           string // ARN; "": alias/aws/ebs
	ImagePublic      string // block public access of images; "": not blocked
	SnapshotPublic   string
	AllowedImages    string // Allowed AMIs: "" (off), enabled, audit-mode
	Criteria         []imageCriterion
}

func (s settingsRow) ebsKey() string {
	if s.EBSKey == "" {
		return defaultKey(s.place)
	}
	return s.EBSKey
}

func (q *call) settingsOf(p place) settingsRow {
	s, ok := q.settings.Get(q.tx, p.key())
	if !ok {
		s.place = p
	}
	return s
}

// changeSettings stages a change of the caller's settings.
func (q *call) changeSettings(change func(*settingsRow)) settingsRow {
	s := q.settingsOf(q.place)
	change(&s)
	q.settings.Put(q.tx, q.key(), s)
	return s
}

type encryptByDefaultAnswer struct {
	On      bool   `xml:"ebsEncryptionByDefault"`
	SSEType string `xml:"sseType,omitempty"`
}

func getEBSEncryptionByDefault(q *call, _ *struct{}) (*encryptByDefaultAnswer, error) {
	out := &encryptByDefaultAnswer{On: q.settingsOf(q.place).EncryptByDefault}
	if out.On {
		out.SSEType = "sse-kms"
	}
	return out, nil
}

func enableEBSEncryptionByDefault(q *call, _ *struct{}) (*encryptByDefaultAnswer, error) {
	return &encryptByDefaultAnswer{On: q.changeSettings(func(s *settingsRow) { s.EncryptByDefault = true }).EncryptByDefault}, nil
}

func disableEBSEncryptionByDefault(q *call, _ *struct{}) (*encryptByDefaultAnswer, error) {
	return &encryptByDefaultAnswer{On: q.changeSettings(func(s *settingsRow) { s.EncryptByDefault = false }).EncryptByDefault}, nil
}

type ebsKeyAnswer struct {
	Key string `xml:"kmsKeyId"`
}

// name is how EC2 shows the default key: by its alias unless another was set.
func (s settingsRow) name() string {
	if s.EBSKey == "" {
		return "alias/aws/ebs"
	}
	return s.EBSKey
}

func getEBSDefaultKey(q *call, _ *struct{}) (*ebsKeyAnswer, error) {
	return &ebsKeyAnswer{q.settingsOf(q.place).name()}, nil
}

type modifyEBSKeyRequest struct {
	KmsKeyId string `query:",required"`
}

// modifyEBSDefaultKey checks the key at once, unlike the calls that use it.
func modifyEBSDefaultKey(q *call, in *modifyEBSKeyRequest) (*ebsKeyAnswer, error) {
	arn, fault := q.usable(in.KmsKeyId, usesOfTarget)
	if fault != "" {
		return nil, fail("InvalidParameterValue", "The key %s cannot be the default key: %s", in.KmsKeyId, fault)
	}
	return &ebsKeyAnswer{q.changeSettings(func(s *settingsRow) { s.EBSKey = arn }).name()}, nil
}

func resetEBSDefaultKey(q *call, _ *struct{}) (*ebsKeyAnswer, error) {
	return &ebsKeyAnswer{q.changeSettings(func(s *settingsRow) { s.EBSKey = "" }).name()}, nil
}
