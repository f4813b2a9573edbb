package fhir

import (
	"github.com/plexus-health/plexus/fhir"
)

// Rebuild appends the document made again from every node of its tree; only the
// white space between the tokens is taken from the bytes as received. A text
// that was written with escapes it does not need comes out without them.
func (d *Document) Rebuild(dst []byte) []byte {
	text, offset := strip(d.raw)
	r := &rebuilder{raw: text, dst: append(dst, d.raw[:offset]...)}
	r.value(d.tree)
	r.space()
	return r.dst
}

type rebuilder struct {
	raw, dst []byte
	at       int
}

// space copies white space.
func (r *rebuilder) space() {
	for r.at < len(r.raw) {
		switch r.raw[r.at] {
		case ' ', '\t', '\r', '\n':
			r.dst = append(r.dst, r.raw[r.at])
			r.at++
		default:
			return
		}
	}
}

// mark writes one of the signs between values.
func (r *rebuilder) mark(c byte) {
	r.space()
	r.dst = append(r.dst, c)
	r.at++
}

// token writes a value without members and passes the one that stands there.
func (r *rebuilder) token(n *fhir.Node) {
	r.space()
	r.dst = n.AppendJSON(r.dst)
	if r.at < len(r.raw) && r.raw[r.at] == '"' {
		for r.at++; r.at < len(r.raw) && r.raw[r.at] != '"'; r.at++ {
			if r.raw[r.at] == '\\' {
				r.at++
			}
		}
		r.at++
		return
	}
	for r.at < len(r.raw) {
		switch r.raw[r.at] {
		case ',', ']', '}', ' ', '\t', '\r', '\n', ':':
			return
		}
		r.at++
	}
}

func (r *rebuilder) value(n *fhir.Node) {
	switch n.Kind {
	case fhir.Object:
		r.mark('{')
		for i := range n.Members {
			if i > 0 {
				r.mark(',')
			}
			r.token(fhir.Text(n.Members[i].Name))
			r.mark(':')
			r.value(n.Members[i].Value)
		}
		r.mark('}')
	case fhir.Array:
		r.mark('[')
		for i, item := range n.Items {
			if i > 0 {
				r.mark(',')
			}
			r.value(item)
		}
		r.mark(']')
	default:
		r.token(n)
	}
}
