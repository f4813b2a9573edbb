package mapping

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/plexus-health/plexus/fhir"
)

// Members that conversions make, and their numbers in every program.
const (
	nameNone int32 = iota
	nameURL
	nameReference
	nameExtension
	nameValueString
	nameSystem
	nameCode
	nameDisplay
	nameCoding
	nameText
	nameValue
	nameUnit
	nameComparator
	nameLow
	nameHigh
	nameStart
	nameEnd
	nameContentType
	nameData
)

// fixedNames are the members that conversions make; a program's names begin
// with them.
func fixedNames() []string {
	return []string{
		"", "url", "reference", "extension", "valueString", "system", "code", "display", "coding", "text",
		"value", "unit", "comparator", "low", "high", "start", "end", "contentType", "data",
	}
}

// startEnd makes a Period of two times.
func startEnd(r *run, _ *val, args []val, obj int32) bool {
	made := false
	for i, name := range [...]int32{nameStart, nameEnd} {
		if i >= len(args) {
			break
		}
		text, ok := dateTimeText(r, &args[i])
		if !ok {
			r.misfit(&args[i], "dateTime")
			continue
		}
		made = r.member(obj, name, fhir.String, text, &args[i]) || made
	}
	return made
}

// unitOf writes the unit of $1, a CWE, into a Quantity.
func unitOf(r *run, args []val, obj int32) {
	if len(args) == 0 {
		return
	}
	code, text, system := args[0].comp(1), args[0].comp(2), args[0].comp(3)
	shown := &text
	if r.text(&text) == "" {
		shown = &code
	}
	r.member(obj, nameUnit, fhir.String, r.text(shown), shown)
	if uri, _ := systemURI(r, &system); uri != "" {
		r.member(obj, nameSystem, fhir.String, uri, &system)
		r.member(obj, nameCode, fhir.String, r.text(&code), &code)
	}
}

// quantity makes a Quantity of a number and the unit handed over.
func quantity(r *run, v *val, args []val, obj int32) bool {
	text, ok := decimal(r, v)
	if !ok || text == "" {
		if !ok {
			r.misfit(v, "decimal")
		}
		return false
	}
	r.member(obj, nameValue, fhir.Number, text, v)
	unitOf(r, args, obj)
	return true
}

// rangeText reads a reference range: low-high, <high, >low; what it cannot
// read stays as text alone.
func rangeText(r *run, v *val, args []val, obj int32) bool {
	rep := v.rep(1)
	text := strings.TrimSpace(whole(&rep))
	if text == "" {
		return false
	}
	low, high := bounds(text)
	for _, side := range [...]struct {
		name int32
		text string
	}{{nameLow, low}, {nameHigh, high}} {
		if side.text == "" {
			continue
		}
		q := r.attach(obj, node{name: side.name, kind: fhir.Object, row: r.row})
		r.member(q, nameValue, fhir.Number, side.text, v)
		unitOf(r, args, q)
	}
	return r.member(obj, nameText, fhir.String, text, v)
}

// bounds are the numbers of a range; empty where there is none.
func bounds(text string) (low, high string) {
	compact := strings.ReplaceAll(text, " ", "")
	switch {
	case strings.HasPrefix(compact, "<="):
		high, _ = jsonNumber(compact[2:])
		return "", high
	case strings.HasPrefix(compact, "<"):
		high, _ = jsonNumber(compact[1:])
		return "", high
	case strings.HasPrefix(compact, ">="):
		low, _ = jsonNumber(compact[2:])
		return low, ""
	case strings.HasPrefix(compact, ">"):
		low, _ = jsonNumber(compact[1:])
		return low, ""
	}
	for i := 1; i < len(compact); i++ {
		if compact[i] != '-' {
			continue
		}
		a, okA := jsonNumber(compact[:i])
		b, okB := jsonNumber(compact[i+1:])
		if okA && okB {
			return a, b
		}
	}
	return "", ""
}

// v2Event is the trigger as a Coding (table 0003).
func v2Event(r *run, v *val, _ []val, obj int32) bool {
	code := *v
	if v.level == fieldLevel || v.level == repLevel {
		code = v.comp(2) // all of MSH-9 was handed over
	}
	if r.text(&code) == "" {
		return false
	}
	r.member(obj, nameSystem, fhir.String, "http://terminology.hl7.org/CodeSystem/v2-0003", &val{constant: true})
	return r.member(obj, nameCode, fhir.String, r.text(&code), &code)
}

// edAttachment is encapsulated data (HL7 v2.5.1, 2A.24): type, subtype,
// encoding, data.
func edAttachment(r *run, v *val, _ []val, obj int32) bool {
	rep := v.rep(1)
	kind, sub, encoding, data := rep.comp(2), rep.comp(3), rep.comp(4), rep.comp(5)
	r.member(obj, nameContentType, fhir.String, mimeOf(r.text(&kind), r.text(&sub)), &kind)
	text := r.text(&data)
	if text == "" {
		return false
	}
	switch strings.ToUpper(r.text(&encoding)) {
	case "BASE64":
		clean, ok := base64Text(r, &data)
		if !ok {
			r.misfit(&data, "base64")
			return false
		}
		return r.member(obj, nameData, fhir.String, clean, &data)
	case "HEX":
		raw, err := hex.DecodeString(text)
		if err != nil {
			r.misfit(&data, "hexadecimal data")
			return false
		}
		return r.member(obj, nameData, fhir.String, base64.StdEncoding.EncodeToString(raw), &data)
	}
	return r.member(obj, nameData, fhir.String, base64.StdEncoding.EncodeToString([]byte(text)), &data)
}

// mimeOf makes a media type of tables 0191 and 0291.
func mimeOf(kind, sub string) string {
	kind, sub = strings.ToLower(kind), strings.ToLower(sub)
	switch {
	case strings.Contains(kind, "/"):
		return kind
	case sub == "":
		return ""
	case sub == "pdf":
		return "application/pdf"
	case kind == "ap", kind == "application", kind == "":
		return "application/" + sub
	case kind == "im", kind == "image":
		return "image/" + sub
	case kind == "au", kind == "audio":
		return "audio/" + sub
	case kind == "tx", kind == "text", kind == "ft":
		return "text/" + sub
	}
	return "application/" + sub
}

// rpAttachment is a reference pointer: the place of the data, not the data.
func rpAttachment(r *run, v *val, _ []val, obj int32) bool {
	rep := v.rep(1)
	pointer, kind, sub := rep.comp(1), rep.comp(3), rep.comp(4)
	r.member(obj, nameContentType, fhir.String, mimeOf(r.text(&kind), r.text(&sub)), &kind)
	return r.member(obj, nameURL, fhir.String, r.text(&pointer), &pointer)
}

// misfit warns that a value does not fit what the row makes of it.
func (r *run) misfit(v *val, what string) {
	r.unfit = v.String()
	r.unfitAt.start, r.unfitAt.end = v.span()
	r.finding("conversion", v, "", "", "is no "+what)
}
