package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
	"github.com/imgops/imgops/verifier/gossagent"
)

// session is an opened fleet with its digests, and the clients of its accounts.
type session struct {
	*app
	repo   *roles.Repo
	fleet  *roles.Fleet
	clouds *clouds
	home   images.Location   // where images are built
	cat    *images.Catalogue // of the build location
	pins   roles.Pins
	early  *early // what was begun while the fleet was loaded; nil once it is used
	ledger *recorder

	again      map[string]bool // roles to build even where an image of the digest exists
	rewritten  bool            // promoted commits that are in no history any more are older than main's
	promotes   bool            // what a survey says is promoted by: a commit that this clone lacks is fetched for it
	former     *former         // whose holds and rejections have to be carried over; nil: none, or it is done
	unreadable error           // the former build location cannot be read: nothing may be promoted
	mainKnown  bool            // the name of main is more than the commit's own word (requireMain)
	withdraw   bool            // promotions take images away from accounts that no target names any more

	moving func(context.Context, []string) error // promoter.Options.Moving
}

// open loads the fleet (the working tree, or a commit when rev is not empty), connects to the build account and
// computes the digests. Nothing is changed by it.
func (a *app) open(ctx context.Context, rev string) (*session, error) {
	repo, err := a.openRepo(ctx)
	if err != nil {
		return nil, err
	}
	early := a.connectEarly(ctx, repo, false)
	fleet, err := loadFleet(ctx, repo, rev)
	if err != nil {
		return nil, err
	}
	return a.session(ctx, repo, fleet, early)
}

// openToLook is open of the working tree for a command that changes nothing: what exists in the accounts is read while
// the fleet is being loaded, for the first survey. compare says that another commit will be loaded, too.
func (a *app) openToLook(ctx context.Context, compare bool) (*session, error) {
	repo, err := a.openRepo(ctx)
	if err != nil {
		return nil, err
	}
	if compare {
		repo.WarmHistory()
	}
	early := a.connectEarly(ctx, repo, true)
	fleet, err := loadFleet(ctx, repo, "")
	if err != nil {
		return nil, err
	}
	return a.session(ctx, repo, fleet, early)
}

// session opens a fleet that is loaded already.
func (a *app) session(ctx context.Context, repo *roles.Repo, fleet *roles.Fleet, begun *early) (s *session, err error) {
	s = &session{app: a, repo: repo, fleet: fleet, early: begun, ledger: newRecorder(repo, fleet.Config.Ledger)}
	s.home = images.Location{Account: fleet.Config.Build.Account, Region: fleet.Config.Build.Region}
	if s.clouds, err = begun.connect(ctx, fleet.Config); err != nil {
		return nil, err
	}
	if s.cat, err = images.Open(ctx, s.clouds, s.home); err != nil {
		return nil, err
	}
	if s.pins, err = a.pins(ctx, fleet, s.clouds); err != nil {
		return nil, err
	}
	if err := fleet.Resolve(s.pins); err != nil {
		return nil, err
	}
	return s, nil
}

func loadFleet(ctx context.Context, repo *roles.Repo, rev string) (*roles.Fleet, error) {
	if rev == "" {
		f, err := repo.LoadWorktree(ctx)
		if !errors.Is(err, roles.ErrNoWorktree) {
			return f, err
		}
		rev = "HEAD" // a bare repository has nothing but commits
	}
	return repo.Load(ctx, rev)
}

// complete says what is missing in this clone of the files of roles that have work to do, or wrong in their tests, before
// anything is started.
func (s *session) complete(ctx context.Context, list []*roles.Role, decisions map[string]images.Decision) error {
	var busy []*roles.Role
	for _, r := range list {
		if works(decisions[r.Name]) {
			busy = append(busy, r)
		}
	}
	if err := s.fleet.CheckSuites(ctx, busy, gossagent.Sections(), gossagent.AuthorsOwn); err != nil {
		return err
	}
	return s.fleet.Complete(ctx, busy)
}

// works says that a decision takes machines.
func works(d images.Decision) bool {
	return d.Action == images.ActionBuild || d.Action == images.ActionVerify
}

// survey is what exists, beside what the fleet wants: the decision for every role of the list, and for what those are
// built on.
type survey struct {
	view      images.View
	own       []images.Image   // of the build location; what was built on a rejected image is marked as rejected
	defaults  []images.Default // of the roles of the list and their ancestors
	decisions map[string]images.Decision
}

// survey looks at the build account's images and every location's pointers, once for all roles.
func (s *session) survey(ctx context.Context, list []*roles.Role) (survey, error) {
	q := s.query()
	q.Copies = s.copyPlaces()
	view, err := s.look(ctx, q)
	if err != nil {
		return survey{}, err
	}
	if err := s.addFormer(ctx, &view); err != nil {
		return survey{}, err
	}
	var wanted []images.Wanted
	var names []string
	for _, r := range roles.WithAncestors(list) {
		wanted, names = append(wanted, s.wanted(r)), append(names, r.Name)
	}
	own, defaults := slices.Concat(view.Own[s.home], view.Removed), view.DefaultsOf(q, names)
	images.Taint(own)
	return survey{view: view, own: own, defaults: defaults, decisions: images.Decide(wanted, own, defaults, s.again)}, nil
}

// query asks for the defaults of every role of the fleet: a pointer of any other role is an orphan.
func (s *session) query() images.Query {
	q := images.Query{Fleet: s.fleet.Config.Fleet, Build: s.home}
	for _, r := range s.fleet.Roles {
		q.Want = append(q.Want, s.wanted(r))
	}
	return q
}

func (s *session) wanted(r *roles.Role) images.Wanted {
	w := images.Wanted{
		Role: r.Name, Digest: r.Digest, TestsDigest: r.TestsDigest, Commit: s.fleet.Revision.Commit,
		Locations: locations(s.fleet.Config, r.Targets),
	}
	if r.Parent != nil {
		w.Parent = r.Parent.Name
	}
	if r.Dirty {
		w.Commit += images.DirtySuffix
	}
	return w
}

// locations lists the locations of the named targets, or of all when names is nil, each once.
func locations(c roles.Config, names []string) []images.Location {
	var list []images.Location
	seen := map[images.Location]bool{}
	for _, t := range targets(c, names) {
		for _, acc := range t.Accounts {
			for _, reg := range t.Regions {
				if l := (images.Location{Account: acc, Region: reg}); !seen[l] {
					seen[l] = true
					list = append(list, l)
				}
			}
		}
	}
	return list
}

func targets(c roles.Config, names []string) []roles.Target {
	if names == nil {
		return c.Targets
	}
	var list []roles.Target
	for _, name := range names {
		for _, t := range c.Targets {
			if t.Name == name {
				list = append(list, t)
			}
		}
	}
	return list
}

// workDir is where a run keeps logs, reports and keys of a role: below .imgops/ in the fleet, which Git ignores.
func (s *session) workDir(parts ...string) (string, error) {
	root := s.repo.Root()
	if err := ignoreDir(filepath.Join(root, ".imgops")); err != nil {
		return "", err
	}
	return makeDir(filepath.Join(append([]string{root, ".imgops", "runs", s.run()}, parts...)...))
}

// externalID is the pinned image id of a role with an external base.
func (s *session) externalID(r *roles.Role) (string, error) {
	if r.Base.Image != "" {
		return r.Base.Image, nil
	}
	for _, e := range s.fleet.Externals() {
		if e.Role == r.Name {
			return s.pins[e.Key], nil
		}
	}
	return "", fmt.Errorf("role %s has no external base", r.Name)
}
