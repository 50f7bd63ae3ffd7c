package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

// world is everything that imgops takes from the process around it, so that tests can give another one.
type world struct {
	Args   []string
	Getenv func(string) string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// run is imgops without the process: it parses the arguments, does the command and returns the exit code.
func run(ctx context.Context, w world) int {
	return (&app{world: w}).execute(ctx)
}

func (a *app) execute(ctx context.Context) int {
	root := rootCommand(a)
	root.SetArgs(a.Args)
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	err := root.ExecuteContext(ctx)
	a.printCalls()
	return a.report(ctx, err)
}

func rootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "imgops",
		Short:         "Build, test and promote machine images from Git",
		Long:          "imgops keeps one image definition per role in Git, builds and tests an image when a change touches a role,\nand makes the tested image the role's default in every account and Region when main gets the commit.\n\n" + exitCodes,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usagef(c, "%w", err) })
	a.addGlobalFlags(root)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return a.configure(c) }
	root.AddGroup(&cobra.Group{ID: "fleet", Title: "The fleet:"}, &cobra.Group{ID: "pipeline", Title: "The pipeline:"},
		&cobra.Group{ID: "look", Title: "Looking:"}, &cobra.Group{ID: "tools", Title: "Tools:"})
	add := func(group string, list ...*cobra.Command) {
		for _, c := range list {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("fleet", initCommand(a), validateCommand(a), updateCommand(a))
	add("pipeline", planCommand(a), buildCommand(a), verifyCommand(a), promoteCommand(a), ciCommand(a),
		rollbackCommand(a), holdCommand(a), releaseCommand(a), rejectCommand(a), retireCommand(a))
	add("look", listCommand(a), showCommand(a), historyCommand(a), diffCommand(a), loginCommand(a))
	add("tools", sandboxCommand(a), doctorCommand(a), gcCommand(a), iamPolicyCommand(a), schemaCommand(a), versionCommand(a))
	root.AddCommand(gossAgentCommand(a))
	root.SetHelpCommandGroupID("tools")
	root.SetCompletionCommandGroupID("tools")
	requireSubcommands(root)
	usageErrors(root)
	return root
}

// usageErrors makes wrong arguments of any command usage errors, with the command that helps.
func usageErrors(c *cobra.Command) {
	for _, sub := range c.Commands() {
		usageErrors(sub)
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usagef(c, "%w", err)
			}
			return nil
		}
	}
}

// requireSubcommands makes a group command without its verb, or with a wrong one, a usage error instead of silent help.
func requireSubcommands(c *cobra.Command) {
	for _, sub := range c.Commands() {
		requireSubcommands(sub)
	}
	if c.HasParent() && c.HasSubCommands() && !c.Runnable() {
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef(c, "unknown command %q; see '%s --help'", args[0], c.CommandPath())
			}
			return usagef(c, "which one? see '%s --help'", c.CommandPath())
		}
	}
}
