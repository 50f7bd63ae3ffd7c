package sandbox

import (
	"slices"
)

// shareParam is an entry of the launch permissions of an image or the create volume permissions of a snapshot; the
// latter know no organizations.
type shareParam struct {
	UserId, Group, OrganizationArn, OrganizationalUnitArn string
}

// shareChange is how both are changed, in two forms: the struct, or OperationType with flat lists.
type shareChange struct {
	OperationType         string
	UserId, UserGroup     []string
	OrganizationArn       []string
	OrganizationalUnitArn []string
}

// flat: the flat form is used.
func (c shareChange) flat() bool {
	return len(c.UserId)+len(c.UserGroup)+len(c.OrganizationArn)+len(c.OrganizationalUnitArn) > 0
}

func (c shareChange) entries() (list []shareParam) {
	for _, user := range c.UserId {
		list = append(list, shareParam{UserId: user})
	}
	for _, group := range c.UserGroup {
		list = append(list, shareParam{Group: group})
	}
	for _, arn := range c.OrganizationArn {
		list = append(list, shareParam{OrganizationArn: arn})
	}
	for _, arn := range c.OrganizationalUnitArn {
		list = append(list, shareParam{OrganizationalUnitArn: arn})
	}
	return list
}

// merged brings both forms into one. attribute is what the request lacks when both are empty, code what a bad entry is answered.
func (c shareChange) merged(add, remove []shareParam, attribute, code string) (_, _ []shareParam, err error) {
	switch flat := c.entries(); {
	case len(flat) == 0:
	case c.OperationType == "" && len(add)+len(remove) > 0: // Packer sends both forms; EC2 goes by the struct
	case c.OperationType == "add":
		add = append(add, flat...)
	case c.OperationType == "remove":
		remove = append(remove, flat...)
	default:
		return nil, nil, badParameter(c.OperationType, "operationType", "Valid values: add, remove.")
	}
	if len(add)+len(remove) == 0 {
		return nil, nil, missing(attribute)
	}
	for _, p := range append(slices.Clone(add), remove...) {
		if err := p.check(code); err != nil {
			return nil, nil, err
		}
	}
	return add, remove, nil
}

var (
	orgARN = lazy(`^arn:aws:organizations::\d{12}:organization/o-[a-z0-9]{10,32}$`)
	ouARN  = lazy(`^arn:aws:organizations::\d{12}:ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}$`)
)

// check: an account id of 12 digits, the group all, or the full ARN of an organization or a unit; one of them.
func (p shareParam) check(code string) error {
	given := 0
	for _, value := range []string{p.UserId, p.Group, p.OrganizationArn, p.OrganizationalUnitArn} {
		if value != "" {
			given++
		}
	}
	bad := func(value, kind string) error {
		return fail(code, "Invalid attribute item value \"%s\" for %s item type.", value, kind)
	}
	switch {
	case given != 1:
		return fail(code, "Each permission names one of user id, group, organization and organizational unit")
	case p.UserId != "" && !accountID().MatchString(p.UserId):
		return bad(p.UserId, "userId")
	case p.Group != "" && p.Group != "all":
		return bad(p.Group, "group")
	case p.OrganizationArn != "" && !orgARN().MatchString(p.OrganizationArn):
		return bad(p.OrganizationArn, "organizationArn")
	case p.OrganizationalUnitArn != "" && !ouARN().MatchString(p.OrganizationalUnitArn):
		return bad(p.OrganizationalUnitArn, "organizationalUnitArn")
	}
	return nil
}

// with is the list and s, once; an empty s changes nothing.
func with(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(slices.Clone(list), s)
}

func without(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return x == s })
}
