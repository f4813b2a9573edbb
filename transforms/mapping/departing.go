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
		uri := o.stateOf(d)
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

// stateOf names what a message says of a resource: the name of the resource, the
// time the sender gives to this state, and the content. So a result that is
// corrected and corrected back is told three times. What many messages share,
// such as an organization without an identifier, is named by the message instead:
// of two that come there at once a server may make two, and would then find
// several for every later one that asks.
func (o *Output) stateOf(d *fhir.Draft) string {
	when := d.SourceAt.UTC().Format(time.RFC3339Nano)
	if fhir.NamedByIdentifier(d.Type) {
		when = string(appendPart([]byte(o.run.senderScope()), o.run.header.Control))
	}
	key := appendPart(appendPart(nil, d.URN), when)
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
