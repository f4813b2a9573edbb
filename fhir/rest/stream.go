package rest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/format"
	"github.com/plexus-health/plexus/fhir/xml"
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

// entry adds an entry. Of what has no form in XML it says so in its place: the
// others go out all the same.
func (s *stream) entry(e *fhir.Node) error {
	err := s.Entry(e)
	if errors.Is(err, format.ErrNoXML) {
		err = s.Entry(inJSONOnly(e, err))
	}
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

// inJSONOnly is an entry whose resource XML cannot hold, without it. What was found
// is named; what answers a request says what came of it, a read that it failed.
func inJSONOnly(e *fhir.Node, cause error) *fhir.Node {
	f := &fault{http.StatusOK, "not-supported", "", "the resource has no form in XML, ask for JSON"}
	if wrong, ok := errors.AsType[*xml.Error](cause); ok {
		_, below, _ := strings.Cut(wrong.Where, ".resource.")
		f.text += ": " + strings.TrimSpace(below+" "+wrong.Text)
	}
	response := e.Get("response")
	if response == nil { // of a search
		if parts := strings.Split(text(e, "fullUrl"), "/"); len(parts) > 2 {
			f.text = strings.Join(parts[len(parts)-2:], "/") + ": " + f.text
		}
		return remark(f.code, f.text)
	}
	out, told := fhir.NewObject(), fhir.NewObject()
	if full := e.Get("fullUrl"); full != nil {
		out.Set("fullUrl", full)
	}
	if request := e.Get("request"); request != nil {
		out.Set("request", request)
	}
	for _, m := range response.Members {
		told.Set(m.Name, m.Value)
	}
	if e.Get("request") == nil && response.Get("location") == nil {
		f.status = http.StatusNotAcceptable
		told.Set("status", fhir.Text("406 Not Acceptable"))
	}
	told.Set("outcome", outcome(faults{f}))
	out.Set("response", told)
	return out
}
