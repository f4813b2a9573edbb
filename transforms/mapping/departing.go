package mapping

import (
	"net/url"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/transforms"
)

var _ transforms.Outbound = (*Output)(nil)

// uriSystem is that of identifiers that are URIs themselves (R4, identifier-registry).
const uriSystem = "urn:ietf:rfc:3986"

// Departing appends the transaction for another server as JSON. Nobody answers
// for that server that it got the transaction once: what has no identifier that
// names it there (Bundle) gets one of its own, which its `ifNoneExist` asks for
// (R4, http.html#ccreate). The identifier is made of what names the resource here,
// such as the filler's number and the code, and of what is said of it: said once
// more it is not made again, a corrected result is told.
func (o *Output) Departing(dst []byte) []byte {
	bundle := o.Bundle()
	entries := bundle.Get("entry")
	if entries == nil {
		return bundle.AppendJSON(dst)
	}
	for i, entry := range entries.Items {
		d, request := &o.drafts[i], entry.Get("request")
		if request.Get("ifNoneExist") != nil || !identifiable(d) {
			continue
		}
		uri := stateOf(d)
		tree := d.Tree.Clone() // the draft goes on without it
		identify(tree, uri)
		entry.Set("resource", tree)
		request.Set("ifNoneExist", fhir.Text("identifier="+url.QueryEscape(fhir.Token(uriSystem, uri))))
	}
	return bundle.AppendJSON(dst)
}

// identifiable reports whether a resource can bear an identifier more and is
// found by it.
func identifiable(d *fhir.Draft) bool {
	typ, ok := definitions.Resource(d.Type)
	if !ok {
		return false
	}
	element, _, ok := typ.Child("", "identifier")
	_, searched := definitions.FindParam(d.Type, "identifier")
	return ok && searched && element.Repeats()
}

// directory are the types of which many messages say the same again and again.
// Of others the time makes a state another one: a result that is corrected and
// corrected back is told three times.
var directory = map[string]bool{
	"Practitioner": true, "PractitionerRole": true, "Organization": true, "Location": true, "HealthcareService": true,
}

// stateOf names what a message says of a resource: the name of the resource, the
// time the sender gives to this state, and the content.
func stateOf(d *fhir.Draft) string {
	key := appendPart(nil, d.URN)
	at := ""
	if !directory[d.Type] {
		at = d.SourceAt.UTC().Format(time.RFC3339Nano)
	}
	key = appendPart(key, at)
	return urnOf(string(appendPart(key, string(d.Tree.AppendJSON(nil)))))
}

// identify adds the identifier, after those the message gave.
func identify(tree *fhir.Node, uri string) {
	i := fhir.NewObject()
	i.Set("use", fhir.Text("secondary"))
	i.Set("system", fhir.Text(uriSystem))
	i.Set("value", fhir.Text(uri))
	all := &fhir.Node{Kind: fhir.Array}
	if had := tree.Get("identifier"); had != nil {
		all.Items = append(all.Items, had.Items...)
	}
	all.Items = append(all.Items, i)
	tree.Set("identifier", all)
}
