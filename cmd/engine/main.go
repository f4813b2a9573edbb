// Command engine is Plexus: it receives, maps, stores and sends healthcare
// messages as routes.yaml says.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/access"
)

// Exit codes of every command.
const (
	exitOK     = 0
	exitSome   = 1 // some of what was asked for did not hold: a file, a message, a check
	exitUsage  = 2 // the command line is wrong
	exitFailed = 3 // the engine could not do its work
)

func main() {
	setGrowth(growthRunning)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// An app is what the commands share.
type app struct {
	stdout, stderr io.Writer
}

// An exit is an error that ends the program with a code. Silent ones have said
// everything already.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// run is the program: the same thing that tests start.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	root := &cobra.Command{
		Use:           "engine",
		Short:         "Plexus, a healthcare integration engine",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		request := access.Request{Actor: userName(), Action: "command." + strings.ReplaceAll(strings.TrimPrefix(cmd.CommandPath(), "engine "), " ", ".")}
		if err := (access.Loopback{}).Decide(cmd.Context(), request); err != nil {
			return &exit{code: exitUsage, err: err}
		}
		return nil
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exit{code: exitUsage, err: err} })
	root.AddCommand(commands(a)...)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	e, ok := errors.AsType[*exit](err)
	if !ok {
		e = &exit{code: exitUsage, err: err}
	}
	if e.err != nil {
		fmt.Fprintln(stderr, "engine:", e.err)
	}
	return e.code
}

// commands lists the commands, in the order of the help page.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		runCommand(a),
		sendCommand(a),
		listenCommand(a),
		messagesCommand(a),
		queueCommand(a),
		convertCommand(a),
		inspectCommand(a),
		diffCommand(a),
		editCommand(a),
		checkCommand(a),
		schemaCommand(a),
		versionCommand(a),
	}
}
