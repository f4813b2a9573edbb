package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// resource makes the write of a resource given as JSON.
func resource(text string, expect int, keys ...string) store.Write {
	n, err := fhir.Parse([]byte(text))
	if err != nil {
		panic(err) // the suite's own texts
	}
	typ, id := n.Get("resourceType").Text, n.Get("id").Text
	content := n.AppendJSON(nil)
	return store.Write{Type: typ, ID: id, Expect: expect, Content: content, Hash: sha256.Sum256(content), Index: search.Index(typ, n), Keys: keys}
}

func patient(id, family string, expect int, keys ...string) store.Write {
	return resource(fmt.Sprintf(`{"resourceType":"Patient","id":%q,"name":[{"family":%q}]}`, id, family), expect, keys...)
}

func write(t *testing.T, s store.Store, w ...store.Write) []store.Resource {
	t.Helper()
	out, err := s.Write(t.Context(), w, store.Author{Actor: "test"})
	must(t, err)
	return out
}

// RunRecords runs the half of the suite that is about FHIR records.
func RunRecords(t *testing.T, o Opener) {
	t.Run("versions", func(t *testing.T) { versions(t, o.Open(t)) })
	t.Run("identities", func(t *testing.T) { identities(t, o.Open(t)) })
	t.Run("search", func(t *testing.T) { searches(t, o.Open(t)) })
	t.Run("paging", func(t *testing.T) { paging(t, o.Open(t)) })
	t.Run("history", func(t *testing.T) { histories(t, o.Open(t)) })
	t.Run("reindexing", func(t *testing.T) { reindexing(t, o) })
	t.Run("changes", func(t *testing.T) { changes(t, o.Open(t)) })
}

