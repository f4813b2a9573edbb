package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/*.txtar: the commands as users type them. A command
// adds its own file there. In a script the program is `engine`; $ROOT is the
// folder of the project and $SAMPLES that of the sample messages. Besides the
// usual commands of a script there are:
//
//	code N engine ARGUMENT...   the program ends with exit code N
//	wire FILE...                files of a script with the line ends and bytes that it cannot
//	                            hold: LF becomes CR, <VT> <FS> <CR> <LF> <NUL> the bytes of these names
func TestScripts(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"code": code, "wire": wire},
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			env.Setenv("SAMPLES", filepath.Join(root, "testdata", "messages"))
			return nil
		},
	})
}

// code is `code N engine ARGUMENT...`.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N engine ARGUMENT...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// wire is `wire FILE...`.
func wire(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: wire FILE...")
	}
	for _, name := range args {
		names := strings.NewReplacer("\n", "\r", "<VT>", "\x0b", "<FS>", "\x1c", "<CR>", "\r", "<LF>", "\n", "<NUL>", "\x00")
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(names.Replace(ts.ReadFile(name))), 0o600))
	}
}
