package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/sqlite"
)

// engineCommand runs a command of the engine as a user would and returns what
// it printed.
func (s *site) engineCommand(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary(s.t, s.tags), args...)
	cmd.Dir = s.folder
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		s.t.Fatalf("engine %v: %v", args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// send sends one message and returns the code of its acknowledgement.
func (s *site) send(address, raw string) string {
	s.t.Helper()
	p, err := dial(address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer p.close()
	code, err := p.exchange(raw)
	if err != nil {
		s.t.Fatalf("%s: %v", control10(raw), err)
	}
	return code
}

// one returns the only journal row of a control id.
func (s *site) one(control string) row {
	s.t.Helper()
	rows := s.rows("control=" + url.QueryEscape(control))
	if len(rows) != 1 {
		s.t.Fatalf("%d messages have the control id %s, want 1", len(rows), control)
	}
	return rows[0]
}

func TestLine(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		s := newSite(t, database)
		l := s.mustReady()
		defer func() { l.stop() }()

		t.Run("a result becomes FHIR and its trace says how", func(t *testing.T) {
			if code := s.send(s.results, oru("T1", "M1", "1", 3)); code != "AA" {
				t.Fatalf("answered %s, want AA", code)
			}
			s.settled()
			if got := s.search("Observation", url.Values{"patient.identifier": {"M1"}}); len(got) != 3 {
				t.Fatalf("%d observations, want 3", len(got))
			}
			for typ, want := range map[string]int{"Patient": 1, "DiagnosticReport": 1, "ServiceRequest": 1, "Provenance": 1} {
				if got := s.search(typ, url.Values{}); len(got) != want {
					t.Errorf("%d of %s, want %d", len(got), typ, want)
				}
			}
			out, errs, code := s.engineCommand("messages", "trace", s.one("T1").ID, "--http", s.http)
			if code != exitOK || !strings.Contains(out, "wrote") || !strings.Contains(out, "Observation/") || !strings.Contains(out, "done") {
				t.Errorf("trace (exit %d) does not say what was written:\n%s%s", code, out, errs)
			}
		})
		t.Run("a copy is answered as the first was and has no second effect", func(t *testing.T) {
			again := strings.Replace(oru("T1", "M1", "1", 3), "|20260105120000||ORU", "|20260105130000||ORU", 1)
			if code := s.send(s.results, again); code != "AA" {
				t.Fatalf("answered %s, want AA", code)
			}
			s.one("T1")
			for _, o := range s.search("Observation", url.Values{"patient.identifier": {"M1"}}) {
				if versionID(o) != "1" {
					t.Error("a copy wrote an observation again")
				}
			}
		})
		t.Run("the same control id with other content is a new message", func(t *testing.T) {
			if code := s.send(s.results, oru("T1", "M2", "2", 1)); code != "AA" {
				t.Fatalf("answered %s, want AA", code)
			}
			if rows := s.rows("control=T1"); len(rows) != 2 {
				t.Errorf("%d rows, want 2", len(rows))
			}
			if _, metrics := s.get("/metrics", nil); !strings.Contains(string(metrics), `plexus_events_total{channel="lab-results",event="clash"} 1`) {
				t.Error("no alarm was counted")
			}
		})
		t.Run("a correction updates the result and keeps its history", func(t *testing.T) {
			first := oru("T3", "M3", "3", 1)
			second := strings.Replace(strings.Replace(oru("T4", "M3", "3", 1), "|N|||F|", "|N|||C|", 1), "||0.2|", "||9.9|", 1)
			s.send(s.results, first)
			s.settled()
			s.send(s.results, second)
			s.settled()
			got := s.search("Observation", url.Values{"patient.identifier": {"M3"}})
			if len(got) != 1 || got[0]["status"] != "corrected" || versionID(got[0]) != "2" {
				t.Errorf("got %v, want one corrected observation of version 2", got)
			}
			s.send(s.results, strings.Replace(oru("T5", "M3", "3", 1), "||0.2|", "||1.1|", 1))
			s.settled()
			if got = s.search("Observation", url.Values{"patient.identifier": {"M3"}}); len(got) != 1 || got[0]["status"] != "corrected" {
				t.Errorf("a final result came after the corrected one and overwrote it: %v", got)
			}
		})
		t.Run("what a filter does not want is answered positively and says why", func(t *testing.T) {
			if code := s.send(s.results, adt("T6", "M6", 1, "A01")); code != "AA" {
				t.Fatalf("answered %s, want AA", code)
			}
			s.settled()
			if r := s.one("T6"); r.State != "filtered" || !strings.Contains(r.Reason, "filter") {
				t.Errorf("got %+v, want filtered by the filter", r)
			}
		})
		t.Run("ack: processed answers only after the effects are committed", func(t *testing.T) {
			if code := s.send(s.admit, adt("T7", "M7", 1, "A01")); code != "AA" {
				t.Fatalf("answered %s, want AA", code)
			}
			if got := s.search("Patient", url.Values{"identifier": {"M7"}}); len(got) != 1 {
				t.Errorf("answered AA and %d patients are there, want 1", len(got))
			}
		})
		t.Run("ack: processed answers a message that parks with AE and keeps it", func(t *testing.T) {
			raw := strings.Replace(adt("T8", "M8", 1, "Z99"), "ADT^Z99^ADT_A01", "ADT^Z99^ADT_Z99", 1)
			if code := s.send(s.admit, raw); code != "AE" {
				t.Fatalf("answered %s, want AE", code)
			}
			if r := s.one("T8"); r.State != "parked" || r.Reason == "" {
				t.Errorf("got %+v, want parked with a reason", r)
			}
			out, errs, code := s.engineCommand("messages", "drop", s.one("T8").ID, "--why", "a test", "--who", "tester", "--http", s.http)
			if code != exitOK || s.one("T8").State != "dropped" {
				t.Errorf("drop: exit %d, state %s\n%s%s", code, s.one("T8").State, out, errs)
			}
		})
	})
}

