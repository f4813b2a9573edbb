package rest

import (
	"net/http"
	"strconv"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/format"
)

// holdBack is how much of a Bundle is kept before the first byte goes out: until
// then a fault can be answered as one.
const holdBack = 256 << 10

// A stream is a Bundle on its way to the client: what has gone out is not kept,
// so that memory does not grow with it.
type stream struct {
	c *call
	*format.Bundle
}

// stream begins a Bundle by all of it but its entries.
func (c *call) stream(head *fhir.Node) (*stream, error) {
	b, err := c.format.Bundle(head)
	return &stream{c, b}, err
}

// entry adds an entry.
func (s *stream) entry(e *fhir.Node) error {
	err := s.Entry(e)
	switch {
	case err != nil:
		return err
	case s.c.bundled && len(s.Out) > s.c.room:
		return tooMuch()
	case s.c.bundled || len(s.Out) < holdBack:
		return nil
	}
	return s.send()
}

// close ends the Bundle.
func (s *stream) close() error {
	s.Close()
	if !s.c.started {
		s.c.w.Header().Set("Content-Length", strconv.Itoa(len(s.Out)))
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
		s.c.w.Header().Set("Content-Type", s.c.format.Media+"; charset=utf-8")
		s.c.w.WriteHeader(http.StatusOK)
	}
	if s.c.r.Method != http.MethodHead {
		if _, err := s.c.w.Write(s.Out); err != nil {
			return errLeft
		}
	}
	s.Out = s.Out[:0]
	return nil
}

// answers are the entries that answer those of a batch or transaction. They go out
// as they are made, but in XML at the end: what has no form in it is answered in
// JSON.
type answers struct {
	c       *call
	s       *stream
	head    *fhir.Node
	entries *fhir.Node
}

func (c *call) answering(kind string) (*answers, error) {
	a := &answers{c: c, head: newBundle(kind), entries: &fhir.Node{Kind: fhir.Array}}
	var err error
	if !c.format.XML {
		a.s, err = c.stream(a.head)
	}
	return a, err
}

// add adds an entry.
func (a *answers) add(e *fhir.Node) error {
	if a.s != nil {
		return a.s.entry(e)
	}
	a.entries.Items = append(a.entries.Items, e)
	return nil
}

// close ends the Bundle.
func (a *answers) close() error {
	if a.s != nil {
		return a.s.close()
	}
	a.head.Set("entry", a.entries)
	a.c.send(http.StatusOK, a.head.AppendJSON(nil))
	return nil
}
