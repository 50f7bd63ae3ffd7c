package images

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// Witness is what the build account knows of the fleet's ledger: how far it had come when a run last recorded an event in
// it. A ledger that does not have it any more has lost entries, which a clone that has never seen them cannot tell.
type Witness struct {
	Tip string    `json:"tip"` // the ledger's commit
	Run string    `json:"run"` // that left it
	At  time.Time `json:"at"`  // UTC
}

// WitnessName is the name of the SSM parameter, in the build location, that keeps a fleet's Witness.
func WitnessName(fleet string) string { return "/imgops/" + fleet + "/ledger" }

// ReadWitness gives the witness of a fleet; the zero Witness where there is none, or one that nobody can read.
func ReadWitness(ctx context.Context, clients Clients, build Location, fleet string) (Witness, error) {
	api, err := clients.SSM(ctx, build)
	if err != nil {
		return Witness{}, fmt.Errorf("connecting to SSM of %s: %w", build, err)
	}
	out, err := api.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(WitnessName(fleet))})
	if Code(err) == "ParameterNotFound" {
		return Witness{}, nil
	}
	if err != nil {
		return Witness{}, fmt.Errorf("reading %s in %s: %w", WitnessName(fleet), build, err)
	}
	var w Witness
	if json.Unmarshal([]byte(aws.ToString(out.Parameter.Value)), &w) != nil {
		w = Witness{}
	}
	return w, nil
}

// WriteWitness replaces the witness of a fleet. Of two that write at once the one that comes later counts, and both are right.
func WriteWitness(ctx context.Context, clients Clients, build Location, fleet string, w Witness) error {
	api, err := clients.SSM(ctx, build)
	if err != nil {
		return fmt.Errorf("connecting to SSM of %s: %w", build, err)
	}
	w.At = w.At.UTC().Truncate(time.Second)
	value, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("encoding the tip of the ledger: %w", err)
	}
	_, err = api.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(WitnessName(fleet)), Value: aws.String(string(value)), Type: types.ParameterTypeString, Overwrite: aws.Bool(true),
		Description: aws.String("imgops: how far the ledger of fleet " + fleet + " had come; it is to have all of that later on"),
	})
	if err != nil {
		return fmt.Errorf("noting the tip of the ledger in %s of %s: %w", WitnessName(fleet), build, err)
	}
	return nil
}
