package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/roles"
)

// How long a command that only looks waits for the ledger's remote, and for AWS when the ledger has an answer, too.
const (
	syncTime = 10 * time.Second
	askTime  = 20 * time.Second
)

// reading is the ledger of a fleet, opened to look. It needs no cloud.
type reading struct {
	*app
	ledger ledger.Ledger
	config roles.Config
	off    bool
	synced bool

	seen     *glance // what AWS is asked meanwhile, where nobody has to wait for it; nil where it is not
	unasked  error   // why AWS was not asked, where it was not
	unsound  bool    // that it is no ledger, or was rewritten, was told
	unsynced error   // why the ledger's remote was not asked, where it was not
}

// openReading opens the ledger of the fleet at hand, however broken its definitions are.
func (a *app) openReading(ctx context.Context) (*reading, error) {
	repo, err := a.openRepo(ctx)
	if err != nil {
		return nil, err
	}
	config, err := repo.PeekConfig(ctx)
	if err != nil { // a bare repository, or an imgops.yaml that is being edited
		fleet, loadErr := repo.Load(ctx, "HEAD")
		if loadErr != nil {
			return nil, loadErr
		}
		config = fleet.Config
	}
	r := &reading{app: a, config: config, ledger: ledger.Ledger{Spool: ledgerSpool(repo), Fleet: config.Fleet}, off: config.Ledger.Store == roles.LedgerOff}
	if r.off {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	store, err := a.ledgerStore(ctx, repo, config, nil)
	if err != nil {
		a.note("the ledger at %s could not be opened: %v", config.Ledger.Store, err)
		return r, nil
	}
	r.ledger.Store = store
	return r, nil
}

// sync gets what others have recorded, once. What cannot be asked is said, and what is known here counts.
func (r *reading) sync(ctx context.Context) {
	if r.synced || r.ledger.Store == nil {
		return
	}
	r.synced = true
	ctx, cancel := context.WithTimeoutCause(ctx, syncTime, fmt.Errorf("no answer within %s", syncTime))
	defer cancel()
	var rewritten *ledger.RewrittenError
	var foreign *ledger.ForeignError
	var damaged *ledger.DamagedError
	switch err := r.ledger.Store.Sync(ctx); {
	case errors.As(err, &rewritten), errors.As(err, &foreign), errors.As(err, &damaged):
		r.unsound = true
		fmt.Fprintf(r.Stderr, "warning: %v\n", err)
	case err != nil:
		r.unsynced = err
		r.note("not asked, so this is what this clone knows of the ledger: %v", err)
	}
}

// fetchHint is how a clone gets the branch by itself, after "was not asked".
func (r *reading) fetchHint() string {
	branch, ok := r.ledger.Store.(*ledger.Git)
	if !ok || !branch.HasRemote() {
		return ""
	}
	return "; where it can be: " + branch.FetchCommand()
}

// book reads what the ledger knows of a role, and names what it cannot read of that and what does not belong there at all.
func (r *reading) book(ctx context.Context, role string) (*ledger.Book, error) {
	book, err := r.ledger.Book(ctx, role)
	if err != nil {
		return nil, err
	}
	for fleet, n := range book.Others {
		r.note("%d records of a role %s are of fleet %q and not of %q; they are left out", n, role, fleet, r.config.Fleet)
	}
	problems := book.Problems
	foreign, err := r.ledger.Foreign(ctx)
	for _, p := range foreign {
		if !slices.ContainsFunc(problems, func(other ledger.Problem) bool { return other.Path == p.Path }) {
			problems = append(problems, p)
		}
	}
	r.warnProblems(problems)
	return book, err
}

// empty says that the ledger knows nothing of the role.
func emptyBook(b *ledger.Book) bool { return b == nil || len(b.Images)+len(b.Events) == 0 }

// ask does what needs AWS. When the ledger has an answer too, it waits for askTime only, and an AWS that cannot be asked is
// told instead of failing: answered is false then. Mistakes of the user's stay errors.
func (r *reading) ask(ctx context.Context, known bool, do func(context.Context) error) (answered bool, err error) {
	within := ctx
	if known {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeoutCause(ctx, askTime, fmt.Errorf("no answer within %s", askTime))
		defer cancel()
	}
	err = do(within)
	if err == nil || !known || ctx.Err() != nil || exitCode(ctx, err) != exitError {
		return err == nil, err
	}
	r.note("AWS was not asked, so this is what the ledger knows: %v", err)
	r.unasked = err
	return false, nil
}

// orUnknown is the error of an AWS that could not be asked about a role, unless the role is none of the fleet's: then it says
// that first. AWS may know of one that was retired.
func (r *reading) orUnknown(ctx context.Context, role string, err error) error {
	if exitCode(ctx, err) != exitError {
		return err
	}
	fleet, loadErr := r.repo.Load(ctx, "HEAD")
	if loadErr != nil {
		return err
	}
	if _, unknown := fleet.Select([]string{role}); unknown != nil {
		return fmt.Errorf("%w; AWS, which may know of one that is gone, was not asked: %w", unknown, err)
	}
	return err
}
