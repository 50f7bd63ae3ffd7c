package sandbox

import (
	"fmt"

	"github.com/imgops/imgops/images/sandbox/query"
)

type instancesRequest struct {
	InstanceId []string `query:",required"`
}

type stopRequest struct {
	InstanceId     []string `query:",required"`
	Force          bool
	Hibernate      bool
	SkipOsShutdown bool
}

type terminateRequest struct {
	InstanceId     []string `query:",required"`
	Force          bool
	SkipOsShutdown bool
}

type stateChange struct {
	ID       string    `xml:"instanceId"`
	Current  stateItem `xml:"currentState"`
	Previous stateItem `xml:"previousState"`
}

type stateChangeAnswer struct {
	Instances query.List[stateChange] `xml:"instancesSet"`
}

// transition moves instances to another state: all of them or none. next decides the new state of one, which is the old
// one when there is nothing to do.
func (q *call) transition(ids []string, next func(*instanceRow) error) (*stateChangeAnswer, error) {
	out := &stateChangeAnswer{}
	seen := map[string]bool{}
	for _, id := range ids {
		i, err := q.instance(id)
		if err != nil {
			return nil, err
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		before := i.State
		if err := next(&i); err != nil {
			return nil, err
		}
		q.instances.Put(q.tx, id, i)
		q.after(func() { q.reconcile(id) })
		out.Instances.Items = append(out.Instances.Items, stateChange{id, instanceState(i.State), instanceState(before)})
	}
	return out, nil
}

func incorrectState(i *instanceRow, verb string) error {
	return fail("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be %s: it is %s", i.ID, verb, i.State)
}

func (q *call) userInitiated() string {
	return fmt.Sprintf("User initiated (%s)", q.now.Format("2006-01-02 15:04:05 MST"))
}

func startInstances(q *call, in *instancesRequest) (*stateChangeAnswer, error) {
	return q.transition(in.InstanceId, func(i *instanceRow) error {
		switch i.State {
		case pending, running:
			return nil
		case stopped:
			i.State, i.Launched, i.Reason, i.Transition = pending, q.now, nil, ""
			return nil
		}
		return incorrectState(i, "started")
	})
}

// stopInstances may be called again, with Force, on an instance that does not come to an end of stopping.
func stopInstances(q *call, in *stopRequest) (*stateChangeAnswer, error) {
	if in.Hibernate {
		return nil, fail("UnsupportedHibernationConfiguration", "Instances of this sandbox cannot hibernate")
	}
	return q.transition(in.InstanceId, func(i *instanceRow) error {
		switch i.State {
		case stopped:
			return nil
		case running, stopping:
			if i.SpotRequest != "" {
				return fail("UnsupportedOperation", "You can't stop the Spot Instance '%s' because it is associated with a one-time Spot Instance request. "+
					"You can only stop Spot Instances associated with persistent Spot Instance requests.", i.ID)
			}
			if i.NoStop {
				return fail("OperationNotPermitted", "The instance '%s' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.", i.ID)
			}
			i.State, i.Force = stopping, in.Force || in.SkipOsShutdown
			i.Reason = &reason{"Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown"}
			i.Transition = q.userInitiated()
			return nil
		}
		return incorrectState(i, "stopped")
	})
}

func terminateInstances(q *call, in *terminateRequest) (*stateChangeAnswer, error) {
	return q.transition(in.InstanceId, func(i *instanceRow) error {
		if i.State == terminated || i.State == shuttingDown {
			return nil
		}
		if i.NoTermination {
			return fail("OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", i.ID)
		}
		i.State = shuttingDown
		i.Reason = &reason{"Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown"}
		i.Transition = q.userInitiated()
		return nil
	})
}

func rebootInstances(q *call, in *instancesRequest) (*done, error) {
	_, err := q.transition(in.InstanceId, func(i *instanceRow) error {
		if i.State != running {
			return incorrectState(i, "rebooted")
		}
		i.Rebooting = true
		return nil
	})
	return success, err
}
