// Package format is how what is sent to the FHIR API and what it answers is
// written: JSON and XML, by media types (http.html#mime-type of R4).
package format

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/xml"
)

// A Format is how an answer is written.
type Format struct {
	XML    bool
	Pretty bool
	// Media is the type the answer is named with: the one that was asked for.
	Media string
}

// medias are the types that are read and written, the ones FHIR names first
// (http.html#mime-type).
var medias = []string{"application/fhir+json", "application/json", "text/json", "application/fhir+xml", "application/xml", "text/xml"}

// Medias are the types that are read and written, the ones FHIR names first.
func Medias() []string { return slices.Clone(medias) }

// Default is the format where none is asked for.
func Default() Format { return Format{Media: medias[0]} }

// IsXML reports whether a media type is of XML.
func IsXML(media string) bool { return strings.HasSuffix(media, "xml") }

// ErrNotAcceptable is that none of the formats that are asked for is served.
var ErrNotAcceptable = errors.New("only application/fhir+json and application/fhir+xml of FHIR 4.0 are served")

// Negotiate finds the format of an answer by Accept, else by that of what was
// sent.
func Negotiate(accept, sent string) (Format, error) {
	f := Default()
	if strings.TrimSpace(accept) == "" {
		if media, _, ok := MediaOf(sent); ok && IsXML(media) {
			f.XML, f.Media = true, media
		}
		return f, nil
	}
	media, ok := best(accept)
	if !ok {
		return f, ErrNotAcceptable
	}
	f.XML, f.Media = IsXML(media), media
	return f, nil
}

// Ask takes the value of _format: a media type or its short form.
func (f *Format) Ask(asked string) error {
	asked = strings.ReplaceAll(strings.TrimSpace(asked), " ", "+") // a + that was not escaped
	switch strings.ToLower(asked) {
	case "json":
		f.XML, f.Media = false, "application/fhir+json"
		return nil
	case "xml":
		f.XML, f.Media = true, "application/fhir+xml"
		return nil
	}
	media, params, ok := MediaOf(strings.ReplaceAll(asked, ";+", ";"))
	if !ok || !Fourth(params) {
		return ErrNotAcceptable
	}
	f.XML, f.Media = IsXML(media), media
	return nil
}

// MediaOf reads a media type that is one of ours.
func MediaOf(text string) (media string, params map[string]string, ok bool) {
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

// Fourth reports whether a media type is of no other release than R4
// (http.html#version-parameter).
func Fourth(params map[string]string) bool {
	v, said := params["fhirversion"]
	return !said || v == "4.0"
}

// best is the type of ours that Accept likes best; of equals the one it names
// the most closely, then the first of ours (RFC 9110, 12.5.1).
func best(accept string) (string, bool) {
	chosen, most, closest := "", 0.0, 0
	for _, m := range medias {
		q, near := Quality(accept, m)
		if q > most || (q == most && q > 0 && near > closest) {
			chosen, most, closest = m, q, near
		}
	}
	return chosen, chosen != ""
}

// Quality is the weight Accept gives to a type, and how closely the range is
// that says so: 1 for all types, 2 for all of a kind, 3 for the type itself.
func Quality(accept, media string) (q float64, closest int) {
	kind, _, _ := strings.Cut(media, "/")
	for part := range strings.SplitSeq(accept, ",") {
		name, params, err := mime.ParseMediaType(part)
		if err != nil || !Fourth(params) {
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

// Parse reads what was sent under a media type. The error says what is wrong with
// it, and holds nothing of it.
func Parse(data []byte, media string) (*fhir.Node, error) {
	if IsXML(media) {
		n, err := xml.Parse(data)
		if err != nil {
			return nil, errors.New("the body is no FHIR XML: " + err.Error())
		}
		return n, nil
	}
	n, err := fhir.Parse(bytes.TrimPrefix(data, []byte(mark)))
	if err != nil {
		return nil, errors.New("the body is not JSON: " + err.Error())
	}
	if n.Kind != fhir.Object {
		return nil, errors.New("the body is no JSON object")
	}
	return n, nil
}

// ErrNoXML is wrapped by the error of what has no form in XML.
var ErrNoXML = errors.New("the answer has no form in XML, ask for JSON")

// Encode writes an answer, which is there in JSON.
func (f Format) Encode(body []byte) ([]byte, error) {
	if !f.XML && !f.Pretty {
		return body, nil
	}
	n, err := fhir.Parse(body)
	if err != nil {
		return nil, err
	}
	if !f.XML {
		return append(n.AppendIndent(make([]byte, 0, 2*len(body)), ""), '\n'), nil
	}
	write := xml.Append
	if f.Pretty {
		write = xml.AppendIndent
	}
	out, err := write(make([]byte, 0, 2*len(body)), n)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoXML, err)
	}
	return out, nil
}
