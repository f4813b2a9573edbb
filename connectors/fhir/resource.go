package fhir

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
)

// A resource is what an address is made of.
type resource struct {
	typ, id     string
	bundle      string // Bundle.type
	entries     int    // of a Bundle
	identifiers []identifier
}

// An identifier is a business identifier.
type identifier struct{ system, value string }

// token is an identifier as a search writes it (search.html#token).
func (i identifier) token() string { return fhir.Token(i.system, i.value) }

var (
	typeForm = regexp.MustCompile(`^[A-Z][A-Za-z]{1,63}$`)
	idForm   = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
)

// plainID reports whether text is a logical id that names nothing else in a
// path.
func plainID(text string) bool { return idForm.MatchString(text) && strings.Trim(text, ".") != "" }

// readResource reads what an address needs. Its errors hold no value.
func readResource(payload []byte) (*resource, error) {
	n, err := fhir.Parse(payload)
	if err != nil {
		return nil, fmt.Errorf("the payload is no JSON: %w", err)
	}
	r := &resource{typ: text(n, "resourceType"), id: text(n, "id")}
	switch {
	case !typeForm.MatchString(r.typ):
		return nil, errors.New("the payload is no resource: resourceType is missing")
	case r.id != "" && !plainID(r.id):
		return nil, errors.New("the payload has an id that is none: letters, digits, - and . are")
	}
	if r.typ == "Bundle" {
		r.bundle = text(n, "type")
		if list := n.Get("entry"); list != nil {
			r.entries = len(list.Items)
		}
	}
	add := func(n *fhir.Node) {
		if value := text(n, "value"); value != "" {
			r.identifiers = append(r.identifiers, identifier{text(n, "system"), value})
		}
	}
	switch list := n.Get("identifier"); {
	case list == nil:
	case list.Kind == fhir.Object:
		add(list)
	default:
		for _, item := range list.Items {
			add(item)
		}
	}
	return r, nil
}

// text is a text member of an object, "" when there is none.
func text(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil && v.Kind == fhir.String {
		return v.Text
	}
	return ""
}

// A match is a search with places to be filled.
type match []part

// A part is text, or a place.
type part struct {
	text  string
	place string // word of the place; empty: text
	of    string // system that the identifier must have; empty: the first one
}

// words are the places of a match.
const words = "known: {identifier}, {identifier:SYSTEM}, {identifier.value}, {identifier.system}, {id}"

// parseMatch reads a search such as identifier={identifier}.
func parseMatch(template string) (match, error) {
	var m match
	for rest := template; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if strings.ContainsAny(before, "} ?#\t\r\n") {
			return nil, errors.New("is not a search such as identifier={identifier}")
		}
		if before != "" {
			m = append(m, part{text: before})
		}
		if !found {
			break
		}
		word, next, closed := strings.Cut(after, "}") // not closed: the rest
		p := part{place: word}
		if system, ok := strings.CutPrefix(word, "identifier:"); ok {
			p.place, p.of = "identifier", system
		}
		switch p.place {
		case "identifier", "identifier.value", "identifier.system", "id":
		default:
			closed = false
		}
		if !closed || (p.of == "" && strings.HasSuffix(word, ":")) {
			return nil, fmt.Errorf("{%s} is not known; %s", word, words)
		}
		m = append(m, p)
		rest = next
	}
	if len(m) == 0 || !strings.Contains(m[0].text, "=") {
		return nil, errors.New("is not a search such as identifier={identifier}")
	}
	return m, nil
}

// fill writes the search for a resource.
func (m match) fill(r *resource) (string, error) {
	var b strings.Builder
	for _, p := range m {
		value := ""
		switch p.place {
		case "":
			b.WriteString(p.text)
			continue
		case "id":
			value = r.id
		default:
			for _, i := range r.identifiers {
				if p.of != "" && i.system != p.of {
					continue
				}
				value = map[string]string{"identifier": i.token(), "identifier.value": fhir.Escaped(i.value), "identifier.system": fhir.Escaped(i.system)}[p.place]
				break
			}
		}
		if value == "" {
			return "", &message.Failure{Kind: message.RefusedSend, Err: fmt.Errorf("the resource has no %s, which match needs", p.place)}
		}
		b.WriteString(url.QueryEscape(value))
	}
	return b.String(), nil
}
