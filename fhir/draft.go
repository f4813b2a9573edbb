package fhir

import (
	"net/url"
	"strings"
)

// known are the types of which an identifier with a system names one resource,
// wherever it comes from. Of others it may be that of a sample, an order or a
// group.
var known = map[string]bool{
	"Patient": true, "Person": true, "RelatedPerson": true, "Practitioner": true, "PractitionerRole": true, "Organization": true,
	"Location": true, "HealthcareService": true, "Device": true, "Encounter": true, "EpisodeOfCare": true, "Coverage": true, "Account": true,
}

// NamedByIdentifier reports whether an identifier with a system names one
// resource of a type.
func NamedByIdentifier(typ string) bool { return known[typ] }

// Token is system and value as a search asks for them (R4, search.html#token),
// not yet escaped as part of a URL.
func Token(system, value string) string { return Escaped(system) + "|" + Escaped(value) }

// Escaped is a value of a search in which nothing separates.
func Escaped(value string) string { return escaped.Replace(value) }

// escaped are the characters that separate in searches (R4, search.html#escaping).
var escaped = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `$`, `\$`, `|`, `\|`)

// IfNoneExist is the search by which another server knows the resource already
// (R4, http.html#ccreate): by the first identifier that has a system and is in
// use. It is empty where no identifier names it.
func (d *Draft) IfNoneExist() string {
	list := d.Tree.Get("identifier")
	if d.Fallback || !known[d.Type] || list == nil {
		return ""
	}
	text := func(n *Node, name string) string {
		if v := n.Get(name); v != nil && v.Kind == String {
			return v.Text
		}
		return ""
	}
	for _, i := range list.Items {
		if system, value := text(i, "system"), text(i, "value"); system != "" && value != "" && text(i, "use") != "old" {
			return "identifier=" + url.QueryEscape(Token(system, value))
		}
	}
	return ""
}