func versions(t *testing.T, s store.Store) {
	t.Run("create, update, delete, create again", func(t *testing.T) {
		if out := write(t, s, patient("p", "One", 0)); out[0].Version != 1 {
			t.Errorf("created as version %d", out[0].Version)
		}
		if out := write(t, s, patient("p", "Two", 1)); out[0].Version != 2 {
			t.Errorf("updated to version %d", out[0].Version)
		}
		write(t, s, store.Write{Type: "Patient", ID: "p", Expect: 2, Delete: true})
		if _, err := s.Read(t.Context(), "Patient", "p"); !errors.Is(err, store.ErrDeleted) {
			t.Errorf("a deleted one is read: %v", err)
		}
		write(t, s, patient("p", "Four", 3))
		r, err := s.Read(t.Context(), "Patient", "p")
		if err != nil || r.Version != 4 || !strings.Contains(string(r.Content), "Four") {
			t.Errorf("got version %d %v", r.Version, err)
		}
		page, err := s.History(t.Context(), store.HistoryQuery{Type: "Patient", ID: "p", Limit: 10})
		must(t, err)
		h := page.Versions
		if len(h) != 4 || page.Total != 4 || page.Next != 0 || h[0].Version != 4 || !h[1].Deleted || !strings.Contains(string(h[3].Content), "One") {
			t.Errorf("history %v", h)
		}
		old, err := s.ReadVersion(t.Context(), "Patient", "p", 2)
		if err != nil || !strings.Contains(string(old.Content), "Two") {
			t.Errorf("version 2: %v", err)
		}
		if _, err := s.ReadVersion(t.Context(), "Patient", "p", 3); !errors.Is(err, store.ErrDeleted) {
			t.Errorf("version 3: %v", err)
		}
		if _, err := s.ReadVersion(t.Context(), "Patient", "p", 9); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("version 9: %v", err)
		}
	})
	t.Run("an expectation that does not hold writes nothing", func(t *testing.T) {
		write(t, s, patient("q", "One", 0))
		for _, expect := range []int{0, 2} {
			_, err := s.Write(t.Context(), []store.Write{patient("beside", "X", 0), patient("q", "Two", expect)}, store.Author{Actor: "test"})
			if !errors.Is(err, store.ErrConflict) {
				t.Errorf("expecting %d: %v", expect, err)
			}
		}
		if _, err := s.Read(t.Context(), "Patient", "beside"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("half of it was written: %v", err)
		}
	})
	t.Run("unchanged content is no new version", func(t *testing.T) {
		if out := write(t, s, patient("q", "One", 1)); out[0].Version != 1 {
			t.Errorf("version %d", out[0].Version)
		}
	})
	t.Run("a large resource comes back as it was", func(t *testing.T) {
		w := patient("large", strings.Repeat("long ", 50000), 0)
		write(t, s, w)
		r, err := s.Read(t.Context(), "Patient", "large")
		if err != nil || string(r.Content) != string(w.Content) {
			t.Errorf("%d bytes %v, want %d", len(r.Content), err, len(w.Content))
		}
	})
	t.Run("a repeat under an idempotency key is answered, another content is not", func(t *testing.T) {
		by := store.Author{Actor: "test", Key: "k1", Hash: [32]byte{1}, Outcome: func(out []store.Resource) string {
			return fmt.Sprint(len(out), " ", out[0].ID, " ", out[0].Version)
		}}
		if _, err := s.Outcome(t.Context(), by); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("before: %v", err)
		}
		if _, err := s.Write(t.Context(), []store.Write{patient("idem", "A", 7)}, by); !errors.Is(err, store.ErrConflict) {
			t.Errorf("a write that fails: %v", err)
		}
		_, err := s.Write(t.Context(), []store.Write{patient("idem", "A", 0)}, by)
		must(t, err)
		if _, err := s.Write(t.Context(), []store.Write{patient("idem", "B", 1)}, by); !errors.Is(err, store.ErrRepeated) {
			t.Errorf("again: %v", err)
		}
		if outcome, err := s.Outcome(t.Context(), by); err != nil || outcome != "1 idem 1" {
			t.Errorf("kept: %q %v", outcome, err)
		}
		by.Hash[0] = 2
		_, err = s.Write(t.Context(), []store.Write{patient("idem2", "B", 0)}, by)
		_, read := s.Outcome(t.Context(), by)
		if !errors.Is(err, store.ErrKeyUsed) || !errors.Is(read, store.ErrKeyUsed) {
			t.Errorf("another request under the key: %v %v", err, read)
		}
		if _, err := s.Read(t.Context(), "Patient", "idem2"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it was written: %v", err)
		}
	})
	t.Run("an idempotency key keeps what came of nothing", func(t *testing.T) {
		by := store.Author{Actor: "test", Key: "nothing", Outcome: func(out []store.Resource) string { return fmt.Sprint(len(out)) }}
		_, err := s.Write(t.Context(), nil, by)
		must(t, err)
		if outcome, err := s.Outcome(t.Context(), by); err != nil || outcome != "0" {
			t.Errorf("kept: %q %v", outcome, err)
		}
	})
	t.Run("of requests that come at once under one key one is done", func(t *testing.T) {
		var all sync.WaitGroup
		var done, repeated atomic.Int64
		for i := range 8 {
			all.Go(func() {
				by := store.Author{Actor: "test", Key: "k2"}
				switch _, err := s.Write(t.Context(), []store.Write{patient(fmt.Sprint("once", i), "A", 0)}, by); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, store.ErrRepeated):
					repeated.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if done.Load() != 1 || repeated.Load() != 7 {
			t.Errorf("%d done, %d repeated", done.Load(), repeated.Load())
		}
	})
	t.Run("the index follows an update", func(t *testing.T) {
		write(t, s, patient("ix", "Before", 0))
		write(t, s, patient("ix", "After", 1))
		for family, want := range map[string]int{"before": 0, "after": 1} {
			if got := find(t, s, "Patient", clause("Patient", "family", store.ShapeString, store.Match{Text: family})); len(got) != want {
				t.Errorf("%s finds %v", family, got)
			}
		}
	})
}

func identities(t *testing.T, s store.Store) {
	key := fhir.IdentityKey("Patient", "urn:x", "1")
	t.Run("of writers that claim one identity at once one wins", func(t *testing.T) {
		var all sync.WaitGroup
		var mu sync.Mutex
		won, lost := 0, 0
		for i := range 12 {
			all.Go(func() {
				_, err := s.Write(t.Context(), []store.Write{patient(fmt.Sprint("w", i), "W", 0, key)}, store.Author{Actor: "test"})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case errors.Is(err, store.ErrConflict):
					lost++
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won != 1 || lost != 11 {
			t.Errorf("%d won, %d lost", won, lost)
		}
	})
	t.Run("an identity finds its owner with the content", func(t *testing.T) {
		known, unknown := store.Identity{Type: "Patient", Key: key}, store.Identity{Type: "Patient", Key: "nobody"}
		got, err := s.Identify(t.Context(), []store.Identity{known, unknown})
		must(t, err)
		if len(got) != 1 || got[known].Version != 1 || len(got[known].Content) == 0 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("the owner may claim it again", func(t *testing.T) {
		owner, err := s.Identify(t.Context(), []store.Identity{{Type: "Patient", Key: key}})
		must(t, err)
		for _, r := range owner {
			write(t, s, patient(r.ID, "Changed", r.Version, key))
		}
	})
	t.Run("what is deleted keeps its identity until it is claimed", func(t *testing.T) {
		written := func(writes ...store.Write) error {
			_, err := s.Write(t.Context(), writes, store.Author{Actor: "test"})
			return err
		}
		owner := func(k string) string {
			id := store.Identity{Type: "Patient", Key: k}
			got, err := s.Identify(t.Context(), []store.Identity{id})
			must(t, err)
			return got[id].ID
		}
		gone := store.Write{Type: "Patient", ID: "first", Expect: 1, Delete: true}
		must(t, written(patient("first", "F", 0, key+"3", key+"4", key+"5")))
		if err := written(gone, patient("second", "S", 0, key)); !errors.Is(err, store.ErrIdentity) {
			t.Errorf("another's: got %v, want ErrIdentity", err)
		}
		must(t, written(gone, patient("second", "S", 0, key+"3"))) // together with the deletion
		if got := owner(key+"3") + " " + owner(key+"4"); got != "second first" {
			t.Errorf("owners %q, want second first", got)
		}
		must(t, written(patient("third", "T", 0, key+"4"))) // and later
		if got := owner(key+"4") + " " + owner(key+"5"); got != "third first" {
			t.Errorf("owners %q, want third first", got)
		}
		if err := written(patient("first", "F", 2, key+"4")); !errors.Is(err, store.ErrIdentity) {
			t.Errorf("it comes back with what is another's now: %v, want ErrIdentity", err)
		}
		must(t, written(patient("first", "F", 2, key+"5")))
		if err := written(patient("fourth", "T", 0, key+"5")); !errors.Is(err, store.ErrIdentity) {
			t.Errorf("it is back: %v, want ErrIdentity", err)
		}
	})
	t.Run("two of one call do not claim the same", func(t *testing.T) {
		for size := 2; size < 60; size++ { // the last has what the first has
			var writes []store.Write
			for i := range size {
				writes = append(writes, patient(fmt.Sprint("twin", size, "-", i), "T", 0, fmt.Sprint(key, "twin", size, "-", i%(size-1))))
			}
			if _, err := s.Write(t.Context(), writes, store.Author{Actor: "test"}); !errors.Is(err, store.ErrIdentity) {
				t.Errorf("of %d: %v, want ErrIdentity", size, err)
			}
		}
	})
	t.Run("of many that come at once each gets its own answer", func(t *testing.T) { atOnce(t, s) })
	t.Run("what is dropped is free", func(t *testing.T) {
		write(t, s, patient("drops", "D", 0, key+"a", key+"b"))
		w := patient("drops", "E", 1, key+"b")
		w.Drops = []string{key + "a", key} // one of them is another's
		taker := patient("takes", "T", 0, key+"a")
		write(t, s, w, taker)
		for k, want := range map[string]bool{key + "a": true, key + "b": false, key: false} {
			if _, err := s.Write(t.Context(), []store.Write{patient("takes", "T", 1, k)}, store.Author{Actor: "test"}); (err == nil) != want {
				t.Errorf("%q is claimed: %v", k, err)
			}
		}
	})
	t.Run("of one that comes back and one that claims its identity at once one wins", func(t *testing.T) {
		for i := range 20 {
			back, other, k := fmt.Sprint("back", i), fmt.Sprint("other", i), fmt.Sprint(key, "-", i)
			write(t, s, patient(back, "B", 0, k))
			write(t, s, store.Write{Type: "Patient", ID: back, Expect: 1, Delete: true})
			var all sync.WaitGroup
			errs := make([]error, 2)
			for n, w := range []store.Write{patient(back, "B", 2, k), patient(other, "O", 0, k)} {
				all.Go(func() { _, errs[n] = s.Write(t.Context(), []store.Write{w}, store.Author{Actor: "test"}) })
			}
			all.Wait()
			if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), store.ErrConflict) {
				t.Fatalf("round %d: %v", i, errs)
			}
		}
	})
	t.Run("effects of a message claim like the API", func(t *testing.T) {
		lease, err := s.TakeOver(t.Context(), "lab", 0)
		must(t, err)
		e := record(t, s, Intake("lab", "1", "one"))
		out := store.Outcome{Seq: e.Seq, State: message.Done, Actor: "x", Writes: []store.Write{patient("thief", "T", 0, key)}}
		if err := lease.Finish(t.Context(), out); !errors.Is(err, store.ErrConflict) {
			t.Errorf("got %v, want ErrConflict", err)
		}
		out.Writes = []store.Write{patient("honest", "T", 0, key+"2")}
		must(t, lease.Finish(t.Context(), out))
	})
}

// atOnce lets many write at the same time: each of something else, some of the same
// resource, and some what is another's.
func atOnce(t *testing.T, s store.Store) {
	key := fhir.IdentityKey("Patient", "urn:once", "1")
	write(t, s, patient("raced", "R", 0, key))
	var all sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 96 {
		all.Go(func() {
			id := fmt.Sprint("once", i)
			switch i % 3 {
			case 0:
				out, err := s.Write(t.Context(), []store.Write{patient(id, id, 0), patient(id+"b", id, 0)}, store.Author{Actor: id})
				if err != nil || len(out) != 2 || out[0].ID != id || out[1].ID != id+"b" || out[0].Version != 1 || !strings.Contains(string(out[0].Content), id) {
					t.Errorf("%s: %v %v", id, out, err)
				}
			case 1:
				_, err := s.Write(t.Context(), []store.Write{patient("raced", id, 1, key)}, store.Author{Actor: id})
				if err != nil && !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
				if mu.Lock(); err == nil {
					won++
				}
				mu.Unlock()
			default:
				if _, err := s.Write(t.Context(), []store.Write{patient(id, id, 0, key)}, store.Author{Actor: id}); !errors.Is(err, store.ErrIdentity) {
					t.Errorf("%s: %v, want ErrIdentity", id, err)
				}
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Errorf("%d of those that changed the same version won, want 1", won)
	}
	for i := 0; i < 96; i += 3 {
		if _, err := s.Read(t.Context(), "Patient", fmt.Sprint("once", i, "b")); err != nil {
			t.Errorf("%d is not there: %v", i, err)
		}
	}
}

func clause(typ, code string, shape store.Shape, matches ...store.Match) store.Clause {
	p, ok := definitions.FindParam(typ, code)
	if !ok {
		panic("no parameter " + typ + "." + code)
	}
	return store.Clause{Param: p.Row, Shape: shape, Any: matches}
}

func find(t *testing.T, s store.Store, typ string, where ...store.Clause) []string {
	t.Helper()
	page, err := s.Search(t.Context(), store.Query{Type: typ, Where: where, Limit: 1000, Total: true})
	must(t, err)
	var ids []string
	for _, r := range page.Resources {
		ids = append(ids, r.ID)
	}
	if page.Total != len(ids) {
		t.Errorf("total %d, found %d", page.Total, len(ids))
	}
	sort.Strings(ids)
	return ids
}

// searches compares every shape with a walk over the data itself.
func searches(t *testing.T, s store.Store) {
	random := rand.New(rand.NewPCG(7, 7))
	families := []string{"Abel", "Ábelson", "Müller", "mull", "O'Hara; DROP TABLE", "50%_off"}
	type obs struct {
		id, patient, system, code, status, day string
		value                                  int
	}
	family := map[string]string{}
	var all []obs
	var writes []store.Write
	for i := range 12 {
		id := fmt.Sprint("p", i)
		family[id] = families[i%len(families)]
		writes = append(writes, patient(id, family[id], 0))
	}
	for i := range 120 {
		o := obs{
			id: fmt.Sprint("o", i), patient: fmt.Sprint("p", random.IntN(12)), system: []string{"http://loinc.org", "urn:local", ""}[random.IntN(3)],
			code: fmt.Sprint("C", random.IntN(5)), status: []string{"final", "preliminary"}[random.IntN(2)], day: fmt.Sprintf("2026-01-%02d", 1+random.IntN(28)), value: random.IntN(10),
		}
		system := ""
		if o.system != "" {
			system = fmt.Sprintf(`"system":%q,`, o.system)
		}
		all = append(all, o)
		writes = append(writes, resource(fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":%q,"code":{"coding":[{%s"code":%q}]},"subject":{"reference":"Patient/%s"},"effectiveDateTime":%q,"valueQuantity":{"value":%d,"unit":"mg"}}`,
			o.id, o.status, system, o.code, o.patient, o.day, o.value), 0))
	}
	write(t, s, writes...)
	text := func(v string) *string { return &v }
	expect := func(name string, where store.Clause, keep func(o obs) bool) {
		t.Run(name, func(t *testing.T) {
			var want []string
			for _, o := range all {
				if keep(o) {
					want = append(want, o.id)
				}
			}
			sort.Strings(want)
			if got := find(t, s, "Observation", where); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
		})
	}
	code := func(m store.Match) store.Clause { return clause("Observation", "code", store.ShapeToken, m) }
	expect("a code of any system", code(store.Match{Value: text("C1")}), func(o obs) bool { return o.code == "C1" })
	expect("a code of one system", code(store.Match{System: text("urn:local"), Value: text("C1")}), func(o obs) bool { return o.code == "C1" && o.system == "urn:local" })
	expect("a code of no system", code(store.Match{System: text(""), Value: text("C1")}), func(o obs) bool { return o.code == "C1" && o.system == "" })
	expect("any code of a system", code(store.Match{System: text("urn:local")}), func(o obs) bool { return o.system == "urn:local" })
	not := code(store.Match{Value: text("C1")})
	not.Not = true
	expect("not a code", not, func(o obs) bool { return o.code != "C1" })
	expect("a code that is SQL", code(store.Match{Value: text("C1' OR '1'='1")}), func(obs) bool { return false })
	expect("two codes", clause("Observation", "code", store.ShapeToken, store.Match{Value: text("C1")}, store.Match{Value: text("C2")}), func(o obs) bool { return o.code == "C1" || o.code == "C2" })
	lo, hi, _ := search.Interval("2026-01-10")
	for prefix, keep := range map[string]func(day string) bool{
		"": func(d string) bool { return d == "2026-01-10" }, "ne": func(d string) bool { return d != "2026-01-10" },
		"lt": func(d string) bool { return d < "2026-01-10" }, "gt": func(d string) bool { return d > "2026-01-10" },
		"le": func(d string) bool { return d <= "2026-01-10" }, "ge": func(d string) bool { return d >= "2026-01-10" },
		"sa": func(d string) bool { return d > "2026-01-10" }, "eb": func(d string) bool { return d < "2026-01-10" },
	} {
		expect("a date "+prefix, clause("Observation", "date", store.ShapeDate, store.Match{Prefix: prefix, Lo: lo, Hi: hi}), func(o obs) bool { return keep(o.day) })
	}
	expect("a number", clause("Observation", "value-quantity", store.ShapeNumber, store.Match{Low: "4.5", High: "5.5"}), func(o obs) bool { return o.value == 5 })
	expect("a number above", clause("Observation", "value-quantity", store.ShapeNumber, store.Match{Prefix: "gt", Low: "5", High: "5"}), func(o obs) bool { return o.value > 5 })
	expect("a number of a unit", clause("Observation", "value-quantity", store.ShapeNumber, store.Match{Low: "0", High: "100", Unit: "kg"}), func(obs) bool { return false })
	expect("a reference", clause("Observation", "subject", store.ShapeRef, store.Match{Type: "Patient", ID: "p3"}), func(o obs) bool { return o.patient == "p3" })
	expect("a reference of any type", clause("Observation", "subject", store.ShapeRef, store.Match{Type: "*", ID: "p3"}), func(o obs) bool { return o.patient == "p3" })
	expect("an id", store.Clause{Shape: store.ShapeID, Any: []store.Match{{Value: text("o7")}}}, func(o obs) bool { return o.id == "o7" })
	yes, no := true, false
	missing := clause("Observation", "method", store.ShapeToken)
	missing.Missing = &yes
	expect("without an element", missing, func(obs) bool { return true })
	present := clause("Observation", "code", store.ShapeToken)
	present.Missing = &no
	expect("with an element", present, func(obs) bool { return true })
	chain := clause("Observation", "subject", store.ShapeRef)
	chain.Chain = []store.Query{{Type: "Patient", Where: []store.Clause{clause("Patient", "family", store.ShapeString, store.Match{Text: "mu"})}}}
	expect("a chain", chain, func(o obs) bool { f := search.Fold(family[o.patient]); return strings.HasPrefix(f, "mu") })
	t.Run("strings by prefix, exactly, in part", func(t *testing.T) {
		for _, c := range []struct {
			m    store.Match
			keep func(f string) bool
		}{
			{store.Match{Text: "abel"}, func(f string) bool { return strings.HasPrefix(search.Fold(f), "abel") }},
			{store.Match{Text: "Müller", Exact: true}, func(f string) bool { return f == "Müller" }},
			{store.Match{Text: "%_", Contains: true}, func(f string) bool { return strings.Contains(f, "%_") }},
			{store.Match{Text: "o'hara; drop"}, func(f string) bool { return strings.HasPrefix(search.Fold(f), "o'hara; drop") }},
		} {
			var want []string
			for id, f := range family {
				if c.keep(f) {
					want = append(want, id)
				}
			}
			sort.Strings(want)
			if got := find(t, s, "Patient", clause("Patient", "family", store.ShapeString, c.m)); fmt.Sprint(got) != fmt.Sprint(want) || len(want) == 0 {
				t.Errorf("%+v: got %v, want %v", c.m, got, want)
			}
		}
	})
	t.Run("patients that have a result (_has)", func(t *testing.T) {
		p, _ := definitions.FindParam("Observation", "subject")
		inner := store.Query{Type: "Observation", Where: []store.Clause{code(store.Match{Value: text("C1")})}}
		want := map[string]bool{}
		for _, o := range all {
			if o.code == "C1" {
				want[o.patient] = true
			}
		}
		got := find(t, s, "Patient", store.Clause{Param: p.Row, Shape: store.ShapeRef, Has: &inner})
		if len(got) != len(want) || len(want) == 0 {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("a deleted one is not found", func(t *testing.T) {
		write(t, s, store.Write{Type: "Observation", ID: "o0", Expect: 1, Delete: true})
		if got := find(t, s, "Observation", store.Clause{Shape: store.ShapeID, Any: []store.Match{{Value: text("o0")}}}); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
}

func paging(t *testing.T, s store.Store) {
	var writes []store.Write
	for i := range 37 {
		date := fmt.Sprintf(`,"birthDate":"19%02d-01-01"`, 50+i%7)
		if i%5 == 0 {
			date = "" // NULLs are last
		}
		writes = append(writes, resource(fmt.Sprintf(`{"resourceType":"Patient","id":"p%02d","name":[{"family":"F%d"}]%s}`, i, i%3, date), 0))
	}
	write(t, s, writes...)
	birth, _ := definitions.FindParam("Patient", "birthdate")
	family, _ := definitions.FindParam("Patient", "family")
	for name, keys := range map[string][]store.SortKey{
		"by nothing":          nil,
		"by date":             {{Param: birth.Row, Shape: store.ShapeDate}},
		"by date, descending": {{Param: birth.Row, Shape: store.ShapeDate, Desc: true}},
		"by name and date":    {{Param: family.Row, Shape: store.ShapeString, Desc: true}, {Param: birth.Row, Shape: store.ShapeDate}},
		"by id":               {{Shape: store.ShapeID, Desc: true}},
		"by last change":      {{Shape: store.ShapeLastUpdated}},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := s.Search(t.Context(), store.Query{Type: "Patient", Sort: keys, Limit: 1000})
			must(t, err)
			var want, got []string
			for _, r := range all.Resources {
				want = append(want, r.ID)
			}
			for after, pages := "", 0; pages < 100; pages++ {
				page, err := s.Search(t.Context(), store.Query{Type: "Patient", Sort: keys, Limit: 5, After: after})
				must(t, err)
				for _, r := range page.Resources {
					got = append(got, r.ID)
				}
				if after = page.Next; after == "" {
					break
				}
			}
			if len(want) != 37 || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("pages gave %v\nat once %v", got, want)
			}
		})
	}
	t.Run("a cursor of somebody else is refused", func(t *testing.T) {
		if _, err := s.Search(t.Context(), store.Query{Type: "Patient", Limit: 5, After: "AAAA"}); err == nil {
			t.Error("taken")
		}
	})
}
