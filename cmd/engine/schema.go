package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/routes"
)

// schemaCommand prints the JSON Schema of routes.yaml, for editors.
func schemaCommand(a *app) *cobra.Command {
	var reference, pages string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of routes.yaml",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if reference != "" || pages != "" {
				if err := writeReference(reference, pages); err != nil {
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
	cmd.Flags().StringVar(&pages, "pages", "", "write the options of each connector into its page in this folder instead")
	return cmd
}

// writeReference writes what is asked for of the pages that are made from the
// options: the reference, and the part of each connector's page.
func writeReference(reference, pages string) error {
	p := parts(nil)
	if reference != "" {
		if err := os.WriteFile(reference, []byte(routes.Reference(p)), 0o644); err != nil {
			return err
		}
	}
	if pages == "" {
		return nil
	}
	for _, k := range p.Connectors {
		name := filepath.Join(pages, k.Name+".md")
		page, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		made, err := routes.ConnectorPage(string(page), k)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(made), 0o644); err != nil {
			return err
		}
	}
	return nil
}
