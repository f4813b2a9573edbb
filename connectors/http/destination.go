package http

import (
	"context"
	"errors"
	nethttp "net/http"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/message"
)

// A Destination sends each delivery as the content of one request.
type Destination struct {
	options DestinationOptions
	client  *web.Client
	accept  []web.Range
	now     func() time.Time
}

var _ connectors.Destination = (*Destination)(nil)

// Send sends a payload and reads what the receiver says of it. Every attempt
// carries the same Idempotency-Key, so that a receiver can recognise a repeat.
func (d *Destination) Send(ctx context.Context, delivery *message.Delivery) (message.Reply, error) {
	if len(delivery.Payload) == 0 {
		return message.Reply{}, &message.Failure{Kind: message.RefusedSend, Err: errors.New("the payload is empty")}
	}
	h := nethttp.Header{}
	for name, value := range d.options.Headers {
		h.Set(name, value)
	}
	for name, value := range d.options.SecretHeaders {
		h.Set(name, value.Reveal())
	}
	h.Set("Content-Type", d.options.Content)
	h.Set("Idempotency-Key", web.HeaderText(delivery.ID))
	h.Set("X-Plexus-Control", web.HeaderText(delivery.Control))
	response, err := d.client.Do(ctx, &web.Request{Method: d.options.Method, URL: d.client.URL(), Header: h, Body: delivery.Payload})
	reply := message.Reply{}
	if response != nil {
		reply.Raw = response.Body
	}
	if err != nil {
		return reply, err
	}
	if f := web.Classify(response, d.accept, d.now()); f != nil {
		reply.Answer.Code = message.Erroneous
		return reply, f
	}
	reply.Answer.Code = message.Accepted
	return reply, nil
}

// Close ends the connections.
func (d *Destination) Close() error { return d.client.Close() }
