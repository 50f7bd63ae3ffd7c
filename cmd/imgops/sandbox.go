package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/machines"
)

// sandboxOptions are the flags of the sandbox commands.
type sandboxOptions struct {
	name     string
	machines string
	port     int
	account  string
	region   string
	mirror   string
	proxy    bool // of env
	noProxy  bool // of exec

	conditions    conditionOptions
	organizations []string

	flags *pflag.FlagSet // of the command that was called
}

// parse checks the flags before anything is started.
func (o *sandboxOptions) parse() (sandbox.Conditions, sandbox.Organizations, error) {
	organizations, err := sandbox.ParseOrganizations(o.organizations)
	if err != nil {
		return sandbox.Conditions{}, organizations, &usageError{err: err}
	}
	conditions, err := o.conditions.parse()
	return conditions, organizations, err
}

// settingsHelp is about the flags of up and serve.
const settingsHelp = "The sandbox remembers these flags: started again without them, after down or after a crash, it is as it was. A flag\n" +
	"that is given replaces what is remembered of it, all values of it. To take one back, give none to --latency,\n" +
	"--consistency, --throttle, --fault and --organization, 0 to --port, \"\" to --mirror. Only a reset changes between\n" +
	"--machines none and real machines."

// proxyHelp is about the variables of exec and env.
const proxyHelp = "AWS_ENDPOINT_URL leads to the sandbox whoever reads it. For clients that do not, such as the AWS SDK for Go v1 and so Packer 1.6,\n" +
	"exec sets HTTPS_PROXY, HTTP_PROXY, NO_PROXY and AWS_CA_BUNDLE, too: the sandbox answers at that proxy for every host of AWS (*.amazonaws.com,\n" +
	"*.api.aws and others), and none of these requests leaves this computer; other hosts are connected as they were. env leaves the proxy\n" +
	"out unless it is asked for, because a shell whose proxy ends with the sandbox could reach nothing after imgops sandbox down."

func sandboxCommand(a *app) *cobra.Command {
	o := &sandboxOptions{}
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "The embedded EC2-compatible cloud, with real Linux machines in it",
		Long: "The sandbox answers the AWS APIs on loopback, with real machines behind its instances. The access key id\n" +
			"SANDBOX<account> with the secret \"sandbox\" acts in that account; every 12-digit account exists.",
	}
	c.PersistentFlags().StringVar(&o.name, "name", "default", "which sandbox; several can run side by side")
	sub := func(use, short string, args cobra.PositionalArgs, run func(context.Context, *sandboxHome, []string) error) *cobra.Command {
		s := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(c *cobra.Command, args []string) error {
			home, err := a.sandboxHome(o.name)
			if err != nil {
				return err
			}
			o.flags = c.Flags()
			return run(c.Context(), home, args)
		}}
		c.AddCommand(s)
		return s
	}
	up := sub("up", "Start the sandbox in the background, making its base image first", cobra.NoArgs,
		func(ctx context.Context, h *sandboxHome, _ []string) error { return a.sandboxUp(ctx, h, o) })
	serve := sub("serve", "Run the sandbox in the foreground", cobra.NoArgs,
		func(ctx context.Context, h *sandboxHome, _ []string) error { return a.sandboxServe(ctx, h, o) })
	for _, s := range []*cobra.Command{up, serve} {
		s.Flags().StringVar(&o.machines, "machines", "auto", "what the instances run as: auto, nspawn (as root), qemu, or none (state changes only)")
		s.Flags().IntVar(&o.port, "port", 0, "loopback `port` to listen on (default: the last one, else any)")
		o.conditions.addFlags(s.Flags())
		s.Flags().StringArrayVar(&o.organizations, "organization", nil, "put accounts into an organization or an organizational unit, which images can be shared with, by a `PLACE`, which can be repeated: "+sandbox.OrganizationSyntax)
		s.Flags().StringVar(&o.mirror, "mirror", "", "Debian mirror `URL` for the base image (default http://deb.debian.org/debian)")
		s.Long = s.Short + ".\n\n" + settingsHelp
	}
	sub("down", "Stop the machines and the server; the state stays, and up starts the machines again", cobra.NoArgs,
		func(ctx context.Context, h *sandboxHome, _ []string) error { return a.sandboxDown(ctx, h) })
	sub("reset", "Stop everything and delete the state", cobra.NoArgs,
		func(ctx context.Context, h *sandboxHome, _ []string) error { return a.sandboxReset(ctx, h) })
	sub("status", "Show what runs", cobra.NoArgs,
		func(ctx context.Context, h *sandboxHome, _ []string) error { return a.sandboxStatus(ctx, h) })
	env := sub("env", "Print the environment that leads AWS clients to the sandbox: eval \"$(imgops sandbox env)\"", cobra.NoArgs,
		func(ctx context.Context, h *sandboxHome, _ []string) error { return a.sandboxEnv(ctx, h, o) })
	run := sub("exec -- COMMAND [ARG...]", "Run a command with that environment", cobra.MinimumNArgs(1),
		func(ctx context.Context, h *sandboxHome, args []string) error { return a.sandboxExec(ctx, h, o, args) })
	run.Flags().SetInterspersed(false)
	run.Long = run.Short + ".\n\n" + proxyHelp
	run.Flags().BoolVar(&o.noProxy, "no-proxy", false, "set the endpoint only, and no proxy: for clients that cannot do with one, or that are to reach AWS' own hosts")
	env.Long = "Print the environment that leads AWS clients to the sandbox:\n\n    eval \"$(imgops sandbox env)\"\n\n" + proxyHelp
	env.Flags().BoolVar(&o.proxy, "proxy", false, "also print what exec sets for clients that read no AWS_ENDPOINT_URL")
	for _, s := range []*cobra.Command{env, run} {
		s.Flags().StringVar(&o.account, "account", "111111111111", "the `account` to act in")
		s.Flags().StringVar(&o.region, "region", "us-east-1", "the default `Region`")
	}
	c.AddCommand(&cobra.Command{
		Use: "pipe ADDRESS SERVICE", Short: "Connect a qemu machine with its metadata service (QEMU runs this)", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if machines.Pipe(c.Context(), args[0], args[1], a.Stdin, a.Stdout) != nil {
				return &exitStatus{code: exitError} // without a word: the machine would take it for the service's
			}
			return nil
		},
	})
	return c
}

