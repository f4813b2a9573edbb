package main

import (
	_ "embed"
	"encoding/json"
	"log"
	"slices"
	"strings"
)

// officialText is what R4 (4.0.1, profiles-resources and profiles-types) says of
// the elements that npm's bundles have from another release, or of their own: a
// line is a path, and the elements that R4 has there and below it; none where it
// has none.
//
//go:embed official.ndjson
var officialText string

// ours are the parameters of npm's bundles that R4 does not have.
var ours = []string{"DetectedIssue status", "DeviceDefinition classification", "ServiceRequest order-detail"}

// official puts the elements of R4 in the place of what is none.
func official(types []structure) {
	for line := range strings.Lines(officialText) {
		var r struct {
			Below    string
			Elements []element
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			log.Fatalf("official.ndjson: %v", err)
		}
		name, _, _ := strings.Cut(r.Below, ".")
		i := slices.IndexFunc(types, func(s structure) bool { return s.Name == name })
		of := func(e element) bool { return e.Path == r.Below || strings.HasPrefix(e.Path, r.Below+".") }
		at := slices.IndexFunc(types[i].Snapshot.Element, of)
		if at < 0 {
			log.Fatalf("official.ndjson: %s is in npm's bundles no more", r.Below)
		}
		list := slices.DeleteFunc(types[i].Snapshot.Element, of)
		types[i].Snapshot.Element = slices.Insert(list, at, r.Elements...)
	}
}
