package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// Kept is what people have decided about a fleet, and how far its ledgers had come: what a build location keeps, and what has
// to go along when another location takes its place.
type Kept struct {
	Holds    map[string]Hold // by role
	Rejected []Image         // also those of which only the rejection is kept, and what was built on a rejected one
	Witness  Witness
}

// ReadKept reads what a build location keeps of a fleet.
func ReadKept(ctx context.Context, clients Clients, build Location, fleet string) (Kept, error) {
	pointers, err := OpenPointers(ctx, clients, build, fleet)
	if err != nil {
		return Kept{}, err
	}
	found, err := pointers.everything(ctx)
	if err != nil {
		return Kept{}, err
	}
	own, err := ownImages(ctx, clients, fleet, build)
	if err != nil {
		return Kept{}, err
	}
	own = append(own, notThere(found.rejected, own)...)
	Taint(own)
	k := Kept{Holds: found.holds, Rejected: slices.DeleteFunc(own, func(img Image) bool { return img.Rejected == "" })}
	k.Witness, err = ReadWitness(ctx, clients, build, fleet)
	return k, err
}

// Carry writes what another build location kept to this one, where it is not yet, and then notes that it did. Doing it again
// changes nothing. rejected are the rejections as they are for this location: a recipe's digest can be another one in another
// Region.
func Carry(ctx context.Context, clients Clients, build Location, fleet string, k Kept, rejected []Image, note string) error {
	holds, err := OpenHolds(ctx, clients, build, fleet)
	if err != nil {
		return err
	}
	for _, hold := range k.Holds {
		var held *HeldError
		if err := holds.Create(ctx, hold); err != nil && !errors.As(err, &held) {
			return err
		}
	}
	for _, img := range rejected {
		if err := KeepRejection(ctx, clients, build, img, img.rejectedAt(time.Now()), false); err != nil {
			return err
		}
	}
	if err := carryWitness(ctx, clients, build, fleet, k.Witness); err != nil {
		return err
	}
	_, err = holds.pointers.api.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(CarriedName(fleet)), Value: aws.String(note), Type: types.ParameterTypeString, Overwrite: aws.Bool(true),
		Description: aws.String("imgops: from which build location, of the promotion at which commit, the holds and rejections of fleet " + fleet + " were carried over"),
	})
	if err != nil {
		return fmt.Errorf("noting in %s what was carried over: %w", build, err)
	}
	return nil
}

// carryWitness notes the tips of ledgers that the location knows nothing of.
func carryWitness(ctx context.Context, clients Clients, build Location, fleet string, old Witness) error {
	now, err := ReadWitness(ctx, clients, build, fleet)
	for place, tip := range old.Tips {
		if _, known := now.Tips[place]; !known && err == nil {
			now, err = WriteWitness(ctx, clients, build, fleet, now, place, tip)
		}
	}
	return err
}

// CarriedName is the name of the SSM parameter, in the build location, that says what was carried over last.
func CarriedName(fleet string) string { return "/imgops/" + fleet + "/carried" }

// Carried is the note that Carry has left in a build location; "" where there is none.
func Carried(ctx context.Context, clients Clients, build Location, fleet string) (string, error) {
	api, err := clients.SSM(ctx, build)
	if err != nil {
		return "", fmt.Errorf("connecting to SSM of %s: %w", build, err)
	}
	out, err := api.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(CarriedName(fleet))})
	if Code(err) == "ParameterNotFound" {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading %s in %s: %w", CarriedName(fleet), build, err)
	}
	return aws.ToString(out.Parameter.Value), nil
}
