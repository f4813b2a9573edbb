package patch

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/beevik/etree"

	"github.com/plexus-health/plexus/fhir"
	fhirxml "github.com/plexus-health/plexus/fhir/xml"
)

// ApplyXML returns the resource with all operations of an XML Patch (RFC 5261)
// done to its form in XML, or an *Error, or that of ctx. The resource is not
// changed.
func ApplyXML(ctx context.Context, resource *fhir.Node, patch []byte) (*fhir.Node, error) {
	before, err := fhirxml.Append(nil, resource)
	if err != nil {
		return nil, &Error{Operation: -1, Failed: true, Text: "is for XML, and the resource has no form in it"}
	}
	after, err := applyXML(ctx, before, patch)
	if err != nil {
		return nil, err
	}
	n, err := fhirxml.Parse(after)
	if err != nil {
		return nil, &Error{Operation: -1, Failed: true, Text: "leaves what is no FHIR XML: " + err.Error()}
	}
	return n, nil
}

// applyXML applies a patch to any document.
func applyXML(ctx context.Context, document, patch []byte) ([]byte, error) {
	changes, err := readXML(patch)
	if err != nil {
		return nil, &Error{Operation: -1, Text: err.Error()}
	}
	doc, err := readXML(document)
	if err != nil {
		return nil, &Error{Operation: -1, Failed: true, Text: "is for a document that is no XML"}
	}
	operations := changes.Root().ChildElements()
	switch {
	case len(operations) == 0:
		return nil, &Error{Operation: -1, Text: "has no operations"}
	case len(operations) > mostOperations:
		return nil, &Error{Operation: -1, Text: "has more than 1000 operations"}
	}
	w := workOf(ctx)
	for i, o := range operations {
		s, err := w.selectorOf(o)
		if err != nil && w.err == nil {
			return nil, &Error{Operation: i, Text: err.Error()}
		}
		if err == nil {
			err = w.do(s, doc, o)
		}
		if err != nil || w.err != nil {
			return nil, w.because(i, err)
		}
	}
	out, err := doc.WriteToBytes()
	if err != nil {
		return nil, &Error{Operation: -1, Failed: true, Text: "leaves what cannot be written"}
	}
	return out, nil
}

// deepestXML is how deep a patch or document may nest.
const deepestXML = 200

// readXML reads a document that has one root, no type declaration and no depth
// that its readers could not bear.
func readXML(data []byte) (*etree.Document, error) {
	broken := errors.New("is no well-formed XML")
	d := xml.NewDecoder(bytes.NewReader(data))
	for depth := 0; ; {
		from := d.InputOffset()
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, broken
		}
		if fhirxml.NoCharacter(t, data[from:d.InputOffset()]) {
			return nil, broken
		}
		switch t.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		case xml.Directive:
			return nil, errors.New("has a document type declaration")
		}
		if depth > deepestXML {
			return nil, errors.New("is nested too deep")
		}
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(data); err != nil || doc.Root() == nil {
		return nil, broken
	}
	return doc, nil
}

// A target is one node: an element, an attribute of it, or a text or comment
// below it.
type target struct {
	element   *etree.Element
	attribute string
	token     etree.Token
}

var (
	errSelect   = errors.New("has a sel that is no path of elements, attributes and texts")
	errOneNode  = errors.New("has a sel that does not find exactly one node")
	errOneChild = errors.New("does not hold exactly what it would put there")
)

// do does one operation.
func (w *work) do(s *selector, doc *etree.Document, o *etree.Element) error {
	found := w.find(s, &doc.Element)
	if len(found) != 1 || w.err != nil {
		return errOneNode
	}
	t := found[0]
	switch o.Tag {
	case "add":
		return w.add(t, o)
	case "replace":
		return w.replace(t, o)
	}
	return w.removeNode(t, o.SelectAttrValue("ws", ""))
}

func (w *work) add(t target, o *etree.Element) error {
	kind, pos := o.SelectAttrValue("type", ""), o.SelectAttrValue("pos", "")
	if kind != "" {
		name, attribute := strings.CutPrefix(kind, "@")
		prefix, namespace := strings.CutPrefix(kind, "namespace::")
		if namespace {
			name = "xmlns:" + prefix
		}
		if !attribute && !namespace || t.attribute != "" || t.token != nil || t.element.SelectAttr(name) != nil {
			return errOneChild
		}
		t.element.CreateAttr(name, o.Text())
		return nil
	}
	if t.attribute != "" {
		return errOneChild
	}
	parent, at := t.element, len(t.element.Child)
	switch {
	case pos == "prepend" && t.token == nil:
		at = 0
	case pos == "before" || pos == "after":
		if t.token == nil {
			parent, at = t.element.Parent(), t.element.Index()
		} else {
			at = t.token.Index()
		}
		if parent.Parent() == nil && parent.Tag == "" {
			return errors.New("adds beside the root")
		}
		if pos == "after" {
			at++
		}
	case pos != "" || t.token != nil:
		return errors.New("has a pos that is not prepend, before or after")
	}
	w.insert(parent, at, w.content(o))
	return nil
}

