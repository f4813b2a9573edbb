package routes

import (
	"time"

	"github.com/plexus-health/plexus/parsers"
)

// reply decodes the real-time answer.
func (b *channelBuilder) reply() {
	n := b.n.get("reply")
	if n == nil || n.form != object {
		return
	}
	s := b.in("reply")
	b.c.Reply = &Reply{From: str(n, "from", ""), Within: span(n, "within", 0)}
	if e := n.get("else"); e != nil && e.form == object {
		b.c.Reply.Map, _ = b.steps(s.in("else").in("map"), e.get("map"))
	}
	if within := n.get("within"); within != nil && within.form == scalar && b.c.Reply.Within <= 0 {
		if _, err := parseDuration(within.text); err == nil {
			s.in("within").problem(within, "a time above zero is wanted, such as 20s")
		}
	}
	if from := n.get("from"); from != nil {
		b.answering(s.in("from"), from)
	}
	if b.c.SourceKind == "ehr" || b.c.SourceKind == "channel" {
		s.problem(n, "nobody waits for an answer of source: %s", b.c.SourceKind)
	}
	if b.c.Split != nil {
		s.problem(n, "one message has one answer, and split makes several of it")
	}
	if ack := b.n.get("ack"); ack != nil && b.c.Ack != AckDelivered {
		b.in("ack").problem(ack, "reply implies ack: delivered")
	}
	b.c.Ack = AckDelivered
}

// answering checks that a route can give the answer, and notes the time it has.
func (b *channelBuilder) answering(s scope, from *node) {
	var r *Route
	for _, other := range b.c.Routes {
		if other.Name == b.c.Reply.From {
			r = other
		}
	}
	switch {
	case r == nil:
		s.problem(from, "route %q is not one of this channel", from.text)
		return
	case isEffect(r.Kind):
		s.problem(from, "route %s sends nothing: nobody answers to: %s", r.Name, r.Kind)
	case r.Each != nil:
		s.problem(from, "one message has one answer, and route %s makes a delivery for each of %s", r.Name, r.Each)
	case r.Batch != nil:
		s.problem(from, "route %s sends files of many messages: none has an answer of its own", r.Name)
	case r.Retired:
		s.problem(from, "route %s is retired and takes no message", r.Name)
	}
	r.Within = max(b.c.Reply.Within, time.Millisecond)
}

// acknowledge decodes where application acknowledgements go.
func (b *channelBuilder) acknowledge() {
	n := b.n.get("acknowledge")
	if n == nil || n.form != scalar {
		return
	}
	s := b.in("acknowledge")
	b.c.Acknowledge = n.text
	_, can := b.c.Parser.(parsers.ApartReplier)
	switch {
	case b.c.SourceKind == "ehr" || b.c.SourceKind == "channel":
		s.problem(n, "nobody waits for an answer of source: %s", b.c.SourceKind)
	case b.parsed && !can:
		s.problem(n, "messages of format %s have no application acknowledgement", b.c.Parse)
	case b.c.Reply != nil:
		s.problem(n, "it needs ack: stored, and with reply: the sender gets the route's answer where it sent the message: leave one of the two out")
	case b.c.Ack == AckProcessed:
		s.problem(n, "it needs ack: stored: with ack: processed the sender has heard of the outcome where it sent the message; leave out ack or acknowledge")
	case b.c.Ack == AckDelivered:
		s.problem(n, "it needs ack: stored, and tells what became of the message when it was processed, not of its deliveries: each of them ends by itself; leave out ack or acknowledge")
	}
}
