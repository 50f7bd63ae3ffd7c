package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// ErrNotFound says that an account sees no such image.
var ErrNotFound = errors.New("image not found")

// EC2API is what a Catalogue needs of EC2.
type EC2API interface {
	ec2.DescribeImagesAPIClient
	CreateTags(context.Context, *ec2.CreateTagsInput, ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error)
	DeleteTags(context.Context, *ec2.DeleteTagsInput, ...func(*ec2.Options)) (*ec2.DeleteTagsOutput, error)
}

// maxFilterValues is how many values one filter takes (ec2 API, Filter).
const maxFilterValues = 200

// Catalogue answers what images one account has or sees in one Region.
type Catalogue struct {
	loc Location
	api EC2API
}

// NewCatalogue makes the catalogue of a location.
func NewCatalogue(loc Location, api EC2API) *Catalogue { return &Catalogue{loc: loc, api: api} }

// Open makes the catalogue of a location with the location's client.
func Open(ctx context.Context, clients Clients, loc Location) (*Catalogue, error) {
	api, err := clients.EC2(ctx, loc)
	if err != nil {
		return nil, fmt.Errorf("connecting to EC2 of %s: %w", loc, err)
	}
	return NewCatalogue(loc, api), nil
}

// OfFleet lists the account's own images of a fleet, newest first; ties are broken by id, since EC2 gives no order.
func (c *Catalogue) OfFleet(ctx context.Context, fleet string) ([]Image, error) {
	return c.list(ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{tagFilter(TagFleet, fleet)}})
}

// OfRoles lists the account's own images of some roles of a fleet, newest first, in one call.
func (c *Catalogue) OfRoles(ctx context.Context, fleet string, roles ...string) ([]Image, error) {
	if len(roles) > maxFilterValues {
		return c.OfFleet(ctx, fleet)
	}
	return c.list(ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{
		tagFilter(TagFleet, fleet), filter("tag:"+TagRole, roles...),
	}})
}

// ByDigest lists the account's own images of a role that were made from a recipe digest, newest first.
func (c *Catalogue) ByDigest(ctx context.Context, fleet, role, digest string) ([]Image, error) {
	return c.list(ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{
		tagFilter(TagFleet, fleet), tagFilter(TagRole, role), tagFilter(TagDigest, digest),
	}})
}

// Get looks images up by id, 200 of them in a call; an id that the account does not see is missing from the map.
func (c *Catalogue) Get(ctx context.Context, ids ...string) (map[string]Image, error) {
	found := map[string]Image{}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for chunk := range slices.Chunk(ids, maxFilterValues) {
		// A filter, not ImageIds: one unknown id fails a whole call by ids (InvalidAMIID.NotFound), a filter just omits it.
		list, err := c.list(ctx, &ec2.DescribeImagesInput{
			Filters: []types.Filter{filter("image-id", chunk...)}, IncludeDeprecated: aws.Bool(true), IncludeDisabled: aws.Bool(true),
		})
		if err != nil {
			return nil, err
		}
		for _, img := range list {
			found[img.ID] = img
		}
	}
	return found, nil
}

// Tag sets tags on an image and its snapshots in one call; an empty value removes the tag.
func (c *Catalogue) Tag(ctx context.Context, img Image, tags map[string]string) error {
	ids := append([]string{img.ID}, img.Snapshots...)
	var gone []types.Tag
	for k, v := range tags {
		if v == "" {
			gone = append(gone, types.Tag{Key: aws.String(k)})
		}
	}
	if set := EC2Tags(tags); len(set) > 0 {
		if _, err := c.api.CreateTags(ctx, &ec2.CreateTagsInput{Resources: ids, Tags: set}); err != nil {
			return fmt.Errorf("tagging image %s in %s: %w", img.ID, c.loc, err)
		}
	}
	if len(gone) > 0 {
		if _, err := c.api.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: ids, Tags: gone}); err != nil {
			return fmt.Errorf("removing tags of image %s in %s: %w", img.ID, c.loc, err)
		}
	}
	return nil
}

// TagImages sets the same tags on many images, without their snapshots: 200 images in a call.
func (c *Catalogue) TagImages(ctx context.Context, ids []string, tags map[string]string) error {
	for chunk := range slices.Chunk(ids, maxFilterValues) {
		if _, err := c.api.CreateTags(ctx, &ec2.CreateTagsInput{Resources: chunk, Tags: EC2Tags(tags)}); err != nil {
			return fmt.Errorf("tagging %d images in %s: %w", len(chunk), c.loc, err)
		}
	}
	return nil
}

func (c *Catalogue) list(ctx context.Context, in *ec2.DescribeImagesInput) ([]Image, error) {
	if len(in.Owners) > 0 {
		// Unpaged requests are throttled first (ec2 API, DescribeImages). One by image ids is small; and without an
		// owner, pages may come empty while EC2 walks through every public image.
		in.MaxResults = aws.Int32(1000)
	}
	var list []Image
	for p := ec2.NewDescribeImagesPaginator(c.api, in); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing images in %s: %w", c.loc, err)
		}
		for _, e := range page.Images {
			list = append(list, fromEC2(c.loc, e))
		}
	}
	slices.SortFunc(list, func(a, b Image) int {
		return cmp.Or(b.Created.Compare(a.Created), b.BuiltAt.Compare(a.BuiltAt), cmp.Compare(b.ID, a.ID))
	})
	return list, nil
}

// Code returns the API's error code inside err, or "".
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func tagFilter(tag, value string) types.Filter { return filter("tag:"+tag, value) }

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}
