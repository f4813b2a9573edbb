// Package maps holds the maps the engine brings, as data. A family of maps is
// a folder: v2-to-fhir, fhir-to-v2.
package maps

import "embed"

// FS holds the shipped maps: FAMILY/*.yaml.
//
//go:embed v2-to-fhir fhir-to-v2
var FS embed.FS
