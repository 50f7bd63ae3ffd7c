package builder

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/roles"
)

// ProvisionError says that a provisioner ran and did not succeed.
type ProvisionError struct {
	Provisioner string // ansible, ansible-galaxy, shell or puppet
	What        string // the playbook, role, script or manifest
	Task        string // Ansible's failing task, "" when it is not known
	Message     string // what it said: the task's message, or its last lines
	Status      int    // the exit status
	Log         string // path of the whole output
}

func (e *ProvisionError) Error() string {
	text := fmt.Sprintf("%s %s exited with status %d", e.Provisioner, e.What, e.Status)
	if e.Task != "" {
		text += fmt.Sprintf(" in task %q", e.Task)
	}
	return text + ":\n" + strings.TrimSpace(e.Message) + "\n(log: " + e.Log + ")"
}

// provision applies the role's provisioners in order.
func (k *bake) provision(ctx context.Context) error {
	for i, p := range k.req.Role.Provision {
		var err error
		switch {
		case p.Ansible != nil:
			err = k.ansible(ctx, i, p.Ansible)
		case p.Shell != nil:
			err = k.shell(ctx, p.Shell)
		case p.Puppet != nil:
			err = k.puppet(ctx, p.Puppet)
		default:
			err = fmt.Errorf("provisioner %d of role %s is of no known kind", i+1, k.req.Role.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remoteFleet is where the recipe's files are on the machine, below the SSH user's home. Not in /tmp, which may be
// mounted noexec. The cleaning removes it.
const remoteFleet = ".imgops/fleet"

// upload copies the recipe to the machine, once: scripts and manifests find beside them what is beside them in the fleet.
func (k *bake) upload(ctx context.Context) error {
	if k.uploaded {
		return nil
	}
	if err := k.machine.UploadDir(ctx, k.fleetDir, remoteFleet); err != nil {
		return err
	}
	k.uploaded = true
	return nil
}

func (k *bake) roleDir() string { return path.Dir(k.req.Role.File) }

// shell runs a script as root, in the role's directory.
func (k *bake) shell(ctx context.Context, s *roles.Shell) error {
	k.say("provision", "script "+s.Script)
	dir := path.Join(remoteFleet, k.roleDir())
	script := "./" + path.Clean(s.Script)
	line := "cd " + machine.Quote(dir) + " && chmod u+x " + machine.Quote(script) + " && exec env"
	for _, name := range sortedKeys(s.Env) {
		line += " " + machine.Quote(name+"="+s.Env[name])
	}
	return k.runRemote(ctx, "shell", s.Script, line+" "+machine.Quote(script))
}

// noPuppet is the status of the command below when there is no puppet; no puppet uses it.
const noPuppet = 127

// puppet applies a manifest with the puppet on the machine. With --detailed-exitcodes, 2 means that it changed
// something; 4 and 6 that something failed (puppet-apply(8)).
func (k *bake) puppet(ctx context.Context, p *roles.Puppet) error {
	k.say("provision", "puppet manifest "+p.Manifest)
	role := `"$PWD"/` + machine.Quote(k.roleDir())
	line := "PATH=$PATH:/opt/puppetlabs/bin; command -v puppet >/dev/null || exit 127; cd " + machine.Quote(remoteFleet) + " || exit 1; " +
		`if [ -f hiera.yaml ]; then set -- --hiera_config="$PWD/hiera.yaml"; fi; ` +
		"puppet apply --color=false --detailed-exitcodes --modulepath=" + role + `/modules:"$PWD/modules:$PWD/site-modules:$(puppet config print modulepath)" "$@" ` +
		role + "/" + machine.Quote(path.Clean(p.Manifest))
	err := k.runRemote(ctx, "puppet", p.Manifest, line)
	if failed := (*ProvisionError)(nil); errors.As(err, &failed) {
		switch failed.Status {
		case 2:
			return nil
		case noPuppet:
			return fmt.Errorf("applying puppet manifest %s: there is no puppet on the machine; install it in an earlier step or in the base", p.Manifest)
		}
	}
	return err
}

// runRemote runs a command line as root, with the recipe uploaded and the output logged.
func (k *bake) runRemote(ctx context.Context, kind, what, line string) error {
	if err := k.upload(ctx); err != nil {
		return err
	}
	log, err := k.openLog(kind)
	if err != nil {
		return err
	}
	defer log.close()
	err = k.machine.Run(ctx, k.machine.AsRoot(line), nil, log, log)
	if exit := (*machine.ExitError)(nil); errors.As(err, &exit) {
		return &ProvisionError{Provisioner: kind, What: what, Message: log.tail(), Status: exit.Status, Log: log.path}
	}
	if err != nil {
		return fmt.Errorf("running %s %s: %w", kind, what, err)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
