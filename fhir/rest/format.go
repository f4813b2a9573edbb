package rest

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/xml"
)

// A format is how an answer is written.
type format struct {
	xml    bool
	pretty bool
	// media is the type the answer is named with: the one that was asked for.
	media string
}

// medias are the types that are read and written, the ones FHIR names first
// (http.html#mime-type).
var medias = []string{"application/fhir+json", "application/json", "text/json", "application/fhir+xml", "application/xml", "text/xml"}

func isXML(media string) bool { return strings.HasSuffix(media, "xml") }

func notAcceptable() error {
	return &fault{http.StatusNotAcceptable, "not-supported", "", "only application/fhir+json and application/fhir+xml of FHIR 4.0 are served"}
}

// negotiate finds the format of the answer: _format, else Accept, else that of
// what was sent. What cannot be served is refused in JSON.
func (c *call) negotiate() error {
	c.format = format{media: medias[0]}
	query := c.r.URL.Query()
	c.format.pretty = query.Get("_pretty") == "true"
	if asked := query.Get("_format"); asked != "" {
		return c.formatOf(asked)
	}
	accept := strings.Join(c.r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		if media, _, ok := mediaOf(c.r.Header.Get("Content-Type")); ok && isXML(media) {
			c.format.xml, c.format.media = true, media
		}
		return nil
	}
	media, ok := best(accept)
	if !ok {
		return notAcceptable()
	}
	c.format.xml, c.format.media = isXML(media), media
	return nil
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
		c.format.pretty = true
	}
	if asked := c.r.PostForm.Get("_format"); asked != "" && !c.bundled {
		return c.formatOf(asked)
	}
	return nil
}

// formatOf takes the value of _format: a media type or its short form.
func (c *call) formatOf(asked string) error {
	asked = strings.ReplaceAll(strings.TrimSpace(asked), " ", "+") // a + that was not escaped
	switch strings.ToLower(asked) {
	case "json":
		c.format.xml, c.format.media = false, "application/fhir+json"
		return nil
	case "xml":
		c.format.xml, c.format.media = true, "application/fhir+xml"
		return nil
	}
	media, params, ok := mediaOf(strings.ReplaceAll(asked, ";+", ";"))
	if !ok || !fourth(params) {
		return notAcceptable()
	}
	c.format.xml, c.format.media = isXML(media), media
	return nil
}

// mediaOf reads a media type that is one of ours.
func mediaOf(text string) (media string, params map[string]string, ok bool) {
	media, params, err := mime.ParseMediaType(text)
	if err != nil {
		return "", nil, false
	}
	for _, m := range medias {
		if m == media {
			return m, params, true
		}
	}
	return "", nil, false
}

// fourth reports whether a media type is of no other release than R4
// (http.html#version-parameter).
func fourth(params map[string]string) bool {
	v, said := params["fhirversion"]
	return !said || v == "4.0"
}

// best is the type of ours that Accept likes best; of equals the one it names
// the most closely, then the first of ours (RFC 9110, 12.5.1).
func best(accept string) (string, bool) {
	chosen, most, closest := "", 0.0, 0
	for _, m := range medias {
		q, near := quality(accept, m)
		if q > most || (q == most && q > 0 && near > closest) {
			chosen, most, closest = m, q, near
		}
	}
	return chosen, chosen != ""
}

// quality is the weight Accept gives to a type, and how closely the range is
// that says so: 1 for all types, 2 for all of a kind, 3 for the type itself.
func quality(accept, media string) (q float64, closest int) {
	kind, _, _ := strings.Cut(media, "/")
	for part := range strings.SplitSeq(accept, ",") {
		name, params, err := mime.ParseMediaType(part)
		if err != nil || !fourth(params) {
			continue
		}
		near := 0
		switch name {
		case "*/*":
			near = 1
		case kind + "/*":
			near = 2
		case media:
			near = 3
		}
		if near == 0 || near < closest {
			continue
		}
		weight := 1.0
		if text, ok := params["q"]; ok {
			if weight, err = strconv.ParseFloat(text, 64); err != nil || !(weight >= 0 && weight <= 1) {
				continue
			}
		}
		if near > closest {
			q, closest = weight, near
		} else {
			q = max(q, weight)
		}
	}
	return q, closest
}

// mark is the byte order mark, which RFC 8259, 8.1 lets a reader pass over.
const mark = "\xef\xbb\xbf"

// parse reads what was sent, as Content-Type says.
func (c *call) parse(data []byte, media string) (*fhir.Node, error) {
	if isXML(media) {
		n, err := xml.Parse(data)
		if err != nil {
			return nil, &fault{http.StatusBadRequest, "structure", "", "the body is no FHIR XML: " + err.Error()}
		}
		return n, nil
	}
	n, err := fhir.Parse(bytes.TrimPrefix(data, []byte(mark)))
	if err != nil {
		return nil, &fault{http.StatusBadRequest, "structure", "", "the body is not JSON: " + err.Error()}
	}
	if n.Kind != fhir.Object {
		return nil, &fault{http.StatusBadRequest, "structure", "", "the body is no JSON object"}
	}
	return n, nil
}

// encode writes an answer, which is there in JSON, as it was asked for.
func (c *call) encode(body []byte) ([]byte, error) {
	if !c.format.xml && !c.format.pretty {
		return body, nil
	}
	n, err := fhir.Parse(body)
	if err != nil {
		return nil, err
	}
	if !c.format.xml {
		return append(n.AppendIndent(make([]byte, 0, 2*len(body)), ""), '\n'), nil
	}
	write := xml.Append
	if c.format.pretty {
		write = xml.AppendIndent
	}
	out, err := write(make([]byte, 0, 2*len(body)), n)
	if err != nil {
		return nil, &fault{http.StatusNotAcceptable, "not-supported", "", "the answer has no form in XML, ask for JSON: " + err.Error()}
	}
	return out, nil
}
