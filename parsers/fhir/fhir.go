// Package fhir reads messages that are FHIR R4 resources or Bundles in JSON:
// documents over a lossless tree, paths as "ServiceRequest.code.coding.code",
// keys of order by the patient, and OperationOutcomes as answers.
package fhir

import (
	"bytes"
	"errors"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/validate"
	"github.com/plexus-health/plexus/internal/spelling"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// Format is the word of `parse:`.
const Format = "fhir"

// Options of the parser.
type Options struct {
	// Structure says what becomes of a resource with unknown elements, missing
	// required ones or values of a wrong type: refuse, or warn. Default refuse.
	Structure string `yaml:"structure"`

	systems func(name string) string
}

// Kind is the parser as `parse:` names it. systems gives the uri of a code
// system that paths call by a short name, "" for one that is not known; it may
// be nil.
func Kind(systems func(name string) string) parsers.Kind {
	return parsers.Kind{Name: Format, Options: func() parsers.Options { return &Options{Structure: "refuse", systems: systems} }}
}

// Validate checks words.
func (o *Options) Validate() []parsers.Problem {
	if o.Structure != "refuse" && o.Structure != "warn" {
		return []parsers.Problem{{Field: "structure", Text: spelling.Unknown(o.Structure, "refuse", "warn")}}
	}
	return nil
}

// Open makes the parser.
func (o *Options) Open() (parsers.Parser, error) {
	return &Parser{lenient: o.Structure == "warn", systems: o.systems}, nil
}

// A Parser reads FHIR JSON. It is safe for use from several goroutines.
type Parser struct {
	lenient bool
	systems func(name string) string
}

var (
	_ parsers.Parser   = (*Parser)(nil)
	_ parsers.Keyer    = (*Parser)(nil)
	_ parsers.Replier  = (*Parser)(nil)
	_ parsers.Splitter = (*Parser)(nil)
)

// Grammar is the path syntax.
func (p *Parser) Grammar() message.Grammar { return Grammar{Systems: p.systems} }

// mark is the byte order mark of UTF-8.
const mark = "\xef\xbb\xbf"

// Parse reads a resource. What is no JSON, says no known resourceType or breaks
// the structure of its type is malformed.
func (p *Parser) Parse(raw []byte) (message.Document, error) {
	d := &Document{raw: raw}
	if bytes.HasPrefix(raw, []byte(mark)) {
		d.start = len(mark)
		d.warnings = append(d.warnings, message.Warning{Code: "byte-order-mark", Text: "a byte order mark stands in front of the content"})
	}
	var err error
	if d.tree, err = read(raw[d.start:], d.start); err != nil {
		return nil, err
	}
	if d.typ = d.tree.Get("resourceType").Text; d.typ == "Bundle" {
		d.bundled = entries(d.tree)
	}
	for _, f := range validate.Structure(d.tree) {
		at := d.locate(f.Where)
		if !p.lenient {
			return nil, malformed(f, at)
		}
		d.warnings = append(d.warnings, message.Warning{Where: f.Where, Offset: at, Code: f.Code, Text: f.Text})
	}
	return d, nil
}

// read parses the text of a resource and checks that it says which.
func read(text []byte, offset int) (*fhir.Node, error) {
	if err := notJSON(text, offset); err != nil {
		return nil, err
	}
	tree, err := fhir.Parse(text)
	if err != nil {
		f := &message.Failure{Kind: message.Malformed, Offset: offset + 1, Code: 100, Err: errors.New("not readable as JSON")}
		if wrong, ok := errors.AsType[*fhir.SyntaxError](err); ok {
			f.Offset, f.Err = offset+wrong.Offset+1, errors.New(wrong.Text)
		}
		return nil, f
	}
	if _, fault := validate.Type(tree); fault != nil {
		return nil, malformed(*fault, offset)
	}
	return tree, nil
}

// notJSON says what is in hand where it is not the object of a resource.
func notJSON(text []byte, offset int) error {
	first := bytes.TrimLeft(text, " \t\r\n")
	f := &message.Failure{Kind: message.Malformed, Offset: offset + len(text) - len(first) + 1, Code: 100}
	switch {
	case len(first) == 0:
		f.Err = errors.New("the content is empty")
	case first[0] == '<':
		f.Err = errors.New("this is XML; FHIR messages are taken as JSON (application/fhir+json)")
	case first[0] != '{':
		f.Err = errors.New("no JSON object")
	default:
		return nil
	}
	return f
}

// malformed is a fault of the structure as a failure of the message, with the
// code of HL7 table 0357 that is nearest. at is its byte, from 0.
func malformed(f validate.Fault, at int) error {
	where, code := f.Where, 102
	if where == "" {
		where, code = "resourceType", 200
	}
	if f.Code == "required" {
		code = 101
	}
	return &message.Failure{Kind: message.Malformed, Where: where, Offset: at + 1, Code: code, Err: errors.New(f.Text)}
}

// known reports whether a word is a resource type.
func known(word string) bool {
	_, ok := definitions.Resource(word)
	return ok
}
