package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A newcomer runs the commands of the README, one after the other.
type newcomer struct {
	*site
	root    string
	lab     string // where the laboratory of the README listens
	stop    func()
	ordered []string // ids of the orders written
}

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
	n := &newcomer{site: newSite(t, ""), root: root, lab: freeAddress(t), stop: func() {}}
	ports := strings.NewReplacer("127.0.0.1:2575", n.results, "127.0.0.1:2576", n.admit, "127.0.0.1:8080", n.http, "127.0.0.1:6661", n.lab)
	n.configure(ports.Replace(string(shipped)))
	if err := os.Symlink(filepath.Join(root, "testdata"), filepath.Join(n.folder, "testdata")); err != nil {
		t.Fatal(err)
	}
	// The program stands in the folder it runs in, as after `make run`.
	if err := os.Symlink(binary(t, ""), filepath.Join(n.folder, "engine")); err != nil {
		t.Fatal(err)
	}
	l := n.mustReady()
	defer l.stop()
	defer func() { n.stop() }()
	commands := readmeCommands(string(page))
	if len(commands) < 15 {
		t.Fatalf("the README has %d commands", len(commands))
	}
	for _, command := range commands {
		t.Run(command, func(t *testing.T) { n.run(t, ports.Replace(command)) })
	}
	if len(n.ordered) != 4 {
		t.Errorf("%d orders were written, want one and three more", len(n.ordered))
	}
}

func (n *newcomer) run(t *testing.T, command string) {
	command, note, _ := strings.Cut(command, " #")
	words := fields(command)
	switch {
	case words[0] == "make":
		if out, err := exec.CommandContext(t.Context(), "make", "-n", "-C", n.root, words[1]).CombinedOutput(); err != nil {
			t.Errorf("make has no such target: %s", out)
		}
	case words[0] == "curl" && slices.Contains(words, "--json"):
		times := 1
		if strings.TrimSpace(note) == "three times" {
			n.stop() // as the text above the block says
			times = 3
		}
		for range times {
			n.post(t, words)
		}
	case words[0] == "curl":
		url := strings.TrimPrefix(words[len(words)-1], "http://"+n.http)
		wants := ""
		if strings.Contains(url, "ServiceRequest") {
			wants = "LAB-" // the number that the laboratory answered with
		}
		eventually(t, "the resources are there", func() bool {
			var b bundle
			status, body := n.get(url, &b)
			return status == http.StatusOK && len(b.Entry) > 0 && strings.Contains(string(body), wants)
		})
	case words[0] == "./engine" && words[1] == "listen":
		n.listen(t, words[1:])
	case words[0] == "./engine":
		n.engine(t, words[1:])
	default:
		t.Errorf("nobody knows how to test %q", words[0])
	}
}

// post does what `curl --json @FILE URL` does.
func (n *newcomer) post(t *testing.T, words []string) {
	t.Helper()
	method := http.MethodPost
	if i := slices.Index(words, "-X"); i > 0 {
		method = words[i+1]
	}
	body, err := os.ReadFile(filepath.Join(n.root, strings.TrimPrefix(words[slices.Index(words, "--json")+1], "@")))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, words[len(words)-1], bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("%s: %s", words[len(words)-1], response.Status)
	}
	if strings.HasSuffix(words[len(words)-1], "/ServiceRequest") {
		var order struct{ ID string }
		if err := json.NewDecoder(response.Body).Decode(&order); err != nil {
			t.Fatal(err)
		}
		n.ordered = append(n.ordered, order.ID)
	}
}

// listen starts the laboratory; what waits for it arrives in order.
func (n *newcomer) listen(t *testing.T, words []string) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), binary(t, ""), words...)
	cmd.Dir = n.folder
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.stop = func() {
		n.stop = func() {}
		_ = cmd.Process.Signal(os.Interrupt) // it has ended, or does now
		if err := cmd.Wait(); err != nil {
			n.t.Errorf("the listener ended with %v: %s", err, out)
		}
	}
	eventually(t, "the laboratory listens", func() bool { return strings.Contains(out.String(), "listening") })
	if len(n.ordered) == 0 {
		return
	}
	var arrived []string
	eventually(t, "what waited arrives", func() bool {
		arrived = placerNumber.FindAllString(out.String(), -1)
		return len(arrived) == 3
	})
	for i, a := range arrived {
		if a != "ORC|NW|"+n.ordered[i+1] {
			t.Errorf("the orders %v arrived as %v", n.ordered[1:], arrived)
		}
	}
}

// placerNumber finds what names an order in what the listener prints.
var placerNumber = regexp.MustCompile(`ORC\|NW\|[0-9a-f-]+`)

// engine runs one command of the engine and looks at what a newcomer would
// look at.
func (n *newcomer) engine(t *testing.T, words []string) {
	t.Helper()
	for i, w := range words {
		if w == "ID" {
			words[i] = n.rows("")[0].ID
		}
	}
	if words[0] == "messages" || words[0] == "queue" {
		words = append(words, "--http", n.http)
	}
	out, errs, code := n.engineCommand(words...)
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
		if _, err := os.Stat(filepath.Join(n.folder, "out", "adt_a01_admit.json")); err != nil {
			t.Error(err)
		}
	}
}

// readmeCommands are the lines of console blocks that begin with a dollar sign,
// with their comments.
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
