package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// oneOf takes exactly one argument, of these.
func oneOf(choices ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		list := strings.Join(choices, ", ")
		switch {
		case len(args) == 0:
			return usagef(c, "which one? name one of %s", list)
		case len(args) > 1:
			return usagef(c, "%s are too many: name one of %s", strings.Join(args, " "), list)
		case !slices.Contains(choices, args[0]):
			return usagef(c, "%q is none of %s", args[0], list)
		}
		return nil
	}
}
