package images

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// deprecationAPI is what deprecating an image needs of EC2.
type deprecationAPI interface {
	EC2API
	EnableImageDeprecation(context.Context, *ec2.EnableImageDeprecationInput, ...func(*ec2.Options)) (*ec2.EnableImageDeprecationOutput, error)
	DisableImageDeprecation(context.Context, *ec2.DisableImageDeprecationInput, ...func(*ec2.Options)) (*ec2.DisableImageDeprecationOutput, error)
}

// DeprecatedByUs says that gc has deprecated the image, or was about to: that is taken back when the image is kept again.
func (i Image) DeprecatedByUs() bool { return i.Tags[TagDeprecated] != "" }

// soon is the next moment at which EC2 lets a deprecation begin: it rounds to the minute and refuses what is past by its
// own clock (EC2 API, EnableImageDeprecation).
func soon(now time.Time) time.Time { return now.UTC().Truncate(time.Minute).Add(2 * time.Minute) }

// deprecate marks an image and has EC2 deprecate it from a moment on. The mark comes first: a killed process leaves one
// too many rather than a deprecation that nobody takes back.
func deprecate(ctx context.Context, api deprecationAPI, img Image, at time.Time) error {
	if err := NewCatalogue(img.Location, api).TagImages(ctx, []string{img.ID}, map[string]string{TagDeprecated: formatTime(at)}); err != nil {
		return err
	}
	_, err := api.EnableImageDeprecation(ctx, &ec2.EnableImageDeprecationInput{ImageId: aws.String(img.ID), DeprecateAt: aws.Time(at)})
	return err
}

// Undeprecate takes the deprecation of an image back, and the mark of it. What is not deprecated stays so.
func Undeprecate(ctx context.Context, api deprecationAPI, img Image) error {
	if _, err := api.DisableImageDeprecation(ctx, &ec2.DisableImageDeprecationInput{ImageId: aws.String(img.ID)}); err != nil {
		return fmt.Errorf("taking back the deprecation of image %s in %s: %w", img.ID, img.Location, err)
	}
	img.Snapshots = nil // the mark is on the image only
	return NewCatalogue(img.Location, api).Tag(ctx, img, map[string]string{TagDeprecated: ""})
}

// stages says, for the images that can go, what the cleaner does with each. Without a time of deprecation they are removed.
// With it they are deprecated first; what others were copied from or built on stays as long as those do. expired has those
// before it.
func (c *Cleaner) stages(expired []Image) []Old {
	now, until := c.Clock(), map[string]time.Time{}
	var list []Old
	for _, img := range expired {
		o := Old{Image: img, Location: img.Location, Role: img.Role, Why: c.why(img), Action: CleanRemove, Deprecated: img.Deprecated}
		if c.Policy.DeprecateFor > 0 {
			o.stage(now, c.Policy.DeprecateFor, until[img.ID])
		}
		for _, above := range []string{img.SourceID, img.Base} {
			until[above] = later(until[above], o.Removable)
		}
		list = append(list, o)
	}
	return list
}

// stage decides by when the image is, or is going to be, deprecated. It stays until then at least.
func (o *Old) stage(now time.Time, deprecateFor time.Duration, until time.Time) {
	o.Action = CleanWait
	if o.Deprecated.IsZero() || o.Deprecated.After(soon(now)) { // a later moment is somebody else's
		o.Action, o.Deprecated = CleanDeprecate, soon(now)
	}
	o.Removable = later(o.Deprecated.Add(deprecateFor), until)
	if o.Action == CleanWait && !now.Before(o.Removable) {
		o.Action, o.Removable = CleanRemove, time.Time{}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// keptAgain lists the images that gc has deprecated and that retention keeps by now.
func keptAgain(all, expired []Image) []Old {
	old := map[string]bool{}
	for _, img := range expired {
		old[img.ID] = true
	}
	var list []Old
	for _, img := range all {
		if img.DeprecatedByUs() && !old[img.ID] {
			list = append(list, Old{
				Image: img, Location: img.Location, Role: img.Role, Action: CleanUndeprecate, Deprecated: img.Deprecated,
				Why: "retention keeps it again",
			})
		}
	}
	return list
}
