package builder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/imgops/imgops/images"
)

// leaseTime is how long a killed run holds others up. What follows from a lease that was lost is a second image of the
// digest at worst, so that it can be longer than a rollback could wait.
const leaseTime = 3 * time.Minute

// Turn is a run's claim to build a digest, or to verify an image.
type Turn struct {
	Location images.Location // the build location, which keeps the lease
	Fleet    string
	Role     string
	Digest   string
	Run      string
	Commit   string
	Verify   string // what is verified, where that is what the turn is for; it names the lease
	Again    bool   // build even where an image of the digest is there, unless another run is about to make one
	Progress images.Progress
}

func (t Turn) what() string {
	if t.Verify != "" {
		return "verifies the same image"
	}
	return "builds the same digest"
}

func (t Turn) name() string {
	if t.Verify != "" {
		return fmt.Sprintf("/imgops/%s/%s/verifying/%s", t.Fleet, t.Role, t.Verify)
	}
	digest := strings.TrimPrefix(t.Digest, "sha256:")
	return fmt.Sprintf("/imgops/%s/%s/building/%s", t.Fleet, t.Role, digest[:min(len(digest), 12)])
}

// Once lets one run at a time build a digest. The run that comes second waits, or comes when the first has just finished,
// and takes what made finds: the image of the first. Where that finds none (an image without an id), it builds. A
// verification is done in turn likewise: made then finds the image when it is verified, and build verifies it.
func Once(ctx context.Context, clients images.Clients, t Turn, made, build func(context.Context) (images.Image, error)) (img images.Image, err error) {
	leases, err := images.OpenLeases(ctx, clients, t.Location, time.Now)
	if err != nil {
		return img, err
	}
	waited := false
	lease, err := leases.Take(ctx, t.name(), t.Run, t.Commit, leaseTime, func(other images.Lease) {
		waited = true
		t.Progress.Say("wait", "run "+other.Run+", which "+t.what()+"; if it was killed, its lease ends at "+other.Ends()+", or with imgops gc --run "+other.Run)
	})
	if err != nil {
		return img, err
	}
	kept := leases.Keep(ctx, lease, leaseTime)
	defer func() {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, kept.Return(back))
	}()
	if waited || !t.Again {
		if img, err := made(ctx); err != nil || img.ID != "" {
			return img, err
		}
	}
	return build(ctx)
}
