package promoter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/imgops/imgops/images"
)

// copies makes the copies of one kind and waits until they are available, and those that earlier runs began with them.
func (a *applier) copies(ctx context.Context, own bool) {
	steps := a.of(stage{ActionCopy, own})
	a.begin(ctx, steps)
	a.wait(ctx, append(steps, a.of(stage{ActionWait, own})...))
	// A client token can lead to a copy that was deregistered since: EC2 keeps tokens longer than images.
	var again []*Step
	for _, s := range steps {
		if at := a.spot(s); errors.Is(a.failed[at], images.ErrNotFound) && s.Image != "" && ctx.Err() == nil {
			s.dead, s.Image = slices.Concat(s.dead, []string{s.Image}), ""
			delete(a.failed, at)
			again = append(again, s)
		}
	}
	a.begin(ctx, again)
	a.wait(ctx, again)
}

// begin asks for the copies. Their ids are recorded at once: a wait that fails must not lose them.
func (a *applier) begin(ctx context.Context, steps []*Step) {
	var work []func() error
	for _, s := range steps {
		work = append(work, func() error {
			if ctx.Err() != nil || a.blocked(s) != nil {
				return nil //nolint:nilerr // what is not done is listed as left, with this reason
			}
			a.progress.Say(s.Role+": copy", s.Location.String())
			if err := a.copy(ctx, s); err != nil {
				a.end(s, err)
			}
			return nil
		})
	}
	_ = a.parallel(work) // the errors are in a.failed
}

// copy asks for one copy, in the destination's account and Region.
func (a *applier) copy(ctx context.Context, s *Step) error {
	source := a.copySource(s)
	in := a.copyInput(*s, source)
	api, err := a.ec2(ctx, s.Location)
	if err != nil {
		return err
	}
	var out *ec2.CopyImageOutput
	began := time.Now()
	err = images.Poll(ctx, func(ctx context.Context) (bool, error) {
		out, err = api.CopyImage(ctx, in)
		if images.Code(err) == "ResourceLimitExceeded" { // copies per Region: wait for a slot; the SDK does not retry it
			a.progress.Say(s.Role+": copy", "a free slot for copies in "+s.Location.String())
			return false, nil
		}
		if images.Code(err) == "InvalidAMIID.NotFound" && time.Since(began) < a.unseen() { // made a moment ago
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("copying image %s from %s to %s: %w", source.ID, s.Region, s.Location, err)
	}
	s.From, s.Image = source.ID, aws.ToString(out.ImageId)
	a.learn(a.spot(s), images.Image{ID: s.Image, Location: s.Location, State: pending})
	return nil
}

// copySource is the build location's image, or for an own copy its Region's.
func (a *applier) copySource(s *Step) images.Image {
	at := spot{s.Role, a.opts.Build}
	if s.own {
		at.loc = a.home(s.Location.Region)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[at]
}

// copyInput is the request for a copy. Its client token is derived from the request, so that a second process that
// asks for the same copy gets the same image.
func (a *applier) copyInput(s Step, source images.Image) *ec2.CopyImageInput {
	in := &ec2.CopyImageInput{
		Name: aws.String(source.Name), SourceImageId: aws.String(source.ID), SourceRegion: aws.String(s.Region),
		Description: aws.String(fmt.Sprintf("imgops: role %s of fleet %s, copy of %s in %s", s.Role, a.opts.Fleet, source.ID, s.Region)),
		TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeImage, Tags: images.EC2Tags(s.Tags)},
			{ResourceType: types.ResourceTypeSnapshot, Tags: images.EC2Tags(s.Tags)},
		},
	}
	if s.own {
		in.Encrypted = aws.Bool(true)
		if s.KMSKey != "" {
			in.KmsKeyId = aws.String(s.KMSKey)
		}
	}
	in.ClientToken = aws.String(token(s, source))
	return in
}

// token is at most 64 ASCII characters (EC2 API, CopyImage). Everything in the request is in it, since EC2 refuses a
// known token with other parameters; and so are the copies of no use, to which it must not lead back.
func token(s Step, source images.Image) string {
	text, err := json.Marshal([]any{source.ID, source.Name, s.Region, s.Location, s.KMSKey, s.Tags, s.dead})
	if err != nil { // strings, and a map of strings: cannot be
		text = []byte(strings.Join(append(s.dead, source.ID, s.Region, s.Location.String(), s.KMSKey), "\n"))
	}
	sum := sha256.Sum256(text)
	return "imgops-" + hex.EncodeToString(sum[:])[:48]
}

// wait waits until the images are available, with one call for all images of a location at each poll.
func (a *applier) wait(ctx context.Context, steps []*Step) {
	var open []*Step
	for _, s := range steps {
		if s.Image != "" && a.blocked(s) == nil {
			open = append(open, s)
		}
	}
	a.atEach(byLocation(open), func(loc images.Location, steps []*Step) {
		for s, w := range a.waitAt(ctx, loc, steps) {
			if w.Err == nil {
				a.learn(a.spot(s), w.Image)
			}
			a.end(s, w.Err)
		}
	})
}

// waitAt waits for the images of the steps as the account of a location sees them.
func (a *applier) waitAt(ctx context.Context, loc images.Location, steps []*Step) map[*Step]images.Waited {
	ended := map[*Step]images.Waited{}
	catalogue, err := images.Open(ctx, a.clients, loc)
	if err != nil {
		for _, s := range steps {
			ended[s] = images.Waited{Err: err}
		}
		return ended
	}
	var ids []string
	roles := map[string]string{}
	for _, s := range steps {
		ids = append(ids, s.Image)
		roles[s.Image] = s.Role
	}
	waited := catalogue.WaitAll(ctx, ids, a.opts.Patience, func(id, state string) {
		a.progress.Say(roles[id]+": wait for "+id, loc.String()+": "+state)
	})
	for _, s := range steps {
		ended[s] = waited[s.Image]
	}
	return ended
}
