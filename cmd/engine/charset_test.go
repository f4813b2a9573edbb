package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// TestCharactersOfAnotherSet: a message whose bytes are not of the character set
// it declares is kept and nothing is made of it; once the channel knows the set
// it is processed, and the name is right.
func TestCharactersOfAnotherSet(t *testing.T) {
	s := newSite(t, "")
	l := s.mustReady()
	defer func() { l.stop() }()
	raw := oru("CS1", "M1", "1", 1)
	msh, rest, _ := strings.Cut(raw, "\r")
	msh += strings.Repeat("|", 17-strings.Count(msh, "|")) + "UNICODE UTF-8"
	raw = msh + "\r" + strings.Replace(rest, "PATIENT", "M\xfcller", 1)
	if code := s.send(s.results, raw); code != "AA" {
		t.Fatalf("answered %s, want AA: it is stored", code)
	}
	s.settled()
	r := s.one("CS1")
	if r.State != "parked" || !strings.Contains(r.Reason, "MSH-18: bytes are not of the declared character set") || strings.Contains(r.Reason, "ller") {
		t.Fatalf("got %+v", r)
	}
	if got := s.search("Patient", url.Values{"identifier": {"M1"}}); len(got) != 0 {
		t.Errorf("%d patients were made of it", len(got))
	}
	if trace := s.must("messages", "trace", r.ID); strings.Contains(trace, "ller") || !strings.Contains(trace, "charset-wrong") {
		t.Errorf("the trace says %s", trace)
	}

	l.stop()
	s.configure(strings.Replace(fmt.Sprintf(siteRoutes, s.results, s.admit), "parse: hl7v2", "parse: { hl7v2: { charset: windows-1252 } }", 1))
	l = s.mustReady()
	s.must("messages", "reprocess", r.ID, "--why", "the sender writes Windows-1252", "--who", "tester")
	s.settled()
	if r := s.one("CS1"); r.State != "done" {
		t.Fatalf("got %+v, want done", r)
	}
	if got := s.search("Patient", url.Values{"identifier": {"M1"}, "given": {"Müller"}}); len(got) != 1 {
		t.Errorf("%d patients have the name, want 1", len(got))
	}
}
