package machine

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/imgops/imgops/images"
)

// lostTime is how long a machine is looked for whose launch had no answer.
const lostTime = 5 * time.Second

// Stop stops the machine through the API and waits until its disk is at rest. SSH to it is over.
func (m *Machine) Stop(ctx context.Context) error {
	_ = m.disconnect(ctx)
	if _, err := m.api.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{m.ID}}); err != nil {
		return fmt.Errorf("stopping %s: %w", m, err)
	}
	if _, err := m.waitState(ctx, types.InstanceStateNameStopped); err != nil {
		return fmt.Errorf("waiting for %s to stop: %w", m, err)
	}
	return nil
}

// terminate ends the instance and waits until it is gone.
func (m *Machine) terminate(ctx context.Context) error {
	if !m.startAsked || m.gone && m.ID != "" && !m.startLost {
		return nil
	}
	if err := m.endFound(ctx); err != nil {
		return fmt.Errorf("instance %s %s in %s: %w", m.name, m.ID, m.spec.Location, err)
	}
	m.startAsked, m.gone = false, true
	return nil
}

// endFound terminates every live instance of this machine's name and run, and the one whose id is known.
func (m *Machine) endFound(ctx context.Context) error {
	ids, err := m.live(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := m.end(ctx, id); err != nil {
			return fmt.Errorf("terminating %s: %w", id, err)
		}
	}
	return nil
}

func (m *Machine) end(ctx context.Context, id string) error {
	const unknown = "InvalidInstanceID.NotFound"
	var young []string // an id that RunInstances has just answered with is there, even if EC2 does not know it yet
	if id == m.ID && time.Since(m.launched) < settleTime {
		young = append(young, unknown)
	}
	err := settle(ctx, func(ctx context.Context) error {
		_, err := m.api.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
		return err
	}, young...)
	if images.Code(err) == unknown {
		return nil
	}
	if err != nil {
		return err
	}
	return images.Poll(ctx, func(ctx context.Context) (bool, error) {
		list, err := m.describe(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		return err == nil && (len(list) == 0 || list[0].State.Name == types.InstanceStateNameTerminated), err
	})
}

// live looks for the instances to end. After a launch without an answer it looks for a while: the launch may still
// take effect, and what is new is not seen at once.
func (m *Machine) live(ctx context.Context) ([]string, error) {
	var ids []string
	until := time.Now()
	if m.startLost {
		until = until.Add(m.lost)
	}
	err := images.Poll(ctx, func(ctx context.Context) (bool, error) {
		list, err := m.describe(ctx, &ec2.DescribeInstancesInput{Filters: m.ownFilters()})
		if err != nil {
			return false, err
		}
		ids = nil
		if m.ID != "" && !m.gone {
			ids = append(ids, m.ID)
		}
		for _, i := range list {
			if id := aws.ToString(i.InstanceId); id != m.ID && i.State.Name != types.InstanceStateNameTerminated && m.ours(i.Tags) {
				ids = append(ids, id)
			}
		}
		return len(ids) > 0 || !time.Now().Before(until), nil
	})
	return ids, err
}
