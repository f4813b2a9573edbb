package storetest

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

// Parts holds what becomes of the bytes of resources: those of a version stay,
// those of none are swept. sweep sweeps once what is older than a time.
func Parts(t *testing.T, s store.Records, sweep func(before time.Time) int64) {
	put := func(id string, expect int, parts string) {
		t.Helper()
		w := resource(`{"resourceType":"Binary","id":"`+id+`","contentType":"text/`+parts+`"}`, expect)
		w.Parts, w.Size = parts, 2*store.MaxChunk+5
		_, err := s.Write(t.Context(), []store.Write{w}, store.Author{Actor: "test"})
		must(t, err)
	}
	whole := bytes.Repeat([]byte("0123456789"), store.MaxChunk/5+1)[:2*store.MaxChunk+5]
	for _, name := range []string{"old", "new", "lost", "alsolost"} {
		for n := 0; n*store.MaxChunk < len(whole); n++ {
			must(t, s.Part(t.Context(), name, n, whole[n*store.MaxChunk:min(len(whole), (n+1)*store.MaxChunk)]))
		}
	}
	if err := s.Part(t.Context(), "x", 0, make([]byte, store.MaxChunk+1)); err == nil {
		t.Error("a part that is too large was taken")
	}
	put("b", 0, "old")
	put("b", 1, "new")
	if sweep(time.Now().Add(-time.Hour)) != 0 {
		t.Error("what is fresh was swept")
	}
	for sweep(time.Now().Add(time.Hour)) > 0 {
	}
	for name, want := range map[string]int{"old": len(whole), "new": len(whole), "lost": 0, "alsolost": 0} {
		data, err := io.ReadAll(s.Data(t.Context(), name))
		if err != nil || len(data) != want || want > 0 && !bytes.Equal(data, whole) {
			t.Errorf("%s: %d bytes %v, want %d", name, len(data), err, want)
		}
	}
	for version, want := range map[int]string{1: "old", 2: "new"} {
		r, err := s.ReadVersion(t.Context(), "Binary", "b", version)
		if err != nil || r.Parts != want || r.Size != int64(len(whole)) {
			t.Errorf("version %d: %q of %d bytes, %v", version, r.Parts, r.Size, err)
		}
	}
}

// Keys holds that what is known of a repeat is kept for its time, and not
// longer; sweep deletes as at a time.
func Keys(t *testing.T, s store.Store, sweep func(now time.Time) int64) {
	t.Helper()
	by := store.Author{Actor: "test", Key: "k", Hash: [32]byte{1}, Outcome: func([]store.Resource) string { return "made" }}
	_, err := s.Write(t.Context(), []store.Write{patient("kept", "A", 0)}, by)
	must(t, err)
	if n := sweep(time.Now().Add(relational.KeysKept - time.Hour)); n != 0 {
		t.Errorf("%d keys were swept before their time", n)
	}
	if outcome, err := s.Outcome(t.Context(), by); err != nil || outcome != "made" {
		t.Errorf("before its time: %q, %v", outcome, err)
	}
	if n := sweep(time.Now().Add(relational.KeysKept + time.Hour)); n != 1 {
		t.Errorf("%d keys were swept, want 1", n)
	}
	if _, err := s.Outcome(t.Context(), by); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after its time: %v", err)
	}
}
