package sandbox

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/imgops/imgops/images/sandbox/query"
)

func volumeIndex(v volumeRow) []string {
	entries := []string{v.key()}
	if v.InstanceID != "" {
		entries = append(entries, "on:"+v.InstanceID)
	}
	if !v.Restored && v.Blob != "" {
		entries = append(entries, "wants:"+v.Blob)
	}
	return entries
}

func (q *call) volume(id string) (volumeRow, error) {
	if !wellFormed(id, "vol-") {
		return volumeRow{}, fail("InvalidVolumeID.Malformed", "Invalid id: \"%s\" (expecting \"vol-...\")", id)
	}
	v, ok := q.volumes.Get(q.tx, id)
	if !ok || v.place != q.place {
		return volumeRow{}, fail("InvalidVolume.NotFound", "The volume '%s' does not exist.", id)
	}
	return v, nil
}

type attachmentItem struct {
	DeleteOnTermination bool   `xml:"deleteOnTermination"`
	VolumeID            string `xml:"volumeId"`
	InstanceID          string `xml:"instanceId"`
	Device              string `xml:"device"`
	Status              string `xml:"status"`
	Attached            string `xml:"attachTime"`
}

type volumeItem struct {
	ZoneID      string                     `xml:"availabilityZoneId"`
	IOPS        int32                      `xml:"iops,omitempty"`
	Tags        *query.List[tagItem]       `xml:"tagSet"`
	Type        string                     `xml:"volumeType"`
	MultiAttach bool                       `xml:"multiAttachEnabled"`
	Throughput  int32                      `xml:"throughput,omitempty"`
	ID          string                     `xml:"volumeId"`
	SizeGiB     int32                      `xml:"size"`
	SnapshotID  string                     `xml:"snapshotId"`
	Zone        string                     `xml:"availabilityZone"`
	State       string                     `xml:"status"`
	Created     string                     `xml:"createTime"`
	Attachments query.List[attachmentItem] `xml:"attachmentSet"`
	Encrypted   bool                       `xml:"encrypted"`
	KMSKey      string                     `xml:"kmsKeyId,omitempty"`
}

func (q *call) volumeItem(v volumeRow) volumeItem {
	item := volumeItem{ZoneID: zoneID(v.Region, v.Zone), IOPS: v.IOPS, Tags: optionalTagSet(q.ownTags(v.ID)), Type: v.Type, Throughput: v.Throughput,
		ID: v.ID, SizeGiB: v.SizeGiB, SnapshotID: v.SnapshotID, Zone: v.Zone, State: v.State, Created: timestamp(v.Created),
		Encrypted: v.Encrypted, KMSKey: v.KMSKey}
	if v.InstanceID != "" {
		item.Attachments.Items = []attachmentItem{v.attachmentItem()}
	}
	return item
}

func (v volumeRow) attachmentItem() attachmentItem {
	return attachmentItem{v.DeleteOnTermination, v.ID, v.InstanceID, v.Device, v.attachment(), timestamp(v.Attached)}
}

func (v volumeRow) attachment() string {
	if v.Restored {
		return cmp.Or(v.Plug, "attached")
	}
	return "attaching"
}

func zoneID(regionName, name string) string {
	r, _ := regionByName(regionName)
	for _, z := range r.zones() {
		if z.Name == name {
			return z.ID
		}
	}
	return ""
}

type describeVolumesRequest struct {
	VolumeId []string
	Filter   []filterParam
	pageParams
}

type describeVolumesAnswer struct {
	NextToken string                 `xml:"nextToken,omitempty"`
	Volumes   query.List[volumeItem] `xml:"volumeSet"`
}

var volumeFilters = fields[volumeRow]{
	"attachment.attach-time":           one(func(v *volumeRow) string { return attachedOnly(v, timestamp(v.Attached)) }),
	"attachment.delete-on-termination": one(func(v *volumeRow) string { return attachedOnly(v, strconv.FormatBool(v.DeleteOnTermination)) }),
	"attachment.device":                one(func(v *volumeRow) string { return v.Device }),
	"attachment.instance-id":           one(func(v *volumeRow) string { return v.InstanceID }),
	"attachment.status":                one(func(v *volumeRow) string { return attachedOnly(v, v.attachment()) }),
	"availability-zone":                one(func(v *volumeRow) string { return v.Zone }),
	"availability-zone-id":             one(func(v *volumeRow) string { return zoneID(v.Region, v.Zone) }),
	"fast-restored":                    constantly[volumeRow]("false"),
	"multi-attach-enabled":             constantly[volumeRow]("false"),
	"create-time":                      one(func(v *volumeRow) string { return timestamp(v.Created) }),
	"encrypted":                        flag(func(v *volumeRow) bool { return v.Encrypted }),
	"size":                             one(func(v *volumeRow) string { return number(v.SizeGiB) }),
	"snapshot-id":                      one(func(v *volumeRow) string { return v.SnapshotID }),
	"status":                           one(func(v *volumeRow) string { return v.State }),
	"volume-id":                        one(func(v *volumeRow) string { return v.ID }),
	"volume-type":                      one(func(v *volumeRow) string { return v.Type }),
}

// attachedOnly is what a filter sees of an attachment.
func attachedOnly(v *volumeRow, value string) string {
	if v.InstanceID == "" {
		return ""
	}
	return value
}

