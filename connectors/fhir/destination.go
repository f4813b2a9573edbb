package fhir

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/message"
)

// A Destination sends resources and Bundles to a FHIR server.
type Destination struct {
	options DestinationOptions
	client  *web.Client
	match   match
	now     func() time.Time
}

var _ connectors.Destination = (*Destination)(nil)

// contentType is that of FHIR as JSON (http.html#mime-type).
const contentType = "application/fhir+json"

// Send sends a payload, which is a resource, as its interaction says, and reads
// what the server says of it.
func (d *Destination) Send(ctx context.Context, delivery *message.Delivery) (message.Reply, error) {
	r, err := readResource(delivery.Payload)
	if err != nil {
		return message.Reply{}, &message.Failure{Kind: message.RefusedSend, Err: err}
	}
	whole := r.bundle == "transaction" || r.bundle == "batch"
	interaction := d.interaction(r, whole)
	if interaction == transaction && !whole {
		return message.Reply{}, &message.Failure{Kind: message.RefusedSend, Err: errors.New("the payload is no Bundle of type transaction or batch")}
	}
	request, err := d.request(interaction, r, delivery)
	if err != nil {
		return message.Reply{}, err
	}
	response, err := d.client.Do(ctx, request)
	reply := message.Reply{}
	if response != nil {
		reply.Raw = response.Body
	}
	if err != nil {
		return reply, err
	}
	entries := -1
	if interaction == transaction {
		entries = r.entries
	}
	return d.judge(response, entries)
}

// request is what is sent for a resource.
func (d *Destination) request(interaction string, r *resource, delivery *message.Delivery) (*web.Request, error) {
	h := http.Header{}
	h.Set("Content-Type", contentType)
	h.Set("Accept", contentType)
	h.Set("Prefer", "return=minimal")
	h.Set("Idempotency-Key", web.HeaderText(delivery.ID))
	h.Set("X-Plexus-Control", web.HeaderText(delivery.Control))
	request := &web.Request{Method: http.MethodPost, Header: h, Body: delivery.Payload}
	switch interaction {
	case transaction:
		request.URL = d.client.URL()
	case update:
		if r.id == "" {
			return nil, &message.Failure{Kind: message.RefusedSend, Err: errors.New("the resource has no id, which update needs")}
		}
		request.Method, request.URL = http.MethodPut, d.at(r.typ, r.id)
	case conditionalUpdate:
		search, err := d.match.fill(r)
		if err != nil {
			return nil, err
		}
		request.Method, request.URL = http.MethodPut, d.at(r.typ)
		request.URL.RawQuery = search
	case conditionalCreate:
		search, err := d.match.fill(r)
		if err != nil {
			return nil, err
		}
		request.URL = d.at(r.typ)
		h.Set("If-None-Exist", search)
	default:
		request.URL = d.at(r.typ)
		// A create that may have arrived makes no second resource where an
		// identifier can tell (http.html#ccreate).
		if (delivery.Attempts > 1 || delivery.MaybeSent) && len(r.identifiers) > 0 {
			h.Set("If-None-Exist", "identifier="+url.QueryEscape(r.identifiers[0].token()))
		}
	}
	return request, nil
}

// interaction is what is done with a resource.
func (d *Destination) interaction(r *resource, whole bool) string {
	switch {
	case d.options.Interaction != auto:
		return d.options.Interaction
	case whole:
		return transaction
	case r.id != "":
		return update
	}
	return create
}

// at is an address below the base.
func (d *Destination) at(parts ...string) *url.URL { return d.client.URL().JoinPath(parts...) }

// taken are the statuses of success.
var taken = []web.Range{{From: 200, To: 299}}

// judge finds the class of an answer. Of an OperationOutcome codes and places
// are told, never its texts: they may hold what was sent. entries is how many
// of a Bundle are to be answered; -1: no Bundle was posted.
func (d *Destination) judge(response *web.Response, entries int) (message.Reply, error) {
	reply := message.Reply{Raw: response.Body, Answer: message.Answer{Code: message.Erroneous}}
	answer := readAnswer(response.Body)
	if f := web.Classify(response, taken, d.now()); f != nil {
		reply.Answer.Problems = answer.problems()
		if told := answer.told(); told != "" {
			f.Err = fmt.Errorf("%w: %s", f.Err, told)
		}
		return reply, f
	}
	unreadable := func(text string) (message.Reply, error) {
		return reply, &message.Failure{Kind: message.Unreadable, Err: fmt.Errorf("answered %d, but %s", response.Status, text)}
	}
	switch {
	case answer == nil && (len(response.Body) > 0 || entries >= 0):
		return unreadable("with content that is no FHIR resource")
	case entries < 0:
	case answer.typ != "Bundle":
		return unreadable("with no Bundle of answers")
	case len(answer.entries) != entries:
		return unreadable(fmt.Sprintf("for %d entries in place of %d", len(answer.entries), entries))
	default:
		if f := answer.entry(); f != nil {
			return reply, f
		}
	}
	reply.Answer.Code = message.Accepted
	return reply, nil
}

// Close ends the connections.
func (d *Destination) Close() error { return d.client.Close() }
