package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Find gives the image that an id stands for: one that was built, or the one that a pointer's copy was made of.
func (b *Book) Find(id string) (Image, bool) {
	for _, e := range b.Events {
		for _, p := range e.Pointers {
			if p.After == id && e.Image != "" && (e.Action == ActionPromote || e.Action == ActionRollback) {
				id = e.Image
			}
		}
	}
	at := slices.IndexFunc(b.Images, func(i Image) bool { return i.Image == id })
	if at < 0 {
		return Image{}, false
	}
	return b.Images[at], true
}

// Defaults lists the images that were the role's default, by their ids in the build location: the present one first, each
// once. A role that was retired has no present one, but it had some. What Now says goes before what was recorded.
func (b *Book) Defaults() []string {
	var ids []string
	if b.Now != "" {
		ids = append(ids, b.Now)
	}
	for _, e := range b.Events {
		if (e.Action == ActionPromote || e.Action == ActionRollback) && e.Image != "" && !slices.Contains(ids, e.Image) {
			ids = append(ids, e.Image)
		}
	}
	return ids
}

// Pointers gives what the role's pointers name, as far as the ledger knows: what the last event about each has left there.
func (b *Book) Pointers() []Pointer {
	last := map[[2]string]Pointer{}
	for _, e := range slices.Backward(b.Events) { // oldest first
		for _, p := range e.Pointers {
			switch e.Action {
			case ActionRetire:
				delete(last, [2]string{p.Account, p.Region})
			case ActionPromote, ActionRollback:
				last[[2]string{p.Account, p.Region}] = p
			}
		}
	}
	return slices.SortedFunc(maps.Values(last), func(a, b Pointer) int { return strings.Compare(a.Account+a.Region, b.Account+b.Region) })
}

// Held gives the hold that nothing has ended yet.
func (b *Book) Held() (Event, bool) {
	for _, e := range b.Events {
		switch e.Action {
		case ActionRelease, ActionRetire:
			return Event{}, false
		case ActionHold, ActionRollback: // a rollback holds the role, too
			return e, true
		}
	}
	return Event{}, false
}

// Rejected gives the rejection of an image.
func (b *Book) Rejected(image string) (Event, bool) {
	for _, e := range b.Events {
		if e.Action == ActionReject && e.Image == image {
			return e, true
		}
	}
	return Event{}, false
}

// Verified gives the newest verification of an image.
func (b *Book) Verified(image string) (Verification, bool) {
	at := slices.IndexFunc(b.Verifications, func(v Verification) bool { return v.Image == image })
	if at < 0 {
		return Verification{}, false
	}
	return b.Verifications[at], true
}

// Candidate gives the newest image that is not the default, and that was not rejected.
func (b *Book) Candidate() (Image, bool) {
	now := ""
	if list := b.Defaults(); len(list) > 0 {
		now = list[0]
	}
	for _, i := range b.Images {
		if _, rejected := b.Rejected(i.Image); i.Image != now && !rejected {
			return i, true
		}
	}
	return Image{}, false
}

// Named finds the image that a word stands for: default, candidate, an image id, a recipe digest or its beginning, or the
// commit that it was built from or promoted at, or its beginning. Of several the newest, when they have one digest.
func (b *Book) Named(word string) (Image, error) {
	switch word {
	case "default":
		list := b.Defaults()
		if len(list) == 0 {
			return Image{}, fmt.Errorf("no default: %w", ErrNoEntry)
		}
		return b.image(list[0])
	case "candidate":
		if i, ok := b.Candidate(); ok {
			return i, nil
		}
		return Image{}, fmt.Errorf("no candidate beside the default: %w", ErrNoEntry)
	}
	if strings.HasPrefix(word, "ami-") {
		return b.image(word)
	}
	return b.begins(strings.TrimPrefix(strings.ToLower(word), "sha256:"))
}

func (b *Book) image(id string) (Image, error) {
	if i, ok := b.Find(id); ok {
		return i, nil
	}
	return Image{}, fmt.Errorf("image %s: %w", id, ErrNoEntry)
}

// minPrefix is how much of a digest or commit has to be given.
const minPrefix = 6

func (b *Book) begins(hex string) (Image, error) {
	if len(hex) < minPrefix || strings.Trim(hex, "0123456789abcdef") != "" {
		return Image{}, fmt.Errorf("%q is neither default, candidate, an image id (ami-...), nor a digest or commit or its first %d digits or more", hex, minPrefix)
	}
	promoted := map[string]bool{} // images that were promoted at that commit
	for _, e := range b.Events {
		if e.Action == ActionPromote && strings.HasPrefix(e.Commit, hex) {
			promoted[e.Image] = true
		}
	}
	var found []Image
	digests := map[string]bool{}
	for _, i := range b.Images {
		if strings.HasPrefix(strings.TrimPrefix(i.Digest, "sha256:"), hex) || strings.HasPrefix(i.Commit, hex) || promoted[i.Image] {
			found = append(found, i)
			digests[i.Digest] = true
		}
	}
	switch len(digests) {
	case 0:
		return Image{}, fmt.Errorf("an image of digest or commit %s: %w", hex, ErrNoEntry)
	case 1:
		return found[0], nil
	}
	return Image{}, fmt.Errorf("%s is ambiguous: digests %s; give more of it, or an image id", hex, strings.Join(slices.Sorted(maps.Keys(digests)), ", "))
}

// Knows says that the ledger has a record of an image, or of the one that it is a copy of.
func (b *Book) Knows(id string) bool {
	_, ok := b.Find(id)
	return ok
}
