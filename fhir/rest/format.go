package rest

import (
	"errors"
	"mime"
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
// those of the address. A body that is no form is refused: what it asks for would
// be left out, and too much found.
func (c *call) form() error {
	media, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if (err != nil || media != "application/x-www-form-urlencoded") && c.r.ContentLength != 0 {
		return &fault{http.StatusUnsupportedMediaType, "not-supported", "", "Content-Type of a search must be application/x-www-form-urlencoded"}
	}
	if err := unicode(params); err != nil {
		return err
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, 1<<20)
	err = c.r.ParseForm()
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
