package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

type updateOptions struct {
	refresh      []string
	detailedExit bool
}

func updateCommand(a *app) *cobra.Command {
	o := &updateOptions{}
	c := &cobra.Command{
		Use:   "update [ROLE...]",
		Short: "Pin the newest external base images in imgops.lock",
		Long: "update resolves the external bases of the roles again and rewrites imgops.lock, which is part of the digests: a new base\n" +
			"is a pull request like any other. In a sandbox it rewrites the sandbox's own lock.",
		RunE: func(c *cobra.Command, args []string) error { return a.runUpdate(c.Context(), o, args) },
	}
	c.Flags().StringSliceVar(&o.refresh, "refresh", nil, "stamp the `role`, so that it is built anew from the same definition")
	c.Flags().BoolVar(&o.detailedExit, "detailed-exitcode", false, "exit 5 when the lock has changed")
	return c
}

func (a *app) runUpdate(ctx context.Context, o *updateOptions, names []string) error {
	repo, err := a.openRepo(ctx)
	if err != nil {
		return err
	}
	fleet, err := repo.LoadWorktree(ctx)
	if err != nil {
		return err
	}
	for _, list := range [][]string{names, o.refresh} {
		if _, err := fleet.Select(list); err != nil {
			return err
		}
	}
	path, lock, err := a.lockFile(ctx, repo, fleet)
	if err != nil {
		return err
	}
	before := string(lock.Encode())
	if err := a.resolveBases(ctx, fleet, &lock, names); err != nil {
		return err
	}
	for _, role := range o.refresh {
		lock.SetRefresh(role, time.Now().UTC().Truncate(time.Second))
	}
	lock.Prune(fleet)
	changed := string(lock.Encode()) != before
	if changed {
		if err := writeLock(path, lock); err != nil {
			return err
		}
	}
	if err := a.printLock(lock, path, changed, fleet.Config.Build.Region); err != nil {
		return err
	}
	if changed && o.detailedExit {
		return errChanges
	}
	return nil
}

// lockFile says which lock is meant, and reads it: the fleet's, or in a sandbox the sandbox's own.
func (a *app) lockFile(ctx context.Context, repo *roles.Repo, f *roles.Fleet) (string, roles.Lock, error) {
	sb, err := a.sandbox(ctx)
	if err != nil {
		return "", roles.Lock{}, err
	}
	path := filepath.Join(repo.Root(), "imgops.lock")
	if sb != nil {
		path = sb.lock(f)
	}
	lock, err := readLock(path)
	return path, lock, err
}

func (a *app) resolveBases(ctx context.Context, f *roles.Fleet, lock *roles.Lock, names []string) error {
	clients, err := a.newClouds(ctx, f.Config)
	if err != nil {
		return err
	}
	build := f.Config.Build
	cat, err := images.Open(ctx, clients, images.Location{Account: build.Account, Region: build.Region})
	if err != nil {
		return err
	}
	selected, err := f.Select(names)
	if err != nil {
		return err
	}
	in := map[string]bool{}
	for _, r := range roles.WithAncestors(selected) {
		in[r.Name] = true
	}
	for _, e := range f.Externals() {
		if !in[e.Role] {
			continue
		}
		if err := pinExternal(ctx, lock, cat, build.Region, e); err != nil {
			return err
		}
	}
	return nil
}

// pinExternal resolves a base to the newest image that matches, and puts it into the lock.
func pinExternal(ctx context.Context, lock *roles.Lock, cat *images.Catalogue, region string, e roles.External) error {
	img, err := cat.NewestOf(ctx, e.Owner, e.Name, e.Architecture)
	if err != nil {
		return fmt.Errorf("resolving the base of role %s: %w", e.Role, err)
	}
	base, ok := lock.Base(e.Key)
	if !ok || base.Image != img.Name {
		base = roles.LockedBase{Key: e.Key, Image: img.Name, Created: img.Created, IDs: map[string]string{}}
	}
	base.IDs[region] = img.ID
	lock.Set(base)
	return nil
}

func (a *app) printLock(l roles.Lock, path string, changed bool, region string) error {
	type base struct {
		Base    string            `json:"base"`
		Name    string            `json:"name"`
		Created time.Time         `json:"created"`
		IDs     map[string]string `json:"ids"`
	}
	data := struct {
		Lock    string               `json:"lock"`
		Changed bool                 `json:"changed"`
		Bases   []base               `json:"bases"`
		Refresh map[string]time.Time `json:"refresh"`
	}{path, changed, []base{}, l.Refresh}
	t := table{Header: []string{"BASE", "IMAGE", "ID", "CREATED"}}
	for _, b := range l.Bases {
		data.Bases = append(data.Bases, base{b.Key, b.Image, b.Created, b.IDs})
		t.add(b.Key, b.Image, b.IDs[region], when(&b.Created))
	}
	for role, at := range l.Refresh {
		t.add("refresh of "+role, "", "", when(&at))
	}
	a.note("%s", map[bool]string{true: "rewrote " + path, false: path + " is up to date"}[changed])
	return a.print(data, t)
}
