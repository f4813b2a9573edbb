// Package capability lists what the FHIR API does and what resources are searched
// by, and makes the CapabilityStatement of it.
package capability

import (
	"net/http"
	"slices"

	"github.com/plexus-health/plexus/fhir/definitions"
)

// An Interaction is something the API does. The CapabilityStatement and the
// reference page are made from the list of them; tests hold each of them.
type Interaction struct {
	// Code is that of the CapabilityStatement, or empty for one it has no code
	// for; System is true for one that stands above all types.
	Code   string
	System bool
	Method string
	// Path is below the base, with names in braces.
	Path string
	Note string
	// Test is the test that holds it.
	Test string
}

// Interactions lists what the API does.
func Interactions() []Interaction {
	const types, system = false, true
	return []Interaction{
		{"read", types, http.MethodGet, "/{type}/{id}", "`If-None-Match`, `If-Modified-Since`", "TestConditionalReads"},
		{"vread", types, http.MethodGet, "/{type}/{id}/_history/{version}", "", "TestConditionalReads"},
		{"update", types, http.MethodPut, "/{type}/{id}", "creates where there is none; `If-Match`, `If-None-Match: *`", "TestInteractions"},
		{"", types, http.MethodPut, "/{type}?{criteria}", "conditional update", "TestConditionalAgain"},
		{"patch", types, http.MethodPatch, "/{type}/{id}", "JSON Patch, FHIRPath Patch, XML Patch; `If-Match`", "TestPatchFormats"},
		{"", types, http.MethodPatch, "/{type}?{criteria}", "conditional patch", "TestPatchFormats"},
		{"delete", types, http.MethodDelete, "/{type}/{id}", "`If-Match`", "TestInteractions"},
		{"", types, http.MethodDelete, "/{type}?{criteria}", "conditional delete, of one", "TestConditional"},
		{"history-instance", types, http.MethodGet, "/{type}/{id}/_history", "`_since`, `_at`, `_count`", "TestHistories"},
		{"history-type", types, http.MethodGet, "/{type}/_history", "`_since`, `_at`, `_count`", "TestHistories"},
		{"create", types, http.MethodPost, "/{type}", "`If-None-Exist`", "TestConditional"},
		{"search-type", types, http.MethodGet, "/{type}?{parameters}", "", "TestEveryParameter"},
		{"", types, http.MethodPost, "/{type}/_search", "the same as a form", "TestMethods"},
		{"", types, http.MethodGet, "/{compartment}/{id}/{type}?{parameters}", "a compartment; `*` for all types", "TestCompartments"},
		{"", types, http.MethodPost, "/{compartment}/{id}/{type}/_search", "the same as a form", "TestMethods"},
		{"", types, http.MethodPost, "/{type}/$validate", "`mode`, `profile`; in the address or in Parameters", "TestValidate"},
		{"", types, http.MethodPost, "/{type}/{id}/$validate", "the same; `GET` for what is stored", "TestValidate"},
		{"transaction", system, http.MethodPost, "/", "a Bundle, all entries or none", "TestTransaction"},
		{"batch", system, http.MethodPost, "/", "a Bundle, each entry by itself", "TestTransaction"},
		{"history-system", system, http.MethodGet, "/_history", "`_since`, `_at`, `_count`", "TestHistories"},
		{"", system, http.MethodGet, "/metadata", "the CapabilityStatement", "TestEverythingClaimed"},
		{"", types, http.MethodPost, "/Binary", "any other `Content-Type`: the content of a Binary", "TestBinary"},
		{"", types, http.MethodPut, "/Binary/{id}", "the same", "TestBinary"},
		{"", types, http.MethodGet, "/Binary/{id}", "the content, or the resource to who asks for a format of FHIR", "TestBinary"},
	}
}

// A SearchParameter is one that a type is searched by.
type SearchParameter struct {
	Code, Kind string
	Targets    []string
	// Canonical is the definition in R4.
	Canonical string
}

// SearchParameters lists what a type is searched by, sorted by code.
func SearchParameters(typ string) []SearchParameter {
	out := []SearchParameter{
		{Code: "_has", Kind: "string"},
		{Code: "_id", Kind: "token", Canonical: "http://hl7.org/fhir/SearchParameter/Resource-id"},
		{Code: "_lastUpdated", Kind: "date", Canonical: "http://hl7.org/fhir/SearchParameter/Resource-lastUpdated"},
		{Code: "_list", Kind: "string"},
	}
	for _, p := range definitions.Params(typ) {
		out = append(out, SearchParameter{Code: p.Code, Kind: p.Kind, Targets: p.Targets})
	}
	slices.SortStableFunc(out, func(a, b SearchParameter) int {
		switch {
		case a.Code < b.Code:
			return -1
		case a.Code > b.Code:
			return 1
		}
		return 0
	})
	return out
}
