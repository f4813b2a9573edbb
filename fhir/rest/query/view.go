package query

import (
	"net/url"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// A View is what of a resource is shown.
type View struct {
	// Summary is true, text, data, count, false or empty.
	Summary string
	// Elements are those asked for with _elements; empty means all.
	Elements []string
}

// ViewOf reads what of a single resource is asked for: _summary and _elements hold
// for all that answers with resources (http.html#parameters). The error is an *Error.
func ViewOf(typ string, values url.Values) (v View, err error) {
	for _, name := range []string{"_summary", "_elements"} {
		for _, value := range values[name] {
			if err := v.take(typ, name, value); err != nil {
				return v, err
			}
		}
	}
	if v.Summary == "count" {
		return v, bad("_summary=count is for searches")
	}
	return v, nil
}

// take takes one of the parameters.
func (v *View) take(typ, name, value string) error {
	if name == "_summary" {
		v.Summary = value
		return oneOf(name, value, "true", "text", "data", "count", "false")
	}
	for one := range strings.SplitSeq(value, ",") {
		v.Elements = append(v.Elements, strings.TrimPrefix(strings.TrimSpace(one), typ+"."))
	}
	return nil
}

// Of shows a resource; what is left out is said by the tag SUBSETTED
// (search.html#summary).
func (v View) Of(typ string, text []byte) []byte {
	whole := len(v.Elements) == 0 && v.Summary != "true" && v.Summary != "text" && v.Summary != "data"
	t, known := definitions.Lookup(typ)
	if whole || !known {
		return text
	}
	n, err := fhir.Parse(text)
	if err != nil {
		return text // it came from the store and was parsed before
	}
	var keep func(path string) bool
	switch v.Summary {
	case "data":
		keep = func(path string) bool { return path != "text" }
	case "text":
		keep = func(path string) bool { return path == "text" || always(t, path) }
	case "true":
		keep = func(path string) bool { return definitions.InSummary(typ, path) || always(t, path) }
	default:
		keep = func(path string) bool { return slices.Contains(v.Elements, path) || always(t, path) }
	}
	out := shown(t, "", n, keep, v.Summary == "true")
	out.Set("meta", Subsetted(out.Get("meta")))
	return out.AppendJSON(nil)
}

// always reports whether an element is shown in every view: the identity of a
// resource, and what is mandatory or modifies its meaning.
func always(t *definitions.Type, path string) bool {
	switch path {
	case "id", "meta", "implicitRules", "modifierExtension":
		return true
	}
	for i := range t.Elements {
		if e := &t.Elements[i]; e.Path == path {
			return e.Min > 0
		}
	}
	return false
}

// shown copies the elements to keep, with deep also those of the elements below
// that the resource defines itself.
func shown(t *definitions.Type, path string, n *fhir.Node, keep func(string) bool, deep bool) *fhir.Node {
	out := fhir.NewObject()
	for _, m := range n.Members {
		if path == "" && m.Name == "resourceType" {
			out.Members = append(out.Members, m)
			continue
		}
		e, _, ok := t.Child(path, strings.TrimPrefix(m.Name, "_"))
		if !ok {
			continue
		}
		at := e.Path
		if !keep(at) && !keep(strings.TrimSuffix(at, "[x]")) {
			continue
		}
		value := m.Value
		if deep && len(t.Children(at)) > 0 && value != nil {
			value = shownBelow(t, at, value, keep)
		}
		out.Set(m.Name, value)
	}
	return out
}

func shownBelow(t *definitions.Type, path string, n *fhir.Node, keep func(string) bool) *fhir.Node {
	if n.Kind != fhir.Array {
		return shown(t, path, n, keep, true)
	}
	list := &fhir.Node{Kind: fhir.Array}
	for _, item := range n.Items {
		if item.Kind == fhir.Object {
			item = shown(t, path, item, keep, true)
		}
		list.Items = append(list.Items, item)
	}
	return list
}

// Subsetted adds the tag that says that elements are left out.
func Subsetted(meta *fhir.Node) *fhir.Node {
	out := fhir.NewObject()
	tags := &fhir.Node{Kind: fhir.Array}
	if meta != nil {
		out.Members = append(out.Members, meta.Members...)
		if given := meta.Get("tag"); given != nil {
			tags.Items = append(tags.Items, given.Items...)
		}
	}
	tag := fhir.NewObject()
	tag.Set("system", fhir.Text("http://terminology.hl7.org/CodeSystem/v3-ObservationValue"))
	tag.Set("code", fhir.Text("SUBSETTED"))
	tags.Items = append(tags.Items, tag)
	out.Set("tag", tags)
	return out
}
