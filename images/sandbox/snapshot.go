package sandbox

import (
	"cmp"
	"slices"

	"github.com/imgops/imgops/images/sandbox/query"
	"github.com/imgops/imgops/images/sandbox/state"
)

func snapshotIndex(s snapshotRow) []string {
	entries := []string{"own:" + s.key(), "blob:" + s.Blob}
	for _, user := range s.Users {
		entries = append(entries, "user:"+s.Region+"/"+user)
	}
	if s.Public {
		entries = append(entries, "public:"+s.Region)
	}
	return entries
}

func (q *call) seesSnapshot(s *snapshotRow) bool {
	return s.Region == q.Region && (s.Account == q.Account || s.Public && q.settingsOf(s.place).SnapshotPublic != blockAllSharing ||
		slices.Contains(s.Users, q.Account))
}

// visibleSnapshot finds a snapshot that is the caller's or shared with it.
func (q *call) visibleSnapshot(id string) (snapshotRow, error) {
	if !wellFormed(id, "snap-") {
		return snapshotRow{}, fail("InvalidSnapshotID.Malformed", "Invalid id: \"%s\" (expecting \"snap-...\")", id)
	}
	s, ok := q.snapshots.Get(q.tx, id)
	if !ok || !q.seesSnapshot(&s) || q.unseen(s.Started) {
		return snapshotRow{}, fail("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", id)
	}
	return s, nil
}

func (q *call) ownSnapshot(id string) (snapshotRow, error) {
	s, err := q.visibleSnapshot(id)
	if err == nil && s.Account != q.Account {
		return s, forbidden("You are not authorized to perform this operation on snapshot %s: it belongs to %s", id, s.Account)
	}
	return s, err
}

type snapshotItem struct {
	Tags        *query.List[tagItem] `xml:"tagSet"`
	Tier        string               `xml:"storageTier"`
	Completed   string               `xml:"completionTime,omitempty"`
	FullSize    int64                `xml:"fullSnapshotSizeInBytes,omitempty"`
	ID          string               `xml:"snapshotId"`
	VolumeID    string               `xml:"volumeId"`
	State       string               `xml:"status"`
	Message     string               `xml:"statusMessage,omitempty"`
	Started     string               `xml:"startTime"`
	Progress    string               `xml:"progress"`
	OwnerID     string               `xml:"ownerId"`
	Description string               `xml:"description"`
	SizeGiB     int32                `xml:"volumeSize"`
	Encrypted   bool                 `xml:"encrypted"`
	KMSKey      string               `xml:"kmsKeyId,omitempty"`
	Transfer    string               `xml:"transferType,omitempty"`
	Minutes     int32                `xml:"completionDurationMinutes,omitempty"`
}

func (q *call) snapshotItem(s snapshotRow) snapshotItem {
	item := snapshotItem{Tags: optionalTagSet(q.seenTags(s.ID, s.Account)), Tier: "standard", Completed: timestamp(s.Completed),
		FullSize: s.StoredBytes, ID: s.ID, VolumeID: s.VolumeID, State: s.State, Message: s.Message, Started: timestamp(s.Started),
		Progress: s.progress(), OwnerID: s.Account, Description: s.Description, SizeGiB: s.SizeGiB, Encrypted: s.Encrypted, KMSKey: s.KMSKey, Minutes: s.CopyMinutes}
	if s.CopyMinutes != 0 {
		item.Transfer = "time-based"
	}
	return item
}

func (s snapshotRow) progress() string {
	if s.State == "completed" {
		return "100%"
	}
	return "0%"
}

type describeSnapshotsRequest struct {
	SnapshotId   []string
	Owner        []string
	RestorableBy []string
	Filter       []filterParam
	pageParams
}

type describeSnapshotsAnswer struct {
	NextToken string                   `xml:"nextToken,omitempty"`
	Snapshots query.List[snapshotItem] `xml:"snapshotSet"`
}

var snapshotFilters = fields[snapshotRow]{
	"description":  one(func(s *snapshotRow) string { return s.Description }),
	"encrypted":    flag(func(s *snapshotRow) bool { return s.Encrypted }),
	"owner-id":     one(func(s *snapshotRow) string { return s.Account }),
	"owner-alias":  func(*snapshotRow) []string { return nil },
	"progress":     one(func(s *snapshotRow) string { return s.progress() }),
	"snapshot-id":  one(func(s *snapshotRow) string { return s.ID }),
	"start-time":   one(func(s *snapshotRow) string { return timestamp(s.Started) }),
	"status":       one(func(s *snapshotRow) string { return s.State }),
	"storage-tier": func(*snapshotRow) []string { return []string{"standard"} },
	"volume-id":    one(func(s *snapshotRow) string { return s.VolumeID }),
	"volume-size":  one(func(s *snapshotRow) string { return number(s.SizeGiB) }),
}

