package fhir

import (
	"bytes"
	"slices"
	"testing"

	"github.com/plexus-health/plexus/parsers"
)

func TestBundle(t *testing.T) {
	p := &Parser{}
	file, err := p.Bundle([][]byte{[]byte("\xef\xbb\xbf{\"resourceType\":\"Patient\",\r\n \"id\":\"a\"}\n"), []byte(`{"resourceType":"Patient","id":"b\n"}`)}, parsers.Stamp{})
	if want := "{\"resourceType\":\"Patient\",   \"id\":\"a\"}\n{\"resourceType\":\"Patient\",\"id\":\"b\\n\"}\n"; err != nil || string(file) != want {
		t.Fatalf("got %q %v, want %q", file, err, want)
	}
	var back []string
	if err := p.Split(bytes.NewReader(file), 1<<20, func(raw []byte) error {
		back = append(back, string(raw))
		return nil
	}); err != nil || !slices.Equal(back, []string{`{"resourceType":"Patient",   "id":"a"}`, `{"resourceType":"Patient","id":"b\n"}`}) {
		t.Errorf("taken apart again: %q %v", back, err)
	}
}
