package storetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

// reindexing takes the index away and holds what finds the resources again, over
// restarts and while others write.
func reindexing(t *testing.T, o Opener) {
	s := o.Open(t)
	const patients = 150
	observation := func(i, expect int) store.Write {
		return resource(fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"coding":[{"system":"urn:s","code":"C%d"}]},"subject":{"reference":"Patient/p%d"},"effectiveDateTime":"2026-01-%02d","valueInteger":%d,"note":[{"text":%q}]}`,
			i, i%3, i, 1+i%28, expect, strings.Repeat("long ", i*20)), expect)
	}
	var writes []store.Write
	for i := range patients {
		writes = append(writes, resource(fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","name":[{"family":"F%03d"}],"birthDate":"19%02d-01-01"}`, i, i, i%100), 0), observation(i, 0))
	}
	based := resource(`{"resourceType":"Observation","id":"based","status":"final","code":{"text":"x"},"subject":{"reference":"https://here.example/fhir/Patient/kept"},"performer":[{"reference":"https://here.example/fhir/Practitioner/d"},{"reference":"https://elsewhere.example/fhir/Practitioner/e"}]}`, 0)
	n, err := fhir.Parse(based.Content)
	must(t, err)
	based.Index = search.IndexUnder("https://here.example/fhir", "Observation", n)
	write(t, s, append(writes, based)...)
	write(t, s, store.Write{Type: "Observation", ID: "o0", Expect: 1, Delete: true})
	if left := s.Unindexed(); left != 0 {
		t.Fatalf("%d resources of this version are to be indexed", left)
	}
	found := func(s store.Store) string {
		lo, hi := int64(0), int64(1)<<60
		return fmt.Sprint(
			find(t, s, "Patient", clause("Patient", "family", store.ShapeString, store.Match{Text: "f0"})),
			find(t, s, "Observation", clause("Observation", "code", store.ShapeToken, store.Match{Value: ptr("C1")})),
			find(t, s, "Observation", clause("Observation", "subject", store.ShapeRef, store.Match{Type: "Patient", ID: "p7"})),
			find(t, s, "Observation", clause("Observation", "performer", store.ShapeRef, store.Match{Type: "Practitioner", ID: "d"}, store.Match{Type: "Practitioner", ID: "e"})),
			find(t, s, "Observation", clause("Observation", "date", store.ShapeDate, store.Match{Prefix: "ge", Lo: lo, Hi: hi})))
	}
	before := found(s)
	log, err := s.Changes(t.Context(), 0, 10000)
	must(t, err)
	o.Outdate(t, s)
	if got := found(s); got == before {
		t.Fatal("the index is still there")
	}
	s = o.Again(t, s)
	s = o.Again(t, s) // in the middle of it
	var writers sync.WaitGroup
	for i := range 20 {
		writers.Go(func() {
			if _, err := s.Write(t.Context(), []store.Write{observation(100+i, 1), observation(50+i, 1)}, store.Author{Actor: "test"}); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	indexed(t, s)
	if got := found(s); got != before {
		t.Errorf("found afterwards\n%s\nwant\n%s", got, before)
	}
	after, err := s.Changes(t.Context(), 0, 10000)
	must(t, err)
	if len(after) != len(log)+40 {
		t.Errorf("%d changes, want those of the writers beside the %d before", len(after), len(log))
	}
	if again := o.Again(t, s); again.Unindexed() != 0 {
		t.Error("what is done is to be done again")
	}
}

// indexed waits until nothing is left to be indexed.
func indexed(t *testing.T, s store.Store) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); s.Unindexed() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d resources were not indexed within two minutes", s.Unindexed())
		}
	}
}

func ptr[T any](v T) *T { return &v }
