package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/roles"
)

// checkTime is how long a promotion waits until it knows whether the ledger is as it was left. A fresh clone reads all of its
// history.
const checkTime = time.Minute

// recorder keeps what a run does for the ledger, and stores it at the end: one commit and one push for a run. Every record is
// in the spool as soon as the thing is done, so a run that is killed leaves it for the next.
type recorder struct {
	config roles.Ledger
	spool  ledger.Spool

	mu     sync.Mutex
	errs   []error
	author *ledger.Author
	tools  map[string]string
	warned map[string]bool

	witness *images.Witness // as the build account had it at first; nil until it is asked
	synced  bool            // this run has seen the ledger as it is
	intent  string          // the parameter that says what this run is about to do; "" when there is none
	settled []string        // such parameters of other runs, of which everything is in the ledger or among what is kept
}

func newRecorder(repo *roles.Repo, config roles.Ledger) *recorder {
	return &recorder{config: config, spool: ledgerSpool(repo), warned: map[string]bool{}}
}

func ledgerSpool(repo *roles.Repo) ledger.Spool {
	return ledger.Spool{Dir: filepath.Join(repo.CommonDir(), "imgops", "pending")}
}

// warnOnce prints a warning, unless this run has printed it before.
func (r *recorder) warnOnce(w io.Writer, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.warned[text] {
		r.warned[text] = true
		fmt.Fprint(w, text)
	}
}

func (r *recorder) off() bool { return r == nil || r.config.Store == roles.LedgerOff }

// entry is any record.
type entry interface{ Entry() (ledger.Entry, error) }

