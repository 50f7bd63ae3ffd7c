package images

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Old is an image that retention no longer keeps, or keeps again, or a snapshot that such an image has left.
type Old struct {
	Image      Image  // zero for a snapshot
	Snapshot   string // id; "" for an image, which goes with its snapshots
	Location   Location
	Role       string
	Why        string    // it can go, or stays again
	Action     string    // one of the Clean actions
	Deprecated time.Time // since when, or from when on with CleanDeprecate; zero: not
	Removable  time.Time // when it has been deprecated for long enough; zero but for CleanDeprecate and CleanWait
}

// What a Cleaner does with an image or snapshot.
const (
	CleanRemove      = "remove"
	CleanDeprecate   = "deprecate"   // now; another run removes it, from Removable on
	CleanWait        = "wait"        // nothing: it is deprecated, and not removable yet
	CleanUndeprecate = "undeprecate" // retention keeps again what a Cleaner has deprecated
)

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

// Find lists what can go, in the order in which it can, after what is kept again. Nothing is changed. An image is kept as Expired says, and when
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
	expired = Expired(c.Clock(), all, policy, inUse)
	list := append(keptAgain(all, expired), c.stages(expired)...)
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

// Clean does what a Find has listed and another one, right now, lists still, and returns what it did: all of it but
// CleanWait. Images go with their snapshots. It ends with the first error, since what comes later may depend on what was
// not done; doing it again goes on. mine is asked before each change whether the caller still has the right to it.
func (c *Cleaner) Clean(ctx context.Context, list []Old, mine func() error, progress Progress) (done []Old, err error) {
	again, err := c.Find(ctx)
	if err != nil {
		return nil, err
	}
	still := map[string]string{}
	for _, o := range again {
		still[o.ID()] = o.Action
	}
	for _, o := range list {
		if o.Action == CleanWait || still[o.ID()] != o.Action {
			continue
		}
		if err := mine(); err != nil {
			return done, err
		}
		progress.Say(o.Role+": "+o.Action+" "+o.ID(), o.Location.String())
		if err := c.clean(ctx, o); err != nil {
			return done, fmt.Errorf("%s %s in %s: %w", cleaning[o.Action], o.ID(), o.Location, err)
		}
		done = append(done, o)
	}
	return done, nil
}

var cleaning = map[string]string{CleanRemove: "removing", CleanDeprecate: "deprecating", CleanUndeprecate: "keeping"}

func (c *Cleaner) clean(ctx context.Context, o Old) error {
	api, err := c.Clients.EC2(ctx, o.Location)
	switch {
	case err != nil:
		return fmt.Errorf("connecting to EC2: %w", err)
	case o.Snapshot != "":
		return removeSnapshot(ctx, api, o.Snapshot)
	case o.Action == CleanDeprecate:
		return deprecate(ctx, api, o.Image, o.Deprecated)
	case o.Action == CleanUndeprecate:
		return Undeprecate(ctx, api, o.Image)
	}
	return c.removeImage(ctx, api, o.Image)
}

// removeImage removes an image. That it was rejected is kept.
func (c *Cleaner) removeImage(ctx context.Context, api removalAPI, img Image) error {
	if img.Rejected != "" && img.Location == c.Query.Build {
		if err := KeepRejection(ctx, c.Clients, c.Query.Build, img, img.rejectedAt(img.Created), false); err != nil {
			return err
		}
	}
	return removeImage(ctx, api, img, c.Clock())
}
