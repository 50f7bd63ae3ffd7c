package promoter

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/imgops/imgops/images"
)

// The modes of a Target.
const (
	ModeShare = "share" // one image per Region, shared with the accounts
	ModeCopy  = "copy"  // an own, encrypted copy in each account
)

// Request asks for the promotion of one role's image.
type Request struct {
	Role string
	// Image is the candidate in the build location. Plan reads it again: what counts are its present tags.
	Image images.Image
	// TestsDigest is what the image must have been verified with.
	TestsDigest string
	// Commit is main's commit that promotes.
	Commit string
	OnMain bool   // Commit is on the main branch
	Dirty  bool   // the tree has uncommitted changes in what decides the role
	Main   string // the name of the main branch, for messages; "" is main
	// Targets are all targets of the role.
	Targets []Target

	back *RollbackRequest // what a rollback asks for; its rules are others
}

// Target is a set of accounts and Regions that get the role's default.
type Target struct {
	Name     string
	Accounts []string // 12 digits each
	Regions  []string
	Mode     string // ModeShare or ModeCopy; "" is ModeShare
	// KMSKey is, by Region, the key (id, ARN or alias) of the accounts' own copies. Without one it is the account's
	// default key for EBS. Only with ModeCopy.
	KMSKey map[string]string
}

// ErrLostCommit is what a History answers when it is whole and a commit is not part of it: the main branch was rewritten.
var ErrLostCommit = errors.New("the commit is in no history any more")

// History answers questions about the fleet's commits.
type History interface {
	// IsAncestor says whether ancestor is reachable from descendant; a commit is its own ancestor. The error is
	// ErrLostCommit when descendant is in no history.
	IsAncestor(ctx context.Context, ancestor, descendant string) (bool, error)
}

// Options are the settings of a Promoter.
type Options struct {
	Fleet string
	Build images.Location // where candidates are; its account owns all shared images
	Run   string          // names this run in the history of the pointers, and to other runs that wait for it
	// History guards against going backwards. It is required as soon as a role has been promoted before.
	History History
	// Overtaken says of pointers that a promotion is about to move which roles' may not, as errors by role: main can have gone
	// on since the plan was made, without leaving a record. It is asked in turn, once for all. Nil lets all move.
	Overtaken func(ctx context.Context, moves []PointerMove) (map[string]error, error)

	// Accounts are all accounts that any target of the fleet names. A promoted image that is shared with an account
	// outside of them is no longer shared with it afterwards; accounts of the fleet that are not a target of the role
	// keep what they have. Images that are not the role's present default, organizations, and the build account are
	// never touched. Nil withdraws nothing.
	Accounts []string
	// Rewritten says that main's history was rewritten on purpose: what was promoted at a commit that is in no history any
	// more counts as older than any commit of main.
	Rewritten bool

	Parallel int              // API calls in flight at most; 0 is 16
	Clock    func() time.Time // nil is time.Now
	// Moving, which may be nil, is told in the run's turn, before the first pointer moves, whose pointers are about to. Nothing
	// moves when it fails.
	Moving func(ctx context.Context, roles []string) error
	// Patience is how long an image may take to become visible, to EC2's own reads and to the accounts that it was
	// shared with; 0 is images.Unseen.
	Patience time.Duration
}

// Promoter plans and applies promotions in one fleet. It is safe for concurrent use.
type Promoter struct {
	clients images.Clients
	opts    Options

	mu        sync.Mutex
	ancestors map[[2]string]bool // what History has said: commits do not change
}

// New makes a Promoter. Clients are asked for as they are needed; Plan needs those of every location that Apply will
// change, so credentials that do not work show before anything has been changed.
func New(clients images.Clients, o Options) *Promoter {
	o.Parallel = cmp.Or(o.Parallel, 16)
	if o.Run == "" {
		o.Run = rand.Text()
	}
	o.Patience = cmp.Or(o.Patience, images.Unseen)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Promoter{clients: clients, opts: o, ancestors: map[[2]string]bool{}}
}

// home is where the image is that serves a location: the build account's, in the same Region.
func (p *Promoter) home(region string) images.Location {
	return images.Location{Account: p.opts.Build.Account, Region: region}
}
