package promoter

import (
	"maps"
	"slices"
	"strings"

	"github.com/imgops/imgops/images"
)

// The image states that matter here (EC2 API, Image).
const (
	available = "available"
	pending   = "pending"
)

// decision is the making of one RolePlan, from what was seen; it calls nothing.
type decision struct {
	*Promoter
	req    Request
	places []place
	world  *world
	plan   *RolePlan
	moves  map[images.Location]bool // homes and own copies that a pointer moves to
}

// find looks in a location for the copy of an image, or for the image itself; pending ones count. dead are ids to
// which a client token must not lead back: copies that failed or were rejected, and a pointed-to image that is gone.
func (p *Promoter) find(r Request, loc images.Location, source images.Image, w *world) (img images.Image, ok bool, dead []string) {
	if loc == source.Location {
		return source, true, nil
	}
	for _, img := range slices.SortedStableFunc(slices.Values(w.own[loc]), availableFirst) {
		if img.Role != r.Role || img.Digest != r.Image.Digest || img.SourceID != source.ID || img.SourceRegion != source.Location.Region {
			continue
		}
		if img.Rejected == "" && (img.State == available || img.State == pending) {
			return img, true, nil
		}
		dead = append(dead, img.ID)
	}
	for at, pointers := range w.pointers {
		id := pointers[r.Role].Image
		exists := w.seen[at][id].State == available || slices.ContainsFunc(w.own[loc], func(img images.Image) bool { return img.ID == id })
		serves := at == loc || at.Region == loc.Region && loc.Account == p.opts.Build.Account
		if serves && id != "" && !exists {
			dead = append(dead, id)
		}
	}
	slices.Sort(dead)
	return images.Image{}, false, slices.Compact(dead)
}

func availableFirst(a, b images.Image) int {
	switch {
	case (a.State == available) == (b.State == available):
		return 0
	case a.State == available:
		return -1
	}
	return 1
}

// decide writes the plan of one role.
func (p *Promoter) decide(r Request, places []place, w *world) RolePlan {
	plan := RolePlan{
		Role: r.Role, Digest: r.Image.Digest, Commit: r.Commit, Image: r.Image.ID, Steps: []Step{},
		known: map[images.Location]images.Image{}, req: r, places: places,
	}
	d := decision{p, r, places, w, &plan, map[images.Location]bool{}}
	homes := p.homes(places)
	for _, home := range homes {
		d.make(place{Location: home}, r.Image)
		d.share(home)
	}
	for _, at := range places {
		plan.Locations = append(plan.Locations, at.Location)
		if at.own {
			d.make(at, plan.known[p.home(at.Region)])
		}
		d.point(at)
	}
	for _, home := range homes {
		d.mark(home, false)
	}
	for _, at := range places {
		if at.own {
			d.mark(at.Location, true)
		}
	}
	d.confirm()
	plan.sort()
	return plan
}

func (d decision) add(s Step) {
	s.Role = d.req.Role
	d.plan.Steps = append(d.plan.Steps, s)
}

// make brings the image to a location. source is zero when it has to be made itself first.
func (d decision) make(at place, source images.Image) {
	tags := d.tags()
	img, ok, dead := images.Image{}, false, []string(nil)
	if source.ID != "" {
		img, ok, dead = d.find(d.req, at.Location, source, d.world)
	}
	if !ok {
		region := at.Region // of an own copy: it is made of its Region's shared image
		if !at.own {
			region = d.opts.Build.Region
		}
		d.add(Step{Action: ActionCopy, Location: at.Location, From: source.ID, Region: region, KMSKey: at.key, Tags: tags, own: at.own, dead: dead})
		return
	}
	d.plan.known[at.Location] = img
	if img.State == pending {
		d.add(Step{Action: ActionWait, Location: at.Location, Image: img.ID, own: at.own})
	}
	missing := map[string]string{}
	for k, v := range tags {
		if img.Tags[k] != v {
			missing[k] = v
		}
	}
	if len(missing) > 0 {
		d.add(Step{Action: ActionTag, Location: at.Location, Image: img.ID, Tags: missing, own: at.own})
	}
}

// tags are those that a copy carries: all of the source's, but for EC2's own and for what says that it is the default.
// They are given one by one, and not by CopyImageTags, since that would bring imgops:default along before its time.
func (d decision) tags() map[string]string {
	tags := maps.Clone(d.req.Image.Tags)
	maps.DeleteFunc(tags, func(k, _ string) bool {
		return strings.HasPrefix(k, "aws:") || slices.Contains([]string{images.TagDefault, images.TagPromoted, images.TagConfirmed, images.TagRetired, images.TagDeprecated}, k)
	})
	return tags
}

