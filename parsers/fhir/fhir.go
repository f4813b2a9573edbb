// Package fhir reads messages that are FHIR R4 resources or Bundles in JSON:
// documents over a lossless tree, paths as "ServiceRequest.code.coding.code",
// keys of order by the patient, and OperationOutcomes as answers.
package fhir

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/validate"
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
}

// Kind is the parser as `parse:` names it.
func Kind() parsers.Kind {
	return parsers.Kind{Name: Format, Options: func() parsers.Options { return &Options{Structure: "refuse"} }}
}

// Validate checks words.
func (o *Options) Validate() []parsers.Problem {
	if o.Structure != "refuse" && o.Structure != "warn" {
		return []parsers.Problem{{Field: "structure", Text: fmt.Sprintf("%q is not known; known: refuse, warn", o.Structure)}}
	}
	return nil
}

// Open makes the parser.
func (o *Options) Open() (parsers.Parser, error) { return &Parser{lenient: o.Structure == "warn"}, nil }

// A Parser reads FHIR JSON.
type Parser struct{ lenient bool }

var (
	_ parsers.Parser   = (*Parser)(nil)
	_ parsers.Keyer    = (*Parser)(nil)
	_ parsers.Replier  = (*Parser)(nil)
	_ parsers.Splitter = (*Parser)(nil)
)

// Grammar is the path syntax.
func (p *Parser) Grammar() message.Grammar { return Grammar{} }

var byteOrderMark = []byte("\xef\xbb\xbf")

// Parse reads a resource. What is no JSON, says no known resourceType or breaks
// the structure of its type is malformed.
func (p *Parser) Parse(raw []byte) (message.Document, error) {
	d := &Document{raw: raw}
	text := raw
	if rest, marked := bytes.CutPrefix(raw, byteOrderMark); marked {
		text = rest
		d.warnings = append(d.warnings, message.Warning{Code: "byte-order-mark", Text: "a byte order mark stands in front of the content"})
	}
	tree, err := read(text, len(raw)-len(text))
	if err != nil {
		return nil, err
	}
	if d.tree, d.typ = tree, tree.Get("resourceType").Text; d.typ == "Bundle" {
		d.bundled = entries(tree)
	}
	for _, f := range validate.Structure(tree) {
		if !p.lenient {
			return nil, malformed(f)
		}
		d.warnings = append(d.warnings, message.Warning{Where: f.Where, Code: f.Code, Text: f.Text})
	}
	return d, nil
}

// read parses the text of a resource and checks that it says which.
func read(text []byte, offset int) (*fhir.Node, error) {
	tree, err := fhir.Parse(text)
	if err != nil {
		f := &message.Failure{Kind: message.Malformed, Offset: offset + 1, Err: errors.New("not readable as JSON")}
		if wrong, ok := errors.AsType[*fhir.SyntaxError](err); ok {
			f.Offset, f.Err = offset+wrong.Offset+1, errors.New(wrong.Text)
		}
		if xml := bytes.TrimLeft(text, " \t\r\n"); len(xml) > 0 && xml[0] == '<' {
			f.Err = errors.New("this is XML; FHIR messages are taken as JSON")
		}
		return nil, f
	}
	if tree.Kind != fhir.Object {
		return nil, &message.Failure{Kind: message.Malformed, Offset: offset + 1, Err: errors.New("no JSON object")}
	}
	if _, fault := validate.Type(tree); fault != nil {
		return nil, malformed(*fault)
	}
	return tree, nil
}

// malformed is a fault of the structure as a failure of the message, with the
// code of HL7 table 0357 that is nearest.
func malformed(f validate.Fault) error {
	where, code := f.Where, 102
	if where == "" {
		where, code = "resourceType", 200
	}
	if f.Code == "required" {
		code = 101
	}
	return &message.Failure{Kind: message.Malformed, Where: where, Code: code, Err: errors.New(f.Text)}
}

// A Document is a resource or Bundle that was read.
type Document struct {
	raw      []byte
	tree     *fhir.Node
	typ      string
	bundled  []*fhir.Node // resources of a Bundle, in order
	warnings []message.Warning
}

var _ message.Document = (*Document)(nil)

// Format is the word of `parse:`.
func (d *Document) Format() string { return Format }

// Tree is the whole as a tree; it is not to be modified.
func (d *Document) Tree() *fhir.Node { return d.tree }

// Resources are the entries of a Bundle, or the resource itself.
func (d *Document) Resources() []*fhir.Node {
	if d.typ == "Bundle" {
		return d.bundled
	}
	return []*fhir.Node{d.tree}
}

// Encode appends the bytes as received.
func (d *Document) Encode(dst []byte) []byte { return append(dst, d.raw...) }

// Root is the resource itself.
func (d *Document) Root() message.Node { return d }

// Span is the whole.
func (d *Document) Span() (start, end int) { return 0, len(d.raw) }

// Warnings are what was odd.
func (d *Document) Warnings() []message.Warning { return d.warnings }

// Header is what the content says of itself.
func (d *Document) Header() message.Header { return headerOf(d.tree) }

func entries(bundle *fhir.Node) []*fhir.Node {
	var out []*fhir.Node
	list := bundle.Get("entry")
	if list == nil {
		return nil
	}
	for _, e := range list.Items {
		if r := e.Get("resource"); r != nil && r.Kind == fhir.Object {
			out = append(out, r)
		}
	}
	return out
}

// known reports whether a word is a resource type.
func known(word string) bool {
	_, ok := definitions.Resource(word)
	return ok
}
