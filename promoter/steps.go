package promoter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/imgops/imgops/images"
)

func (a *applier) tag(ctx context.Context, s *Step) error {
	img := a.image(s)
	catalogue, err := images.Open(ctx, a.clients, s.Location)
	if err != nil {
		return err
	}
	return a.settle(ctx, func(ctx context.Context) error { return catalogue.Tag(ctx, img, s.Tags) })
}

// shareSnapshots lets the accounts copy the image.
func (a *applier) shareSnapshots(ctx context.Context, s *Step) error {
	return a.snapshotPermission(ctx, s, func(in *ec2.ModifySnapshotAttributeInput, entries []types.CreateVolumePermission) {
		in.CreateVolumePermission = &types.CreateVolumePermissionModifications{Add: entries}
	})
}

// share lets the accounts launch the image.
func (a *applier) share(ctx context.Context, s *Step) error {
	return a.launchPermission(ctx, s, &types.LaunchPermissionModifications{Add: permissions(s.Accounts)})
}

// unshare withdraws the launch permission last: as long as an account has it, the next plan still sees what is left.
func (a *applier) unshare(ctx context.Context, s *Step) error {
	err := a.snapshotPermission(ctx, s, func(in *ec2.ModifySnapshotAttributeInput, entries []types.CreateVolumePermission) {
		in.CreateVolumePermission = &types.CreateVolumePermissionModifications{Remove: entries}
	})
	if err != nil {
		return err
	}
	return a.launchPermission(ctx, s, &types.LaunchPermissionModifications{Remove: permissions(s.Accounts)})
}

func (a *applier) launchPermission(ctx context.Context, s *Step, change *types.LaunchPermissionModifications) error {
	img := a.image(s)
	api, err := a.ec2(ctx, s.Location)
	if err != nil {
		return err
	}
	err = a.settle(ctx, func(ctx context.Context) error {
		_, err := api.ModifyImageAttribute(ctx, &ec2.ModifyImageAttributeInput{ImageId: aws.String(img.ID), LaunchPermission: change})
		return err
	})
	if err != nil {
		return fmt.Errorf("changing the launch permission of image %s in %s: %w", img.ID, s.Location, err)
	}
	return nil
}

// snapshotPermission changes who may copy, in the struct form: EC2 takes an addition or a removal per call.
func (a *applier) snapshotPermission(ctx context.Context, s *Step, change func(*ec2.ModifySnapshotAttributeInput, []types.CreateVolumePermission)) error {
	img := a.image(s)
	if len(img.Snapshots) == 0 {
		return fmt.Errorf("image %s in %s has no snapshots to share", img.ID, s.Location)
	}
	api, err := a.ec2(ctx, s.Location)
	if err != nil {
		return err
	}
	var entries []types.CreateVolumePermission
	for _, account := range s.Accounts {
		entries = append(entries, types.CreateVolumePermission{UserId: aws.String(account)})
	}
	for _, snapshot := range img.Snapshots {
		in := &ec2.ModifySnapshotAttributeInput{SnapshotId: aws.String(snapshot), Attribute: types.SnapshotAttributeNameCreateVolumePermission}
		change(in, entries)
		err := a.settle(ctx, func(ctx context.Context) error {
			_, err := api.ModifySnapshotAttribute(ctx, in)
			return err
		})
		if err != nil {
			return fmt.Errorf("changing the permission of snapshot %s of image %s in %s: %w", snapshot, img.ID, s.Location, err)
		}
	}
	return nil
}

func permissions(accounts []string) []types.LaunchPermission {
	var entries []types.LaunchPermission
	for _, account := range accounts {
		entries = append(entries, types.LaunchPermission{UserId: aws.String(account)})
	}
	return entries
}

// look has each account see its images. Those that pass and whose pointer is right are done with it.
func (a *applier) look(ctx context.Context) {
	var open []*Step
	for _, s := range append(a.of(stage{ActionLook, false}), a.of(stage{ActionPointer, false})...) {
		if ctx.Err() == nil && a.blocked(s) == nil {
			open = append(open, s)
		}
	}
	a.atEach(byLocation(open), func(loc images.Location, steps []*Step) {
		for s, w := range a.waitAt(ctx, loc, steps) {
			switch {
			case errors.Is(w.Err, images.ErrNotFound):
				a.end(s, fmt.Errorf("%w, though it is shared: do the account's Allowed AMIs settings leave the build account %s out?", w.Err, a.opts.Build.Account))
			case w.Err != nil || s.Action == ActionLook:
				a.end(s, w.Err)
			default:
				a.pass(s)
			}
		}
	})
}

func (a *applier) pass(s *Step) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looked[s] = true
}

// point moves the pointer, after look.
func (a *applier) point(ctx context.Context, s *Step) error {
	pointers, err := images.OpenPointers(ctx, a.clients, s.Location, a.opts.Fleet)
	if err != nil {
		return err
	}
	if !a.looked[s] {
		return fmt.Errorf("account %s was not seen to see image %s in %s", s.Location.Account, s.Image, s.Location.Region)
	}
	if err := a.inTurn(); err != nil {
		return err
	}
	_, err = pointers.Set(ctx, s.Role, s.Image, a.describe(s))
	return err
}

// describe is the description of the pointer, which SSM keeps with each version of it.
func (a *applier) describe(s *Step) string {
	r := a.roles[s.Role]
	m := images.Move{Fleet: a.opts.Fleet, Role: s.Role, Digest: r.Digest, Commit: r.Commit, Run: a.opts.Run}
	if back := r.req.back; back != nil {
		m.Rollback, m.Reason = true, back.Reason
	}
	return m.String()
}

// mark tags the new default; its time is that of the tag, right after the pointers.
func (a *applier) mark(ctx context.Context, s *Step) error {
	s.Tags = maps.Clone(s.Tags)
	if commit := s.Tags[images.TagPromoted]; commit != "" {
		s.Tags[images.TagPromoted] = images.Promoted{Commit: commit, At: a.opts.Clock()}.String()
	}
	return a.tag(ctx, s)
}

func (a *applier) unmark(ctx context.Context, s *Step) error {
	s.Tags = map[string]string{images.TagDefault: ""}
	return a.tag(ctx, s)
}

// undeprecate comes after the pointer: a deprecation stops no launch, and must stop no rollback either.
func (a *applier) undeprecate(ctx context.Context, s *Step) error {
	api, err := a.ec2(ctx, s.Location)
	if err != nil {
		return err
	}
	return images.Undeprecate(ctx, api, images.Image{ID: s.Image, Location: s.Location})
}

// settle tries again while EC2 does not know yet what it has just made (EC2 API, eventual consistency).
func (p *Promoter) settle(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.unseen())
	defer cancel()
	var last error
	err := images.Poll(ctx, func(ctx context.Context) (bool, error) {
		last = do(ctx)
		switch images.Code(last) {
		case "InvalidAMIID.NotFound", "InvalidSnapshot.NotFound":
			return false, nil
		}
		return last == nil, last
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// unseen is how long an id that is known to exist may be unknown to a call.
func (p *Promoter) unseen() time.Duration { return min(p.opts.Patience, time.Minute) }