// insert puts nodes among the children of an element.
func (w *work) insert(parent *etree.Element, at int, nodes []etree.Token) {
	after := w.taken(parent, at)
	for _, list := range [][]etree.Token{nodes, after} {
		for _, n := range list {
			parent.AddChild(n)
		}
	}
}

// taken takes the children of an element from an index on away, the last first:
// none of the others has to move up.
func (w *work) taken(e *etree.Element, from int) []etree.Token {
	out := make([]etree.Token, len(e.Child)-from)
	w.take(2 * len(out))
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = e.RemoveChildAt(from + i)
	}
	return out
}

// content is what an operation holds, to be put elsewhere: names keep their
// namespaces.
func (w *work) content(o *etree.Element) []etree.Token {
	w.named(o)
	out := w.taken(o.Copy(), 0)
	return slices.DeleteFunc(out, func(child etree.Token) bool {
		c, ok := child.(*etree.CharData)
		return ok && c.IsWhitespace()
	})
}

// named writes down at each element of an operation which namespace its name is
// of, where that is said by the patch around it.
func (w *work) named(o *etree.Element) {
	for _, child := range o.ChildElements() {
		key := "xmlns"
		if child.Space != "" {
			key = "xmlns:" + child.Space
		}
		if child.SelectAttr(key) == nil {
			if uri := w.scope(o, child.Space); uri != "" {
				child.CreateAttr(key, uri)
			}
		}
	}
}

// scope is the namespace of a prefix where an operation stands; that of FHIR is
// called f where nobody says otherwise.
func (w *work) scope(o *etree.Element, prefix string) string {
	for e := o; e != nil && w.take(1+len(e.Attr)); e = e.Parent() {
		for _, a := range e.Attr {
			if prefix == "" && a.Space == "" && a.Key == "xmlns" || prefix != "" && a.Space == "xmlns" && a.Key == prefix {
				return a.Value
			}
		}
	}
	if prefix == "f" {
		return "http://hl7.org/fhir"
	}
	return ""
}

func (w *work) replace(t target, o *etree.Element) error {
	children := w.content(o)
	switch {
	case t.attribute != "":
		if len(o.ChildElements()) > 0 {
			return errOneChild
		}
		t.element.CreateAttr(t.attribute, o.Text())
		return nil
	case len(children) > 1 || len(children) == 0 && t.token == nil:
		return errOneChild
	case len(children) == 0:
		return w.removeNode(t, "")
	}
	parent, at := t.element.Parent(), t.element.Index()
	if t.token != nil {
		parent, at = t.element, t.token.Index()
	}
	if kindOf(parent.Child[at]) != kindOf(children[0]) {
		return errOneChild
	}
	after := w.taken(parent, at)
	after[0] = children[0]
	w.insert(parent, at, after)
	return nil
}

func kindOf(t etree.Token) string {
	switch t.(type) {
	case *etree.Element:
		return "element"
	case *etree.CharData:
		return "text"
	case *etree.Comment:
		return "comment"
	}
	return ""
}

// remove takes the node away, and white space beside it when ws says so.
func (w *work) removeNode(t target, ws string) error {
	if t.attribute != "" {
		t.element.RemoveAttr(t.attribute)
		return nil
	}
	parent, at := t.element.Parent(), t.element.Index()
	if t.token != nil {
		parent, at = t.element, t.token.Index()
	}
	if parent == nil || parent.Tag == "" {
		return errors.New("removes the root")
	}
	w.take(len(parent.Child) - at)
	parent.RemoveChildAt(at)
	blank := func(i int) bool {
		if i < 0 || i >= len(parent.Child) {
			return false
		}
		c, ok := parent.Child[i].(*etree.CharData)
		return ok && c.IsWhitespace()
	}
	switch ws {
	case "", "before", "after", "both":
	default:
		return errors.New("has a ws that is not before, after or both")
	}
	if (ws == "after" || ws == "both") && blank(at) {
		parent.RemoveChildAt(at)
	}
	if (ws == "before" || ws == "both") && blank(at-1) {
		parent.RemoveChildAt(at - 1)
	}
	return nil
}
