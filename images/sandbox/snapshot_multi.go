package sandbox

import (
	"cmp"
	"maps"
	"slices"

	"github.com/imgops/imgops/images/sandbox/query"
)

type createSnapshotsRequest struct {
	InstanceSpecification struct {
		InstanceId          string `query:",required"`
		ExcludeBootVolume   bool
		ExcludeDataVolumeId []string
	}
	Description        string
	CopyTagsFromSource string
	TagSpecification   []tagSpecParam
}

type snapshotInfo struct {
	Description string               `xml:"description"`
	Tags        *query.List[tagItem] `xml:"tagSet"`
	Encrypted   bool                 `xml:"encrypted"`
	VolumeID    string               `xml:"volumeId"`
	State       string               `xml:"state"`
	SizeGiB     int32                `xml:"volumeSize"`
	Started     string               `xml:"startTime"`
	Progress    string               `xml:"progress"`
	OwnerID     string               `xml:"ownerId"`
	ID          string               `xml:"snapshotId"`
}

type createSnapshotsAnswer struct {
	Snapshots query.List[snapshotInfo] `xml:"snapshotSet"`
}

// createSnapshots makes snapshots of an instance's volumes. One after the other in the instance's lane, they are of the same disks
// as long as nothing writes meanwhile; EC2's are of one moment.
func createSnapshots(q *call, in *createSnapshotsRequest) (*createSnapshotsAnswer, error) {
	specs, err := tagSpecs(in.TagSpecification, "snapshot")
	if err != nil {
		return nil, err
	}
	if in.CopyTagsFromSource != "" && in.CopyTagsFromSource != "volume" {
		return nil, badParameter(in.CopyTagsFromSource, "copyTagsFromSource", "Valid values: volume.")
	}
	i, err := q.instance(in.InstanceSpecification.InstanceId)
	if err != nil {
		return nil, err
	}
	if i.State != running && i.State != stopped && i.State != stopping {
		return nil, fail("IncorrectInstanceState", "The instance '%s' is not in a state from which its volumes can be captured; it is '%s'", i.ID, i.State)
	}
	volumes, err := q.snapshotVolumes(&i, in)
	if err != nil {
		return nil, err
	}
	out := &createSnapshotsAnswer{}
	for _, v := range volumes {
		tags := map[string]string{}
		if in.CopyTagsFromSource != "" {
			maps.Copy(tags, q.ownTags(v.ID))
		}
		maps.Copy(tags, specs["snapshot"])
		if len(tags) > maxTags {
			return nil, fail("TagLimitExceeded", "The snapshot of volume %s would have %d tags, and %d are the most", v.ID, len(tags), maxTags)
		}
		s := q.newSnapshot(v, in.Description, tags)
		q.after(func() { q.jobs.run(i.ID, func() { q.captureSnapshot(s.ID) }) })
		item := q.snapshotItem(s)
		out.Snapshots.Items = append(out.Snapshots.Items, snapshotInfo{s.Description, item.Tags, s.Encrypted, s.VolumeID, s.State, s.SizeGiB, item.Started, item.Progress, s.Account, s.ID})
	}
	return out, nil
}

// snapshotVolumes are those of the instance that the request does not leave out, the root first. (EC2 API Reference, InstanceSpecification)
func (q *call) snapshotVolumes(i *instanceRow, in *createSnapshotsRequest) ([]volumeRow, error) {
	left := in.InstanceSpecification
	all := q.volumesOf(q.tx, i)
	for _, id := range left.ExcludeDataVolumeId {
		switch {
		case id == i.VolumeID:
			return nil, combination("%s is the root volume of %s; leave it out by ExcludeBootVolume", id, i.ID)
		case !slices.ContainsFunc(all, func(v volumeRow) bool { return v.ID == id }):
			return nil, badParameter(id, "excludeDataVolumeId", "It is not attached to the instance.")
		}
	}
	all = slices.DeleteFunc(all, func(v volumeRow) bool {
		return v.ID == i.VolumeID && left.ExcludeBootVolume || slices.Contains(left.ExcludeDataVolumeId, v.ID)
	})
	if len(all) == 0 {
		return nil, combination("No volume of %s is left to be captured", i.ID)
	}
	slices.SortFunc(all, func(a, b volumeRow) int {
		return cmp.Or(order(a.ID == i.VolumeID)-order(b.ID == i.VolumeID), cmp.Compare(a.Device, b.Device))
	})
	return all, nil
}
