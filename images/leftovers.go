package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// The kinds of temporary resources, in the order in which they have to go: a security group cannot be deleted while an
// instance is in it (DependencyViolation).
const (
	KindInstance      = "instance"
	KindSecurityGroup = "security-group"
	KindKeyPair       = "key-pair"
)

// Leftover is a temporary resource of a fleet: one that a run uses now, or that a killed run has left.
type Leftover struct {
	Kind    string    `json:"kind"`
	ID      string    `json:"id"`
	Role    string    `json:"role"`
	Run     string    `json:"run"`
	Expires time.Time `json:"expires"` // UTC
}

// LeftoverAPI is what finding and removing leftovers needs of EC2.
type LeftoverAPI interface {
	ec2.DescribeInstancesAPIClient
	ec2.DescribeSecurityGroupsAPIClient
	DescribeKeyPairs(context.Context, *ec2.DescribeKeyPairsInput, ...func(*ec2.Options)) (*ec2.DescribeKeyPairsOutput, error)
	TerminateInstances(context.Context, *ec2.TerminateInstancesInput, ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error)
	DeleteSecurityGroup(context.Context, *ec2.DeleteSecurityGroupInput, ...func(*ec2.Options)) (*ec2.DeleteSecurityGroupOutput, error)
	DeleteKeyPair(context.Context, *ec2.DeleteKeyPairInput, ...func(*ec2.Options)) (*ec2.DeleteKeyPairOutput, error)
}

// Leftovers lists the temporary resources of a fleet that expire before a time, in the order in which they have to be
// removed. Only what carries the fleet's tag, a run and a readable expiry counts: a resource that this cannot be said
// of is somebody else's.
func Leftovers(ctx context.Context, api LeftoverAPI, fleet string, before time.Time) ([]Leftover, error) {
	if fleet == "" {
		return nil, errors.New("looking for leftovers: no fleet is named, and an empty selector would match everything")
	}
	var list []Leftover
	add := func(kind, id string, tags []types.Tag) {
		l := Leftover{Kind: kind, ID: id}
		for _, t := range tags {
			switch v := aws.ToString(t.Value); aws.ToString(t.Key) {
			case TagRole:
				l.Role = v
			case TagRun:
				l.Run = v
			case TagExpires:
				l.Expires = parseTime(v)
			}
		}
		if l.Run != "" && !l.Expires.IsZero() && l.Expires.Before(before) {
			list = append(list, l)
		}
	}
	of := []types.Filter{tagFilter(TagFleet, fleet), filter("tag-key", TagExpires)}
	if err := eachInstance(ctx, api, of, func(i types.Instance) { add(KindInstance, aws.ToString(i.InstanceId), i.Tags) }); err != nil {
		return nil, err
	}
	for p := ec2.NewDescribeSecurityGroupsPaginator(api, &ec2.DescribeSecurityGroupsInput{Filters: of, MaxResults: aws.Int32(1000)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the security groups of fleet %s: %w", fleet, err)
		}
		for _, g := range page.SecurityGroups {
			add(KindSecurityGroup, aws.ToString(g.GroupId), g.Tags)
		}
	}
	keys, err := api.DescribeKeyPairs(ctx, &ec2.DescribeKeyPairsInput{Filters: of})
	if err != nil {
		return nil, fmt.Errorf("listing the key pairs of fleet %s: %w", fleet, err)
	}
	for _, k := range keys.KeyPairs {
		add(KindKeyPair, aws.ToString(k.KeyPairId), k.Tags)
	}
	slices.SortStableFunc(list, func(a, b Leftover) int { return cmp.Compare(kindOrder(a.Kind), kindOrder(b.Kind)) })
	return list, nil
}

func eachInstance(ctx context.Context, api ec2.DescribeInstancesAPIClient, of []types.Filter, do func(types.Instance)) error {
	live := filter("instance-state-name", "pending", "running", "stopping", "stopped")
	in := &ec2.DescribeInstancesInput{Filters: append(slices.Clone(of), live), MaxResults: aws.Int32(1000)}
	for p := ec2.NewDescribeInstancesPaginator(api, in); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("listing instances: %w", err)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				do(i)
			}
		}
	}
	return nil
}

func kindOrder(kind string) int {
	return slices.Index([]string{KindInstance, KindSecurityGroup, KindKeyPair}, kind)
}

// Remove removes leftovers, in their order, and returns those that are gone. The joined error names the others.
func Remove(ctx context.Context, api LeftoverAPI, list []Leftover) (gone []Leftover, err error) {
	var errs []error
	for _, l := range list {
		if err := removeOne(ctx, api, l); err != nil && !isGone(err) {
			errs = append(errs, fmt.Errorf("removing %s %s: %w", l.Kind, l.ID, err))
			continue
		}
		gone = append(gone, l)
	}
	return gone, errors.Join(errs...)
}

// isGone says that somebody else was quicker: another gc, or the run itself.
func isGone(err error) bool {
	return slices.Contains([]string{"InvalidInstanceID.NotFound", "InvalidGroup.NotFound", "InvalidKeyPair.NotFound"}, Code(err))
}

func removeOne(ctx context.Context, api LeftoverAPI, l Leftover) error {
	switch l.Kind {
	case KindInstance:
		if _, err := api.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{l.ID}}); err != nil {
			return err
		}
		w := ec2.NewInstanceTerminatedWaiter(api, func(o *ec2.InstanceTerminatedWaiterOptions) { o.MinDelay = time.Second })
		return w.Wait(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{l.ID}}, 5*time.Minute)
	case KindSecurityGroup:
		_, err := api.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: aws.String(l.ID)})
		return err
	}
	_, err := api.DeleteKeyPair(ctx, &ec2.DeleteKeyPairInput{KeyPairId: aws.String(l.ID)})
	return err
}
