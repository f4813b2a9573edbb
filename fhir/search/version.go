package search

import (
	"strconv"

	"github.com/plexus-health/plexus/fhir/definitions"
)

// rowsVersion is raised when the rows that Index makes of a resource change by the
// code, not by the definitions.
const rowsVersion = 5

// Version names what Index makes its rows by: resources that were indexed by
// another version are indexed again.
func Version() string { return strconv.Itoa(rowsVersion) + "-" + definitions.Hash() }