func describeSnapshots(q *call, in *describeSnapshotsRequest) (*describeSnapshotsAnswer, error) {
	match, err := filters(in.Filter, snapshotFilters, func(s *snapshotRow) map[string]string { return q.seenTags(s.ID, s.Account) })
	if err != nil {
		return nil, err
	}
	candidates := map[string]*snapshotRow{}
	for _, id := range in.SnapshotId {
		s, err := q.visibleSnapshot(id)
		if err != nil {
			return nil, err
		}
		candidates[id] = &s
	}
	if len(in.SnapshotId) == 0 {
		for _, entry := range []string{"own:" + q.key(), "user:" + q.Region + "/" + q.Account, "public:" + q.Region} {
			for id, s := range q.snapshots.Scan(q.tx, entry) {
				candidates[id] = s
			}
		}
	}
	owners := patterns(q.accountWords(in.Owner))
	var found []*snapshotRow
	for _, s := range candidates {
		if !q.unseen(s.Started) && (len(in.Owner) == 0 || owners(s.Account)) && (len(in.RestorableBy) == 0 || q.restorable(s, in.RestorableBy)) && match.match(s) {
			found = append(found, s)
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(s *snapshotRow) string { return s.ID })
	out := &describeSnapshotsAnswer{NextToken: next}
	for _, s := range rows {
		out.Snapshots.Items = append(out.Snapshots.Items, q.snapshotItem(*s))
	}
	return out, err
}

// accountWords puts the caller's account id in the place of "self".
func (q *call) accountWords(words []string) []string {
	out := slices.Clone(words)
	for i, w := range out {
		if w == "self" {
			out[i] = q.Account
		}
	}
	return out
}

func (q *call) restorable(s *snapshotRow, users []string) bool {
	for _, user := range users {
		switch user {
		case "all":
			if s.Public {
				return true
			}
		case "self", q.Account:
			if s.Account == q.Account || slices.Contains(s.Users, q.Account) {
				return true
			}
		default:
			if s.Account == q.Account && slices.Contains(s.Users, user) {
				return true
			}
		}
	}
	return false
}

type createSnapshotRequest struct {
	VolumeId         string `query:",required"`
	Description      string
	TagSpecification []tagSpecParam
}

func createSnapshot(q *call, in *createSnapshotRequest) (*snapshotItem, error) {
	specs, err := tagSpecs(in.TagSpecification, "snapshot")
	if err != nil {
		return nil, err
	}
	v, err := q.volume(in.VolumeId)
	if err != nil {
		return nil, err
	}
	if v.State != "in-use" && v.State != "available" {
		return nil, fail("IncorrectState", "The volume '%s' is '%s'", v.ID, v.State)
	}
	s := q.newSnapshot(v, in.Description, specs["snapshot"])
	lane := v.ID
	if v.InstanceID != "" {
		lane = v.InstanceID
	}
	q.after(func() { q.jobs.run(lane, func() { q.captureSnapshot(s.ID) }) })
	item := q.snapshotItem(s)
	return &item, nil
}

// newSnapshot stages a pending snapshot of a volume.
func (q *call) newSnapshot(v volumeRow, description string, tags map[string]string) snapshotRow {
	s := snapshotRow{place: q.place, ID: newID("snap-"), VolumeID: v.ID, Description: description, State: "pending", Started: q.now,
		SizeGiB: v.SizeGiB, Encrypted: v.Encrypted, KMSKey: v.KMSKey, Fate: q.fate}
	s.Blob = s.ID
	q.newBlob(q.tx, s.Blob, v.Blob)
	q.snapshots.Put(q.tx, s.ID, s)
	q.setTags(s.ID, tags)
	return s
}

type copySnapshotRequest struct {
	SourceRegion      string `query:",required"`
	SourceSnapshotId  string `query:",required"`
	Description       string
	DestinationRegion string
	Encrypted         *bool
	KmsKeyId          string
	PresignedUrl      string // the SDKs fill it in; the sandbox need not call the other Region
	TagSpecification  []tagSpecParam

	CompletionDurationMinutes *int32
}

type copySnapshotAnswer struct {
	Tags *query.List[tagItem] `xml:"tagSet"`
	ID   string               `xml:"snapshotId"`
}

func copySnapshot(q *call, in *copySnapshotRequest) (*copySnapshotAnswer, error) {
	specs, err := tagSpecs(in.TagSpecification, "snapshot")
	if err != nil {
		return nil, err
	}
	if err := checkDuration(in.CompletionDurationMinutes, "completionDurationMinutes"); err != nil {
		return nil, err
	}
	source, err := q.sourceSnapshot(in.SourceRegion, in.SourceSnapshotId)
	if err != nil {
		return nil, err
	}
	if in.DestinationRegion != "" && in.DestinationRegion != q.Region {
		return nil, badParameter(in.DestinationRegion, "destinationRegion", "Send the request to the destination Region.")
	}
	copied, err := q.copyOf(source, in.Description, in.Encrypted, in.KmsKeyId, in.CompletionDurationMinutes)
	if err != nil {
		return nil, err
	}
	q.snapshots.Put(q.tx, copied.ID, copied)
	q.setTags(copied.ID, specs["snapshot"])
	q.after(func() { q.jobs.run(copied.ID, func() { q.finishCopy(copied.ID) }) })
	return &copySnapshotAnswer{optionalTagSet(specs["snapshot"]), copied.ID}, nil
}

func (q *call) sourceSnapshot(region, id string) (snapshotRow, error) {
	if _, known := regionByName(region); !known {
		return snapshotRow{}, badParameter(region, "sourceRegion", "Invalid region provided.")
	}
	s, err := q.at(region).visibleSnapshot(id)
	if err == nil && s.State != "completed" {
		return s, fail("IncorrectState", "The snapshot '%s' is not completed; it is %s", id, s.State)
	}
	return s, err
}

// checkDuration: a time-based copy takes a multiple of 15 minutes, up to two days (ec2-facts 3.13). Copies here take the time
// that the sandbox's latency gives them, which is within any of these.
func checkDuration(minutes *int32, name string) error {
	if minutes != nil && (*minutes < 15 || *minutes > 48*60 || *minutes%15 != 0) {
		return badParameter(number(*minutes), name, "Give a multiple of 15 from 15 to 2880.")
	}
	return nil
}

// copyOf is a pending snapshot of the caller's with the same blob.
func (q *call) copyOf(source snapshotRow, description string, encrypted *bool, key string, minutes *int32) (snapshotRow, error) {
	s := snapshotRow{place: q.place, ID: newID("snap-"), VolumeID: "vol-ffffffff", Description: description, State: "pending",
		Started: q.now, SizeGiB: source.SizeGiB, Blob: source.Blob, StoredBytes: source.StoredBytes, Fate: q.fate}
	if minutes != nil {
		s.CopyMinutes = *minutes
	}
	c, err := q.encryption(encrypted, key, source)
	s.Encrypted, s.KMSKey, s.Fault = c.Encrypted, c.Key, c.Fault
	return s, err
}

type snapshotRequest struct {
	SnapshotId string `query:",required"`
}

func deleteSnapshot(q *call, in *snapshotRequest) (*done, error) {
	s, err := q.ownSnapshot(in.SnapshotId)
	if err != nil {
		return nil, err
	}
	for _, i := range q.images.Scan(q.tx, "snap:"+s.ID) {
		return nil, fail("InvalidSnapshot.InUse", "The snapshot %s is currently in use by %s", s.ID, i.ID)
	}
	q.removeSnapshot(s)
	return success, nil
}

func (q *call) removeSnapshot(s snapshotRow) {
	q.snapshots.Delete(q.tx, s.ID)
	q.dropTags(s.ID, s.Users...)
	q.after(func() { q.releaseBlob(s.Blob) })
}

// finishCopy completes a copy of a snapshot: the bytes are there already. With a key that cannot be used it ends in error.
func (c *Cloud) finishCopy(id string) {
	if !c.pace("copy", c.clock()) {
		return
	}
	broken := c.sourceBroken(id)
	blob := ""
	c.update("complete snapshot "+id, func(tx *state.Tx) error {
		s, _ := c.snapshots.Get(tx, id)
		blob = s.Blob
		c.endSnapshot(tx, id, cmp.Or(s.fault(), broken))
		return nil
	})
	c.releaseBlob(blob)
}