func describeVolumes(q *call, in *describeVolumesRequest) (*describeVolumesAnswer, error) {
	match, err := filters(in.Filter, volumeFilters, func(v *volumeRow) map[string]string { return q.ownTags(v.ID) })
	if err == nil {
		err = noPagesWithIDs(in.pageParams, in.VolumeId, "volumeId")
	}
	if err != nil {
		return nil, err
	}
	for _, id := range in.VolumeId {
		if _, err := q.volume(id); err != nil {
			return nil, err
		}
	}
	wanted := patterns(in.VolumeId)
	var found []*volumeRow
	for id, v := range q.volumes.Scan(q.tx, q.key()) {
		if !q.unseen(v.Created) && (len(in.VolumeId) == 0 || wanted(id)) && match.match(v) {
			found = append(found, v)
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(v *volumeRow) string { return v.ID })
	out := &describeVolumesAnswer{NextToken: next}
	for _, v := range rows {
		out.Volumes.Items = append(out.Volumes.Items, q.volumeItem(*v))
	}
	return out, err
}

type createVolumeRequest struct {
	AvailabilityZone         string
	Size                     int32
	SnapshotId               string
	VolumeType               string
	Iops, Throughput         int32
	VolumeInitializationRate int32
	Encrypted                *bool
	KmsKeyId                 string
	ClientToken              string
	TagSpecification         []tagSpecParam
}

// createVolume makes a volume of a snapshot, or an empty one.
func createVolume(q *call, in *createVolumeRequest) (*volumeItem, error) {
	token, err := q.clientToken(in.ClientToken, withoutToken(*in, func(r *createVolumeRequest) { r.ClientToken = "" }))
	if err != nil {
		return nil, err
	}
	if v, err := q.volume(token.ID); err == nil {
		item := q.volumeItem(v)
		return &item, nil
	}
	specs, err := tagSpecs(in.TagSpecification, "volume")
	if err != nil {
		return nil, err
	}
	r, _ := regionByName(q.Region)
	if !slices.Contains(zoneNames(r), in.AvailabilityZone) {
		return nil, fail("InvalidZone.NotFound", "The zone '%s' does not exist.", in.AvailabilityZone)
	}
	if err := checkInitialization(in.VolumeInitializationRate); err != nil {
		return nil, err
	}
	var source snapshotRow
	if in.SnapshotId != "" {
		if source, err = q.sourceSnapshot(q.Region, in.SnapshotId); err != nil {
			return nil, err
		}
	}
	d := device{SnapshotID: in.SnapshotId, SizeGiB: in.Size, Type: in.VolumeType, IOPS: in.Iops, Throughput: in.Throughput}
	if d, err = q.encrypted(d, in.Encrypted, in.KmsKeyId, source); err == nil {
		d, err = d.complete(source)
	}
	if err != nil {
		return nil, err
	}
	v := q.newVolume(d, source.Blob, in.AvailabilityZone)
	v.State = "creating"
	q.volumes.Put(q.tx, v.ID, v)
	q.setTags(v.ID, specs["volume"])
	q.keepToken(in.ClientToken, token, v.ID)
	q.after(func() { q.jobs.run(v.ID, func() { _ = q.fillVolume(v.ID) }) })
	item := q.volumeItem(v)
	return &item, nil
}

func (q *call) newVolume(d device, blob, zone string) volumeRow {
	return volumeRow{place: q.place, ID: newID("vol-"), Zone: zone, SnapshotID: d.SnapshotID, Blob: blob, SizeGiB: d.SizeGiB,
		Type: d.Type, IOPS: d.IOPS, Throughput: d.Throughput, Encrypted: d.Encrypted, KMSKey: d.KMSKey, Fault: d.fault, Created: q.now,
		Device: d.Name, DeleteOnTermination: d.DeleteOnTermination}
}

// complete fills in what a mapping leaves out and checks it against its snapshot.
func (d device) complete(source snapshotRow) (device, error) {
	if d.Type == "" {
		d.Type = "gp3"
	}
	if d.SizeGiB == 0 {
		d.SizeGiB = source.SizeGiB
	}
	if d.SizeGiB == 0 {
		return d, missing("size or snapshotId")
	}
	if d.Type == "gp3" && d.IOPS == 0 {
		d.IOPS = usualIOPS
	}
	if d.Type == "gp3" && d.Throughput == 0 {
		d.Throughput = usualThroughput
	}
	if err := d.checkVolume(); err != nil {
		return d, err
	}
	if d.SizeGiB < source.SizeGiB {
		return d, fail("InvalidBlockDeviceMapping", "Volume of size %dGB is smaller than snapshot '%s', expect size >= %dGB",
			d.SizeGiB, source.ID, source.SizeGiB)
	}
	return d, nil
}

type volumeRequest struct {
	VolumeId string `query:",required"`
}

func deleteVolume(q *call, in *volumeRequest) (*done, error) {
	v, err := q.volume(in.VolumeId)
	if err != nil {
		return nil, err
	}
	if v.InstanceID != "" {
		return nil, fail("VolumeInUse", "Volume %s is currently attached to %s", v.ID, v.InstanceID)
	}
	v.State = "deleting"
	q.volumes.Put(q.tx, v.ID, v)
	q.after(func() { q.jobs.run(v.ID, func() { q.removeVolume(v.ID) }) })
	return success, nil
}
