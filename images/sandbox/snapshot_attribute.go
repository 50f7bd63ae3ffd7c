package sandbox

import (
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

type modifySnapshotAttributeRequest struct {
	SnapshotId             string `query:",required"`
	Attribute              string
	CreateVolumePermission struct{ Add, Remove []shareParam }
	shareChange
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
		s.Users = with(s.Users, p.UserId)
	}
	for _, p := range remove {
		s.Public = s.Public && p.Group != "all"
		s.Users = without(s.Users, p.UserId)
	}
	q.snapshots.Put(q.tx, s.ID, s)
	return success, nil
}

// changes brings both forms of the request into one, and keeps the limits of a call (ec2-facts 4.6, 4.8).
func (in *modifySnapshotAttributeRequest) changes() (add, remove []shareParam, err error) {
	add, remove, err = in.merged(in.CreateVolumePermission.Add, in.CreateVolumePermission.Remove, "CreateVolumePermission", "InvalidParameterValue")
	switch {
	case err != nil:
		return nil, nil, err
	case len(add) > 0 && len(remove) > 0:
		return nil, nil, combination("Only one of add and remove can be given in a call")
	case len(add)+len(remove) > 500:
		return nil, nil, fail("InvalidParameterValue", "A call takes at most 500 modifications")
	}
	for _, p := range append(add, remove...) {
		if p.OrganizationArn != "" || p.OrganizationalUnitArn != "" {
			return nil, nil, fail("InvalidParameterValue", "Snapshots cannot be shared with organizations")
		}
	}
	return add, remove, nil
}
