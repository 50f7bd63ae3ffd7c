package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/roles"
)

var accountID = lazy(`^[0-9]{12}$`)

// checkBase looks at the base once more, right before it is launched: it may have been withdrawn since it was pinned.
func (k *bake) checkBase(ctx context.Context) error {
	id := k.req.Base.ID
	k.say("base", "EC2 to show "+id)
	found, err := k.images.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("looking at base image %s: %w", id, err)
	}
	base, ok := found[id]
	if !ok {
		return fmt.Errorf("base image %s: %w in %s; run `imgops update` to pin one that exists", id, images.ErrNotFound, k.req.Location)
	}
	if base.State != string(types.ImageStateAvailable) {
		return fmt.Errorf("base image %s is %s, not available: %s", id, base.State, cmp.Or(base.StateReason, "EC2 gives no reason"))
	}
	return fits(k.req.Role, base)
}

// fits compares an image with what the role's definition says about its base.
func fits(r *roles.Role, base images.Image) error {
	root := r
	for root.Parent != nil {
		root = root.Parent
	}
	if want := root.Base.Architecture; want != "" && base.Architecture != want {
		return fmt.Errorf("base image %s is for %s, role %s wants %s", base.ID, base.Architecture, r.Name, want)
	}
	if want := r.Base.Owner; accountID().MatchString(want) && base.Owner != want {
		return fmt.Errorf("base image %s belongs to account %s, role %s wants one of %s", base.ID, base.Owner, r.Name, want)
	}
	if p := r.Parent; p != nil && (base.Role != p.Name || base.Digest != p.Digest) {
		return fmt.Errorf("base image %s is of role %q with digest %s, role %s builds on %s with digest %s",
			base.ID, base.Role, cmp.Or(base.Digest, "unknown"), r.Name, p.Name, p.Digest)
	}
	return nil
}

// writeRecipe writes the recipe anew: what an earlier try left in the directory is not part of it.
func (k *bake) writeRecipe(ctx context.Context) error {
	if err := os.RemoveAll(k.fleetDir); err != nil {
		return fmt.Errorf("clearing the recipe's directory: %w", err)
	}
	return k.req.Fleet.Materialize(ctx, k.req.Role, k.fleetDir)
}

// checkTools finds out what is missing on this computer before there is a machine. It needs the recipe.
func (k *bake) checkTools(context.Context) error {
	return CheckTools([]*roles.Role{k.req.Role}, len(requirements(k.fleetDir)) > 0)
}

// CheckTools names the programs that bakes of the roles need on this computer and that it lacks. galaxy says that the fleet
// has a requirements.yml.
func CheckTools(list []*roles.Role, galaxy bool) error {
	if !slices.ContainsFunc(list, func(r *roles.Role) bool {
		return slices.ContainsFunc(r.Provision, func(p roles.Provisioner) bool { return p.Ansible != nil })
	}) {
		return nil
	}
	tools := []string{"ansible-playbook", "ssh"}
	if galaxy {
		tools = append(tools, "ansible-galaxy")
	}
	var missing []error
	for _, tool := range tools {
		_, err := findTool(tool)
		missing = append(missing, err)
	}
	return errors.Join(missing...)
}

func (k *bake) waitBooted(ctx context.Context) error {
	return k.machine.WaitBooted(ctx, machine.WaitCloudInit, k.req.Progress)
}

func (k *bake) stop(ctx context.Context) error {
	k.say("stop", "EC2 to stop "+k.machine.ID)
	return k.machine.Stop(ctx)
}

// nameChars are what an image's name may hold (EC2 API, CreateImage), less those that would be a nuisance in a shell.
var nameChars = lazy(`[^a-zA-Z0-9._-]`)

// imageName is the same for every try of a run, so that EC2 refuses a second image of it (CreateImage has no client
// token). It has at most 128 characters: 7 + 40 + 1 + 40 + 1 + 12 + 1 + 24.
func imageName(fleet, role, digest, run string) string {
	short := strings.TrimPrefix(digest, "sha256:")
	return "imgops-" + nameWord(fleet, 40) + "-" + nameWord(role, 40) + "-" + short[:min(12, len(short))] + "-" + nameWord(run, 24)
}

// nameWord makes a word fit; one that has to be changed gets a fingerprint, lest two become one.
func nameWord(word string, limit int) string {
	clean := nameChars().ReplaceAllString(word, "-")
	if clean == word && len(word) <= limit {
		return word
	}
	return clean[:min(len(clean), limit-9)] + "-" + fingerprint(word)
}
