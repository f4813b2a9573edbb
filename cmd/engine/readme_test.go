package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadme runs every command of the README as it stands there, on other
// ports and in another folder.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile(filepath.Join(root, "routes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, "")
	ports := strings.NewReplacer("127.0.0.1:2575", s.results, "127.0.0.1:2576", s.admit, "127.0.0.1:8080", s.http)
	s.configure(ports.Replace(string(shipped)))
	if err := os.Symlink(filepath.Join(root, "testdata"), filepath.Join(s.folder, "testdata")); err != nil {
		t.Fatal(err)
	}
	// The program stands in the folder it runs in, as after `make run`.
	if err := os.Symlink(binary(t, ""), filepath.Join(s.folder, "engine")); err != nil {
		t.Fatal(err)
	}
	l := s.mustReady()
	defer l.stop()
	commands := readmeCommands(string(page))
	if len(commands) < 10 {
		t.Fatalf("the README has %d commands", len(commands))
	}
	for _, command := range commands {
		t.Run(command, func(t *testing.T) {
			words := fields(ports.Replace(command))
			switch words[0] {
			case "make":
				if out, err := exec.CommandContext(t.Context(), "make", "-n", "-C", root, words[1]).CombinedOutput(); err != nil {
					t.Errorf("make has no such target: %s", out)
				}
			case "curl":
				url := strings.TrimPrefix(words[len(words)-1], "http://"+s.http)
				eventually(t, "the resources are there", func() bool {
					var b bundle
					status, _ := s.get(url, &b)
					return status == http.StatusOK && len(b.Entry) > 0
				})
			case "./engine":
				s.readmeEngine(t, words[1:])
			default:
				t.Errorf("nobody knows how to test %q", words[0])
			}
		})
	}
}

// readmeEngine runs one command of the engine and looks at what a newcomer
// would look at.
func (s *site) readmeEngine(t *testing.T, words []string) {
	t.Helper()
	for i, w := range words {
		if w == "ID" {
			words[i] = s.rows("")[0].ID
		}
	}
	if words[0] == "messages" || words[0] == "queue" {
		words = append(words, "--http", s.http)
	}
	out, errs, code := s.engineCommand(words...)
	if code != exitOK {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	want := map[string]string{"send": "AA", "check": "", "schema": "channels", "version": "plexus", "convert": "", "queue": "ROUTE"}[words[0]]
	if words[0] == "messages" && words[1] == "trace" {
		want = "wrote"
	}
	if !strings.Contains(out, want) {
		t.Errorf("printed %q, want %q in it", out, want)
	}
	if words[0] == "convert" {
		if _, err := os.Stat(filepath.Join(s.folder, "out", "adt_a01_admit.json")); err != nil {
			t.Error(err)
		}
	}
}

// readmeCommands are the lines of console blocks that begin with a dollar sign.
func readmeCommands(page string) []string {
	var commands []string
	console := false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "```") {
			console = line == "```console"
			continue
		}
		if command, ok := strings.CutPrefix(line, "$ "); ok && console {
			command, _, _ = strings.Cut(command, " #")
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	return commands
}

// fields splits a command at spaces outside of single quotes.
func fields(command string) []string {
	var words []string
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}
