package http

import (
	"context"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/message"
)

// A Destination sends each delivery as one request.
type Destination struct {
	options DestinationOptions
	client  *web.Client
}

var _ connectors.Destination = (*Destination)(nil)

// Send sends the payload as the body. Idempotency-Key names the delivery, so
// that a receiver knows a repeat of it.
func (d *Destination) Send(ctx context.Context, del *message.Delivery) (message.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, d.options.Connect+d.options.Timeout)
	defer cancel()
	header := map[string]string{"Content-Type": d.options.Content, "Idempotency-Key": del.ID, "User-Agent": "plexus"}
	for name, value := range d.options.Headers {
		header[name] = value
	}
	answer, err := d.client.Do(ctx, web.Request{Method: d.options.Method, URL: d.options.URL, Header: header, Body: del.Payload})
	reply := message.Reply{Raw: answer.Body}
	if err != nil {
		return reply, err
	}
	if err := d.client.Classify(answer); err != nil {
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
