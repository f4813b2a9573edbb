package main

import (
	"sync"

	"github.com/plexus-health/plexus/connectors"
	fhirserver "github.com/plexus-health/plexus/connectors/fhir"
	"github.com/plexus-health/plexus/connectors/file"
	"github.com/plexus-health/plexus/connectors/http"
	"github.com/plexus-health/plexus/connectors/mllp"
	"github.com/plexus-health/plexus/connectors/sftp"
	"github.com/plexus-health/plexus/maps"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/fhir"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/parsers/hl7v2/validate"
	"github.com/plexus-health/plexus/parsers/raw"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// parserKinds are the words of `parse:`.
func parserKinds() []parsers.Kind {
	return []parsers.Kind{
		hl7v2.Kind(validate.Validation()),
		fhir.Kind(systemURI),
		raw.Kind(),
	}
}

// systemURI is the uri of a code system under any of its names, "" when it is
// not known.
func systemURI(name string) string {
	if system := shippedTables().Systems().V2(name); system != nil {
		return system.URI
	}
	return ""
}

// shippedTables are those that come with the engine, read once.
var shippedTables = sync.OnceValue(func() *tables.Set {
	shipped, _ := tables.Shipped() // a test holds the shipped tables free of problems
	return shipped
})

// connectorKinds are the kinds of `source:` and `to:` that carry bytes.
func connectorKinds() []connectors.Kind {
	return []connectors.Kind{
		file.Kind(),
		mllp.Kind(),
		http.Kind(),
		fhirserver.Kind(),
		sftp.Kind(),
	}
}

// transformKinds are the sorts of steps of `map:`.
func transformKinds(shipped *tables.Set, gathered transforms.Records) []transforms.Kind {
	return []transforms.Kind{
		mapping.Kind(mapping.Options{Maps: maps.FS, Tables: shipped, Records: gathered}),
	}
}

// parts is the list of everything this engine is made of; gathered is what maps
// may look up beside a message.
func parts(gathered transforms.Records) routes.Parts {
	shipped := shippedTables()
	return routes.Parts{
		Connectors: connectorKinds(),
		Parsers:    parserKinds(),
		Transforms: transformKinds(shipped, gathered),
		Tables:     shipped,
	}
}
