package sandbox

const (
	unblocked        = "unblocked"
	blockNewSharing  = "block-new-sharing"
	blockAllSharing  = "block-all-sharing"
	notPermittedHint = "You can't publicly share this %s because block public access for %ss is enabled for this account in this Region."
)

func orUnblocked(s string) string {
	if s == "" {
		return unblocked
	}
	return s
}

// The state of images takes effect at once here, where EC2 takes up to ten minutes (ec2-facts 4.15).

type imageBlockAnswer struct {
	State     string `xml:"imageBlockPublicAccessState"`
	ManagedBy string `xml:"managedBy,omitempty"`
}

func getImageBlock(q *call, _ *struct{}) (*imageBlockAnswer, error) {
	return &imageBlockAnswer{orUnblocked(q.settingsOf(q.place).ImagePublic), "account"}, nil
}

type imageBlockRequest struct {
	ImageBlockPublicAccessState string `query:",required"`
}

func enableImageBlock(q *call, in *imageBlockRequest) (*imageBlockAnswer, error) {
	if in.ImageBlockPublicAccessState != blockNewSharing {
		return nil, badParameter(in.ImageBlockPublicAccessState, "imageBlockPublicAccessState", "Valid values: "+blockNewSharing+".")
	}
	return &imageBlockAnswer{State: q.changeSettings(func(s *settingsRow) { s.ImagePublic = blockNewSharing }).ImagePublic}, nil
}

func disableImageBlock(q *call, _ *struct{}) (*imageBlockAnswer, error) {
	return &imageBlockAnswer{State: orUnblocked(q.changeSettings(func(s *settingsRow) { s.ImagePublic = "" }).ImagePublic)}, nil
}

type snapshotBlockAnswer struct {
	State     string `xml:"state"`
	ManagedBy string `xml:"managedBy,omitempty"`
}

func getSnapshotBlock(q *call, _ *struct{}) (*snapshotBlockAnswer, error) {
	return &snapshotBlockAnswer{orUnblocked(q.settingsOf(q.place).SnapshotPublic), "account"}, nil
}

type snapshotBlockRequest struct {
	State string `query:",required"`
}

func enableSnapshotBlock(q *call, in *snapshotBlockRequest) (*snapshotBlockAnswer, error) {
	if in.State != blockNewSharing && in.State != blockAllSharing {
		return nil, badParameter(in.State, "state", "Valid values: "+blockNewSharing+", "+blockAllSharing+".")
	}
	return &snapshotBlockAnswer{State: q.changeSettings(func(s *settingsRow) { s.SnapshotPublic = in.State }).SnapshotPublic}, nil
}

func disableSnapshotBlock(q *call, _ *struct{}) (*snapshotBlockAnswer, error) {
	return &snapshotBlockAnswer{State: orUnblocked(q.changeSettings(func(s *settingsRow) { s.SnapshotPublic = "" }).SnapshotPublic)}, nil
}

// checkPublic refuses a new public share that the account blocks.
func checkPublic(state, noun string) error {
	if state == "" {
		return nil
	}
	return fail("OperationNotPermitted", notPermittedHint, noun, noun)
}
