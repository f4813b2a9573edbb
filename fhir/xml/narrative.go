package xml

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

var (
	errNoXHTML = errors.New("is not well-formed XHTML")
	errHalf    = errors.New(half)
	errNoDiv   = errors.New("is not one div with elements of XHTML only")
)

// div checks the text of a narrative by itself and returns it as XML may hold
// it: with its namespace, and without the entities that only HTML has.
func div(text string) (string, error) {
	text = entities(lines.Replace(strings.TrimSpace(text)))
	d := xml.NewDecoder(strings.NewReader(text))
	deep, space := 0, ""
	for begun := false; ; {
		from := d.InputOffset()
		t, err := d.Token()
		if err == io.EOF && begun && deep == 0 { //nolint:errorlint // the decoder returns it as it is
			break
		}
		if err != nil {
			return "", errNoXHTML
		}
		if NoCharacter(t, []byte(text[from:d.InputOffset()])) {
			return "", errHalf
		}
		switch t := t.(type) {
		case xml.StartElement:
			if !begun {
				space = t.Name.Space
			}
			if deep == 0 && (begun || t.Name.Local != "div") || t.Name.Space != space || deep >= maxDepth {
				return "", errNoDiv
			}
			begun = true
			deep++
		case xml.EndElement:
			deep--
		case xml.CharData:
			if deep == 0 {
				return "", errNoDiv
			}
		case xml.Directive, xml.ProcInst:
			return "", errNoDiv
		}
	}
	switch space {
	case xhtml:
		return text, nil
	case "": // taken in JSON from everybody, but in XML it would be an element of FHIR
		if rest, ok := strings.CutPrefix(text, "<div"); ok {
			return `<div xmlns="` + xhtml + `"` + rest, nil
		}
	}
	return "", errNoDiv
}

// entities replaces the named characters of HTML, which XML does not know.
func entities(text string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(text, "&")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, rest, whole := strings.Cut(after[:min(len(after), 12)], ";")
		switch c, known := xml.HTMLEntity[name]; {
		case !whole || !known || name == "amp" || name == "lt" || name == "gt" || name == "quot":
			b.WriteByte('&')
			text = after
		default:
			b.WriteString(c)
			text = rest + after[min(len(after), 12):]
		}
	}
}
