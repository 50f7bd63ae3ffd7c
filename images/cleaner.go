package images

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Old is an image that retention no longer keeps, or a snapshot that such an image has left.
type Old struct {
	Image    Image  // zero for a snapshot
	Snapshot string // id; "" for an image, which goes with its snapshots
	Location Location
	Role     string
	Why      string // it can go
}

// ID is what is removed: an image's or a snapshot's id.
func (o Old) ID() string {
	if o.Snapshot != "" {
		return o.Snapshot
	}
	return o.Image.ID
}

// Cleaner finds and removes the old images of a fleet, in all of its locations.
type Cleaner struct {
	Clients Clients
	Query   Query // with all roles and Copies
	Policy  Retention
	Clock   func() time.Time
	// Note, which may be nil, is told of locations that could not be asked; what they could use is kept.
	Note func(string)
}

// Find lists what can go, in the order in which it can. Nothing is changed. An image is kept as Expired says, and when
// an account of the fleet names it in a pointer or a hold, has an instance of it that is not terminated, or names it in a
// launch template or another parameter. An error means that nobody knows, and then there is nothing in the list.
func (c *Cleaner) Find(ctx context.Context) ([]Old, error) {
	view, err := Look(ctx, c.Clients, c.Query)
	if err != nil {
		return nil, err
	}
	all, inUse, policy := c.pointed(view)
	expired := Expired(c.Clock(), all, policy, inUse)
	if err := c.addUses(ctx, expired, inUse); err != nil {
		return nil, err
	}
	var list []Old
	for _, img := range Expired(c.Clock(), all, policy, inUse) {
		list = append(list, Old{Image: img, Location: img.Location, Role: img.Role, Why: c.why(img)})
	}
	left, err := c.orphans(ctx, slices.SortedFunc(maps.Keys(view.Own), Location.Compare))
	return append(list, left...), err
}

// pointed gives all images, and those that pointers and holds name; the roles that are held are added to the policy.
func (c *Cleaner) pointed(v View) (all []Image, inUse map[string]bool, policy Retention) {
	inUse, policy = map[string]bool{}, c.Policy
	for _, loc := range slices.SortedFunc(maps.Keys(v.Own), Location.Compare) {
		all = append(all, v.Own[loc]...)
	}
	for _, pointers := range v.Pointers {
		for _, p := range pointers {
			inUse[p.Image] = true
		}
	}
	policy.Held = maps.Clone(policy.Held)
	if policy.Held == nil {
		policy.Held = map[string]bool{}
	}
	for role, hold := range v.Holds {
		policy.Held[role], inUse[hold.Image] = true, true
	}
	return all, inUse, policy
}

func (c *Cleaner) why(img Image) string {
	text := fmt.Sprintf("not one of the %d newest of role %s, last wanted, launched or built on %s, not in use", c.Policy.Keep, img.Role, lastUse(img).Format(time.DateOnly))
	if img.Rejected != "" {
		text = "rejected: " + img.Rejected + "; not in use, and older than min_age"
	}
	return text
}

// addUses asks each account, in the Region of each candidate, whether it uses it.
func (c *Cleaner) addUses(ctx context.Context, candidates []Image, inUse map[string]bool) error {
	ids := map[Location][]string{}
	for _, img := range candidates {
		asked := map[Location]bool{img.Location: true}
		for _, loc := range c.Query.locations() {
			if img.Location.Account == c.Query.Build.Account && loc.Region == img.Location.Region {
				asked[loc] = true
			}
		}
		for loc := range asked {
			ids[loc] = append(ids[loc], img.ID)
		}
	}
	places := slices.SortedFunc(maps.Keys(ids), Location.Compare)
	var mu sync.Mutex
	return each(ctx, len(places), func(ctx context.Context, i int) error {
		api, err := c.Clients.EC2(ctx, places[i])
		if err != nil {
			return fmt.Errorf("connecting to EC2 of %s: %w", places[i], err)
		}
		used, err := Used(ctx, api, ids[places[i]])
		if isDenied(err) {
			used, err = ids[places[i]], nil
			c.note(fmt.Sprintf("account %s may not be asked what uses images in %s: what it could use is kept (it takes ec2:DescribeImageReferences or ec2:DescribeInstances)",
				places[i].Account, places[i].Region))
		}
		if err != nil {
			return fmt.Errorf("asking what uses images in %s: %w", places[i], err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, id := range used {
			inUse[id] = true
		}
		return nil
	})
}

func (c *Cleaner) note(text string) {
	if c.Note != nil {
		c.Note(text)
	}
}

// Remove removes what a Find has listed and another one, right now, lists still. Images go with their snapshots. It
// ends with the first error, since what comes later may depend on what was not removed; doing it again goes on. mine is
// asked before each removal whether the caller still has the right to it.
func (c *Cleaner) Remove(ctx context.Context, list []Old, mine func() error, progress Progress) (gone []Old, err error) {
	again, err := c.Find(ctx)
	if err != nil {
		return nil, err
	}
	still := map[string]bool{}
	for _, o := range again {
		still[o.ID()] = true
	}
	for _, o := range list {
		if !still[o.ID()] {
			continue
		}
		if err := mine(); err != nil {
			return gone, err
		}
		api, err := c.Clients.EC2(ctx, o.Location)
		if err != nil {
			return gone, fmt.Errorf("connecting to EC2 of %s: %w", o.Location, err)
		}
		progress.Say(o.Role+": remove "+o.ID(), o.Location.String())
		if o.Snapshot != "" {
			err = removeSnapshot(ctx, api, o.Snapshot)
		} else {
			err = c.removeImage(ctx, api, o.Image)
		}
		if err != nil {
			return gone, fmt.Errorf("removing %s in %s: %w", o.ID(), o.Location, err)
		}
		gone = append(gone, o)
	}
	return gone, nil
}

// removeImage removes an image. That it was rejected is kept.
func (c *Cleaner) removeImage(ctx context.Context, api removalAPI, img Image) error {
	if img.Rejected != "" && img.Location == c.Query.Build {
		parameters, err := c.Clients.SSM(ctx, img.Location)
		if err != nil {
			return fmt.Errorf("connecting to SSM of %s: %w", img.Location, err)
		}
		if err := keepRejection(ctx, parameters, img, c.Clock()); err != nil {
			return err
		}
	}
	return removeImage(ctx, api, img, c.Clock())
}
