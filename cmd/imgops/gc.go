package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

type gcOptions struct {
	dryRun bool
	images bool
	run    string
}

func gcCommand(a *app) *cobra.Command {
	o := &gcOptions{}
	c := &cobra.Command{
		Use:   "gc",
		Short: "Remove what killed runs have left, and with --images old images",
		Long: "gc removes temporary resources of this fleet whose expiry has passed, found by their exact tags in the build account.\n" +
			"It also says which images retention (in imgops.yaml) no longer keeps, and with --images it removes them, with their snapshots,\n" +
			"in every Region, and the own copies of accounts. With retention's deprecate_for it deprecates them first and removes them that\n" +
			"much later; what retention keeps again by then is deprecated no more. Kept are always: defaults, what they were built on, the default before the\n" +
			"present one, what the fleet at hand asks for, held roles, and what any account of the fleet uses.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runGC(c.Context(), o) },
	}
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be removed")
	c.Flags().BoolVar(&o.images, "images", false, "remove also the images that retention no longer keeps, or deprecate them first")
	c.Flags().StringVar(&o.run, "run", "", "also what this `run` has left, expired or not (such as machines kept by verify --keep)")
	return c
}

// garbage is something that gc has removed or would remove.
type garbage struct {
	Kind    string     `json:"kind"` // instance, security-group, key-pair, lease, image or snapshot
	ID      string     `json:"id"`
	Role    string     `json:"role"`
	Run     string     `json:"run"`
	Expires *time.Time `json:"expires"` // null for images and snapshots
	Account string     `json:"account"`
	Region  string     `json:"region"`
	Digest  string     `json:"digest,omitempty"`
	Reason  string     `json:"reason"`
	Action  string     `json:"action"` // remove; of images deprecate, wait and undeprecate, too
	Removed bool       `json:"removed"`
	// Of images: since when it is deprecated, or from when on (null: it is not, by now), and from when on a gc removes it
	// that does not now.
	DeprecatedAt *time.Time `json:"deprecated_at"`
	RemovableAt  *time.Time `json:"removable_at"`
}

func (a *app) runGC(ctx context.Context, o *gcOptions) error {
	repo, err := a.openRepo(ctx)
	if err != nil {
		return err
	}
	fleet, err := loadFleet(ctx, repo, "")
	if err != nil {
		return err
	}
	clients, err := a.newClouds(ctx, fleet.Config)
	if err != nil {
		return err
	}
	list, api, err := expired(ctx, clients, fleet, o.run)
	if err != nil {
		return err
	}
	if !o.dryRun {
		list, err = images.Remove(ctx, api, list)
		err = errors.Join(err, forgetMachines(repo.Root(), list))
	}
	data := []garbage{}
	for _, l := range list {
		data = append(data, garbage{
			Kind: l.Kind, ID: l.ID, Role: l.Role, Run: l.Run, Expires: &l.Expires, Account: fleet.Config.Build.Account, Region: fleet.Config.Build.Region,
			Reason: "expired, or of the named run", Action: images.CleanRemove, Removed: !o.dryRun,
		})
	}
	leases, leaseErr := leasesOf(ctx, clients, fleet, o)
	data = append(data, leases...)
	old, oldErr := a.oldImages(ctx, o)
	data = append(data, old...)
	return errors.Join(a.print(data, garbageTable(data)), err, leaseErr, oldErr)
}

func garbageTable(data []garbage) table {
	t := table{Header: []string{"KIND", "ID", "ROLE", "ACCOUNT", "REGION", "REMOVED", "WHY"}}
	for _, g := range data {
		t.add(g.Kind, g.ID, g.Role, g.Account, g.Region, map[bool]string{true: "yes", false: "no"}[g.Removed], g.Reason)
	}
	return t
}

// leasesOf removes, with --run, the leases of the run: other runs would wait for them until they expire.
func leasesOf(ctx context.Context, clients *clouds, fleet *roles.Fleet, o *gcOptions) ([]garbage, error) {
	if o.run == "" {
		return nil, nil
	}
	home := images.Location{Account: fleet.Config.Build.Account, Region: fleet.Config.Build.Region}
	names, err := images.LeasesOf(ctx, clients, home, fleet.Config.Fleet, o.run)
	var list []garbage
	for _, name := range names {
		g := garbage{Kind: "lease", ID: name, Run: o.run, Account: home.Account, Region: home.Region, Reason: "of the named run", Action: images.CleanRemove}
		if !o.dryRun {
			e := images.DropLease(ctx, clients, home, name)
			g.Removed, err = e == nil, errors.Join(err, e)
		}
		list = append(list, g)
	}
	return list, err
}

// forgetMachines removes what 'imgops login' has of machines that are gone: the private keys and the files beside them.
func forgetMachines(root string, gone []images.Leftover) error {
	list, err := keptMachines(filepath.Join(root, ".imgops", "runs"))
	errs := []error{err}
	for _, k := range list {
		for _, l := range gone {
			if l.Kind == images.KindInstance && l.Run == k.run && l.Role == k.role {
				errs = append(errs, forgetSockets(k.config), os.RemoveAll(filepath.Dir(k.config)))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// forgetSockets removes the directory of ssh's sockets that a machine's ssh_config names. It lies outside the fleet, where
// paths are short enough for a socket.
func forgetSockets(config string) error {
	data, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		if socket, ok := strings.CutPrefix(strings.TrimSpace(line), "ControlPath "); ok {
			dir := filepath.Dir(strings.ReplaceAll(strings.Trim(socket, `"`), "%%", "%"))
			if strings.HasPrefix(filepath.Base(dir), "imgops-") {
				return os.RemoveAll(dir)
			}
		}
	}
	return nil
}

// expired lists what has expired, and all of one run when it is named.
func expired(ctx context.Context, clients *clouds, fleet *roles.Fleet, run string) ([]images.Leftover, images.LeftoverAPI, error) {
	api, err := clients.EC2(ctx, images.Location{Account: fleet.Config.Build.Account, Region: fleet.Config.Build.Region})
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	all, err := images.Leftovers(ctx, api, fleet.Config.Fleet, now.AddDate(10, 0, 0))
	var list []images.Leftover
	for _, l := range all {
		if l.Expires.Before(now) || run != "" && l.Run == run {
			list = append(list, l)
		}
	}
	return list, api, err
}
