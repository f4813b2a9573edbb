package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/routes"
)

// A checking is one call of engine check.
type checking struct {
	app     *app
	file    string
	env     string
	secrets string
	json    bool
	explain string
	diff    bool
	engine  journal // that --diff asks
}

// checkCommand checks routes.yaml and all it names and prints everything that
// is wrong, each with its place.
func checkCommand(a *app) *cobra.Command {
	c := &checking{app: a}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check routes.yaml and the files it names",
		Long: "Check routes.yaml and the files it names: every problem with its place and what would be right.\n" +
			"Exit code 0 when all is well, 1 when there are problems.\n\n" +
			"With --diff: what a running engine would change if this were its file, which deliveries\n" +
			"would go first because of a changed order, and what it would refuse because it has work.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&c.file, "routes", "routes.yaml", "the file of channels")
	f.StringVar(&c.env, "env", "", "environment: variables of env/NAME.yaml beside the routes; all checks each of them")
	f.StringVar(&c.secrets, "secrets", "secrets", "folder of mounted secrets, one file each")
	f.BoolVar(&c.json, "json", false, "print the problems as a JSON list")
	f.StringVar(&c.explain, "explain", "", "print a channel (channel/NAME) in full, with the place each value came from")
	f.BoolVar(&c.diff, "diff", false, "print which channels of the running engine an edit changes")
	f.StringVar(&c.engine.settings.HTTP, "http", "127.0.0.1:8080", "address of the running engine, with --diff")
	c.engine.app = a
	return cmd
}

func (c *checking) run(ctx context.Context) error {
	envs := []string{c.env}
	if c.env == "all" {
		var err error
		if envs, err = c.environments(); err != nil {
			return &exit{code: exitUsage, err: err}
		}
	}
	if c.diff && len(envs) > 1 {
		return &exit{code: exitUsage, err: errors.New("--diff: a running engine has one environment, name it with --env")}
	}
	problems := []checkProblem{}
	for _, env := range envs {
		o := routes.LoadOptions{File: c.file, Env: env, Environ: os.LookupEnv, SecretsFolder: c.secrets, Parts: parts(nil)}
		if c.explain != "" {
			name, ok := strings.CutPrefix(c.explain, "channel/")
			if !ok || name == "" {
				return &exit{code: exitUsage, err: fmt.Errorf("--explain %q: write channel/NAME", c.explain)}
			}
			text, err := routes.Explain(o, name)
			if err != nil {
				return &exit{code: exitSome, err: err}
			}
			fmt.Fprint(c.app.stdout, text)
		}
		config, found := routes.Load(o)
		for _, p := range found {
			problems = append(problems, checkProblem{Problem: p, Env: env})
		}
		if c.diff && len(found) == 0 {
			return c.compare(ctx, config)
		}
	}
	if err := c.print(problems, len(envs) > 1); err != nil {
		return &exit{code: exitFailed, err: err}
	}
	if len(problems) > 0 {
		return &exit{code: exitSome}
	}
	return nil
}

// A checkProblem is a problem of one environment.
type checkProblem struct {
	routes.Problem
	Env string `json:"env,omitempty"`
}

// print prints the problems as lines, or as JSON. A problem that all
// environments have is printed once.
func (c *checking) print(problems []checkProblem, several bool) error {
	if c.json {
		e := json.NewEncoder(c.app.stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(problems)
	}
	printed := map[routes.Problem]bool{}
	for _, p := range problems {
		if printed[p.Problem] {
			continue
		}
		printed[p.Problem] = true
		text := p.Error()
		if several {
			text += " (first with --env " + p.Env + ")"
		}
		fmt.Fprintln(c.app.stdout, text)
	}
	if len(problems) == 0 && c.explain == "" {
		fmt.Fprintln(c.app.stdout, c.file+": no problems")
	}
	return nil
}

// environments are the names of the files in env/ beside the routes.
func (c *checking) environments() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(c.file), "env", "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("--env all: there are no environments: no env/*.yaml beside " + c.file)
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(filepath.Base(f), ".yaml")
	}
	sort.Strings(names)
	return names, nil
}
