package images

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// BaseName names external images: those of an owner, with a name that matches a pattern, for an architecture.
type BaseName struct {
	Owner        string // account id, or amazon, aws-marketplace, self
	Pattern      string // * stands for any characters, ? for one or none, a backslash takes both their meaning
	Architecture string
}

func (b BaseName) String() string {
	return fmt.Sprintf("%s image named %q of owner %s", b.Architecture, b.Pattern, b.Owner)
}

// Exactly is the pattern that matches one name only.
func Exactly(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`).Replace(name)
}

// matches says whether a name matches, as EC2's filters see it (ec2 user guide, Using_Filtering).
func (b BaseName) matches(img Image) bool {
	var form strings.Builder
	form.WriteString("(?s)^")
	escaped := false
	for _, r := range b.Pattern {
		switch {
		case escaped:
			form.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == '\\':
			escaped = true
		case r == '*':
			form.WriteString(".*")
		case r == '?':
			form.WriteString(".?")
		default:
			form.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	form.WriteString("$")
	match, err := regexp.MatchString(form.String(), img.Name)
	return err == nil && match && img.Architecture == b.Architecture
}

// Newest finds for each name the newest available image, with one call for all names of an owner. A deprecated one counts
// only where there is no other, and EC2 shows those of other owners not at all. What has none is missing from the map. An owner is always part of the question: a search by name alone can be answered by a stranger's
// image.
func (c *Catalogue) Newest(ctx context.Context, names ...BaseName) (map[BaseName]Image, error) {
	owners := map[string][]BaseName{}
	for _, n := range names {
		owners[n.Owner] = append(owners[n.Owner], n)
	}
	found := map[BaseName]Image{}
	for owner, asked := range owners {
		for chunk := range slices.Chunk(asked, maxFilterValues) {
			if err := c.newestOfOwner(ctx, owner, chunk, found); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func (c *Catalogue) newestOfOwner(ctx context.Context, owner string, asked []BaseName, found map[BaseName]Image) error {
	var patterns, architectures []string
	for _, n := range asked {
		patterns, architectures = append(patterns, n.Pattern), append(architectures, n.Architecture)
	}
	distinct := func(list []string) []string {
		slices.Sort(list)
		return slices.Compact(list)
	}
	list, err := c.list(ctx, &ec2.DescribeImagesInput{Owners: []string{owner}, Filters: []types.Filter{
		filter("name", distinct(patterns)...), filter("architecture", distinct(architectures)...), filter("state", "available"),
	}})
	if err != nil {
		return err
	}
	now := time.Now()
	slices.SortStableFunc(list, func(a, b Image) int { return trueFirst(!a.deprecatedBy(now), !b.deprecatedBy(now)) })
	for _, n := range asked {
		if i := slices.IndexFunc(list, n.matches); i >= 0 { // newest first
			found[n] = list[i]
		}
	}
	return nil
}

// deprecatedBy says that the image is deprecated at a time.
func (i Image) deprecatedBy(now time.Time) bool {
	return !i.Deprecated.IsZero() && !i.Deprecated.After(now)
}

// BaseWarning says what is the matter with an image that others are built on, or "": it is gone (known is false), cannot
// be launched, is deprecated, or is older than maxAge (0: any age).
func BaseWarning(img Image, known bool, now time.Time, maxAge time.Duration) string {
	age := now.Sub(img.Created)
	switch {
	case !known:
		return "is gone, or no longer shared with the build account"
	case img.State != string(types.ImageStateAvailable):
		return "is " + cmp.Or(img.State, "in no state") + ", not available"
	case img.deprecatedBy(now):
		return "is deprecated since " + img.Deprecated.Format(time.DateOnly)
	case maxAge > 0 && !img.Created.IsZero() && age > maxAge:
		return fmt.Sprintf("is %s old (made on %s), and max_base_age is %s", ageText(age), img.Created.Format(time.DateOnly), days(maxAge))
	}
	return ""
}

// ageText says how old something is: in days, or where that says nothing, in hours or minutes.
func ageText(age time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case age >= 2*day:
		return fmt.Sprintf("%d days", age/day)
	case age >= 2*time.Hour:
		return fmt.Sprintf("%d hours", age/time.Hour)
	case age >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", age/time.Minute)
	}
	return fmt.Sprintf("%d seconds", age/time.Second)
}

// days writes a duration as people say it.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
