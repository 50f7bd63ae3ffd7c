package builder

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
)

// stoppedTime is how long CreateImage may still refuse an instance that was seen stopped.
const stoppedTime = 5 * time.Minute

// findFinished looks for the image that an earlier try of this run made, and waits for it. One that came to nothing is
// removed: its name is needed.
func (k *bake) findFinished(ctx context.Context) (images.Image, error) {
	img, err := k.findOurs(ctx)
	if err != nil || img.ID == "" {
		return images.Image{}, err
	}
	switch img.State {
	case string(types.ImageStateAvailable), string(types.ImageStatePending):
		k.image = img
		err := k.waitAvailable(ctx)
		return k.image, err
	}
	k.say("image", "EC2 to remove "+img.ID+", which is "+img.State)
	return images.Image{}, k.remove(ctx, img)
}

// findOurs finds the image with the bake's name and tags; the zero Image when there is none.
func (k *bake) findOurs(ctx context.Context) (images.Image, error) {
	found, err := k.images.ByDigest(ctx, k.want.Fleet, k.want.Role, k.want.Digest)
	if err != nil {
		return images.Image{}, fmt.Errorf("looking for image %s: %w", k.want.Name, err)
	}
	for _, img := range found {
		if img.Name == k.want.Name && img.Run == k.want.Run {
			return img, nil
		}
	}
	return images.Image{}, nil
}

// capture makes the image of the stopped machine, without a reboot.
func (k *bake) capture(ctx context.Context) error {
	k.say("image", "EC2 to begin "+k.want.Name)
	tags := images.EC2Tags(k.want.BuildTags())
	in := &ec2.CreateImageInput{
		InstanceId: aws.String(k.machine.ID), Name: aws.String(k.want.Name), NoReboot: aws.Bool(true),
		Description: aws.String(fmt.Sprintf("role %s of fleet %s, made by imgops", k.want.Role, k.want.Fleet)),
		TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeImage, Tags: tags}, {ResourceType: types.ResourceTypeSnapshot, Tags: tags},
		},
	}
	for _, v := range k.req.Base.Volumes { // on the machine all of them go with it; in the image they do as the base has it
		in.BlockDeviceMappings = append(in.BlockDeviceMappings, types.BlockDeviceMapping{DeviceName: aws.String(v.Device), Ebs: &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(v.DeleteOnTermination)}})
	}
	id, err := k.createImage(ctx, in)
	if images.Code(err) == "InvalidAMIName.Duplicate" {
		// By this very call, when its first answer was lost and the SDK repeated it: then the image has our tags.
		return k.adopt(ctx, err)
	}
	if err != nil {
		return fmt.Errorf("making image %s of %s: %w", k.want.Name, k.machine, err)
	}
	k.image = k.want
	k.image.ID = id
	return nil
}

// createImage sends the request. EC2 may refuse an instance for a while although it was seen stopped.
func (k *bake) createImage(ctx context.Context, in *ec2.CreateImageInput) (string, error) {
	var id string
	until := time.Now().Add(stoppedTime)
	err := images.Poll(ctx, func(ctx context.Context) (bool, error) {
		ctx, cancel := machine.Answered(ctx)
		defer cancel()
		k.asked = true
		out, err := k.api.CreateImage(ctx, in)
		switch code := images.Code(err); {
		case err == nil:
			id = aws.ToString(out.ImageId)
		case code == "IncorrectInstanceState" || code == "InvalidParameterValue":
			if time.Now().Before(until) {
				return false, nil
			}
		}
		return true, err
	})
	return id, err
}

func (k *bake) adopt(ctx context.Context, duplicate error) error {
	img, err := k.findOurs(ctx)
	if err != nil {
		return err
	}
	if img.ID == "" {
		k.asked = false
		return fmt.Errorf("making image %s: the name is taken by an image that is not of run %s: %w", k.want.Name, k.want.Run, duplicate)
	}
	k.image = img
	return nil
}

func (k *bake) waitAvailable(ctx context.Context) error {
	id := k.image.ID
	img, err := k.images.Wait(ctx, id, func(state string) { k.say("image", id+" to be available ("+state+")") })
	if err != nil {
		return err
	}
	k.image = img
	return nil
}

// discard removes the image of a bake that failed, whether its id is known or its answer was lost.
func (k *bake) discard(ctx context.Context) error {
	if !k.asked {
		return nil
	}
	img := k.image
	if img.ID == "" {
		var err error
		if img, err = k.findOurs(ctx); err != nil {
			return fmt.Errorf("image %s in %s: %w", k.want.Name, k.req.Location, err)
		}
	}
	return k.remove(ctx, img)
}

// remove deregisters the image (which cancels one that is pending) and deletes its snapshots. A pending image does not
// name its snapshots, so they are found by the tags that the same call gave them.
func (k *bake) remove(ctx context.Context, img images.Image) error {
	if img.ID != "" {
		_, err := k.api.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: aws.String(img.ID)})
		if err != nil && images.Code(err) != "InvalidAMIID.NotFound" {
			return fmt.Errorf("image %s in %s: %w", img.ID, k.req.Location, err)
		}
	}
	ids, err := k.snapshots(ctx)
	if err != nil {
		return fmt.Errorf("snapshots of image %s in %s: %w", k.want.Name, k.req.Location, err)
	}
	for _, id := range ids {
		if err := k.deleteSnapshot(ctx, id); err != nil {
			return fmt.Errorf("snapshot %s of image %s in %s: %w", id, k.want.Name, k.req.Location, err)
		}
	}
	return nil
}

func (k *bake) snapshots(ctx context.Context) ([]string, error) {
	var ids []string
	in := &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: []types.Filter{
		{Name: aws.String("tag:" + images.TagRun), Values: []string{k.want.Run}},
		{Name: aws.String("tag:" + images.TagName), Values: []string{k.want.Name}},
		{Name: aws.String("tag:" + images.TagDigest), Values: []string{k.want.Digest}},
	}}
	for pages := ec2.NewDescribeSnapshotsPaginator(k.api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range page.Snapshots {
			ids = append(ids, aws.ToString(s.SnapshotId))
		}
	}
	return ids, nil
}

// deleteSnapshot waits out the moment in which a deregistered image still holds its snapshot.
func (k *bake) deleteSnapshot(ctx context.Context, id string) error {
	return images.Poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := k.api.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: aws.String(id)})
		switch images.Code(err) {
		case "InvalidSnapshot.NotFound":
			return true, nil
		case "InvalidSnapshot.InUse":
			return false, nil
		}
		return true, err
	})
}

func fingerprint(word string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(word)))[:8] }
