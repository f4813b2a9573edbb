package fhir

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// answerOutcome answers with an OperationOutcome: the channel's own where it
// made one, else one of the problems.
func answerOutcome(x *web.Exchange, out web.Outcome) {
	if a := readAnswer(out.Raw); a != nil && a.typ == "OperationOutcome" {
		x.Answer(out.Status, contentType, out.Raw)
		return
	}
	var issues []fhir.Issue
	for _, p := range out.Problems {
		issues = append(issues, fhir.Issue{Severity: "error", Code: codeOf(out.Status, p.Code), Where: p.Where, Text: p.Text})
	}
	switch {
	case len(issues) > 0:
	case out.Status == http.StatusOK:
		issues = append(issues, fhir.Issue{Severity: "information", Code: "informational", Text: "taken"})
	default:
		issues = append(issues, fhir.Issue{Severity: "error", Code: codeOf(out.Status, 0), Text: "not taken"})
	}
	x.Answer(out.Status, contentType, fhir.Outcome("", issues...).AppendJSON(nil))
}

// answerIssue answers with one issue.
func answerIssue(x *web.Exchange, status int, code, text string) {
	x.Answer(status, contentType, fhir.Outcome("", fhir.Issue{Severity: "error", Code: code, Text: text}).AppendJSON(nil))
}

// codeOf is the issue type of a problem: that of its code of HL7 table 0357, or
// of the status where it has none.
func codeOf(status, code int) string {
	if known := fhir.IssueType(code); known != "" {
		return known
	}
	switch status {
	case http.StatusServiceUnavailable:
		return "transient"
	case http.StatusRequestEntityTooLarge:
		return "too-long"
	case http.StatusRequestTimeout:
		return "timeout"
	case http.StatusUnsupportedMediaType:
		return "not-supported"
	}
	return "processing"
}

// peek reads type and id off the beginning of a resource that is too large to
// be read whole: what stands on its first level there.
func peek(head []byte) (typ, id string) {
	in := json.NewDecoder(bytes.NewReader(head))
	in.UseNumber()
	if t, err := in.Token(); err != nil || t != json.Delim('{') {
		return "", ""
	}
	for typ == "" || id == "" {
		name, err := in.Token()
		if err != nil {
			return typ, id // the rest is not here
		}
		into := (*string)(nil)
		switch name {
		case "resourceType":
			into = &typ
		case "id":
			into = &id
		}
		value, err := in.Token()
		if err != nil {
			return typ, id
		}
		if text, ok := value.(string); ok && into != nil && *into == "" {
			*into = text
		}
		if _, ok := value.(json.Delim); ok && !skip(in) {
			return typ, id
		}
	}
	return typ, id
}

// skip reads to the end of a value that has begun.
func skip(in *json.Decoder) bool {
	for depth := 1; depth > 0; {
		t, err := in.Token()
		if err != nil {
			return false
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return true
}

// capability says what this source takes (capabilitystatement.html).
func (s *Source) capability() []byte {
	types := s.options.Types
	if len(types) == 0 {
		types = definitions.Resources()
	}
	resources, system := &fhir.Node{Kind: fhir.Array}, &fhir.Node{Kind: fhir.Array}
	codes := func(list ...string) *fhir.Node {
		n := &fhir.Node{Kind: fhir.Array}
		for _, code := range list {
			n.Items = append(n.Items, object("code", fhir.Text(code)))
		}
		return n
	}
	for _, typ := range types {
		resources.Items = append(resources.Items, object("type", fhir.Text(typ), "interaction", codes("create", "update")))
		if typ == "Bundle" {
			system = codes("transaction", "batch")
		}
	}
	server := object("mode", fhir.Text("server"), "resource", resources)
	if len(system.Items) > 0 {
		server.Set("interaction", system)
	}
	return object(
		"resourceType", fhir.Text("CapabilityStatement"), "status", fhir.Text("active"),
		"date", fhir.Text(s.env.Now().UTC().Format("2006-01-02T15:04:05Z")), "kind", fhir.Text("instance"),
		"implementation", object("description", fhir.Text("Takes resources and hands them on; what was sent cannot be read here.")),
		"fhirVersion", fhir.Text("4.0.1"), "format", &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{fhir.Text(contentType)}},
		"rest", &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{server}},
	).AppendJSON(nil)
}

// object makes an object of names and values in turn.
func object(members ...any) *fhir.Node {
	n := fhir.NewObject()
	for i := 0; i+1 < len(members); i += 2 {
		n.Set(members[i].(string), members[i+1].(*fhir.Node)) //nolint:forcetypeassert // the calls above
	}
	return n
}
