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

// Lease is an exclusive right that one run has until it gives it back, or until it expires.
type Lease struct {
	Run    string    `json:"run"`    // who has it; the same run may take it again
	Commit string    `json:"commit"` // what for; told to those who wait
	Until  time.Time `json:"until"`  // UTC

	name    string
	version int64
}

// Ends says when another run may take the lease, if it is not renewed: hours, minutes and seconds in UTC.
func (l Lease) Ends() string { return l.Until.Add(leaseGrace).UTC().Format("15:04:05 UTC") }

// leaseGrace is how long after its end a lease is left alone: the clocks of two runners may differ.
const leaseGrace = 15 * time.Second

// Leases takes and returns leases, each an SSM parameter of a location. SSM's PutParameter without Overwrite is an
// atomic creation, and the version that it answers with Overwrite tells which of two takeovers came first.
type Leases struct {
	loc   Location
	api   SSMAPI
	clock func() time.Time
}

// OpenLeases gives the leases of a location, with the location's client.
func OpenLeases(ctx context.Context, clients Clients, loc Location, clock func() time.Time) (*Leases, error) {
	api, err := clients.SSM(ctx, loc)
	if err != nil {
		return nil, fmt.Errorf("connecting to SSM of %s: %w", loc, err)
	}
	return &Leases{loc, api, clock}, nil
}

// Take waits until the lease is free, or has expired, and takes it for the given time. waiting, which may be nil, is
// called with the holder as long as another run has it.
func (l *Leases) Take(ctx context.Context, name, run, commit string, lasts time.Duration, waiting func(Lease)) (Lease, error) {
	var mine Lease
	err := Poll(ctx, func(ctx context.Context) (bool, error) {
		got, ok, err := l.try(ctx, name, run, commit, lasts)
		if err == nil && !ok && waiting != nil {
			waiting(got)
		}
		mine = got
		return ok, err
	})
	if err != nil {
		return Lease{}, fmt.Errorf("taking the lease %s in %s: %w", name, l.loc, err)
	}
	return mine, nil
}

// try takes the lease if it can be had; otherwise it returns the one that is in the way.
func (l *Leases) try(ctx context.Context, name, run, commit string, lasts time.Duration) (Lease, bool, error) {
	mine := Lease{Run: run, Commit: commit, Until: l.clock().Add(lasts).UTC(), name: name}
	version, err := l.put(ctx, mine, false)
	if err == nil {
		mine.version = version
		return mine, true, nil
	}
	if Code(err) != "ParameterAlreadyExists" {
		return Lease{}, false, err
	}
	old, ok, err := l.get(ctx, name)
	if err != nil || !ok || old.Run != run && l.clock().Before(old.Until.Add(leaseGrace)) {
		return old, false, err
	}
	if version, err = l.put(ctx, mine, true); err != nil {
		return old, false, err
	}
	mine.version = version
	if version == old.version+1 {
		return mine, true, nil
	}
	// Another run took it over first and has it: what stands there now must not be mistaken for ours.
	mine.Run = ""
	_, err = l.put(ctx, mine, true)
	return mine, false, err
}

func (l *Leases) put(ctx context.Context, lease Lease, overwrite bool) (int64, error) {
	value, err := json.Marshal(lease)
	if err != nil {
		return 0, err
	}
	out, err := l.api.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(lease.name), Value: aws.String(string(value)), Type: types.ParameterTypeString, Overwrite: aws.Bool(overwrite),
		Description: aws.String("imgops: a lease; whoever finds it expired may take it"),
	})
	if err != nil {
		return 0, err
	}
	return out.Version, nil
}

// get reads a lease. One that cannot be read has expired.
func (l *Leases) get(ctx context.Context, name string) (Lease, bool, error) {
	out, err := l.api.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(name)})
	if Code(err) == "ParameterNotFound" {
		return Lease{}, false, nil
	}
	if err != nil {
		return Lease{}, false, err
	}
	var found Lease
	if json.Unmarshal([]byte(aws.ToString(out.Parameter.Value)), &found) != nil {
		found = Lease{}
	}
	found.name, found.version = name, out.Parameter.Version
	return found, true, nil
}

// Return gives a lease back. One that has expired is left: it may be another run's by now.
func (l *Leases) Return(ctx context.Context, lease Lease) error {
	if !l.Has(lease) {
		return nil
	}
	_, err := l.api.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String(lease.name)})
	if err != nil && Code(err) != "ParameterNotFound" {
		return fmt.Errorf("returning the lease %s in %s (it expires at %s): %w", lease.name, l.loc, formatTime(lease.Until), err)
	}
	return nil
}

// Has says that a lease that was taken has not expired.
func (l *Leases) Has(lease Lease) bool { return l.clock().Before(lease.Until) }
