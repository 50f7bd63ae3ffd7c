package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/imgops/imgops/roles"
)

// interruptTime is how long ansible-playbook may take to end after SIGINT.
const interruptTime = 20 * time.Second

// ansible applies a playbook, or a role by a generated playbook. i tells the provisioners of the role apart.
func (k *bake) ansible(ctx context.Context, i int, a *roles.Ansible) error {
	m := k.machine
	p := &playbook{
		ansible: a, role: k.req.Role.Name, fleet: k.fleetDir, work: filepath.Join(k.req.WorkDir, fmt.Sprintf("ansible-%d", i)),
		address: m.Address, user: m.User, keyFile: m.KeyFile, knownHosts: m.KnownHosts, sshConfig: m.SSHConfig, controlPath: m.ControlPath(),
	}
	k.say("provision", "ansible "+p.what())
	if err := p.prepare(); err != nil {
		return fmt.Errorf("preparing Ansible's files for %s: %w", p.what(), err)
	}
	log, err := k.openLog("ansible")
	if err != nil {
		return err
	}
	defer log.close()
	for _, file := range p.requirements() {
		k.say("provision", "ansible-galaxy to install "+file)
		if err := p.run(ctx, p.galaxyCmd(ctx, file), log, &report{}, file); err != nil {
			return err
		}
	}
	said := &report{task: func(task string) { k.say("provision", "ansible: "+task) }}
	if err := p.run(ctx, p.cmd(ctx), log, said, p.what()); err != nil {
		return err
	}
	if said.ranNothing() {
		return fmt.Errorf("ansible %s did nothing: no play of it is for the machine, which is in the groups all and %s; write one of them in `hosts`",
			p.what(), p.role)
	}
	return nil
}

// playbook is one run of ansible-playbook.
type playbook struct {
	ansible *roles.Ansible
	role    string // the image role: the machine's group
	fleet   string // the recipe's directory
	work    string // for what is not part of the recipe

	address, user, keyFile, knownHosts, sshConfig, controlPath string
}

func (p *playbook) what() string {
	if p.ansible.Playbook != "" {
		return p.ansible.Playbook
	}
	return "role " + p.ansible.Role
}

// cmd is ansible-playbook as it will be run.
func (p *playbook) cmd(ctx context.Context) *exec.Cmd {
	book := p.ansible.Playbook
	if book == "" {
		book = generatedPlaybook
	}
	cmd := p.command(ctx, "ansible-playbook", "--inventory", inventoryFile, "--extra-vars", "@"+p.varsFile(), "--extra-vars", "@"+p.connectionFile(), book)
	cmd.Env = append(cmd.Env, "PATH="+searchPath([]string{p.bin()}, os.Getenv("PATH")))
	return cmd
}

// galaxyCmd installs the roles and collections of a requirements file, for this run only.
func (p *playbook) galaxyCmd(ctx context.Context, file string) *exec.Cmd {
	cmd := p.command(ctx, "ansible-galaxy", "install", "--role-file", file)
	// The first directory of each path is where ansible-galaxy installs to.
	cmd.Env = append(cmd.Env, "ANSIBLE_ROLES_PATH="+p.galaxy("roles"), "ANSIBLE_COLLECTIONS_PATH="+p.galaxy("collections"))
	return cmd
}

// command runs in the fleet's directory, as its author does. It is a process group of its own: an interrupt reaches
// Ansible's workers as the terminal's would, and a terminal's does not reach it twice.
func (p *playbook) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = p.fleet, append(callersEnv(), p.env()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = interruptTime
	return cmd
}

// env overrides what would make Ansible slow, ask, or read settings of the user that the digest does not cover. The
// host key is up to connectionVars; of paramiko's options, versions before 2.16 have one that no variable sets.
func (p *playbook) env() []string {
	own := p.config()
	return []string{
		"ANSIBLE_CONFIG=" + filepath.Join(p.fleet, own.file),
		"ANSIBLE_PIPELINING=True",
		"ANSIBLE_HOST_KEY_CHECKING=True", "ANSIBLE_PARAMIKO_HOST_KEY_AUTO_ADD=False",
		"ANSIBLE_NOCOLOR=True", "ANSIBLE_FORCE_COLOR=False",
		"ANSIBLE_RETRY_FILES_ENABLED=False",
		"ANSIBLE_DISPLAY_FAILED_STDERR=False",
		"ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS=ignore", // a role's name may have a dash
		"ANSIBLE_ROLES_PATH=" + searchPath(own.roles, filepath.Join(p.fleet, "roles"), p.galaxy("roles")),
		"ANSIBLE_COLLECTIONS_PATH=" + searchPath(own.collections, filepath.Join(p.fleet, "collections"), p.galaxy("collections"),
			"/usr/share/ansible/collections"),
	}
}

// run runs a command, with its output in the log and read for the reason of a failure.
func (p *playbook) run(ctx context.Context, cmd *exec.Cmd, log *stepLog, said *report, what string) error {
	name := filepath.Base(cmd.Args[0])
	out := &teeWriter{log, said}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // workers that outlived an interrupted Ansible
	}
	if err == nil || errors.Is(err, exec.ErrWaitDelay) { // the latter: it succeeded, and left its output open to another process
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("running %s %s: %w (log: %s)", name, what, context.Cause(ctx), log.path)
	}
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || exit.ExitCode() < 0 {
		return fmt.Errorf("running %s %s: %w (log: %s)", name, what, err, log.path)
	}
	task, message := said.failure()
	if message == "" {
		message = log.tail()
	}
	return &ProvisionError{
		Provisioner: strings.TrimSuffix(name, "-playbook"), What: what, Task: task, Message: printable(message), Status: exit.ExitCode(), Log: log.path,
	}
}

func (p *playbook) galaxy(kind string) string { return filepath.Join(p.work, "galaxy", kind) }

// searchPath joins directories, those of the fleet's ansible.cfg first.
func searchPath(own []string, more ...string) string {
	return strings.Join(append(own[:len(own):len(own)], more...), string(filepath.ListSeparator))
}

// shellWord quotes a word for Python's shlex.split, which reads ansible_ssh_args.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" }

// teeWriter gives the whole output to the log, and then to the report.
type teeWriter struct {
	log  *stepLog
	said *report
}

func (w *teeWriter) Write(p []byte) (int, error) {
	n, err := w.log.Write(p)
	if err == nil {
		_, _ = w.said.Write(p)
	}
	return n, err
}