// TestReload changes the configuration of a running engine.
func TestReload(t *testing.T) {
	s := newSite(t, "")
	text := strings.Replace(fmt.Sprintf(siteRoutes, s.results, s.admit),
		"    map: v2-to-fhir\n", "    require: [ { that: number(PID-2) > 0, else: park } ]\n    map: v2-to-fhir\n", 1)
	s.configure(text)
	l := s.mustReady()
	defer l.stop()
	steady, err := dial(s.admit)
	if err != nil {
		t.Fatal(err)
	}
	defer steady.close()
	if code, err := steady.exchange(adt("S1", "MS", 1, "A01")); err != nil || code != "AA" {
		t.Fatalf("%s %v", code, err)
	}
	raw := strings.Replace(oru("W1", "MW", "1", 1), "PID|1||", "PID|1|SECRETVALUE|", 1)
	if code := s.send(s.results, raw); code != "AA" {
		t.Fatalf("answered %s, want AA", code)
	}
	s.settled()
	parked := s.one("W1")
	if parked.State != "parked" || !strings.Contains(parked.Reason, "not a number") || strings.Contains(parked.Reason, "SECRETVALUE") {
		t.Fatalf("got %+v, want parked: not a number, without the value", parked)
	}
	t.Run("a faulty file leaves the running one in place", func(t *testing.T) {
		s.configure("channels: [ { nam: x } ]\n")
		eventually(t, "the fault is reported", func() bool { return strings.Contains(l.log.String(), "the old one runs on") })
		if code, err := steady.exchange(adt("S2", "MS", 2, "A08")); err != nil || code != "AA" {
			t.Errorf("%s %v", code, err)
		}
	})
	t.Run("SIGHUP reads the file again", func(t *testing.T) {
		before := strings.Count(l.log.String(), "the old one runs on")
		if err := l.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the fault is reported again", func() bool { return strings.Count(l.log.String(), "the old one runs on") > before })
	})
	t.Run("a mended file is taken over and the message goes through", func(t *testing.T) {
		s.configure(fmt.Sprintf(siteRoutes, s.results, s.admit))
		eventually(t, "the change is reported", func() bool { return strings.Contains(l.log.String(), "configuration changed") })
		out, errs, code := s.engineCommand("messages", "reprocess", parked.ID, "--why", "the rule is mended", "--who", "tester", "--http", s.http)
		if code != exitOK {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
		s.settled()
		if r := s.one("W1"); r.State != "done" || r.Run != 1 {
			t.Errorf("got %+v, want done in run 1", r)
		}
		if got := s.search("Observation", url.Values{"patient.identifier": {"MW"}}); len(got) != 1 {
			t.Errorf("%d observations, want 1", len(got))
		}
	})
	part := func(name, text string) {
		if err := os.WriteFile(filepath.Join(s.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	channel := func(name string) string {
		return "channels: [ { name: " + name + ", source: { channel: {} }, parse: hl7v2, routes: [ { to: { drop: { reason: a test } } } ] } ]\n"
	}
	t.Run("a mended file that only the faulty configuration names is taken over", func(t *testing.T) {
		part("part1.yaml", "channels: [ { nam: x } ]\n")
		before := strings.Count(l.log.String(), "the old one runs on")
		s.configure("include: [ part*.yaml ]\n" + fmt.Sprintf(siteRoutes, s.results, s.admit))
		eventually(t, "the fault is reported", func() bool { return strings.Count(l.log.String(), "the old one runs on") > before })
		// The new file is watched from a moment after that on.
		eventually(t, "the change is reported", func() bool {
			part("part1.yaml", channel("one"))
			time.Sleep(500 * time.Millisecond)
			return strings.Count(l.log.String(), "added=1") == 1
		})
	})
	t.Run("a new file that fits an include is taken over", func(t *testing.T) {
		part("part2.yaml", channel("two"))
		eventually(t, "the change is reported", func() bool { return strings.Count(l.log.String(), "added=1") == 2 })
	})
	t.Run("an untouched channel notices nothing", func(t *testing.T) {
		if code, err := steady.exchange(adt("S3", "MS", 3, "A08")); err != nil || code != "AA" {
			t.Errorf("the connection was not kept: %s %v", code, err)
		}
	})
}

// TestRemovedChannel takes a channel with stored messages out of the file: the
// engine keeps the one that has it.
func TestRemovedChannel(t *testing.T) {
	s := newSite(t, "")
	hold := func(action string) {
		opened, err := sqlite.Open(t.Context(), sqlite.Options{Folder: s.data})
		if err != nil {
			t.Fatal(err)
		}
		if err := opened.Operate(t.Context(), store.Order{Action: action, Unit: "lab-results", Who: "tester", Why: "a test"}); err != nil {
			t.Fatal(err)
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
	}
	hold(store.ActPause)
	l := s.mustReady()
	if code := s.send(s.results, oru("H1", "MH", "1", 1)); code != "AA" {
		t.Fatalf("answered %s, want AA", code)
	}
	_, admissions, _ := strings.Cut(fmt.Sprintf(siteRoutes, s.results, s.admit), "  - name: admissions")
	s.configure("zone: America/New_York\nchannels:\n  - name: admissions" + admissions)
	eventually(t, "the loss is refused", func() bool {
		return strings.Contains(l.log.String(), "routes.yaml:3:5) has 1 stored messages: keep it until they are processed")
	})
	if code := s.send(s.results, oru("H2", "MH", "2", 1)); code != "AA" {
		t.Errorf("answered %s, want AA: the old configuration runs on", code)
	}
	if r := s.one("H1"); r.State != "stored" {
		t.Errorf("a message of a channel that is held is %s", r.State)
	}
	s.configure(fmt.Sprintf(siteRoutes, s.results, s.admit))
	l.stop()
	hold(store.ActResume)
	l = s.mustReady()
	s.settled()
	if r := s.one("H1"); r.State != "done" {
		t.Errorf("after it was resumed the message is %s", r.State)
	}
	t.Run("a second engine on the folder is refused", func(t *testing.T) {
		out, errs, code := s.engineCommand("run", "--routes", "routes.yaml", "--data", s.data, "--http", freeAddress(t))
		if code != exitFailed || !strings.Contains(errs, "another engine has it open") {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
	})
	l.stop()
}

// eventually waits for something that happens in another process.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("within a minute: not %s", what)
		}
	}
}

// TestSharedRecord has messages of many patients change one record, a doctor's,
// side by side: they take turns at it, and none is put off.
func TestSharedRecord(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		s := newSite(t, database)
		l := s.mustReady()
		defer l.stop()
		const lanes, each = 8, 25
		var senders sync.WaitGroup
		for lane := range lanes {
			senders.Go(func() {
				for n := range each {
					id := fmt.Sprintf("D%d-%d", lane, n)
					raw := strings.Replace(oru(id, id, id, 1), "|20260105110000|||||||||", "|20260105110000|||||||||1999999992^DOCTOR"+id+"^ONE^^^DR^^^NPI", 1)
					if code, _, err := deliver(t.Context(), s.results, raw); code != "AA" {
						t.Errorf("%s: answered %s %v", id, code, err)
					}
				}
			})
		}
		senders.Wait()
		for _, r := range s.settled() {
			if r.State != "done" {
				t.Errorf("%s is %s: %s", r.Control, r.State, r.Reason)
			}
		}
		got := s.search("Practitioner", url.Values{})
		if len(got) != 1 || versionID(got[0]) != strconv.Itoa(lanes*each) {
			t.Errorf("%d practitioners, the first of version %s; want 1 of version %d", len(got), versionID(got[0]), lanes*each)
		}
		if _, metrics := s.get("/metrics", nil); strings.Contains(string(metrics), `event="fault"`) {
			t.Error("messages were put off: they did not get their turn")
		}
	})
}

// TestTransactionAtTheBase posts to the base of the API as FHIR writes it,
// without a slash at the end; most clients do not follow a redirect of a POST.
func TestTransactionAtTheBase(t *testing.T) {
	s := newSite(t, "")
	l := s.mustReady()
	defer l.stop()
	for _, base := range []string{"/fhir", "/fhir/"} {
		body := strings.NewReader(`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}`)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.http+base, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/fhir+json")
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if response.StatusCode != http.StatusOK {
			t.Errorf("POST %s: %d, want 200", base, response.StatusCode)
		}
	}
}

// TestNoPatientDataLeaves puts canary values into every field of messages that
// go right and wrong, and looks for them wherever people and machines look.
func TestNoPatientDataLeaves(t *testing.T) {
	s := newSite(t, "")
	l := s.mustReady("PLEXUS_LOG_LEVEL=debug")
	canary := "CANARY7F3"
	fill := func(raw string) string {
		lines := strings.Split(strings.TrimSuffix(raw, "\r"), "\r")
		for i, line := range lines {
			if strings.HasPrefix(line, "MSH") {
				continue
			}
			fields := strings.Split(line, "|")
			for f := range fields {
				if f > 1 && fields[f] == "" {
					fields[f] = canary
				}
			}
			lines[i] = strings.Join(fields, "|")
		}
		return strings.Join(lines, "\r") + "\r"
	}
	frames := []string{
		fill(oru("C1", canary, canary, 2)),
		fill(strings.Replace(oru("C2", canary, "2", 1), "ORU^R01^ORU_R01", "ORU^Z77^ORU_Z77", 1)),
		fill(strings.ReplaceAll(oru("C3", canary, "2", 1), "20260105110000", canary)),
		strings.Replace(fill(oru("", canary, "2", 1)), "PID|", "PID^", 1),
		canary + canary,
		"MSH|^~\\&" + canary,
	}
	for _, raw := range frames {
		p, err := dial(s.results)
		if err != nil {
			t.Fatal(err)
		}
		p.raw(t, "\x0b"+raw+"\x1c\r")
		p.close()
	}
	journal := s.settled()
	for _, path := range []string{"/metrics", "/readyz", "/api/channels", "/api/ledger", "/fhir/Patient?" + canary + "=1", "/fhir/Patient/" + canary, "/fhir/Observation?date=" + canary} {
		_, body := s.get(path, nil)
		if text := strings.ReplaceAll(string(body), "/fhir/Patient/"+canary, ""); strings.Contains(text, canary) && !strings.Contains(path, canary) {
			t.Errorf("%s shows a value of a message", path)
		}
	}
	for _, r := range journal {
		if strings.Contains(r.Reason, canary) {
			t.Errorf("the reason of %s shows a value: %s", r.Control, r.Reason)
		}
	}
	l.stop()
	if text := l.log.String(); strings.Contains(text, canary) {
		at := strings.Index(text, canary)
		t.Errorf("the log shows a value of a message: …%s…", text[max(0, at-200):min(len(text), at+50)])
	}
	if err := filepath.WalkDir(s.folder, func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(path, canary) {
			t.Errorf("a file is named after a value: %s", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
