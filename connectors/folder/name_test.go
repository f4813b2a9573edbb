package folder

import (
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
)

func TestTemplate(t *testing.T) {
	made := time.Date(2026, 1, 31, 23, 30, 0, 0, time.UTC)
	later := made.Add(48 * time.Hour)
	id := message.NewID(made)
	for template, want := range map[string]string{
		"{id}.{ext}":          id + ".x12",
		"{control}-{part}.in": "C1-2.in",
		"census-{date}.csv":   "census-20260131.csv",
		"plain":               "plain",
	} {
		parsed, problem := ParseTemplate(template)
		if problem != "" {
			t.Errorf("%q: %s", template, problem)
		}
		d := &message.Delivery{ID: id, Control: "C1", Part: 2, Payload: []byte("ISA*00*")}
		if got := parsed.Name(d, later); got != want {
			t.Errorf("%q made %q, want %q: a repeat two days later has the same name", template, got, want)
		}
	}
}

func TestExtension(t *testing.T) {
	for payload, want := range map[string]string{
		"MSH|^~\\&|": "hl7", "\xef\xbb\xbfFHS|": "hl7", "\r\nBHS|": "hl7", "ISA*": "x12", `{"a":1}`: "json", "[ ]": "json",
		"<?xml": "xml", "a,b,c": "txt", "": "txt", "M": "txt",
	} {
		if got := extension([]byte(payload)); got != want {
			t.Errorf("extension(%q) = %q, want %q", payload, got, want)
		}
	}
}

// Two values that look alike once they are made plain have two names.
func TestSafeKeepsValuesApart(t *testing.T) {
	seen := map[string]string{}
	for _, value := range []string{"a/b", "a_b", "a\\b", "a:b", "a b", "a\x00b", strings.Repeat("n", 300), strings.Repeat("n", 301)} {
		name := Safe(value, maxName)
		if other, taken := seen[name]; taken {
			t.Errorf("%q and %q are both %q", value, other, name)
		}
		seen[name] = value
	}
}

func FuzzSafe(f *testing.F) {
	for _, value := range []string{"", "..", "../x", "a\xffb", "\u202e", ".tmp", "...", "\xf0\x9f"} {
		f.Add(value, 20)
	}
	f.Fuzz(func(t *testing.T, value string, limit int) {
		if limit < 20 || limit > maxName {
			return
		}
		name := Safe(value, limit)
		if !Plain(name) || len(name) > limit || strings.Contains(name, "..") || strings.HasPrefix(name, ".") {
			t.Errorf("Safe(%q, %d) = %q", value, limit, name)
		}
		if Safe(name, limit) != name {
			t.Errorf("Safe(%q) is not safe itself", name)
		}
	})
}
