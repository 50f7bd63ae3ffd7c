package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// OrganizationSyntax is how ParseOrganizations reads a place in an organization.
const OrganizationSyntax = "ORGANIZATION[/ROOT[/UNIT...]]=ACCOUNT[,ACCOUNT...], as in o-abcdefghij/r-ab12/ou-ab12-11111111=222222222222"

// Organizations say which accounts belong together, so that an image or a key that is shared with an organization or an
// organizational unit reaches its members. An account is in one place; units below a unit inherit from it (ec2-facts 4.3).
type Organizations struct{ paths map[string]string }

var organizationPath = lazy(`^o-[a-z0-9]{10,32}(/r-[0-9a-z]{4,32}(/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})*)?$`)

// ParseOrganizations reads places as OrganizationSyntax has them. A path is written as in the condition key
// aws:PrincipalOrgPaths.
func ParseOrganizations(places []string) (Organizations, error) {
	o := Organizations{paths: map[string]string{}}
	for _, text := range places {
		path, accounts, ok := strings.Cut(text, "=")
		if path = strings.TrimSuffix(path, "/"); !ok || !organizationPath().MatchString(path) {
			return Organizations{}, fmt.Errorf("organization %q: write %s", text, OrganizationSyntax)
		}
		for account := range strings.SplitSeq(accounts, ",") {
			if !accountID().MatchString(account) {
				return Organizations{}, fmt.Errorf("organization %q: %q is no account id of 12 digits; write %s", text, account, OrganizationSyntax)
			}
			if old, twice := o.paths[account]; twice {
				return Organizations{}, fmt.Errorf("organization %q: account %s is already in %s; an account is in one place", text, account, old)
			}
			o.paths[account] = path
		}
	}
	return o, nil
}

// describe lists the places in the form that ParseOrganizations reads.
func (o Organizations) describe() []string {
	members := map[string][]string{}
	for account, path := range o.paths {
		members[path] = append(members[path], account)
	}
	var out []string
	for _, path := range slices.Sorted(maps.Keys(members)) {
		out = append(out, path+"="+strings.Join(slices.Sorted(slices.Values(members[path])), ","))
	}
	return out
}

// of is the organization of an account, or "".
func (o Organizations) of(account string) string {
	id, _, _ := strings.Cut(o.paths[account], "/")
	return id
}

// shareGroups are the ids of the organization and the units that an account is in, under which images are indexed.
func (o Organizations) shareGroups(account string) []string {
	var out []string
	for part := range strings.SplitSeq(o.paths[account], "/") {
		if part != "" && !strings.HasPrefix(part, "r-") {
			out = append(out, part)
		}
	}
	return out
}

// groupOf is the organization's or the unit's id at the end of its ARN.
func groupOf(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

// reaches: the image is shared with the account, by its id or by what it is a member of.
func (o Organizations) reaches(i *imageRow, account string) bool {
	if slices.Contains(i.Users, account) {
		return true
	}
	member := o.shareGroups(account)
	in := func(arn string) bool { return slices.Contains(member, groupOf(arn)) }
	return slices.ContainsFunc(i.Orgs, in) || slices.ContainsFunc(i.OUs, in)
}
