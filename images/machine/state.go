package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/imgops/imgops/images"
)

// undoTime is how long one undo may take; it has its own clock, since the run's is over when a run is cancelled.
const undoTime = 2 * time.Minute

// stateKey is the bag's only key of ours: all the rest is typed.
const stateKey = "imgops"

type state struct {
	ctx      context.Context // without the run's cancellation, for the undoing
	progress images.Progress
	run      string

	mu   sync.Mutex
	err  error
	left []error
	done bool
}

// NewState makes the bag for RunSteps. run is told where something could not be removed.
func NewState(progress images.Progress, run string) multistep.StateBag {
	bag := new(multistep.BasicStateBag)
	bag.Put(stateKey, &state{ctx: context.Background(), progress: progress, run: run})
	return bag
}

func of(bag multistep.StateBag) *state { return bag.Get(stateKey).(*state) }

// Fail records why a step failed and halts the run.
func Fail(bag multistep.StateBag, err error) multistep.StepAction {
	s := of(bag)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	return multistep.ActionHalt
}

// Left records what an undo could not remove. A nil error is ignored.
func Left(bag multistep.StateBag, err error) {
	if err == nil {
		return
	}
	s := of(bag)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, err)
}

// Done says, to a step's Cleanup, that every step succeeded: what the run was for is kept.
func Done(bag multistep.StateBag) bool {
	s := of(bag)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// Say tells the run's Progress.
func Say(bag multistep.StateBag, step, waitingFor string) { of(bag).progress.Say(step, waitingFor) }

// Undo runs fn on a clock of its own, which the end of the run's context does not stop, and records its error with Left.
func Undo(bag multistep.StateBag, fn func(context.Context) error) {
	ctx, cancel := undoContext(of(bag).ctx)
	defer cancel()
	Left(bag, fn(ctx))
}

func undoContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.WithoutCancel(ctx), undoTime, fmt.Errorf("gave up after %s", undoTime))
}

// RunSteps runs steps in order with multistep, and their Cleanups in reverse when all have run, one has failed or ctx
// has ended. It returns the first failure (or the cause of ctx's end), joined with a *LeftoverError when an undo could
// not remove something; after a success, a *LeftoverError alone.
func RunSteps(ctx context.Context, bag multistep.StateBag, steps ...multistep.Step) error {
	s := of(bag)
	s.ctx = context.WithoutCancel(ctx)
	runner := multistep.BasicRunner{Steps: append(steps[:len(steps):len(steps)], finish{})}
	runner.Run(ctx, bag)
	var left error
	if len(s.left) > 0 {
		left = &LeftoverError{Run: s.run, Errs: s.left}
	}
	if s.done {
		return left
	}
	err := s.err
	if err == nil {
		err = context.Cause(ctx)
	}
	if left != nil {
		return errors.Join(err, left)
	}
	return err
}

// finish is the last step of every run: multistep itself does not tell a success from a cancelled run.
type finish struct{}

func (finish) Run(_ context.Context, bag multistep.StateBag) multistep.StepAction {
	s := of(bag)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	return multistep.ActionContinue
}

func (finish) Cleanup(multistep.StateBag) {}

// LeftoverError lists what could not be removed. `imgops gc` finds such things by their tags.
type LeftoverError struct {
	Run  string // by which gc finds them before they expire
	Errs []error
}

func (e *LeftoverError) Error() string {
	texts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		texts[i] = err.Error()
	}
	return "not removed; once this is mended, run `imgops gc --run " + e.Run + "`: " + strings.Join(texts, "; ")
}

// Unwrap gives the causes.
func (e *LeftoverError) Unwrap() []error { return e.Errs }

// step adapts a pair of a Machine's methods to multistep.
type step struct {
	do   func(context.Context, images.Progress) error
	undo func(context.Context) error
	m    *Machine
}

func (s *step) Run(ctx context.Context, bag multistep.StateBag) multistep.StepAction {
	if err := s.do(ctx, of(bag).progress); err != nil {
		return Fail(bag, err)
	}
	return multistep.ActionContinue
}

func (s *step) Cleanup(bag multistep.StateBag) {
	if s.m.keep && Done(bag) {
		return
	}
	Undo(bag, s.undo)
}
