package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// told names versions: "Patient/a/2".
func told(list []store.Resource) string {
	var out []string
	for _, r := range list {
		gone := ""
		if r.Deleted {
			gone = "-"
		}
		out = append(out, fmt.Sprintf("%s%d%s", r.ID, r.Version, gone))
	}
	return strings.Join(out, " ")
}

func histories(t *testing.T, s store.Store) {
	observation := func(id string, expect int) store.Write {
		return resource(fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","valueInteger":%d}`, id, expect), expect)
	}
	write(t, s, patient("a", "One", 0))
	write(t, s, observation("o", 0))
	write(t, s, patient("a", "Two", 1))
	write(t, s, patient("b", "One", 0))
	write(t, s, store.Write{Type: "Patient", ID: "a", Expect: 2, Delete: true})
	write(t, s, observation("o", 1))
	whole := map[store.HistoryQuery]string{
		{}:                             "o2 a3- b1 a2 o1 a1",
		{Type: "Patient"}:              "a3- b1 a2 a1",
		{Type: "Observation"}:          "o2 o1",
		{Type: "Patient", ID: "a"}:     "a3- a2 a1",
		{Type: "Encounter"}:            "",
		{Type: "Observation", ID: "o"}: "o2 o1",
	}
	for q, want := range whole {
		q.Limit = 100
		page, err := s.History(t.Context(), q)
		if err != nil || told(page.Versions) != want || page.Next != 0 {
			t.Errorf("%+v: %q %v", q, told(page.Versions), err)
		}
		for _, v := range page.Versions {
			if !v.Deleted && !strings.Contains(string(v.Content), v.ID) {
				t.Errorf("%+v: version %d has another content", q, v.Version)
			}
		}
		for size := 1; size < 4; size++ {
			var got []string
			for q.Before, q.Limit = 0, size; ; {
				page, err := s.History(t.Context(), q)
				must(t, err)
				got = append(got, told(page.Versions))
				if page.Next == 0 {
					break
				}
				q.Before = page.Next
			}
			if one := strings.TrimSpace(strings.Join(got, " ")); one != want {
				t.Errorf("%+v in pages of %d: %q", q, size, one)
			}
		}
	}
	if _, err := s.History(t.Context(), store.HistoryQuery{Type: "Patient", ID: "never", Limit: 5}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of a resource that never was: %v", err)
	}
	if page, err := s.History(t.Context(), store.HistoryQuery{Type: "Patient", ID: "a"}); err != nil || page.Total != 3 || len(page.Versions) != 0 {
		t.Errorf("counted only: %+v %v", page, err)
	}
	t.Run("a page is where it was, whatever is written meanwhile", func(t *testing.T) {
		q := store.HistoryQuery{Type: "Patient", Limit: 2}
		first, err := s.History(t.Context(), q)
		must(t, err)
		write(t, s, patient("c", "New", 0), patient("d", "New", 0))
		q.Before = first.Next
		if second, err := s.History(t.Context(), q); err != nil || told(second.Versions) != "a2 a1" {
			t.Errorf("second page %q %v", told(second.Versions), err)
		}
	})
	t.Run("by time", func(t *testing.T) { byTime(t, s) })
}

// byTime holds _since and _at against the times of the versions themselves.
func byTime(t *testing.T, s store.Store) {
	for _, place := range []store.HistoryQuery{{}, {Type: "Patient"}, {Type: "Patient", ID: "a"}} {
		place.Limit = 100
		all, err := s.History(t.Context(), place)
		must(t, err)
		for i := range all.Versions {
			moment := all.Versions[i].Updated.UnixMicro()
			since, at := place, place
			since.Since, at.At = moment, &[2]int64{moment, moment}
			var after, current []store.Resource
			for k, v := range all.Versions {
				if v.Updated.UnixMicro() >= moment {
					after = append(after, v)
				}
				next := slices.IndexFunc(all.Versions[:k], func(n store.Resource) bool { return n.Type == v.Type && n.ID == v.ID && n.Version == v.Version+1 })
				if v.Updated.UnixMicro() <= moment && (next < 0 || all.Versions[next].Updated.UnixMicro() > moment) {
					current = append(current, v)
				}
			}
			if page, err := s.History(t.Context(), since); err != nil || told(page.Versions) != told(after) {
				t.Errorf("%+v since %d: %q, want %q (%v)", place, i, told(page.Versions), told(after), err)
			}
			page, err := s.History(t.Context(), at)
			if err != nil || told(page.Versions) != told(current) {
				t.Errorf("%+v at %d: %q, want %q (%v)", place, i, told(page.Versions), told(current), err)
			}
			if place.ID != "" && page.Total != len(current) {
				t.Errorf("%+v at %d: total %d", place, i, page.Total)
			}
		}
	}
}

// changes follows the change log while many write: every version comes once, no
// version before the one it replaced.
func changes(t *testing.T, s store.Store) {
	const writers, rounds = 6, 15
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			id := fmt.Sprint("w", w)
			for n := range rounds {
				if _, err := s.Write(t.Context(), []store.Write{patient(id, fmt.Sprint("F", n), n)}, store.Author{Actor: "test"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	seen := map[string]int{}
	var pos int64
	for ended := false; ; {
		list, err := s.Changes(t.Context(), pos, 7)
		must(t, err)
		for _, c := range list {
			if c.Pos <= pos || c.Type != "Patient" || c.Version != seen[c.ID]+1 || c.At.IsZero() {
				t.Fatalf("after %d came %+v, of %d versions before", pos, c, seen[c.ID])
			}
			pos, seen[c.ID] = c.Pos, c.Version
		}
		if len(list) == 0 && ended {
			break
		}
		select {
		case <-done:
			ended = true
		default:
		}
	}
	for w := range writers {
		if seen[fmt.Sprint("w", w)] != rounds {
			t.Errorf("writer %d: %d versions came, want %d", w, seen[fmt.Sprint("w", w)], rounds)
		}
	}
	lease, err := s.TakeOver(t.Context(), "lab", 0)
	must(t, err)
	e := record(t, s, Intake("lab", "1", "one"))
	must(t, lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Done, Actor: "x", Writes: []store.Write{patient("m", "M", 0)}}))
	write(t, s, store.Write{Type: "Patient", ID: "m", Expect: 1, Delete: true})
	list, err := s.Changes(t.Context(), pos, 7)
	must(t, err)
	if len(list) != 2 || list[0].Message != e.Seq || list[0].Deleted || !list[1].Deleted || list[1].Message != 0 {
		t.Errorf("of a message and a deletion came %+v", list)
	}
}
