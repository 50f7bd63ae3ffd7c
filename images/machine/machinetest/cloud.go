package machinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// ErrLost is what a client sees when the connection broke before the answer.
var ErrLost = errors.New("connection reset by peer")

// Fault disturbs calls of one action.
type Fault struct {
	Nth    int    // which call of the action, from 1; 0: each
	Err    error  // the answer; nil leaves the call's own
	Effect bool   // the call takes effect although Err is answered: a lost answer
	Before func() // runs before the call
}

// Cloud is one account and Region of an EC2 in memory. It does what imgops relies on: names are unique, a group with a
// machine in it cannot be deleted, tokens are idempotent, states move by one step with each look. Safe for concurrent use.
type Cloud struct {
	// BeforeRun may refuse a launch with an error or give the new instance another state, after its checks.
	BeforeRun func(in *types.Instance) error
	// ImageState is what a created image becomes; default available.
	ImageState types.ImageState

	mu        sync.Mutex
	calls     []string
	counts    map[string]int
	faults    map[string][]Fault
	next      int
	keys      map[string]types.KeyPairInfo
	groups    map[string]types.SecurityGroup
	instances map[string]*types.Instance
	tokens    map[string]launched
	userData  map[string]string
	images    map[string]*types.Image
	snapshots map[string]types.Snapshot
}

type launched struct{ id, params string }

// NewCloud makes a cloud with a default VPC and the available images that are given.
func NewCloud(imgs ...types.Image) *Cloud {
	c := &Cloud{
		counts: map[string]int{}, faults: map[string][]Fault{}, keys: map[string]types.KeyPairInfo{},
		groups: map[string]types.SecurityGroup{}, instances: map[string]*types.Instance{}, tokens: map[string]launched{},
		userData: map[string]string{}, images: map[string]*types.Image{}, snapshots: map[string]types.Snapshot{},
		ImageState: types.ImageStateAvailable,
	}
	for _, img := range imgs {
		c.images[aws.ToString(img.ImageId)] = &img
	}
	return c
}

// Fail adds a fault to an action.
func (c *Cloud) Fail(action string, f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[action] = append(c.faults[action], f)
}

// Heal removes all faults.
func (c *Cloud) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = map[string][]Fault{}
}

// Calls lists the actions that were called, in order.
func (c *Cloud) Calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// UserData gives the user data, base64, of an instance.
func (c *Cloud) UserData(instance string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.userData[instance]
}

// Instances lists all instances that ever were, by value.
func (c *Cloud) Instances() []types.Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []types.Instance
	for _, i := range c.instances {
		list = append(list, *i)
	}
	return list
}

// Images lists the images, by value.
func (c *Cloud) Images() []types.Image {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []types.Image
	for _, i := range c.images {
		list = append(list, *i)
	}
	return list
}

// Left names the temporary things that exist: key pairs, groups, instances that are not terminated.
func (c *Cloud) Left() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := []string{}
	for name := range c.keys {
		left = append(left, "key "+name)
	}
	for _, g := range c.groups {
		left = append(left, "group "+aws.ToString(g.GroupName))
	}
	for id, i := range c.instances {
		if i.State.Name != types.InstanceStateNameTerminated {
			left = append(left, fmt.Sprintf("instance %s %s", id, i.State.Name))
		}
	}
	slices.Sort(left)
	return left
}

// Snapshots names the snapshots that exist.
func (c *Cloud) Snapshots() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := []string{}
	for id := range c.snapshots {
		ids = append(ids, id)
	}
	return ids
}

// call counts a call and applies its fault around do, which runs under the lock.
func call[T any](ctx context.Context, c *Cloud, action string, do func() (T, error)) (T, error) {
	var zero T
	c.mu.Lock()
	c.calls = append(c.calls, action)
	c.counts[action]++
	var fault Fault
	for _, f := range c.faults[action] {
		if f.Nth == 0 || f.Nth == c.counts[action] {
			fault = f
		}
	}
	c.mu.Unlock()
	if fault.Before != nil {
		fault.Before()
	}
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if fault.Err != nil && !fault.Effect {
		return zero, fault.Err
	}
	out, err := do()
	if fault.Err != nil {
		return zero, fault.Err
	}
	return out, err
}

func (c *Cloud) id(prefix string) string {
	c.next++
	return fmt.Sprintf("%s-%017x", prefix, c.next)
}

// Error makes an API error.
func Error(code string) error { return &smithy.GenericAPIError{Code: code, Message: "by " + code} }

func tagsOf(specs []types.TagSpecification, kind types.ResourceType) []types.Tag {
	for _, s := range specs {
		if s.ResourceType == kind {
			return s.Tags
		}
	}
	return nil
}

// matches applies tag:* filters and those of own.
func matches(filters []types.Filter, tags []types.Tag, own map[string]string) bool {
	for _, f := range filters {
		name := aws.ToString(f.Name)
		value, known := own[name]
		if key, isTag := strings.CutPrefix(name, "tag:"); isTag {
			known = true
			for _, t := range tags {
				if aws.ToString(t.Key) == key {
					value = aws.ToString(t.Value)
				}
			}
		}
		if !known || !slices.Contains(f.Values, value) {
			return false
		}
	}
	return true
}
