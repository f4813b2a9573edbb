package rest

import (
	"errors"
	"net/http"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/format"
)

// negotiate finds the format of the answer: _format, else Accept, else that of
// what was sent. What cannot be served is refused in JSON.
func (c *call) negotiate() (err error) {
	query := c.r.URL.Query()
	if asked := query.Get("_format"); asked != "" {
		c.format = format.Default()
		err = c.format.Ask(asked)
	} else {
		c.format, err = format.Negotiate(strings.Join(c.r.Header.Values("Accept"), ","), c.r.Header.Get("Content-Type"))
	}
	c.format.Pretty = query.Get("_pretty") == "true"
	return err
}

// form reads the form of a search by POST, whose _format and _pretty count like
// those of the address.
func (c *call) form() error {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, 1<<20)
	err := c.r.ParseForm()
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &fault{http.StatusRequestEntityTooLarge, "too-long", "", "the form is larger than 1 MB"}
	}
	if err != nil {
		return bad("the body is no form")
	}
	if c.r.PostForm.Get("_pretty") == "true" {
		c.format.Pretty = true
	}
	if asked := c.r.PostForm.Get("_format"); asked != "" && !c.bundled {
		return c.format.Ask(asked)
	}
	return nil
}

// parse reads what was sent, as Content-Type says.
func (c *call) parse(data []byte, media string) (*fhir.Node, error) {
	n, err := format.Parse(data, media)
	if err != nil {
		return nil, &fault{http.StatusBadRequest, "structure", "", err.Error()}
	}
	return n, nil
}
