package sandbox

import (
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

var (
	profileARN  = lazy(`^arn:aws:iam::(\d{12}):instance-profile/(?:[\x21-\x7e]+/)?([\w+=,.@-]{1,128})$`)
	profileName = lazy(`^[\w+=,.@-]{1,128}$`)
)

// profile is the ARN of the instance profile that the request names, or empty. There is no IAM here: every profile of the
// caller's account is taken to exist, and shown on the instance, but gives the machine no credentials. Packer sends an
// empty one.
func (q *call) profile(p profileParam) (string, error) {
	switch {
	case p.Arn != "" && p.Name != "":
		return "", combination("The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'")
	case p.Arn != "":
		m := profileARN().FindStringSubmatch(p.Arn)
		if m == nil || m[1] != q.Account {
			return "", badParameter(p.Arn, "iamInstanceProfile.arn", "Invalid IAM Instance Profile ARN")
		}
	case p.Name != "":
		if !profileName().MatchString(p.Name) {
			return "", badParameter(p.Name, "iamInstanceProfile.name", "Invalid IAM Instance Profile name")
		}
		p.Arn = "arn:aws:iam::" + q.Account + ":instance-profile/" + p.Name
	}
	return p.Arn, nil
}

// profileAssociation is that an instance has a profile. It is kept in the instance's row: there can be one.
type profileAssociation struct {
	ID, ARN string
	Since   time.Time
}

type profileAssociationItem struct {
	ID         string       `xml:"associationId"`
	InstanceID string       `xml:"instanceId"`
	Profile    *profileItem `xml:"iamInstanceProfile"`
	State      string       `xml:"state"`
	Since      string       `xml:"timestamp"`
}

// association is the association of the instance's profile; one that came with the launch has an id made of the instance's.
func (i *instanceRow) association() profileAssociation {
	a := profileAssociation{i.ProfileAssociation, i.Profile, i.ProfileSince}
	if a.ID == "" {
		a.ID, a.Since = hashID("iip-assoc-", i.ID), i.Created
	}
	return a
}

func (a profileAssociation) item(instance, state string) profileAssociationItem {
	return profileAssociationItem{a.ID, instance, profile(a.ARN), state, timestamp(a.Since)}
}

type profileAnswer struct {
	Association profileAssociationItem `xml:"iamInstanceProfileAssociation"`
}

type associateProfileRequest struct {
	InstanceId         string `query:",required"`
	IamInstanceProfile profileParam
}

// associateProfile gives a running or stopped instance a profile. It is associated at once, where EC2 says associating first.
func associateProfile(q *call, in *associateProfileRequest) (*profileAnswer, error) {
	i, err := q.instance(in.InstanceId)
	switch {
	case err != nil:
		return nil, err
	case i.State != running && i.State != stopped && i.State != pending && i.State != stopping:
		return nil, incorrectState(&i, "given an instance profile")
	case i.Profile != "":
		return nil, fail("IncorrectState", "There is an existing association for instance %s", i.ID)
	}
	return q.setProfile(i, in.IamInstanceProfile)
}

func (q *call) setProfile(i instanceRow, p profileParam) (*profileAnswer, error) {
	arn, err := q.profile(p)
	if err != nil {
		return nil, err
	}
	if arn == "" {
		return nil, missing("IamInstanceProfile")
	}
	i.Profile, i.ProfileAssociation, i.ProfileSince = arn, newID("iip-assoc-"), q.now
	q.instances.Put(q.tx, i.ID, i)
	return &profileAnswer{i.association().item(i.ID, "associating")}, nil
}

type profileAssociationRequest struct {
	AssociationId string `query:",required"`
}

type replaceProfileRequest struct {
	profileAssociationRequest
	IamInstanceProfile profileParam
}

func (q *call) associated(id string) (instanceRow, error) {
	for _, i := range q.instances.Scan(q.tx, q.key()) {
		if i.Profile != "" && i.State != terminated && i.association().ID == id {
			return *i, nil
		}
	}
	return instanceRow{}, fail("InvalidAssociationID.NotFound", "An invalid association-id of '%s' was given", id)
}

func disassociateProfile(q *call, in *profileAssociationRequest) (*profileAnswer, error) {
	i, err := q.associated(in.AssociationId)
	if err != nil {
		return nil, err
	}
	old := i.association().item(i.ID, "disassociating")
	i.Profile, i.ProfileAssociation, i.ProfileSince = "", "", time.Time{}
	q.instances.Put(q.tx, i.ID, i)
	return &profileAnswer{old}, nil
}

func replaceProfile(q *call, in *replaceProfileRequest) (*profileAnswer, error) {
	i, err := q.associated(in.AssociationId)
	if err != nil {
		return nil, err
	}
	return q.setProfile(i, in.IamInstanceProfile)
}

type describeProfilesRequest struct {
	AssociationId []string
	Filter        []filterParam
	pageParams
}

type describeProfilesAnswer struct {
	NextToken    string                             `xml:"nextToken,omitempty"`
	Associations query.List[profileAssociationItem] `xml:"iamInstanceProfileAssociationSet"`
}

var profileFilters = fields[instanceRow]{
	"instance-id": one(func(i *instanceRow) string { return i.ID }),
	"state":       func(*instanceRow) []string { return []string{"associated"} },
}

func describeProfiles(q *call, in *describeProfilesRequest) (*describeProfilesAnswer, error) {
	match, err := filters(in.Filter, profileFilters, nil)
	if err == nil {
		err = noPagesWithIDs(in.pageParams, in.AssociationId, "associationId")
	}
	if err != nil {
		return nil, err
	}
	for _, id := range in.AssociationId {
		if _, err := q.associated(id); err != nil {
			return nil, err
		}
	}
	wanted := patterns(in.AssociationId)
	var found []*instanceRow
	for _, i := range q.instances.Scan(q.tx, q.key()) {
		if i.Profile != "" && i.State != terminated && !q.unseen(i.association().Since) && (len(in.AssociationId) == 0 || wanted(i.association().ID)) && match.match(i) {
			found = append(found, i)
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(i *instanceRow) string { return i.ID })
	out := &describeProfilesAnswer{NextToken: next}
	for _, i := range rows {
		out.Associations.Items = append(out.Associations.Items, i.association().item(i.ID, "associated"))
	}
	return out, err
}
