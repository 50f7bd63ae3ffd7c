package images

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The actions of a Decision.
const (
	ActionBuild   = "build"
	ActionVerify  = "verify"
	ActionPromote = "promote"
	ActionNone    = "none"
)

// Decision is what has to be done next for a role, and why.
type Decision struct {
	Role   string `json:"role"`
	Digest string `json:"digest"`
	Action string `json:"action"` // build, verify, promote or none
	Reason string `json:"reason"`
	Image  string `json:"image"` // id in the build location; "" when one has to be built

	// Rejected is why a person has rejected the image of the digest, where there is no other one: the digest is then
	// neither built nor promoted. Held says that a person holds the role somewhere.
	Rejected string `json:"-"`
	Held     bool   `json:"-"`
	// Blocked is the decision for the nearest ancestor whose rejection keeps the role from being worked on; nil where none
	// does. Decide sets it.
	Blocked *Decision `json:"-"`

	// Candidate is the image that is to be verified or promoted, or that is the default; zero when one has to be built, and when it was rejected.
	Candidate Image `json:"-"`
}

// Next decides what a role needs: an image of its digest, then a verification of one, then its promotion. candidates
// are the images of the build location (those of other roles and digests are passed over), defaults what Defaults said.
// An image counts when it is available or on its way, was not rejected, and was not built from uncommitted changes;
// for a wanted commit that is itself dirty those count too, but such a tree is never promoted. A digest whose image was
// rejected is not built again by itself, for the same recipe would bring back what a person did not want; another image of
// it counts when it was made after that, on purpose.
func Next(want Wanted, candidates []Image, defaults []Default) Decision {
	d := Decision{Role: want.Role, Digest: want.Digest}
	dirty := strings.HasSuffix(want.Commit, DirtySuffix)
	usable, unusable := sift(want, candidates, dirty)
	d.Held = noteOf(want.Role, defaults) != ""
	if img, ok := rejectedOf(want, candidates); ok && len(usable) == 0 {
		d.Action, d.Image, d.Rejected = ActionNone, img.ID, img.Rejected
		d.Reason = "rejected: " + img.Rejected + " (" + img.ID + "); " + RejectedFix(want.Role, img.Rejected)
		return d
	}
	if len(usable) == 0 {
		d.Action, d.Reason = ActionBuild, "no image of digest "+shortDigest(want.Digest)+" exists"+unusable
		return d
	}
	d.Candidate = best(want, usable)
	d.Image = d.Candidate.ID
	if !d.Candidate.verifiedBy(want.TestsDigest) {
		d.Action, d.Reason = ActionVerify, "not verified yet"
		if d.Candidate.Verified != "" {
			d.Reason = "verified by other tests (" + shortDigest(d.Candidate.Verified) + ", now " + shortDigest(want.TestsDigest) + ")"
		}
		return d
	}
	left, held, total := behind(want, d.Image, defaults)
	switch {
	case len(left) == 0 && len(held) > 0 && len(held) == total:
		d.Action = ActionNone
		d.Reason = "verified, and not promoted: " + noteOf(want.Role, defaults) + "; let it go with: imgops release " + want.Role
	case len(left) == 0 && len(held) > 0:
		d.Action = ActionNone
		d.Reason = fmt.Sprintf("default in %d of %d locations; held in %s", total-len(held), total, strings.Join(held, ", "))
	case len(left) == 0:
		d.Action, d.Reason = ActionNone, fmt.Sprintf("default in all %d locations", total)
	case dirty:
		d.Action, d.Reason = ActionNone, "verified; a tree with uncommitted changes is not promoted"
	default:
		d.Action = ActionPromote
		d.Reason = fmt.Sprintf("%d of %d locations are behind: %s", len(left), total, strings.Join(left, ", "))
	}
	return d
}

// rejectedOf is the newest image of the wanted digest that was rejected.
func rejectedOf(want Wanted, candidates []Image) (newest Image, ok bool) {
	for _, img := range candidates {
		if img.Role == want.Role && img.Digest == want.Digest && img.Rejected != "" && (!ok || img.Created.After(newest.Created)) {
			newest, ok = img, true
		}
	}
	return newest, ok
}

// RejectedFix says what helps where the image of a role's digest is rejected.
func RejectedFix(role, reason string) string {
	if isRejectedBase(reason) {
		return "change the role that it is built on, or have that one built anew: imgops update --refresh"
	}
	return "change the recipe, or have it built anew: imgops update --refresh " + role
}

