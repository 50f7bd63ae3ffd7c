package images

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Unseen is how long an id that EC2 gave out may stay unknown to DescribeImages before it is taken for gone.
const Unseen = 5 * time.Minute

// Waited is how the wait for one image ended: the image as it was last seen, and why it is not available.
type Waited struct {
	Image Image
	Err   error
}

// Wait polls until the image is available. A state that cannot become available ends it with EC2's reason. An image
// that is not seen yet is waited for, since a new id may be unknown to DescribeImages for a moment; after Unseen the
// error is an ErrNotFound. seen, which may be nil, is called after each poll.
func (c *Catalogue) Wait(ctx context.Context, id string, seen func(state string)) (Image, error) {
	each := func(_, state string) {
		if seen != nil {
			seen(state)
		}
	}
	w := c.WaitAll(ctx, []string{id}, Unseen, each)[id]
	return w.Image, w.Err
}

// WaitAll is Wait for many images, with one call for all of them at each poll; unseen is how long an image may stay
// invisible. There is one entry per id in the answer.
func (c *Catalogue) WaitAll(ctx context.Context, ids []string, unseen time.Duration, seen func(id, state string)) map[string]Waited {
	ended, last := map[string]Waited{}, map[string]Image{}
	started := time.Now()
	err := Poll(ctx, func(ctx context.Context) (bool, error) {
		open := without(ids, ended)
		found, err := c.Get(ctx, open...)
		if err != nil {
			return false, err
		}
		for _, id := range open {
			last[id] = found[id]
			if seen != nil {
				seen(id, cmp.Or(found[id].State, "not visible yet"))
			}
			if done, err := c.settled(id, found[id], time.Since(started) > unseen); done {
				ended[id] = Waited{found[id], err}
			}
		}
		return len(without(ids, ended)) == 0, nil
	})
	for _, id := range without(ids, ended) {
		ended[id] = Waited{last[id], fmt.Errorf("waiting for image %s in %s (last state %q): %w", id, c.loc, last[id].State, err)}
	}
	return ended
}

// settled says whether the wait for an image is over, and with what error.
func (c *Catalogue) settled(id string, img Image, late bool) (bool, error) {
	switch img.State {
	case string(types.ImageStateAvailable):
		return true, nil
	case string(types.ImageStatePending), string(types.ImageStateTransient):
		return false, nil
	case "":
		if late {
			return true, fmt.Errorf("%w: account %s does not see %s in %s", ErrNotFound, c.loc.Account, id, c.loc.Region)
		}
		return false, nil
	}
	return true, fmt.Errorf("image %s in %s is %s: %s", id, c.loc, img.State, cmp.Or(img.StateReason, "EC2 gives no reason"))
}

func without(ids []string, ended map[string]Waited) []string {
	var open []string
	for _, id := range ids {
		if _, ok := ended[id]; !ok {
			open = append(open, id)
		}
	}
	return open
}

// Poll asks until done, at growing intervals of 50 ms to 15 s: quick where the cloud is quick, gentle where it is slow.
// It ends with the context's cause when the context ends first.
func Poll(ctx context.Context, done func(context.Context) (bool, error)) error {
	for wait := 50 * time.Millisecond; ; wait = min(wait*3/2, 15*time.Second) {
		if ok, err := done(ctx); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
