package sandbox

import (
	"slices"

	"github.com/imgops/imgops/images/sandbox/query"
)

type snapshotPermission struct {
	UserID string `xml:"userId,omitempty"`
	Group  string `xml:"group,omitempty"`
}

type describeSnapshotAttributeRequest struct {
	SnapshotId string `query:",required"`
	Attribute  string `query:",required"`
}

type snapshotAttributeAnswer struct {
	ID           string                          `xml:"snapshotId"`
	Permissions  *query.List[snapshotPermission] `xml:"createVolumePermission"`
	ProductCodes *query.List[string]             `xml:"productCodes"`
}

func describeSnapshotAttribute(q *call, in *describeSnapshotAttributeRequest) (*snapshotAttributeAnswer, error) {
	s, err := q.ownSnapshot(in.SnapshotId)
	if err != nil {
		return nil, err
	}
	switch in.Attribute {
	case "createVolumePermission":
		list := &query.List[snapshotPermission]{}
		for _, user := range s.Users {
			list.Items = append(list.Items, snapshotPermission{UserID: user})
		}
		if s.Public {
			list.Items = append(list.Items, snapshotPermission{Group: "all"})
		}
		return &snapshotAttributeAnswer{ID: s.ID, Permissions: list}, nil
	case "productCodes":
		return &snapshotAttributeAnswer{ID: s.ID, ProductCodes: &query.List[string]{}}, nil
	}
	return nil, badParameter(in.Attribute, "attribute", "Valid values: createVolumePermission, productCodes.")
}

type userOrGroup struct{ UserId, Group string }

type modifySnapshotAttributeRequest struct {
	SnapshotId             string `query:",required"`
	Attribute              string
	CreateVolumePermission struct{ Add, Remove []userOrGroup }
	OperationType          string
	UserId, UserGroup      []string
}

// modifySnapshotAttribute adds or removes create volume permissions, in either of the two forms (ec2-facts 4.7, 4.8).
func modifySnapshotAttribute(q *call, in *modifySnapshotAttributeRequest) (*done, error) {
	s, err := q.ownSnapshot(in.SnapshotId)
	if err != nil {
		return nil, err
	}
	if in.Attribute != "" && in.Attribute != "createVolumePermission" {
		return nil, badParameter(in.Attribute, "attribute", "Only createVolumePermission can be modified.")
	}
	add, remove, err := in.changes()
	if err != nil {
		return nil, err
	}
	for _, p := range add {
		switch {
		case p.Group != "" && s.Encrypted:
			return nil, fail("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly")
		case s.Encrypted && s.KMSKey == defaultKey(s.place):
			return nil, fail("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared")
		case p.Group != "" && !s.Public:
			if err := checkPublic(q.settingsOf(s.place).SnapshotPublic, "snapshot"); err != nil {
				return nil, err
			}
		}
		s.Public = s.Public || p.Group == "all"
		if p.UserId != "" && !slices.Contains(s.Users, p.UserId) {
			s.Users = append(slices.Clone(s.Users), p.UserId)
		}
	}
	for _, p := range remove {
		s.Public = s.Public && p.Group != "all"
		s.Users = without(s.Users, p.UserId)
	}
	q.snapshots.Put(q.tx, s.ID, s)
	return success, nil
}

func without(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return x == s })
}

// changes brings both forms of the request into one.
func (in *modifySnapshotAttributeRequest) changes() (add, remove []userOrGroup, err error) {
	add, remove = in.CreateVolumePermission.Add, in.CreateVolumePermission.Remove
	var flat []userOrGroup
	for _, user := range in.UserId {
		flat = append(flat, userOrGroup{UserId: user})
	}
	for _, group := range in.UserGroup {
		flat = append(flat, userOrGroup{Group: group})
	}
	switch {
	case len(flat) == 0:
	case in.OperationType == "" && len(add)+len(remove) > 0: // Packer sends both forms; EC2 goes by the struct
	case in.OperationType == "add":
		add = append(add, flat...)
	case in.OperationType == "remove":
		remove = append(remove, flat...)
	default:
		return nil, nil, badParameter(in.OperationType, "operationType", "Valid values: add, remove.")
	}
	if len(add)+len(remove) == 0 {
		return nil, nil, missing("CreateVolumePermission")
	}
	if len(add) > 0 && len(remove) > 0 {
		return nil, nil, combination("Only one of add and remove can be given in a call")
	}
	if len(add)+len(remove) > 500 {
		return nil, nil, fail("InvalidParameterValue", "A call takes at most 500 modifications")
	}
	for _, p := range append(slices.Clone(add), remove...) {
		if err := checkPermission(p.UserId, p.Group, "InvalidParameterValue"); err != nil {
			return nil, nil, err
		}
	}
	return add, remove, nil
}

// checkPermission checks one entry of a permission list: an account id of 12 digits, or the group all.
func checkPermission(user, group, code string) error {
	switch {
	case user != "" && group != "" || user == "" && group == "":
		return fail(code, "Each permission names one of user id and group")
	case user != "" && !accountID().MatchString(user):
		return fail(code, "Invalid attribute item value \"%s\" for userId item type.", user)
	case group != "" && group != "all":
		return fail(code, "Invalid attribute item value \"%s\" for group item type.", group)
	}
	return nil
}
