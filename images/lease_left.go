package images

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// LeasesOf lists the leases that a run of a fleet has in a location, by name: what a run that was killed has not given
// back, and what others wait for until it expires.
func LeasesOf(ctx context.Context, clients Clients, loc Location, fleet, run string) ([]string, error) {
	api, err := clients.SSM(ctx, loc)
	if err != nil {
		return nil, err
	}
	var names []string
	in := &ssm.GetParametersByPathInput{Path: aws.String("/imgops/" + fleet), Recursive: aws.Bool(true), MaxResults: aws.Int32(10)}
	for pages := ssm.NewGetParametersByPathPaginator(api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("looking for leases of run %s in %s: %w", run, loc, err)
		}
		for _, p := range page.Parameters {
			var l Lease
			if json.Unmarshal([]byte(aws.ToString(p.Value)), &l) == nil && l.Run == run && !l.Until.IsZero() {
				names = append(names, aws.ToString(p.Name))
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// DropLease gives a lease of a run that was killed back in its place. One that is gone is no error.
func DropLease(ctx context.Context, clients Clients, loc Location, name string) error {
	api, err := clients.SSM(ctx, loc)
	if err != nil {
		return err
	}
	if _, err := api.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String(name)}); err != nil && Code(err) != "ParameterNotFound" {
		return fmt.Errorf("removing the lease %s in %s: %w", name, loc, err)
	}
	return nil
}
