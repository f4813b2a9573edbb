package format

import (
	"bytes"

	"github.com/plexus-health/plexus/fhir"
)

// A Bundle is one that is written entry by entry.
type Bundle struct {
	// Out is what was written; whoever has sent it may empty it.
	Out     []byte
	format  Format
	entries int
	end     string
}

// Bundle begins one by all of it but its entries.
func (f Format) Bundle(head *fhir.Node) (*Bundle, error) {
	text, err := f.Encode(head.AppendJSON(nil))
	if err != nil {
		return nil, err
	}
	b := &Bundle{format: f}
	switch {
	case f.XML && f.Pretty:
		b.end = "\n</Bundle>\n"
	case f.XML:
		b.end = "</Bundle>"
	case f.Pretty:
		b.end = "\n}\n"
	default:
		b.end = "}"
	}
	b.Out = append(b.Out, bytes.TrimSuffix(text, []byte(b.end))...)
	return b, nil
}

// Entry adds an entry.
func (b *Bundle) Entry(e *fhir.Node) error {
	var err error
	switch {
	case b.format.XML:
		err = b.element(e)
	case b.format.Pretty:
		err = b.indented(e)
	default:
		b.Out = append(b.Out, b.between(`,"entry":[`, `,`)...)
		b.Out = e.AppendJSON(b.Out)
	}
	b.entries++
	return err
}

func (b *Bundle) between(first, others string) string {
	if b.entries == 0 {
		return first
	}
	return others
}

func (b *Bundle) indented(e *fhir.Node) error {
	n, err := fhir.Parse(e.AppendJSON(nil)) // what is in it as text too
	if err != nil {
		return err
	}
	b.Out = append(b.Out, b.between(",\n  \"entry\": [", ",")...)
	b.Out = n.AppendIndent(append(b.Out, "\n    "...), "    ")
	return nil
}

// element adds an entry in XML: what stands around it in a Bundle that has this
// one only is left away.
func (b *Bundle) element(e *fhir.Node) error {
	around := fhir.NewObject()
	around.Set("resourceType", fhir.Text("Bundle"))
	around.Set("entry", &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{e}})
	text, err := b.format.Encode(around.AppendJSON(nil))
	if err != nil {
		return err
	}
	begin := "<entry>"
	if b.format.Pretty {
		begin = "\n  <entry>"
	}
	if at := bytes.Index(text, []byte(begin)); at >= 0 {
		b.Out = append(b.Out, bytes.TrimSuffix(text[at:], []byte(b.end))...)
	}
	return nil
}

// Close ends the Bundle.
func (b *Bundle) Close() {
	if b.entries > 0 && !b.format.XML {
		if b.format.Pretty {
			b.Out = append(b.Out, "\n  ]"...)
		} else {
			b.Out = append(b.Out, ']')
		}
	}
	b.Out = append(b.Out, b.end...)
}
