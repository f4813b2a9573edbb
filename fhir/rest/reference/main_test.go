package main

import (
	"os"
	"testing"
)

func TestThePageIsFresh(t *testing.T) {
	got, err := os.ReadFile("../../../docs/fhir-reference.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != page() {
		t.Error("docs/fhir-reference.md is not what the code says: run go generate ./fhir/rest")
	}
}

func TestTheGuideIsFresh(t *testing.T) {
	got, err := os.ReadFile("../../../docs/fhir.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != guide(string(got)) {
		t.Error("the generated part of docs/fhir.md is not what the code says: run go generate ./fhir/rest")
	}
}
