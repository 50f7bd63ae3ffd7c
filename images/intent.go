package images

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// Intent is the note of a run that is about to do what has to be recorded, in the build location. It goes when the record is
// stored, so what a killed run did, or one whose record was lost with its clone, shows to every run after it: among the parameters that
// each look reads anyway.
type Intent struct {
	Name  string    // of the parameter
	Value string    // what the run wrote; it is the caller's
	At    time.Time // it was written last, by SSM's clock
}

// MaxIntent is what an Intent's value may have, in bytes: SSM's standard parameters hold no more (ssm API, PutParameter).
const MaxIntent = 4096

// IntentName is the name of a parameter that keeps an Intent. id is of letters, digits and . _ -; other characters are replaced.
func IntentName(fleet, id string) string {
	return WitnessName(fleet) + "/pending/" + strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, id)
}

// isIntent says whether a parameter keeps an Intent. No role's parameters have such a name: they have one or two more parts.
func isIntent(fleet string, e types.Parameter) bool {
	return strings.HasPrefix(aws.ToString(e.Name), WitnessName(fleet)+"/pending/")
}

func readIntent(e types.Parameter) Intent {
	return Intent{Name: aws.ToString(e.Name), Value: aws.ToString(e.Value), At: aws.ToTime(e.LastModifiedDate).UTC()}
}

// PutIntent writes or replaces an Intent.
func PutIntent(ctx context.Context, clients Clients, build Location, name, value string) error {
	api, err := clients.SSM(ctx, build)
	if err != nil {
		return fmt.Errorf("connecting to SSM of %s: %w", build, err)
	}
	_, err = api.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(name), Value: aws.String(value), Type: types.ParameterTypeString, Overwrite: aws.Bool(true),
		Description: aws.String("imgops: what a run is about to do, until that is in the ledger"),
	})
	if err != nil {
		return fmt.Errorf("noting in %s of %s what is about to be done: %w", name, build, err)
	}
	return nil
}

// DropIntent removes an Intent. One that is gone is no error.
func DropIntent(ctx context.Context, clients Clients, build Location, name string) error {
	api, err := clients.SSM(ctx, build)
	if err != nil {
		return fmt.Errorf("connecting to SSM of %s: %w", build, err)
	}
	if _, err := api.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String(name)}); err != nil && Code(err) != "ParameterNotFound" {
		return fmt.Errorf("removing %s in %s: %w", name, build, err)
	}
	return nil
}

// ReadIntents lists the Intents of a fleet.
func ReadIntents(ctx context.Context, clients Clients, build Location, fleet string) ([]Intent, error) {
	api, err := clients.SSM(ctx, build)
	if err != nil {
		return nil, fmt.Errorf("connecting to SSM of %s: %w", build, err)
	}
	var list []Intent
	in := &ssm.GetParametersByPathInput{Path: aws.String(WitnessName(fleet)), Recursive: aws.Bool(true), MaxResults: aws.Int32(10)}
	for pages := ssm.NewGetParametersByPathPaginator(api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading what runs are about to do, below %s in %s: %w", WitnessName(fleet), build, err)
		}
		for _, e := range page.Parameters {
			if isIntent(fleet, e) {
				list = append(list, readIntent(e))
			}
		}
	}
	return list, nil
}
