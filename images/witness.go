package images

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// Witness is what the build account knows of the fleet's ledgers: how far each had come when a run last recorded something in
// it. A ledger that does not have that any more has lost entries, which who has never seen them cannot tell.
type Witness struct {
	Tips map[string]Tip `json:"tips"` // by where the ledger is: a branch that changes `ledger:` leaves the other one's tip alone
	// Version is the parameter's, which each writing makes one more; 0 where there is none.
	Version int64 `json:"-"`
}

// Tip is how far a ledger had come.
type Tip struct {
	Tip string    `json:"tip"` // what the ledger calls it
	Run string    `json:"run"` // that left it
	At  time.Time `json:"at"`  // UTC
}

// WitnessName is the name of the SSM parameter, in the build location, that keeps a fleet's Witness.
func WitnessName(fleet string) string { return "/imgops/" + fleet + "/ledger" }

// ReadWitness gives the witness of a fleet; one without tips where there is none, or one that nobody can read.
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
	return Witness{Tips: parseTips(aws.ToString(out.Parameter.Value)), Version: out.Parameter.Version}, nil
}

// parseTips reads a parameter's value. What nobody can read says nothing: the next run replaces it.
func parseTips(value string) map[string]Tip {
	var w Witness
	if json.Unmarshal([]byte(value), &w) != nil {
		return nil
	}
	maps.DeleteFunc(w.Tips, func(_ string, t Tip) bool { return t.Tip == "" })
	return w.Tips
}

// WriteWitness replaces the tip of one ledger in the witness of a fleet, and gives the witness as it is then. Its version is
// more than one later when somebody else has written meanwhile, with a tip that may be the later one.
func WriteWitness(ctx context.Context, clients Clients, build Location, fleet string, w Witness, place string, t Tip) (Witness, error) {
	api, err := clients.SSM(ctx, build)
	if err != nil {
		return w, fmt.Errorf("connecting to SSM of %s: %w", build, err)
	}
	t.At = t.At.UTC().Truncate(time.Second)
	tips := map[string]Tip{}
	maps.Copy(tips, w.Tips)
	tips[place] = t
	value, err := json.Marshal(Witness{Tips: tips})
	if err != nil {
		return w, fmt.Errorf("encoding the tip of the ledger: %w", err)
	}
	out, err := api.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(WitnessName(fleet)), Value: aws.String(string(value)), Type: types.ParameterTypeString, Overwrite: aws.Bool(true),
		Description: aws.String("imgops: how far the ledger of fleet " + fleet + " had come; it is to have all of that later on"),
	})
	if err != nil {
		return w, fmt.Errorf("noting the tip of the ledger in %s of %s: %w", WitnessName(fleet), build, err)
	}
	return Witness{Tips: tips, Version: out.Version}, nil
}
