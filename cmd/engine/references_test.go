package main

import (
	"strings"
	"testing"

	"github.com/spf13/viper"
)

func TestReadReferences(t *testing.T) {
	for text, want := range map[string]string{referencesAccept: "", referencesRequire: "", "maybe": "known: accept, require", "": "known: accept, require"} {
		v := viper.New()
		v.Set("fhir-references", text)
		s, err := readSettings(v)
		if want == "" && (err != nil || s.References != text) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %q, %v", text, s.References, err)
		}
	}
}