// sift picks the images that count; the text says why others of the digest do not.
func sift(want Wanted, candidates []Image, dirty bool) (usable []Image, unusable string) {
	var why []string
	var since time.Time // of the last rejection
	for _, img := range candidates {
		if img.Role == want.Role && img.Digest == want.Digest && img.Rejected != "" && img.RejectedAt.After(since) {
			since = img.RejectedAt
		}
	}
	for _, img := range candidates {
		if img.Role != want.Role || img.Digest != want.Digest {
			continue
		}
		switch {
		case img.Rejected != "":
			why = append(why, img.ID+" is rejected")
		case img.Created.Before(since):
			why = append(why, img.ID+" is older than that rejection")
		case img.Dirty() && !dirty:
			why = append(why, img.ID+" was built from uncommitted changes")
		case img.State != "available" && img.State != "pending":
			why = append(why, img.ID+" is "+img.State)
		default:
			usable = append(usable, img)
		}
	}
	if len(why) > 0 {
		slices.Sort(why)
		unusable = " (" + strings.Join(why, ", ") + ")"
	}
	return usable, unusable
}

// best prefers a verified image, then the present default, so that a second image of the same digest moves nothing,
// then an available one, then the newest.
func best(want Wanted, usable []Image) Image {
	return slices.MinFunc(usable, func(a, b Image) int {
		return cmp.Or(
			trueFirst(a.verifiedBy(want.TestsDigest), b.verifiedBy(want.TestsDigest)),
			trueFirst(a.Default, b.Default),
			trueFirst(a.State == "available", b.State == "available"),
			b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID),
		)
	})
}

// verifiedBy says that the image has passed the tests of a digest. An empty digest is no proof of anything.
func (i Image) verifiedBy(tests string) bool { return tests != "" && i.Verified == tests }

// behind lists the wanted locations whose default is not the candidate, apart from those that a person holds.
func behind(want Wanted, candidate string, defaults []Default) (left, held []string, total int) {
	status := map[Location]Status{}
	for _, d := range defaults {
		if d.Role != want.Role {
			continue
		}
		status[d.Location()] = d.Status
		if d.Status == StatusCurrent && d.original != "" && d.original != candidate {
			status[d.Location()] = "another image of this digest" // such as one that was rejected, or failed its tests
		}
	}
	locations := slices.SortedFunc(slices.Values(want.Locations), Location.Compare)
	locations = slices.Compact(locations)
	for _, loc := range locations {
		switch s := cmp.Or(status[loc], StatusMissing); s {
		case StatusCurrent:
		case StatusHeld:
			held = append(held, loc.String())
		default:
			left = append(left, fmt.Sprintf("%s (%s)", loc, s))
		}
	}
	return left, held, len(locations)
}

// noteOf is what is said of the first held default of a role; "" where none is held.
func noteOf(role string, defaults []Default) string {
	for _, d := range defaults {
		if d.Role == role && d.Status == StatusHeld {
			return cmp.Or(d.Note, "held")
		}
	}
	return ""
}

// Taint marks as rejected, in place, the images whose base, or its base and so on, is rejected: one that was being
// built while its base was rejected has no tag that says so. It takes all images of a fleet in the build location.
func Taint(list []Image) {
	byID := map[string]*Image{}
	for i := range list {
		byID[list[i].ID] = &list[i]
	}
	for i := range list {
		seen := map[string]bool{}
		for base := byID[list[i].Base]; base != nil && !seen[base.ID] && list[i].Rejected == ""; base = byID[base.Base] {
			seen[base.ID] = true
			if base.Rejected != "" {
				list[i].Rejected = RejectedBase(base.ID, base.Rejected)
			}
		}
	}
}

// RejectedBase is why an image is rejected whose base was.
func RejectedBase(base, reason string) string {
	if isRejectedBase(reason) {
		return reason // it names the first one of the chain
	}
	return "base " + base + " is rejected: " + reason
}

func isRejectedBase(reason string) bool {
	return strings.HasPrefix(reason, "base ") && strings.Contains(reason, " is rejected: ")
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// shortDigest is a digest as people read it: 8 hex digits.
func shortDigest(d string) string {
	d = strings.TrimPrefix(d, "sha256:")
	return d[:min(len(d), 8)]
}
