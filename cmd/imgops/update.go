package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

type updateOptions struct {
	refresh      []string
	dryRun       bool
	detailedExit bool
	pullRequest  string
}

func updateCommand(a *app) *cobra.Command {
	o := &updateOptions{}
	c := &cobra.Command{
		Use:   "update [ROLE...]",
		Short: "Pin the newest external base images in imgops.lock",
		Long: "update resolves the external bases of the roles again and rewrites imgops.lock, which is part of the digests: a new base\n" +
			"is a pull request like any other. With --refresh alone the bases stay. In a sandbox the bases are kept in the sandbox's own\n" +
			"lock, for imgops.lock is about AWS; stamps are always imgops.lock's. Where a merge left conflict markers in imgops.lock, update\n" +
			"joins the two sides and resolves only what they lack.",
		RunE: func(c *cobra.Command, args []string) error { return a.runUpdate(c.Context(), o, args) },
	}
	f := c.Flags()
	f.StringSliceVar(&o.refresh, "refresh", nil, "stamp the `role`, so that it is built anew from the same definition; can be repeated")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what is newer, and write nothing")
	f.BoolVar(&o.detailedExit, "detailed-exitcode", false, "exit 5 when a base is newer, a role was stamped, or the lock changes otherwise")
	f.StringVar(&o.pullRequest, "pull-request", "", "write the text of a pull request to this `file`: the title, an empty line, and the body in Markdown")
	return c
}

// update is one run of the command: what the locks are, and what they become.
type update struct {
	*app
	*updateOptions
	fleet  *roles.Fleet
	names  []string // of roles whose bases are resolved
	path   string   // of the lock with the bases: imgops.lock, or in a sandbox its own
	lock   roles.Lock
	stamps string // of the lock with the stamps: imgops.lock
	fleets roles.Lock
	merged bool // imgops.lock had conflict markers
	report updateReport
}

func (a *app) runUpdate(ctx context.Context, o *updateOptions, names []string) error {
	u, err := a.newUpdate(ctx, o, names)
	if err != nil {
		return err
	}
	var unresolved error // of bases; the others are pinned all the same
	if len(names) > 0 || len(o.refresh) == 0 && !u.merged || u.lacks() {
		if err := u.resolve(ctx); errors.Is(err, images.ErrNotFound) {
			unresolved = err
		} else if err != nil {
			return err
		}
	}
	now := time.Now().UTC().Truncate(time.Second)
	for _, role := range o.refresh {
		u.report.Refreshed = append(u.report.Refreshed, stamped{role, timeOrNil(u.fleets.Refresh[role]), now})
		u.fleets.SetRefresh(role, now)
	}
	if err := u.write(); err != nil {
		return err
	}
	if err := u.print(); err != nil {
		return err
	}
	if err := errors.Join(u.writePullRequest(), unresolved); err != nil {
		return err
	}
	if o.detailedExit && (u.merged || u.report.Changed || len(u.report.Changes) > 0 || len(u.report.Refreshed) > 0) {
		return errChanges
	}
	return nil
}

func (u *update) writePullRequest() error {
	if u.pullRequest == "" {
		return nil
	}
	err := os.MkdirAll(filepath.Dir(u.pullRequest), 0o755)
	if err == nil {
		err = renameio.WriteFile(u.pullRequest, []byte(u.report.pullRequest()), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the text of the pull request: %w", err)
	}
	return nil
}

func (a *app) newUpdate(ctx context.Context, o *updateOptions, names []string) (*update, error) {
	repo, err := a.openRepo(ctx)
	if errors.Is(err, roles.ErrUnbornBranch) { // a fleet's first commit had best have its lock
		repo, err = roles.OpenWorktree(ctx, a.set.Dir)
	}
	if err != nil {
		return nil, err
	}
	merged, err := a.mergeLock(filepath.Join(repo.Root(), "imgops.lock"), o.dryRun)
	if err != nil {
		return nil, err
	}
	fleet, err := repo.LoadWorktree(ctx)
	if err != nil {
		return nil, err
	}
	for _, list := range [][]string{names, o.refresh} {
		if _, err := fleet.Select(list); err != nil {
			return nil, err
		}
	}
	sb, err := a.sandbox(ctx)
	if err != nil {
		return nil, err
	}
	u := &update{app: a, updateOptions: o, fleet: fleet, names: names, merged: merged, stamps: filepath.Join(repo.Root(), "imgops.lock")}
	u.path = u.stamps
	if sb != nil {
		u.path = sb.lock(fleet)
	}
	if u.fleets, err = readLock(u.stamps); err == nil {
		u.lock, err = readLock(u.path)
	}
	slices.Sort(o.refresh)
	o.refresh = slices.Compact(o.refresh)
	u.report = updateReport{Lock: u.path, Region: fleet.Config.Build.Region, Changes: []baseChange{}, Refreshed: []stamped{}, Rebuilds: []string{}}
	return u, err
}

// mergeLock ends a merge conflict in imgops.lock.
func (a *app) mergeLock(path string, dryRun bool) (merged bool, err error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return false, nil // loading the fleet says what is wrong
	}
	data, err := os.ReadFile(path)
	if err != nil || dryRun {
		return false, ignoreNotThere(err)
	}
	l, merged, err := roles.MergeLock(data, "imgops.lock")
	if err != nil || !merged {
		return false, err
	}
	a.note("imgops.lock had conflict markers: joined the two sides; once it is right: git add imgops.lock")
	return true, writeLock(path, l)
}

func ignoreNotThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// lacks says that a base is not pinned at all: then even a stamp is of no use without it.
func (u *update) lacks() bool {
	pins := u.lock.Pins(u.fleet.Config.Build.Region)
	return slices.ContainsFunc(u.fleet.Externals(), func(e roles.External) bool { return pins[e.Key] == "" })
}

// resolve asks for the newest image of each base in the build Region, and for the image of that name in the targets'
// Regions: one call for each owner and Region.
func (u *update) resolve(ctx context.Context) error {
	clients, err := u.newClouds(ctx, u.fleet.Config)
	if err != nil {
		return err
	}
	selected, err := u.fleet.Select(u.names)
	if err != nil {
		return err
	}
	in := map[string]bool{}
	for _, r := range roles.WithAncestors(selected) {
		in[r.Name] = true
	}
	asked := map[string]roles.External{}
	for _, e := range u.fleet.Externals() {
		if in[e.Role] {
			asked[e.Key] = e
		}
	}
	resolved, err := resolveBases(ctx, clients, u.fleet.Config, asked)
	for _, key := range slices.Sorted(maps.Keys(resolved)) {
		u.report.change(u.lock, resolved[key], u.fleet)
		u.lock.Set(resolved[key])
	}
	return err
}

// write brings both locks up to date; they can be one file.
func (u *update) write() error {
	var err error
	if u.path == u.stamps {
		u.lock.Refresh = u.fleets.Refresh
		u.lock.Fit(u.fleet)
		u.report.Changed, err = u.save(u.path, u.lock)
	} else {
		u.lock.Refresh = nil
		u.lock.Fit(u.fleet)
		u.lock.Refresh = nil // a stamp there would count for nothing
		if u.report.Changed, err = u.save(u.path, u.lock); err == nil && len(u.refresh) > 0 {
			for _, r := range u.fleet.Roles {
				u.fleets.SetRefresh(r.Name, u.fleets.Refresh[r.Name])
			}
			u.report.Changed, err = u.save(u.stamps, u.fleets)
		}
	}
	u.report.rebuilds(u.fleet)
	u.report.locked(u.lock, u.fleets.Refresh)
	return err
}

func (u *update) save(path string, l roles.Lock) (changed bool, _ error) {
	before, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return false, fmt.Errorf("reading the lock: %w", err)
	}
	switch changed = string(l.Encode()) != string(before); {
	case !changed:
		u.note("%s is up to date", path)
	case u.dryRun:
		u.note("%s would be rewritten", path)
	default:
		if err := writeLock(path, l); err != nil {
			return true, err
		}
		u.note("rewrote %s", path)
	}
	return changed, nil
}

// resolveBases finds the newest image of each external base, by key. Of those that there is no image for the error tells,
// which is images.ErrNotFound; the others are found all the same. With any other error there are none.
func resolveBases(ctx context.Context, clients images.Clients, c roles.Config, asked map[string]roles.External) (map[string]roles.LockedBase, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	home := images.Location{Account: c.Build.Account, Region: c.Build.Region}
	names := map[string]images.BaseName{}
	for key, e := range asked {
		names[key] = images.BaseName{Owner: e.Owner, Pattern: e.Name, Architecture: e.Architecture}
	}
	newest, err := newestIn(ctx, clients, home, names)
	if err != nil {
		return nil, err
	}
	out, exact := map[string]roles.LockedBase{}, map[string]images.BaseName{}
	var missing []error
	for _, key := range slices.Sorted(maps.Keys(names)) {
		name := names[key]
		img, ok := newest[key]
		if !ok {
			missing = append(missing, fmt.Errorf("resolving the base of role %s: %w: there is no available %s in %s; correct owner and name in %s",
				asked[key].Role, images.ErrNotFound, name, home.Region, "roles/"+asked[key].Role+"/image.yaml"))
			continue
		}
		out[key] = roles.LockedBase{Key: key, Image: img.Name, Created: img.Created, IDs: map[string]string{home.Region: img.ID}}
		exact[key] = images.BaseName{Owner: name.Owner, Pattern: images.Exactly(img.Name), Architecture: name.Architecture}
	}
	if err := pinElsewhere(ctx, clients, home, c, out, exact); err != nil {
		return nil, err
	}
	return out, errors.Join(missing...)
}

// pinElsewhere adds the ids of the images of the same names in the Regions of the targets. A Region that has none yet
// gets none: images are built in the build Region only.
func pinElsewhere(ctx context.Context, clients images.Clients, home images.Location, c roles.Config, out map[string]roles.LockedBase, names map[string]images.BaseName) error {
	found := map[string]map[string]images.Image{}
	for _, l := range locations(c, nil) {
		if l.Region != home.Region {
			found[l.Region] = nil
		}
	}
	regions := slices.Sorted(maps.Keys(found))
	answers := make([]map[string]images.Image, len(regions))
	g, ctx := errgroup.WithContext(ctx)
	for i, region := range regions {
		g.Go(func() (err error) {
			answers[i], err = newestIn(ctx, clients, images.Location{Account: home.Account, Region: region}, names)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, region := range regions {
		for key, img := range answers[i] {
			out[key].IDs[region] = img.ID
		}
	}
	return nil
}

func newestIn(ctx context.Context, clients images.Clients, at images.Location, names map[string]images.BaseName) (map[string]images.Image, error) {
	cat, err := images.Open(ctx, clients, at)
	if err != nil {
		return nil, err
	}
	found, err := cat.Newest(ctx, slices.Collect(maps.Values(names))...)
	out := map[string]images.Image{}
	for key, name := range names {
		if img, ok := found[name]; ok {
			out[key] = img
		}
	}
	return out, err
}
