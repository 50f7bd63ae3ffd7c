package roles

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Load reads the fleet at a commit, from Git's objects only. The error is a *ProblemsError when the fleet itself is
// wrong, ErrUnknownRevision or ErrNoFleet.
func (r *Repo) Load(ctx context.Context, rev string) (*Fleet, error) {
	return r.LoadNear(ctx, rev, nil)
}

// LoadNear is Load of a commit most of which is as in a fleet that was loaded from this repository: what cannot have
// changed of a role is taken from there. Loading the base of a pull request so takes a part of the time.
func (r *Repo) LoadNear(ctx context.Context, rev string, near *Fleet) (*Fleet, error) {
	revision, err := r.at(ctx, rev)
	if err != nil {
		return nil, err
	}
	var f *Fleet
	err = r.complete(ctx, revision.Commit, func() error {
		top := r.store.tree(plumbing.NewHash(revision.Tree))
		root, err := r.fleetTree(top)
		if err != nil {
			return fmt.Errorf("loading the fleet at %s: %w", rev, err)
		}
		content := &files{repo: r, store: r.store, lfs: r.lfsDir()}
		if content.above, err = r.attributesAbove(top); err != nil {
			return fmt.Errorf("loading the fleet at %s: %w", rev, err)
		}
		if f, err = r.load(ctx, root, content, near); err != nil {
			return loadError("at "+rev, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.Revision = revision
	return f, nil
}

// loadError says what was being loaded, but leaves problems alone: each starts with its file and line, as editors and
// CI annotations read them.
func loadError(what string, err error) error {
	if problems := (*ProblemsError)(nil); errors.As(err, &problems) {
		return problems
	}
	if errors.Is(err, ErrNoFleet) {
		return err
	}
	return fmt.Errorf("loading the fleet %s: %w", what, err)
}

func (r *Repo) at(ctx context.Context, rev string) (Revision, error) {
	commit, err := r.Resolve(ctx, rev)
	if err != nil {
		return Revision{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	revision, err := r.revision(plumbing.NewHash(commit))
	if err != nil {
		return Revision{}, err
	}
	if head, err := r.git.Head(); rev == "HEAD" && err == nil && head.Name().IsBranch() {
		revision.Branch = head.Name().Short()
	}
	return revision, nil
}

// ConfigAt reads imgops.yaml at a commit, and nothing else of the fleet. near is a fleet of this repository, or nil: where the
// file is the same there, it is not read again. Errors: as those of Load.
func (r *Repo) ConfigAt(ctx context.Context, rev string, near *Fleet) (c Config, err error) {
	revision, err := r.at(ctx, rev)
	if err != nil {
		return c, err
	}
	err = r.complete(ctx, revision.Commit, func() error {
		root, err := r.fleetTree(r.store.tree(plumbing.NewHash(revision.Tree)))
		if err != nil {
			return fmt.Errorf("reading %s at %s: %w", configFile, rev, err)
		}
		e, ok, err := root.lookup(configFile)
		switch {
		case err != nil:
			return fmt.Errorf("reading %s at %s: %w", configFile, rev, err)
		case !ok || !e.isFile():
			return fmt.Errorf("%w: %s has no %s", ErrNoFleet, rev, configFile)
		}
		if near != nil && near.view != nil {
			if same, ok, err := near.view.root.lookup(configFile); err == nil && ok && same.id == e.id {
				c = near.Config
				return nil
			}
		}
		data, err := (&files{store: r.store}).read(configFile, e.id)
		if err != nil {
			return fmt.Errorf("reading %s at %s: %w", configFile, rev, err)
		}
		var problems []Problem
		c, problems = parseConfig(data)
		return problemsError(problems)
	})
	return c, err
}

// fleetTree is the fleet's root in the tree of a commit.
func (r *Repo) fleetTree(t *tree) (*tree, error) {
	e, ok, err := t.lookup(r.prefix)
	if err != nil {
		return nil, err
	}
	if !ok || e.sub == nil {
		return nil, fmt.Errorf("%w: the directory %s is not there; run `imgops init`, or name another revision", ErrNoFleet, r.prefix)
	}
	return e.sub, nil
}

// loading is a fleet that is being read.
type loading struct {
	repo        *Repo
	fleet       *Fleet
	near        *Fleet        // may be nil
	definitions []*definition // sorted by name
	problems    []Problem
	// configSource is imgops.yaml, for problems that have no place of their own.
	configSource *source
}

// load reads a fleet from its root tree: definitions, then what they refer to, then the files that count.
func (r *Repo) load(ctx context.Context, root *tree, content *files, near *Fleet) (*Fleet, error) {
	l := &loading{repo: r, near: near, fleet: &Fleet{}}
	l.fleet.view = newView(root, content, r.cache)
	l.fleet.repo = r
	if !r.bare {
		l.fleet.checkout = r.root
	}
	for _, step := range []func(context.Context) error{l.config, l.lock, l.parse, l.link, l.reach} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if err := problemsError(l.problems); err != nil {
		return nil, err
	}
	r.cache.save()
	return l.fleet, nil
}

func (l *loading) content(name string) (data []byte, ok bool, err error) {
	e, ok, err := l.fleet.view.root.lookup(name)
	if err != nil || !ok || !e.isFile() {
		return nil, false, err
	}
	data, err = l.fleet.view.files.read(name, e.id)
	return data, true, err
}

// notAFile tells a problem where there is something else of that name than a regular file: to read it as one that is not
// there would lose all that it is meant to say. more is another way out.
func (l *loading) notAFile(name, more string) (p []Problem, wrong bool, err error) {
	e, ok, err := l.fleet.view.root.lookup(name)
	if err != nil || !ok || e.isFile() {
		return nil, false, err
	}
	what, fix := "a directory", "move it away"
	switch e.mode {
	case filemode.Symlink:
		what, fix = "a symbolic link, which is not followed", "put a copy of the file that it points to in its place"
	case filemode.Submodule:
		what = "a submodule"
	}
	return []Problem{{File: name, Line: 1, Column: 1, Message: name + " is " + what, Fix: fix + ", " + more}}, true, nil
}

func (l *loading) config(context.Context) error {
	data, ok, err := l.content(configFile)
	if err != nil {
		return err
	}
	if p, wrong, err := l.notAFile(configFile, "or run `imgops init` for a new one"); err != nil || wrong {
		return errors.Join(err, problemsError(p)) // without it nothing else can be judged
	}
	if !ok {
		return fmt.Errorf("%s:1:1: %w in %s; run `imgops init` and commit what it writes, or name the fleet's directory with -C", configFile, ErrNoFleet, l.repo.root)
	}
	l.configSource = &source{file: configFile, data: data}
	config, problems := parseConfig(data)
	l.fleet.Config, l.problems = config, append(l.problems, problems...)
	return nil
}

func (l *loading) lock(context.Context) error {
	data, _, err := l.content(lockFile)
	if err != nil {
		return err
	}
	p, wrong, err := l.notAFile(lockFile, "or delete it, and run `imgops update`")
	if err != nil || wrong {
		l.problems = append(l.problems, p...)
		return err
	}
	lock, problems := parseLock(data, lockFile)
	l.fleet.Lock, l.problems = lock, append(l.problems, problems...)
	return nil
}

// parse reads every roles/<name>/image.yaml, in parallel.
func (l *loading) parse(ctx context.Context) error {
	dir, ok, err := l.fleet.view.root.lookup("roles")
	if err != nil {
		return err
	}
	var entries []entry
	if ok && dir.sub != nil {
		if entries, err = dir.sub.list(); err != nil {
			return err
		}
	}
	l.fleet.view.reserve(len(entries))
	parsed, mu := make([]*definition, len(entries)), sync.Mutex{}
	err = each(ctx, len(entries), batch, func(i int) error {
		e := entries[i]
		if e.sub == nil {
			return nil
		}
		def, problem, err := l.definition(e)
		if problem != nil {
			mu.Lock()
			defer mu.Unlock()
			l.problems = append(l.problems, *problem)
		}
		parsed[i] = def
		return err
	})
	for _, def := range parsed {
		if def != nil {
			l.definitions = append(l.definitions, def)
			l.fleet.view.drops[def.role.Name] = def.ignore
		}
	}
	return err
}

// definition reads one role's image.yaml; nil when the directory is a plain Ansible role.
func (l *loading) definition(dir entry) (*definition, *Problem, error) {
	e, ok, err := dir.sub.child(definitionFile)
	if err != nil {
		return nil, nil, err
	}
	file := path.Join("roles", dir.name, definitionFile)
	if !ok {
		if yml, there, err := dir.sub.child("image.yml"); err == nil && there {
			misnamed := &source{file: path.Join("roles", dir.name, "image.yml")}
			if yml.isFile() {
				if misnamed.data, err = l.fleet.view.files.read(misnamed.file, yml.id); err != nil {
					return nil, nil, err
				}
			}
			problem := misnamed.problem(place{1, 1}, "image.yml is not read", "rename it to image.yaml")
			return nil, &problem, nil
		}
		return nil, nil, nil
	}
	if !e.isFile() {
		return nil, &Problem{File: file, Line: 1, Column: 1, Message: "image.yaml is not a regular file", Fix: "write the definition here: symlinks are not followed"}, nil
	}
	key := definitionKey{file, e.id}
	if def := l.repo.cache.definitions.get(key); def != nil {
		return def, nil, nil
	}
	data, err := l.fleet.view.files.read(file, e.id)
	if err != nil {
		return nil, nil, err
	}
	def := parseDefinition(dir.name, file, data)
	l.repo.cache.definitions.set(key, def)
	return def, nil, nil
}

// reach finds the files that count for each role, in parallel, and what is wrong in them. It looks even where a
// definition is wrong, so that one run reports everything.
func (l *loading) reach(ctx context.Context) error {
	same, err := l.unchanged()
	if err != nil {
		return err
	}
	known, mu, view := len(l.problems) > 0, sync.Mutex{}, l.fleet.view
	attributes := newTreeAttributes(view.files, view.root, l.repo.prefix, view.files.above)
	err = each(ctx, len(l.fleet.Roles), batch, func(i int) (err error) {
		r := l.fleet.Roles[i]
		var problems []Problem
		if old := same.role(r); old != nil {
			r.parts, r.seen, r.same = old.parts, old.seen, old
			r.converted, r.testsConverted = old.converted, old.testsConverted
		} else {
			r.parts, r.seen, problems, err = l.fleet.view.reach(r)
			if err == nil {
				err = l.fleet.view.conflictsOf(r, &problems)
			}
			if err == nil && !view.files.plain {
				r.converted, r.testsConverted, err = attributes.ofRole(r)
			}
		}
		if err == nil {
			problems = append(problems, r.seen.intoCheckout(l.fleet.checkout)...)
		}
		if err != nil {
			return fmt.Errorf("reading the files of role %s: %w", r.Name, err)
		}
		r.recipeTree = sync.OnceValues(func() (*tree, error) { return assemble(r.parts) })
		mu.Lock()
		defer mu.Unlock()
		l.problems = append(l.problems, problems...)
		return nil
	})
	if known {
		return ctx.Err() // the mistakes found before say more than what comes of following them
	}
	return err
}
