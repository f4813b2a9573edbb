package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/routes"
)

// schemaCommand prints the JSON Schema of routes.yaml, for editors.
func schemaCommand(a *app) *cobra.Command {
	var reference string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of routes.yaml",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if reference != "" {
				if err := os.WriteFile(reference, []byte(routes.Reference(parts(nil))), 0o644); err != nil {
					return &exit{code: exitFailed, err: err}
				}
				return nil
			}
			text, err := routes.Schema(parts(nil))
			if err != nil {
				return &exit{code: exitFailed, err: err}
			}
			fmt.Fprintf(a.stdout, "%s\n", text)
			return nil
		},
	}
	cmd.Flags().StringVar(&reference, "reference", "", "write the reference page to this file instead")
	return cmd
}
