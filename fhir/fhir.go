// Package fhir is the FHIR R4 model: lossless JSON values, drafts of resources
// that a message becomes, and the search index rows of a resource.
package fhir

import "time"

// A Draft is a resource that a message becomes, before it is known whether the
// store holds it already.
type Draft struct {
	// Name is the one the map gave it: "patient", "result".
	Name string
	// Type is the resource type.
	Type string
	// URN is what references of other drafts of the same set say:
	// "urn:uuid:…". The store's reference takes its place.
	URN string
	// Keys are the business identities of the resource in canonical form,
	// the one that names a new resource first: type, system and value, each
	// with a length prefix. Empty: the resource has no identity of its own
	// and is new with every message.
	Keys []string
	// Fallback is true when Keys hold nothing that the sender uses to name
	// the resource, only the message's own place: a repeat under another
	// control id doubles it.
	Fallback bool
	// Existing is true when the message only tells of a resource that is there
	// already: where the store holds none, none is made.
	Existing bool
	// Referred is true when the message only refers to the resource: it is not
	// written. With Existing it has to be there.
	Referred bool
	// Tree is the resource without id.
	Tree *Node
	// Deletes are the elements the message asks to clear (HL7 v2 "").
	Deletes []string
	// SourceAt is the time the sender gives to this state of the resource;
	// zero when it gives none.
	SourceAt time.Time
}

// An Index holds the search index rows of one resource.
type Index struct {
	Tokens  []TokenRow
	Dates   []DateRow
	Strings []StringRow
	Refs    []RefRow
	Numbers []NumberRow
	// Patient is the id of the one patient in whose compartment the resource
	// is; empty when there is none or there are several.
	Patient string
}

// Param is the number of a search parameter of one resource type, stable over
// versions of the engine (definitions.Params).
type Param int32

// A TokenRow is one system and code, or identifier.
type TokenRow struct {
	Param  Param
	System string // "" when there is none
	Value  string
}

// A DateRow is one period: Lo and Hi in microseconds since 1970 UTC, both
// inclusive; an open end is the smallest or largest int64.
type DateRow struct {
	Param  Param
	Lo, Hi int64
}

// A StringRow is one text: Norm folded (NFKD, no accents, lower case, at most
// 128 characters), Exact as written.
type StringRow struct {
	Param       Param
	Norm, Exact string
}

// A RefRow is one reference: Type and ID of a resource of this store, or Type
// "" and ID the whole text of any other reference.
type RefRow struct {
	Param    Param
	Type, ID string
}

// A NumberRow is one number or quantity.
type NumberRow struct {
	Param        Param
	System, Unit string
	Value        string // decimal as written
}