// keep takes a record. What goes wrong is told when the run ends.
func (r *recorder) keep(record entry) {
	if r.off() {
		return
	}
	e, err := record.Entry()
	if err == nil {
		err = r.spool.Put(e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// ledgerStore opens the store that imgops.yaml names.
func (a *app) ledgerStore(ctx context.Context, repo *roles.Repo, config roles.Config, c *clouds) (ledger.Store, error) {
	place := config.Ledger.Store
	if !strings.HasPrefix(place, "s3://") {
		gitDir, top := repo.Places()
		return ledger.OpenGit(repo.Root(), ledger.GitOptions{Disk: &ledger.Disk{GitDir: gitDir, Top: top, Open: repo.Again}, User: func() (name, email string) { return repo.Identity(a.Getenv) }})
	}
	if c == nil {
		var err error
		if c, err = a.newClouds(ctx, config); err != nil {
			return nil, err
		}
	}
	creds, err := c.credentials(ctx, config.Build.Account)
	if err != nil {
		return nil, err
	}
	region := config.Ledger.Region
	if region == "" {
		region = config.Build.Region
	}
	sb, err := a.sandbox(ctx)
	if err != nil {
		return nil, err
	}
	api := s3.NewFromConfig(c.config(creds, region), func(o *s3.Options) { o.UsePathStyle = sb != nil })
	return ledger.NewS3(api, place)
}

// maxProblems is how many bad entries one message names.
const maxProblems = 10

// checkLedger ends a promotion before anything is changed when the ledger is not to be relied on: its branch is no ledger, was
// rewritten, has records that a commit changed or removed, or holds what imgops cannot read: among the entries of the roles whose
// pointers are to move, or files that belong to no role. Where the ledger is required, the entries of all roles count, and it has
// to be in reach; elsewhere that is a warning.
func (s *session) checkLedger(ctx context.Context, names []string) error {
	if s.ledger.off() {
		return nil
	}
	s.log.say("ledger", "look whether it can be written", s.fleet.Config.Ledger.Store)
	defer s.log.done("ledger")
	if s.ledger.config.Required {
		return s.requireLedger(ctx)
	}
	store, err := s.trustLedger(ctx)
	if err != nil || store == nil || len(names) == 0 {
		return err
	}
	problems, err := ledger.Ledger{Store: store}.Check(ctx, names...)
	var damaged *ledger.DamagedError
	if errors.As(err, &damaged) {
		return fmt.Errorf("nothing is promoted: %w", err)
	}
	if err != nil || len(problems) == 0 {
		return nil //nolint:nilerr // it is told when the record is stored, or is not
	}
	return &garbageError{store.String(), problems}
}

// checkLedgerEarly is checkLedger before machines are started for roles that are to be promoted in the same run: what they make
// would be of no use. The promotion looks once more, for what has come meanwhile.
func (s *session) checkLedgerEarly(ctx context.Context, list []*roles.Role, decisions map[string]images.Decision) error {
	var names []string
	for _, r := range list {
		d := decisions[r.Name]
		if works(d) && d.Rejected == "" && !d.Held && len(s.targetsOf(r)) > 0 {
			names = append(names, r.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return s.checkLedger(ctx, names)
}

// trustLedger is the error of a ledger that is not to be relied on. The store is nil when what could not be found out was told.
func (s *session) trustLedger(ctx context.Context) (ledger.Store, error) {
	within, cancel := context.WithTimeoutCause(ctx, checkTime, fmt.Errorf("no answer within %s", checkTime))
	defer cancel()
	store, err := s.ledgerStore(within, s.repo, s.fleet.Config, s.clouds)
	if err == nil {
		err = s.witnessed(within, store, store.Sync)
	}
	var foreign *ledger.ForeignError
	var rewritten *ledger.RewrittenError
	var damaged *ledger.DamagedError
	switch {
	case err == nil:
		s.ledger.synced = true
		return store, nil
	case errors.As(err, &foreign), errors.As(err, &rewritten), errors.As(err, &damaged):
		return nil, fmt.Errorf("nothing is promoted: %w", err)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	s.ledger.warnOnce(s.Stderr, fmt.Sprintf("warning: whether the ledger is as it was left could not be found out: %v\n", err))
	return nil, nil //nolint:nilnil // as it says above
}

func (s *session) requireLedger(ctx context.Context) error {
	store, err := s.ledgerStore(ctx, s.repo, s.fleet.Config, s.clouds)
	if err == nil {
		err = s.witnessed(ctx, store, store.Ready)
	}
	var problems []ledger.Problem
	if err == nil {
		problems, err = ledger.Ledger{Store: store}.Check(ctx)
	}
	if err != nil {
		return fmt.Errorf("nothing is promoted: imgops.yaml requires the ledger: %w", err)
	}
	s.ledger.synced = true
	if len(problems) == 0 {
		return nil
	}
	return &garbageError{store.String(), problems}
}

// warnProblems names bad entries of the ledger, also when imgops is to be quiet.
func (a *app) warnProblems(problems []ledger.Problem) {
	for i, p := range problems {
		if i == maxProblems {
			fmt.Fprintf(a.Stderr, "warning: and %d more entries of the ledger that imgops cannot read\n", len(problems)-i)
			break
		}
		fmt.Fprintf(a.Stderr, "warning: skipped in the ledger: %v\n", p)
	}
}

// garbageError names what does not belong in the ledger.
type garbageError struct {
	where    string
	problems []ledger.Problem
}

func (e *garbageError) Error() string { return "nothing is promoted: " + e.what() }

func (e *garbageError) what() string {
	text := fmt.Sprintf("the ledger, %s, holds what imgops cannot read:", e.where)
	for i, p := range e.problems {
		if i == maxProblems {
			text += fmt.Sprintf("\n  and %d more", len(e.problems)-i)
			break
		}
		text += "\n  " + p.Error()
	}
	newer := func(p ledger.Problem) bool { var n *ledger.NewerError; return errors.As(p.Err, &n) }
	if !slices.ContainsFunc(e.problems, func(p ledger.Problem) bool { return !newer(p) }) {
		return text // they are good, and say what to do
	}
	if strings.HasPrefix(e.where, "s3:") {
		return text + "\nremove these objects: aws s3 rm " + e.where + "PATH"
	}
	return text + fmt.Sprintf("\nremove these files: git fetch origin %[1]s && git switch %[1]s && git rm PATH && git commit && git push origin %[1]s", ledger.Branch)
}