// share gives what is missing of the permissions. The snapshots come before the image, so an account that may launch
// may copy, too: only the launch permission has to be asked for.
func (d decision) share(home images.Location) {
	img := d.plan.known[home]
	granted := d.world.granted[permission{home, img.ID}]
	var missing, extra []string
	copies := map[string]bool{} // accounts that are about to copy: make sure of their snapshot permission
	for _, at := range d.places {
		if at.own && at.Region == home.Region {
			_, ok, _ := d.find(d.req, at.Location, img, d.world)
			copies[at.Account] = img.ID == "" || !ok
		}
	}
	var snapshots []string
	for _, account := range d.grantees(d.places, home) {
		lacks := !slices.Contains(granted, account)
		if lacks {
			missing = append(missing, account)
		}
		if lacks || copies[account] {
			snapshots = append(snapshots, account)
		}
	}
	for _, account := range granted {
		wanted := account == d.opts.Build.Account || slices.Contains(d.grantees(d.places, home), account)
		if d.opts.Accounts != nil && !wanted && !slices.Contains(d.opts.Accounts, account) {
			extra = append(extra, account)
		}
	}
	for action, accounts := range map[Action][]string{ActionShareSnapshots: snapshots, ActionShare: missing, ActionUnshare: extra} {
		if len(accounts) > 0 {
			d.add(Step{Action: action, Location: home, Image: img.ID, Accounts: accounts})
		}
	}
}

// point moves the pointer, or has the account look at the image where the pointer is right and the image is not seen.
func (d decision) point(at place) {
	where := at.Location
	if !at.own {
		where = d.home(at.Region)
	}
	img := d.plan.known[where]
	ptr := d.world.pointers[at.Location][d.req.Role]
	if img.ID == "" || ptr.Image != img.ID || ptr.DataType != images.PointerDataType {
		d.moves[where], d.moves[d.home(at.Region)] = true, true
		d.add(Step{Action: ActionPointer, Location: at.Location, From: ptr.Image, Image: img.ID, own: at.own, was: d.world.find(ptr.Image).Digest})
		return
	}
	if d.world.seen[at.Location][img.ID].State != available {
		d.add(Step{Action: ActionLook, Location: at.Location, Image: img.ID, own: at.own})
	}
}

// mark tags the image as the default, and takes that tag from the images that were the default before. A rollback is no
// promotion: the record of those stays, so that what is older than the last one is still refused.
func (d decision) mark(where images.Location, own bool) {
	img := d.plan.known[where]
	promotes := d.req.back == nil
	if d.moves[where] || !img.Default || promotes && img.Promoted.Commit == "" {
		tags := map[string]string{images.TagDefault: "true"}
		if promotes {
			tags[images.TagPromoted] = d.req.Commit
		}
		d.add(Step{Action: ActionDefault, Location: where, Image: img.ID, own: own, Tags: tags})
	}
	for _, s := range d.world.undefault(d.req.Role, where, img.ID, own) {
		d.add(s)
	}
	if img.DeprecatedByUs() || d.moves[where] && !img.Deprecated.IsZero() && !img.Deprecated.After(d.opts.Clock()) {
		d.add(Step{Action: ActionUndeprecate, Location: where, Image: img.ID, own: own})
	}
}

// undefault takes the default tag from all images of a role in a location but one.
func (w *world) undefault(role string, where images.Location, but string, own bool) []Step {
	var steps []Step
	for _, old := range w.own[where] {
		if old.Role == role && old.Default && old.ID != but {
			steps = append(steps, Step{Action: ActionUndefault, Role: role, Location: where, Image: old.ID, own: own, image: old})
		}
	}
	return steps
}

// confirm notes that main's commit wants the image which is the default already. Without it, an older commit whose
// pipeline ends later could not be told from a newer one: this one would have left no trace.
func (d decision) confirm() {
	img, build := d.plan.known[d.opts.Build], d.opts.Build
	marks := slices.ContainsFunc(d.plan.Steps, func(s Step) bool { return s.Action == ActionDefault && s.Location == build })
	last := img.LastWanted()
	noted := last.Commit == d.req.Commit && !d.world.lastWanted(build, d.req.Role).After(last.At)
	if d.req.back == nil && !marks && !noted {
		d.add(Step{Action: ActionConfirm, Location: build, Image: img.ID, Tags: map[string]string{images.TagConfirmed: d.req.Commit}})
	}
}
