package builder

import (
	"context"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/imgops/imgops/images/machine"
)

// steps is the whole bake, in order. When all have run, or one has failed, what they made is removed from the last to
// the first; only the image of a bake that succeeded stays.
func (k *bake) steps() []multistep.Step {
	m := k.machine
	return []multistep.Step{
		k.step(k.checkBase),              // the base is available, of the right architecture and from the right owner
		k.step(k.writeRecipe),            // the files that the digest covers, and no others
		k.step(k.checkTools),             // this computer has what the provisioners need
		machine.KeyPair(m),               // a key of this machine only; undo: delete it
		machine.SecurityGroup(m),         // port 22 for the caller; undo: delete it
		machine.Start(m),                 // tagged, IMDSv2, ends itself at its expiry; undo: terminate, wait
		machine.Connect(m),               // SSH, with the host key that the machine was given; undo: disconnect
		k.step(k.waitBooted),             // cloud-init has done the first boot
		k.step(k.provision),              // what the role says, in its order
		k.step(k.clean),                  // what belongs to this machine does not belong in the image; what stays is listed
		k.step(k.stop),                   // the disk is at rest
		k.undoable(k.capture, k.discard), // the image and its snapshots, tagged; undo: both, unless all went well
		k.step(k.tellInventory),          // for the ledger, while EC2 is at work
		k.step(k.waitAvailable),          // or EC2's reason why it never will be
	}
}

func none(context.Context) error { return nil }

// step is a step that makes nothing that would have to be undone.
func (k *bake) step(do func(context.Context) error) multistep.Step { return k.undoable(do, none) }

func (k *bake) undoable(do, undo func(context.Context) error) multistep.Step { return &step{do, undo} }

// step adapts two functions to multistep. The undo is for failures: after a success, it does not run.
type step struct{ do, undo func(context.Context) error }

func (s *step) Run(ctx context.Context, bag multistep.StateBag) multistep.StepAction {
	if err := s.do(ctx); err != nil {
		return machine.Fail(bag, err)
	}
	return multistep.ActionContinue
}

func (s *step) Cleanup(bag multistep.StateBag) {
	if !machine.Done(bag) {
		machine.Undo(bag, s.undo)
	}
}