// sandboxUp makes the base image where a person can watch it, then starts the server in a session of its own.
func (a *app) sandboxUp(ctx context.Context, h *sandboxHome, o *sandboxOptions) error {
	if r, err := h.running(ctx); err == nil {
		if givenFlags(o.flags, fixedWhileRunning) {
			return fmt.Errorf("sandbox %s is already running, and its conditions stay as they are, and its organizations; first: imgops sandbox down%s", h.name, h.flag())
		}
		fmt.Fprintf(a.Stdout, "sandbox %s is already running at %s (%s machines)\n", h.name, r.URL, r.Driver)
		return nil
	}
	if err := a.findSystemTools(); err != nil {
		return err
	}
	driver, err := a.recall(h, o)
	if err != nil {
		return err
	}
	if driver != "none" {
		if _, err := a.makeBase(ctx, o); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return fmt.Errorf("making the sandbox's directory: %w", err)
	}
	log, err := os.OpenFile(h.path("server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the sandbox's log: %w", err)
	}
	defer log.Close() // the server has its own
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the imgops executable: %w", err)
	}
	settings := settingsOf(o.flags)
	settings["machines"] = []string{driver}
	args := append([]string{"sandbox", "serve", "--name", h.name}, settings.args()...)
	cmd := exec.Command(self, args...) // not CommandContext: the server outlives this command
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the sandbox's server: %w", err)
	}
	return a.awaitServer(ctx, h, cmd)
}

// serverPatience is for a server that tries KVM first, and boots machines that were rebooting, on a busy computer.
const serverPatience = 3 * time.Minute

func (a *app) awaitServer(ctx context.Context, h *sandboxHome, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeoutCause(ctx, serverPatience, fmt.Errorf("the server does not answer; see %s", h.path("server.log")))
	defer cancel()
	var r serverRecord
	err := images.Poll(ctx, func(ctx context.Context) (bool, error) {
		select {
		case err := <-ended:
			return false, fmt.Errorf("the server ended (%w): %s", cmp.Or(err, errNotRunning), lastLine(h.path("server.log")))
		default:
		}
		var err error
		r, err = h.running(ctx)
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("starting sandbox %s: %w", h.name, err)
	}
	fmt.Fprintf(a.Stdout, "sandbox %s is running at %s (%s machines)\n", h.name, r.URL, r.Driver)
	fmt.Fprintf(a.Stderr, "next: eval \"$(imgops sandbox env%s)\"\n", h.flag())
	return nil
}

// lastLine is the end of a log, for an error message.
func lastLine(path string) string {
	b, err := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if err != nil || len(lines) == 0 {
		return "see " + path
	}
	return lines[len(lines)-1]
}

func (a *app) sandboxStatus(ctx context.Context, h *sandboxHome) error {
	type status struct {
		Name    string         `json:"name"`
		Running bool           `json:"running"`
		URL     string         `json:"url,omitempty"`
		Driver  string         `json:"machines,omitempty"`
		Detail  string         `json:"machines_detail,omitempty"`
		PID     int            `json:"pid,omitempty"`
		Dir     string         `json:"dir"`
		Network string         `json:"network,omitempty"`
		Counts  map[string]int `json:"counts,omitempty"`

		Organizations []string `json:"organizations,omitempty"`
		Conditions    []string `json:"conditions,omitempty"`
	}
	s := status{Name: h.name, Dir: h.dir}
	if r, err := h.running(ctx); err == nil {
		got, err := askStatus(ctx, r.URL)
		if err != nil {
			return err
		}
		s = status{h.name, true, r.URL, got.Machines, got.Detail, got.PID, h.dir, got.Network, got.Counts, got.Organizations, got.Conditions}
	} else if !errors.Is(err, errNotRunning) {
		return err
	}
	t := table{}
	t.add("name", s.Name)
	t.add("running", fmt.Sprint(s.Running))
	t.add("url", s.URL)
	t.add("machines", strings.TrimSpace(s.Driver+" "+s.Detail))
	t.add("state", s.Dir)
	for _, o := range s.Organizations {
		t.add("organization", o)
	}
	for _, c := range s.Conditions {
		t.add("condition", c)
	}
	for _, k := range slices.Sorted(maps.Keys(s.Counts)) {
		t.add(k, fmt.Sprint(s.Counts[k]))
	}
	return a.print(s, t)
}
