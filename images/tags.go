package images

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// The tags that imgops sets on images, snapshots and temporary resources. Every resource gets its tags in the call
// that makes it: a tag that comes later is one that a crash can lose.
const (
	TagFleet      = "imgops:fleet"
	TagRole       = "imgops:role"
	TagDigest     = "imgops:digest"
	TagCommit     = "imgops:commit"
	TagBranch     = "imgops:branch"
	TagBase       = "imgops:base"
	TagRun        = "imgops:run"
	TagBuiltAt    = "imgops:built-at"
	TagVerified   = "imgops:verified"    // the tests digest
	TagVerifiedAt = "imgops:verified-at" // when, RFC 3339
	TagRejected   = "imgops:rejected"    // the reason
	TagDefault    = "imgops:default"     // "true" on the current default
	TagPromoted   = "imgops:promoted"    // "<main commit> <RFC 3339>"
	TagConfirmed  = "imgops:confirmed"   // the same, of a later main commit that wanted the same image; in the build location only
	TagRetired    = "imgops:retired"     // when, who and why: on the last default of a role that was retired
	TagExpires    = "imgops:expires"     // on temporary resources, RFC 3339
	TagRemoving   = "imgops:removing"    // since when gc removes an old image: its snapshots can be left for the next gc
	TagDeprecated = "imgops:deprecated"  // from when on, by gc: taken back when the image is kept again; on the image only
	TagName       = "Name"
)

// DirtySuffix ends imgops:commit on an image that was built from a tree with uncommitted changes.
const DirtySuffix = "-dirty"

// EC2Tags turns a map into the SDK's list, leaving empty values out. The list is sorted by key: a request that is
// repeated with the same client token must be the same request (IdempotentParameterMismatch).
func EC2Tags(m map[string]string) []types.Tag {
	tags := make([]types.Tag, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if v := m[k]; v != "" {
			tags = append(tags, types.Tag{Key: aws.String(k), Value: aws.String(v)})
		}
	}
	return tags
}

// BuildTags returns the tags that identify a freshly built candidate.
func (i Image) BuildTags() map[string]string {
	return map[string]string{
		TagName: i.Name, TagFleet: i.Fleet, TagRole: i.Role, TagDigest: i.Digest, TagCommit: i.Commit,
		TagBranch: tagValue(i.Branch), TagBase: i.Base, TagRun: i.Run, TagBuiltAt: formatTime(i.BuiltAt),
	}
}

// Dirty says that the image was built from a tree with uncommitted changes; it can never be promoted.
func (i Image) Dirty() bool { return strings.HasSuffix(i.Commit, DirtySuffix) }

// String is the value of the imgops:promoted tag.
func (p Promoted) String() string {
	if p.Commit == "" {
		return ""
	}
	return p.Commit + " " + formatTime(p.At)
}

// parsePromoted reads the imgops:promoted tag; a value that it cannot read gives the zero Promoted.
func parsePromoted(s string) Promoted {
	commit, at, ok := strings.Cut(s, " ")
	if !ok {
		return Promoted{}
	}
	return Promoted{Commit: commit, At: parseTime(at)}
}

// fromEC2 decodes an image as an account sees it.
func fromEC2(loc Location, e types.Image) Image {
	img := Image{
		ID: aws.ToString(e.ImageId), Name: aws.ToString(e.Name), Location: loc, Owner: aws.ToString(e.OwnerId),
		State: string(e.State), Architecture: string(e.Architecture), RootDevice: aws.ToString(e.RootDeviceName),
		SourceID: aws.ToString(e.SourceImageId), SourceRegion: aws.ToString(e.SourceImageRegion),
		Created: parseTime(aws.ToString(e.CreationDate)), Tags: map[string]string{},
		Deprecated: parseTime(aws.ToString(e.DeprecationTime)), LastLaunched: parseTime(aws.ToString(e.LastLaunchedTime)),
	}
	if r := e.StateReason; r != nil {
		img.StateReason = strings.TrimSpace(aws.ToString(r.Code) + " " + aws.ToString(r.Message))
	}
	for _, m := range e.BlockDeviceMappings {
		if m.Ebs == nil {
			continue
		}
		if id := aws.ToString(m.Ebs.SnapshotId); id != "" {
			img.Snapshots = append(img.Snapshots, id)
		}
		if device := aws.ToString(m.DeviceName); device == img.RootDevice {
			img.DiskGiB = aws.ToInt32(m.Ebs.VolumeSize)
		} else {
			img.Volumes = append(img.Volumes, Volume{Device: device, DeleteOnTermination: aws.ToBool(m.Ebs.DeleteOnTermination)})
		}
	}
	for _, t := range e.Tags {
		img.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	img.decodeTags()
	return img
}

func (i *Image) decodeTags() {
	t := i.Tags
	i.Fleet, i.Role, i.Digest = t[TagFleet], t[TagRole], t[TagDigest]
	i.Commit, i.Branch, i.Base, i.Run = t[TagCommit], t[TagBranch], t[TagBase], t[TagRun]
	i.BuiltAt, i.Verified, i.VerifiedAt = parseTime(t[TagBuiltAt]), t[TagVerified], parseTime(t[TagVerifiedAt])
	i.Rejected, i.Default, i.Promoted = t[TagRejected], t[TagDefault] == "true", parsePromoted(t[TagPromoted])
	i.Confirmed = parsePromoted(t[TagConfirmed])
}

// TagText makes a person's text fit a tag: one line, 256 characters at most.
func TagText(s string) string { return tagValue(strings.Join(strings.Fields(s), " ")) }

// tagValue cuts a text to what a tag may hold: 256 characters (ec2 user guide, Using_Tags).
func tagValue(s string) string {
	if r := []rune(s); len(r) > 256 {
		return string(r[:256])
	}
	return s
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// parseTime reads RFC 3339 with or without fractions (CreationDate has milliseconds); anything else is the zero time.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
