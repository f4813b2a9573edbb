package rest

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/plexus-health/plexus/fhir"
)

// holdBack is how much of a Bundle is kept before the first byte goes out: until
// then a fault can be answered as one.
const holdBack = 256 << 10

// A stream is a Bundle on its way to the client: what has gone out is not kept,
// so that memory does not grow with it.
type stream struct {
	c       *call
	out     []byte
	entries int
	end     string
}

// stream begins a Bundle by all of it but its entries.
func (c *call) stream(head *fhir.Node) (*stream, error) {
	text, err := c.encode(head.AppendJSON(nil))
	if err != nil {
		return nil, err
	}
	s := &stream{c: c}
	switch {
	case c.format.xml && c.format.pretty:
		s.end = "\n</Bundle>\n"
	case c.format.xml:
		s.end = "</Bundle>"
	case c.format.pretty:
		s.end = "\n}\n"
	default:
		s.end = "}"
	}
	s.out = append(s.out, bytes.TrimSuffix(text, []byte(s.end))...)
	return s, nil
}

// entry adds an entry.
func (s *stream) entry(e *fhir.Node) error {
	var err error
	switch f := s.c.format; {
	case f.xml:
		err = s.element(e)
	case f.pretty:
		err = s.indented(e)
	default:
		s.out = append(s.out, s.between(`,"entry":[`, `,`)...)
		s.out = e.AppendJSON(s.out)
	}
	s.entries++
	switch {
	case err != nil:
		return err
	case s.c.bundled && len(s.out) > s.c.room:
		return tooMuch()
	case s.c.bundled || len(s.out) < holdBack:
		return nil
	}
	return s.send()
}

func (s *stream) between(first, others string) string {
	if s.entries == 0 {
		return first
	}
	return others
}

func (s *stream) indented(e *fhir.Node) error {
	n, err := fhir.Parse(e.AppendJSON(nil)) // what is in it as text too
	if err != nil {
		return err
	}
	s.out = append(s.out, s.between(",\n  \"entry\": [", ",")...)
	s.out = n.AppendIndent(append(s.out, "\n    "...), "    ")
	return nil
}

// element adds an entry in XML: what stands around it in a Bundle that has this
// one only is left away.
func (s *stream) element(e *fhir.Node) error {
	b := newBundle("collection")
	b.Set("entry", &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{e}})
	text, err := s.c.encode(b.AppendJSON(nil))
	if err != nil {
		return err
	}
	begin := "<entry>"
	if s.c.format.pretty {
		begin = "\n  <entry>"
	}
	if at := bytes.Index(text, []byte(begin)); at >= 0 {
		s.out = append(s.out, bytes.TrimSuffix(text[at:], []byte(s.end))...)
	}
	return nil
}

// close ends the Bundle.
func (s *stream) close() error {
	if s.entries > 0 && !s.c.format.xml {
		if s.c.format.pretty {
			s.out = append(s.out, "\n  ]"...)
		} else {
			s.out = append(s.out, ']')
		}
	}
	s.out = append(s.out, s.end...)
	if !s.c.started {
		s.c.w.Header().Set("Content-Length", strconv.Itoa(len(s.out)))
	}
	return s.send()
}

// send lets what there is go out.
func (s *stream) send() error {
	if s.c.r.Context().Err() != nil {
		return errLeft
	}
	if !s.c.started {
		s.c.started = true
		s.c.w.Header().Set("Content-Type", s.c.format.media+"; charset=utf-8")
		s.c.w.WriteHeader(http.StatusOK)
	}
	if s.c.r.Method != http.MethodHead {
		if _, err := s.c.w.Write(s.out); err != nil {
			return errLeft
		}
	}
	s.out = s.out[:0]
	return nil
}
