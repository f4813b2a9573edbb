package validate

import (
	"strings"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/fhirpath/ucum"
)

// bound holds a coded value against the value set of its required binding
// (terminologies.html#required).
func (k *checker) bound(v *fhir.Node, f *field) {
	switch f.typ {
	case "Coding":
		if v.Get("code") != nil && !coded(f.codes, text(v, "system"), text(v, "code")) {
			k.unbound(f.codes)
		}
	case "CodeableConcept":
		k.concept(v, f.codes, f.element.Weak)
	case "Quantity", "":
	default:
		switch {
		case f.codes.Open() != "":
			if !openCode(f.codes.Open(), v.Text) {
				k.unbound(f.codes)
			}
		case !f.codes.HasCode(v.Text):
			k.unbound(f.codes)
		}
	}
}

func (k *checker) unbound(set *definitions.ValueSet) {
	k.fault("code-invalid", "is no code of "+set.URL+", which is required here")
}

// concept asks for one coding of the value set. Of a maximum a text alone breaks
// nothing, and other codings are what many systems have.
func (k *checker) concept(v *fhir.Node, set *definitions.ValueSet, weak bool) {
	list := v.Get("coding")
	if list == nil || list.Kind != fhir.Array {
		if v.Get("extension") == nil && !weak { // which may say why there is none
			k.unbound(set)
		}
		return
	}
	for _, c := range list.Items {
		if c.Get("code") == nil || coded(set, text(c, "system"), text(c, "code")) {
			return
		}
	}
	k.report(Fault{Code: "code-invalid", Text: "has no code of " + set.URL + ", which is required here", Lax: weak})
}

func coded(set *definitions.ValueSet, system, code string) bool {
	if open := set.Open(); open != "" && open == system {
		return openCode(open, code)
	}
	return set.Has(system, code)
}

// openCode checks the form of a code whose system is not listed.
func openCode(system, code string) bool {
	switch system {
	case "urn:ietf:bcp:47":
		return goodLanguage(code)
	case "urn:ietf:bcp:13":
		return goodMedia(code)
	case "urn:iso:std:iso:4217":
		_, err := currency.ParseISO(code)
		return err == nil && strings.ToUpper(code) == code
	case ucum.System:
		_, known := ucum.Parse(code)
		return known
	}
	return true
}

// goodLanguage checks that a language tag is well-formed (RFC 5646, 2.2.9).
func goodLanguage(tag string) bool {
	_, err := language.Raw.Parse(tag)
	if err == nil {
		return true
	}
	_, unknown := err.(language.ValueError) //nolint:errorlint // Parse returns it as it is
	return unknown && !strings.ContainsAny(tag, " _")
}

// goodMedia checks the form of a media type (RFC 2045, 5.1): what applications
// have long written for one, such as "json", is taken too.
func goodMedia(code string) bool {
	kind, rest, ok := strings.Cut(code, "/")
	if !ok {
		return code != "" && tokens(code)
	}
	sub, _, _ := strings.Cut(rest, ";")
	return kind != "" && tokens(kind) && strings.TrimSpace(sub) != "" && tokens(strings.TrimSpace(sub))
}

func tokens(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return true
}
