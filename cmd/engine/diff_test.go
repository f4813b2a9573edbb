package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckDiff asks a running engine what an edited file would change: the
// channels, the deliveries that would go first, and what is refused because it
// has work.
func TestCheckDiff(t *testing.T) {
	s := newSite(t, "")
	nobody := freeAddress(t)
	channel := func(name, listen, more string) string {
		return fmt.Sprintf(`  - name: %s
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    routes:
      - { name: out, to: { mllp: { address: "%s" } }%s, retry: { down: { first: 1m, max: 1m } } }
`, name, listen, nobody, more)
	}
	config := "zone: America/New_York\nchannels:\n" + channel("lab", s.results, "") + channel("ward", s.admit, "")
	s.configure(config)
	edited := filepath.Join(s.folder, "edited.yaml")
	diff := func(text string, wantCode int) string {
		t.Helper()
		if err := os.WriteFile(edited, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, code := s.engineCommand("check", "--routes", edited, "--diff", "--http", s.http)
		if code != wantCode {
			t.Errorf("exit %d, want %d\n%s%s", code, wantCode, out, errs)
		}
		return out + errs
	}
	if text := diff(config, exitFailed); !strings.Contains(text, "no engine answers") {
		t.Errorf("without an engine: %s", text)
	}
	l := s.mustReady()
	defer func() { l.stop() }()
	for n, address := range []string{s.results, s.results, s.admit} {
		if code := s.send(address, oru(fmt.Sprintf("D-%d", n), "K1", fmt.Sprint(n), 1)); code != "AA" {
			t.Fatalf("answered %s", code)
		}
	}
	eventually(t, "the deliveries wait", func() bool { return len(s.queueOf("lab/out")) == 2 && len(s.queueOf("ward/out")) == 1 })

	if text := diff(config, exitOK); !strings.Contains(text, "would change nothing") {
		t.Errorf("the file that runs: %s", text)
	}
	text := diff(strings.Replace(config, `}, retry`, `}, order: channel, retry`, 1)+channel("new", freeAddress(t), ""), exitOK)
	for _, want := range []string{"changed   channel lab\n", "added     channel new\n", "waits     channel lab: route out: 2 deliveries made by order: patient go first, then those made by order: channel\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "ward") {
		t.Errorf("a channel that stays is named:\n%s", text)
	}
	text = diff("zone: America/New_York\nchannels:\n"+channel("lab", s.results, ""), exitSome)
	for _, want := range []string{"removed   channel ward\n", "refused   channel ward: route out has 1 deliveries (1 waiting"} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
	text = diff(strings.Replace(config, "  - name: ward\n", "  - name: floor\n    was: ward\n", 1), exitOK)
	if !strings.Contains(text, "renamed   channel floor was ward\n") || strings.Contains(text, "refused") {
		t.Errorf("a rename: %s", text)
	}
	if text = diff(strings.Replace(config, "parse: hl7v2", "pars: hl7v2", 1), exitSome); !strings.Contains(text, "edited.yaml:5:5") {
		t.Errorf("a faulty file: %s", text)
	}
}
