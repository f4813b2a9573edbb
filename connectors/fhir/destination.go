package fhir

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/validate"
	"github.com/plexus-health/plexus/message"
)

// A Destination writes each delivery to a FHIR server.
type Destination struct {
	options DestinationOptions
	client  *web.Client
}

var _ connectors.Destination = (*Destination)(nil)

// Send sends the payload as it stands, by the interaction that fits it.
// Idempotency-Key names the delivery, so that a server that knows the header
// answers a repeat as it answered before.
func (d *Destination) Send(ctx context.Context, del *message.Delivery) (message.Reply, error) {
	request, err := d.request(del)
	if err != nil {
		return message.Reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.options.Connect+d.options.Timeout)
	defer cancel()
	answer, err := d.client.Do(ctx, request)
	reply := message.Reply{Raw: answer.Body}
	if err != nil {
		return reply, err
	}
	if err := d.classify(answer); err != nil {
		return reply, err
	}
	reply.Answer.Code = message.Accepted
	return reply, nil
}

// Close ends the connections.
func (d *Destination) Close() error {
	d.client.Close()
	return nil
}

// refused is a failure before anything is sent: sending it again will not help.
func refused(text string) error {
	return &message.Failure{Kind: message.RefusedSend, Err: errors.New(text)}
}

// request makes the request of a delivery (FHIR R4, 3.1.0).
func (d *Destination) request(del *message.Delivery) (web.Request, error) {
	tree, err := fhir.Parse(del.Payload)
	if err != nil || tree.Kind != fhir.Object {
		return web.Request{}, refused("what is to be sent is no JSON object")
	}
	t, fault := validate.Type(tree)
	if fault != nil {
		return web.Request{}, refused("what is to be sent is no FHIR resource: " + fault.Text)
	}
	base := strings.TrimSuffix(d.options.Base, "/")
	r := web.Request{Method: http.MethodPost, URL: base + "/" + t.Name, Body: del.Payload, Header: map[string]string{
		"Content-Type": "application/fhir+json", "Accept": "application/fhir+json", "Prefer": "return=OperationOutcome",
		"Idempotency-Key": del.ID, "User-Agent": "plexus",
	}}
	id, bundled := member(tree, "id"), member(tree, "type")
	what := d.options.Interaction
	if what == auto {
		switch {
		case t.Name == "Bundle" && (bundled == "transaction" || bundled == "batch"):
			what = transaction
		case id != "":
			what = update
		default:
			what = create
		}
	}
	switch what {
	case transaction:
		if t.Name != "Bundle" || (bundled != "transaction" && bundled != "batch") {
			return r, refused("what is to be sent is no Bundle of type transaction or batch")
		}
		r.URL = base
		return r, nil
	case update:
		if !validate.ID(id) {
			return r, refused("the resource has no id to be updated by")
		}
		r.Method, r.URL = http.MethodPut, r.URL+"/"+id
		return r, nil
	}
	return d.conditional(r, tree, what, del)
}

// conditional makes a create, or an interaction that a search decides. A create
// that may have been sent before becomes one that only makes what is not there,
// if the resource has an identifier to tell by.
func (d *Destination) conditional(r web.Request, tree *fhir.Node, what string, del *message.Delivery) (web.Request, error) {
	identifier := firstIdentifier(tree)
	if identifier == "" {
		if what == create {
			return r, nil
		}
		return r, refused("the resource has no identifier to be found by")
	}
	search := strings.ReplaceAll(d.options.Match, "{identifier}", url.QueryEscape(identifier))
	switch {
	case what == conditionalUpdate:
		r.Method, r.URL = http.MethodPut, r.URL+"?"+search
	case what == conditionalCreate || del.MaybeSent:
		r.Header["If-None-Exist"] = search
	}
	return r, nil
}

func member(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil && v.Kind == fhir.String {
		return v.Text
	}
	return ""
}

// firstIdentifier is the first identifier as system|value.
func firstIdentifier(n *fhir.Node) string {
	list := n.Get("identifier")
	if list == nil {
		return ""
	}
	items := list.Items
	if list.Kind == fhir.Object {
		items = []*fhir.Node{list}
	}
	for _, i := range items {
		if i.Kind == fhir.Object && member(i, "value") != "" {
			return member(i, "system") + "|" + member(i, "value")
		}
	}
	return ""
}

// classify is the class of an answer: by its status, and of a batch by the
// statuses of its entries. 412 and 409 say that another state is there.
func (d *Destination) classify(a web.Answer) error {
	tree, err := fhir.Parse(a.Body)
	if err != nil {
		tree = nil
	}
	if err := d.client.Classify(a); err != nil {
		return explained(err, issues(tree))
	}
	if tree == nil || member(tree, "resourceType") != "Bundle" {
		return nil
	}
	entries := tree.Get("entry")
	if entries == nil {
		return nil
	}
	for i, e := range entries.Items {
		response := e.Get("response")
		if response == nil || response.Kind != fhir.Object {
			continue
		}
		status := 0
		if _, err := fmt.Sscanf(member(response, "status"), "%3d", &status); err != nil || status == 0 {
			continue
		}
		if err := d.client.Classify(web.Answer{Status: status, Header: http.Header{}}); err != nil {
			return explained(err, fmt.Sprintf("entry[%d]%s", i, issues(response.Get("outcome"))))
		}
	}
	return nil
}

// explained adds places to a failure.
func explained(err error, where string) error {
	f, ok := errors.AsType[*message.Failure](err)
	if !ok || where == "" {
		return err
	}
	more := *f
	more.Err = fmt.Errorf("%w: %s", f.Err, strings.TrimSpace(where))
	return &more
}

// issues are the codes and places of an OperationOutcome. Its texts stay out:
// they may quote values.
func issues(n *fhir.Node) string {
	if n == nil || n.Kind != fhir.Object || member(n, "resourceType") != "OperationOutcome" || n.Get("issue") == nil {
		return ""
	}
	text := ""
	for i, issue := range n.Get("issue").Items {
		if i == 5 || issue.Kind != fhir.Object {
			break
		}
		if code := member(issue, "code"); word(code) {
			text += " " + code
		}
		if places := issue.Get("expression"); places != nil {
			for _, p := range places.Items {
				if p.Kind == fhir.String && place(p.Text) {
					text += " at " + p.Text
				}
			}
		}
	}
	return text
}

// word reports whether a text is a code of issue-type: lower-case words.
func word(text string) bool {
	return text != "" && len(text) < 30 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz-") == ""
}

// place reports whether a text is a plain FHIRPath of elements that FHIR has.
func place(text string) bool {
	if len(text) > 200 {
		return false
	}
	for part := range strings.SplitSeq(text, ".") {
		name, _, _ := strings.Cut(part, "[")
		if rest := strings.Trim(part[len(name):], "[]0123456789"); name == "" || rest != "" || !validate.Known(name) {
			return false
		}
	}
	return true
}
