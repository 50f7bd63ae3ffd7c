package sandbox

import (
	"slices"
)

const (
	pending      = "pending"
	available    = "available"
	failed       = "failed"
	disabled     = "disabled"
	deregistered = "deregistered"
)

// imageIndex: by owner, by whom it is shared with (accounts, organizations and units), by name (which is unique per owner and Region) and by snapshot. A
// deregistered image is only remembered by its id.
func imageIndex(i imageRow) []string {
	if i.State == deregistered {
		return nil
	}
	entries := []string{"own:" + i.key(), "name:" + i.key(i.Name)}
	for _, user := range i.Users {
		entries = append(entries, "user:"+i.Region+"/"+user)
	}
	for _, arn := range append(slices.Clone(i.Orgs), i.OUs...) {
		entries = append(entries, "user:"+i.Region+"/"+groupOf(arn))
	}
	if i.Public {
		entries = append(entries, "public:"+i.Region)
	}
	for _, snapshot := range i.snapshots() {
		entries = append(entries, "snap:"+snapshot)
	}
	return entries
}

func (q *call) seesImage(i *imageRow) bool {
	return i.Region == q.Region && (i.Account == q.Account || i.Public || q.organizations.reaches(i, q.Account))
}

// visibleImage finds an image that the caller owns or that is shared with it. One that is deregistered, and was the
// caller's, is Unavailable; anything else is NotFound (ec2-facts 6.9).
func (q *call) visibleImage(id string) (imageRow, error) {
	if !wellFormed(id, "ami-") {
		return imageRow{}, fail("InvalidAMIID.Malformed", "Invalid id: \"%s\" (expecting \"ami-...\")", id)
	}
	i, ok := q.images.Get(q.tx, id)
	switch {
	case !ok || !q.seesImage(&i) || q.unseen(i.Created):
		return imageRow{}, imageNotFound(id)
	case i.State == deregistered:
		return i, imageUnavailable(id)
	}
	return i, nil
}

func imageUnavailable(id string) error {
	return fail("InvalidAMIID.Unavailable", "The image ID '%s' is no longer available", id)
}

// ownImage is an image that the caller may change.
func (q *call) ownImage(id string) (imageRow, error) {
	i, err := q.visibleImage(id)
	if err == nil && i.Account != q.Account {
		return i, authFailure("Not authorized for image:" + id)
	}
	return i, err
}

// usableImage is an image that can be launched and copied now.
func (q *call) usableImage(id string) (imageRow, error) {
	i, err := q.visibleImage(id)
	if err == nil && q.disallowed(q.settingsOf(q.place), &i) {
		return i, imageNotFound(id)
	}
	if err == nil && i.State != available {
		return i, fail("InvalidAMIID.Unavailable", "The image ID '%s' is not available; it is %s", id, i.State)
	}
	return i, err
}

var imageName = lazy(`^[A-Za-z0-9()\[\] ./\-'@_]{3,128}$`)

func checkImageName(name string) error {
	if !imageName().MatchString(name) {
		return fail("InvalidAMIName.Malformed", "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "+
			"'(', ')', '[', ']', ' ', '.', '-', '/', ''', '@' and '_'; this is '%s'", name)
	}
	return nil
}

// freeImageName checks what CreateImage and RegisterImage, but not CopyImage, demand of a name (ec2-facts 2.2, 2.3).
func (q *call) freeImageName(name string) error {
	if err := checkImageName(name); err != nil {
		return err
	}
	for _, i := range q.images.Scan(q.tx, "name:"+q.key(name)) {
		return fail("InvalidAMIName.Duplicate", "AMI name %s is already in use by AMI %s", name, i.ID)
	}
	return nil
}
