package sandbox

import (
	"slices"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

type imageRequest struct {
	ImageId string `query:",required"`
}

// changeImage stages a change of an image of the caller's.
func (q *call) changeImage(id string, change func(*imageRow) error) (*done, error) {
	i, err := q.ownImage(id)
	if err != nil {
		return nil, err
	}
	if err := change(&i); err != nil {
		return nil, err
	}
	q.images.Put(q.tx, id, i)
	return success, nil
}

type deprecationRequest struct {
	ImageId     string    `query:",required"`
	DeprecateAt time.Time `query:",required"`
}

// enableImageDeprecation rounds to the minute, so that a moment from now may lie in the past (ec2-facts 6.1).
func enableImageDeprecation(q *call, in *deprecationRequest) (*done, error) {
	return q.changeImage(in.ImageId, func(i *imageRow) error {
		at := in.DeprecateAt.Round(time.Minute)
		limit := q.now.AddDate(10, 0, 0)
		if i.Public {
			limit = i.Created.AddDate(2, 0, 0)
		}
		switch {
		case at.Before(q.now):
			return badParameter(timestamp(in.DeprecateAt), "DeprecateAt", "It is in the past.")
		case at.After(limit):
			return badParameter(timestamp(in.DeprecateAt), "DeprecateAt", "The latest possible time is "+timestamp(limit)+".")
		}
		i.DeprecateAt = at
		return nil
	})
}

func disableImageDeprecation(q *call, in *imageRequest) (*done, error) {
	return q.changeImage(in.ImageId, func(i *imageRow) error {
		i.DeprecateAt = time.Time{}
		if i.Public {
			i.DeprecateAt = i.Created.AddDate(2, 0, 0)
		}
		return nil
	})
}

// disableImage takes the shares away for good (ec2-facts 6.4).
func disableImage(q *call, in *imageRequest) (*done, error) {
	return q.changeImage(in.ImageId, func(i *imageRow) error {
		if i.State != available && i.State != disabled {
			return fail("IncorrectState", "The image '%s' is %s and cannot be disabled", i.ID, i.State)
		}
		*i = i.unshared()
		i.State = disabled
		return nil
	})
}

func enableImage(q *call, in *imageRequest) (*done, error) {
	return q.changeImage(in.ImageId, func(i *imageRow) error {
		if i.State != available && i.State != disabled {
			return fail("IncorrectState", "The image '%s' is %s and cannot be enabled", i.ID, i.State)
		}
		i.State = available
		return nil
	})
}

type protectionRequest struct {
	ImageId      string `query:",required"`
	WithCooldown bool
}

// protectionAnswer has the new protection, where other calls have true.
type protectionAnswer struct {
	Return string `xml:"return"`
}

const (
	unprotected  = "disabled"
	protected    = "enabled-without-cooldown"
	coolingDown  = "enabled-with-cooldown"
	protectCools = 24 * time.Hour
)

// protection is the image's deregistration protection as it is shown. With a cooldown it lasts 24 hours longer than it is
// wanted (ec2-facts 6.6).
func (q *call) protection(i *imageRow) string {
	if i.Protection == "" {
		return unprotected
	}
	return i.Protection
}

func enableImageProtection(q *call, in *protectionRequest) (*protectionAnswer, error) {
	out := &protectionAnswer{protected}
	if in.WithCooldown {
		out.Return = coolingDown
	}
	_, err := q.changeImage(in.ImageId, func(i *imageRow) error {
		i.Protection, i.ProtectedUntil = out.Return, time.Time{}
		return nil
	})
	return out, err
}

func disableImageProtection(q *call, in *imageRequest) (*protectionAnswer, error) {
	_, err := q.changeImage(in.ImageId, func(i *imageRow) error {
		if i.Protection == coolingDown {
			i.ProtectedUntil = q.now.Add(protectCools)
		}
		i.Protection = ""
		return nil
	})
	return &protectionAnswer{unprotected}, err
}

type deregisterRequest struct {
	ImageId                   string `query:",required"`
	DeleteAssociatedSnapshots bool
}

type snapshotResult struct {
	ID   string `xml:"snapshotId"`
	Code string `xml:"returnCode"`
}

type deregisterAnswer struct {
	Return  bool                        `xml:"return"`
	Results *query.List[snapshotResult] `xml:"deleteSnapshotResultSet"`
}

// deregisterImage also cancels an image that is pending (ec2-facts 2.19). The row stays, so that a second call and a
// Describe by id are answered as EC2 does (6.9).
func deregisterImage(q *call, in *deregisterRequest) (*deregisterAnswer, error) {
	i, err := q.ownImage(in.ImageId)
	if err != nil {
		return nil, err
	}
	if i.Protection != "" || q.now.Before(i.ProtectedUntil) {
		return nil, fail("OperationNotPermitted", "The image '%s' has deregistration protection; disable it first (and wait for its cooldown to end)", i.ID)
	}
	users := i.Users
	i = i.unshared()
	i.State, i.Deregistered = deregistered, q.now
	q.images.Put(q.tx, i.ID, i)
	q.dropTags(i.ID, users...)
	out := &deregisterAnswer{Return: true}
	if in.DeleteAssociatedSnapshots {
		out.Results = &query.List[snapshotResult]{Items: q.deleteSnapshotsOf(i)}
	}
	return out, nil
}

// deleteSnapshotsOf deletes what no other image uses, and reports on each snapshot (ec2-facts 6.7).
func (q *call) deleteSnapshotsOf(i imageRow) []snapshotResult {
	var results []snapshotResult
	for _, id := range slices.Compact(slices.Sorted(slices.Values(i.snapshots()))) { // two devices can have the same
		s, ok := q.snapshots.Get(q.tx, id)
		switch {
		case !ok:
			results = append(results, snapshotResult{id, "client-error"})
		case q.usedByImage(s.ID):
			results = append(results, snapshotResult{s.ID, "skipped"})
		default:
			q.removeSnapshot(s)
			results = append(results, snapshotResult{s.ID, "success"})
		}
	}
	return results
}

func (q *call) usedByImage(snapshot string) bool {
	for range q.images.Scan(q.tx, "snap:"+snapshot) {
		return true
	}
	return false
}
