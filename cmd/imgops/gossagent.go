package main

import (
	"github.com/spf13/cobra"

	"github.com/imgops/imgops/verifier/gossagent"
)

// gossAgentCommand is what imgops runs of itself on a machine under test.
func gossAgentCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: gossagent.Command, Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := gossagent.RunAgent(args, a.Stdin, a.Stdout, a.Stderr); code != 0 {
				return &exitStatus{code: code}
			}
			return nil
		},
	}
}
