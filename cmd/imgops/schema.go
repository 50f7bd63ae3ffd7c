package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imgops/imgops/roles"
)

func schemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema image|imgops",
		Short: "Print the JSON Schema of image.yaml or imgops.yaml, for editors",
		Long: "schema prints the JSON Schema (draft 7) of a role's image.yaml or of the fleet's imgops.yaml. An editor with the YAML\n" +
			"language server then completes and checks them as they are written: save the schema in the fleet and name it in the\n" +
			"file's first line.\n\n" +
			"  imgops schema image > .schemas/image.json\n" +
			"  # yaml-language-server: $schema=../../.schemas/image.json",
		Args:      oneOf(roles.SchemaNames()...),
		ValidArgs: roles.SchemaNames(),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := a.Stdout.Write(roles.Schema(args[0])); err != nil {
				return fmt.Errorf("writing the schema: %w", err)
			}
			return nil
		},
	}
}
