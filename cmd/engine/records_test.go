package main

import (
	"crypto/sha256"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/sqlite"
)

// Maps gather from the store as soon as it is open, and from nothing before.
func TestRecordsAreLentToMaps(t *testing.T) {
	r := new(records)
	if n, err := r.Resource(t.Context(), "Patient", "p1"); n != nil || err != nil {
		t.Errorf("before the store is open: %v, %v", n, err)
	}
	opened, err := sqlite.Open(t.Context(), sqlite.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	var writes []store.Write
	for _, text := range []string{
		`{"resourceType":"Patient","id":"p1","gender":"female"}`,
		`{"resourceType":"Patient","id":"p2"}`,
		`{"resourceType":"Coverage","id":"c1","beneficiary":{"reference":"Patient/p1"}}`,
		`{"resourceType":"Coverage","id":"c2","beneficiary":{"reference":"Patient/p2"}}`,
	} {
		n, err := fhir.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		typ := n.Get("resourceType").Text
		writes = append(writes, store.Write{Type: typ, ID: n.Get("id").Text, Content: []byte(text), Hash: sha256.Sum256([]byte(text)), Index: search.Index(typ, n)})
	}
	if _, err := opened.Write(t.Context(), writes, store.Author{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Write(t.Context(), []store.Write{{Type: "Patient", ID: "p2", Expect: 1, Delete: true}}, store.Author{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	r.open(opened)
	n, err := r.Resource(t.Context(), "Patient", "p1")
	if err != nil || n.Get("gender") == nil {
		t.Errorf("a patient: %v, %v", n, err)
	}
	for _, id := range []string{"p2", "p3"} {
		if n, err := r.Resource(t.Context(), "Patient", id); n != nil || err != nil {
			t.Errorf("%s, who is not there: %v, %v", id, n, err)
		}
	}
	list, err := r.Referring(t.Context(), "Coverage", "beneficiary", "Patient/p1")
	if err != nil || len(list) != 1 || list[0].Get("id").Text != "c1" {
		t.Errorf("coverages of p1: %d, %v", len(list), err)
	}
}
