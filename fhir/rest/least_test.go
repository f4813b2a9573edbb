package rest

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/internal/corpus"
)

// A leastMaker makes the least resource of each type that is valid.
type leastMaker struct {
	codes map[string]string // by value set
}

// beyond is what invariants ask of a type beside its mandatory elements.
var beyond = map[string]string{
	"AllergyIntolerance":         `,"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]}`,
	"Appointment":                `,"status":"proposed","participant":[{"actor":{"display":"x"},"status":"accepted"}]`,
	"AppointmentResponse":        `,"actor":{"display":"x"}`,
	"Bundle":                     `,"type":"collection"`,
	"CapabilityStatement":        `,"kind":"requirements","description":"x","rest":[{"mode":"server"}]`,
	"Consent":                    `,"policyRule":{"text":"x"}`,
	"DetectedIssue":              `,"status":"final"`,
	"DocumentReference":          `,"content":[{"attachment":{"url":"urn:x"}}]`,
	"EventDefinition":            `,"trigger":[{"type":"named-event","name":"x"}]`,
	"ImmunizationRecommendation": `,"recommendation":[{"vaccineCode":[{"text":"x"}],"forecastStatus":{"text":"x"}}]`,
	"InsurancePlan":              `,"name":"x"`,
	"Linkage":                    `,"item":[{"type":"source","resource":{"display":"x"}},{"type":"alternate","resource":{"display":"y"}}]`,
	"MeasureReport":              `,"period":{"start":"2026"}`,
	"Media":                      `,"content":{"url":"urn:x"}`,
	"Organization":               `,"name":"x"`,
	"PaymentNotice":              `,"amount":{"value":1}`,
	"PaymentReconciliation":      `,"paymentAmount":{"value":1}`,
	"StructureDefinition":        `,"kind":"resource","abstract":false,"type":"Patient","derivation":"constraint","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","differential":{"element":[{"id":"Patient","path":"Patient"}]}`,
	"TerminologyCapabilities":    `,"kind":"requirements","description":"x"`,
}

// newLeast reads the first code of each value set of the corpus.
func newLeast(t *testing.T) *leastMaker {
	t.Helper()
	l := &leastMaker{codes: map[string]string{}}
	type concept struct{ Code string }
	type include struct {
		System  string
		Concept []concept
	}
	var sets []struct {
		URL     string
		Compose struct{ Include []include }
	}
	var systems []struct {
		URL     string
		Concept []concept
	}
	readLines(t, corpus.Dir(t, "fhir", "spec", "ValueSet-required.ndjson.gz"), &sets)
	readLines(t, corpus.Dir(t, "fhir", "spec", "CodeSystem-required.ndjson.gz"), &systems)
	first := map[string]string{"urn:ietf:bcp:13": "text/plain", "urn:ietf:bcp:47": "en", "urn:iso:std:iso:4217": "USD", "http://unitsofmeasure.org": "d"}
	for _, s := range systems {
		if len(s.Concept) > 0 {
			first[s.URL] = s.Concept[0].Code
		}
	}
	for _, v := range sets {
		for _, i := range v.Compose.Include {
			code := first[i.System]
			if len(i.Concept) > 0 {
				code = i.Concept[0].Code
			}
			if code != "" && l.codes[v.URL] == "" {
				l.codes[v.URL] = code
			}
		}
	}
	return l
}

func readLines[T any](t *testing.T, path string, into *[]T) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var one T
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		*into = append(*into, one)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// of is the least resource of a type, as JSON without id.
func (l *leastMaker) of(typ string) string {
	t, _ := definitions.Lookup(typ)
	return `{"resourceType":"` + typ + `"` + l.below(t, "", 0) + beyond[typ] + `}`
}

func (l *leastMaker) below(t *definitions.Type, path string, deep int) string {
	out := ""
	for _, e := range t.Children(path) {
		if e.Min == 0 || deep > 6 {
			continue
		}
		name, of := e.Path[strings.LastIndexByte(e.Path, '.')+1:], e.Types[0]
		if strings.Contains(beyond[t.Name], `"`+name+`":`) && path == "" {
			continue
		}
		if stem, choice := strings.CutSuffix(name, "[x]"); choice {
			name = stem + strings.ToUpper(of[:1]) + of[1:]
		}
		value := l.value(t, e, of, deep)
		if e.Repeats() {
			value = "[" + value + "]"
		}
		out += `,"` + name + `":` + value
	}
	return out
}

func (l *leastMaker) value(t *definitions.Type, e *definitions.Element, of string, deep int) string {
	values := map[string]string{
		"boolean": "true", "integer": "1", "positiveInt": "1", "unsignedInt": "1", "decimal": "1.0", "date": `"2026-01-01"`, "dateTime": `"2026-01-01"`,
		"instant": `"2026-01-01T00:00:00Z"`, "time": `"10:00:00"`, "base64Binary": `"aGk="`, "xhtml": `"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"`,
		"uri": `"urn:x"`, "url": `"urn:x"`, "canonical": `"urn:x"`, "oid": `"urn:oid:1.2"`, "uuid": `"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"`,
		"Reference": `{"display":"x"}`, "CodeableConcept": `{"text":"x"}`, "Coding": `{"code":"x"}`, "Identifier": `{"value":"x"}`, "Quantity": `{"value":1}`,
		"Resource": `{"resourceType":"Basic","code":{"text":"x"}}`,
	}
	if code := l.codes[e.Binding]; code != "" && of == "code" {
		return `"` + code + `"`
	}
	if v, ok := values[of]; ok {
		return v
	}
	if owner, inner, ok := strings.Cut(strings.TrimPrefix(of, "#"), "."); ok && of[0] == '#' {
		other, _ := definitions.Lookup(owner)
		return nonEmpty(l.below(other, inner, deep+1))
	}
	if len(t.Children(e.Path)) > 0 {
		return nonEmpty(l.below(t, e.Path, deep+1))
	}
	if other, ok := definitions.Lookup(of); ok && other.Kind == "complex-type" {
		return nonEmpty(l.below(other, "", deep+1))
	}
	return `"a"`
}

func nonEmpty(members string) string {
	if members == "" {
		return `{"id":"x"}`
	}
	return "{" + members[1:] + "}"
}
