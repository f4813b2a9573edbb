package channels

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/store"
)

// Real time: the sender gets the answer of a route (`reply:`). It is had within
// a time that is counted from when the message was received. After that the
// sender is told what `else` says, the delivery parks, and is not sent again
// unless an operator does so: an answer nobody waits for any more must not have
// an effect. The route's owner holds to the time whoever waits; who waits parks
// what the owner has no turn for.

// replyGrace is how long who waits goes on waiting for a send that was under way
// when the time was up: its owner ends it, and what it says then holds.
const replyGrace = 5 * time.Second

// replied waits for the answer of the route that `reply:` names.
func (c *channel) replied(ctx context.Context, m *message.Message, head []byte, entry *store.Entry) (message.Reply, error) {
	left := c.config.Reply.Within - c.line.options.Now().Sub(m.Received)
	waiting, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	answer, err := c.processed(waiting, *entry)
	switch {
	case err == nil && answer.Code != message.Accepted:
		return c.reply(head, answer), nil
	case err == nil:
		reply, err := c.routeAnswer(waiting, head, entry)
		if err == nil {
			killpoint.Hit("after_commit_before_ack")
			return reply, nil
		}
		if waiting.Err() == nil || ctx.Err() != nil {
			return message.Reply{}, err
		}
	case waiting.Err() == nil || ctx.Err() != nil:
		return message.Reply{}, err
	}
	return c.tooLate(ctx, head, entry)
}

// errNoAnswer: the route has ended with a message without an answer that could
// be passed on.
var errNoAnswer = errors.New("the route has no answer")

// routeAnswer waits until the delivery of the route has ended, and passes its
// answer on.
func (c *channel) routeAnswer(ctx context.Context, head []byte, entry *store.Entry) (message.Reply, error) {
	ch := c.line.progress.join(entry.Seq)
	defer c.line.progress.leave(entry.Seq, ch)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		reply, ended, err := c.answered(ctx, head, entry)
		switch {
		case errors.Is(err, errNoAnswer):
			return c.instead(ctx, head, entry), nil
		case ended:
			return reply, nil
		}
		select {
		case <-ch:
		case <-tick.C:
		case <-ctx.Done():
			return message.Reply{}, errStopped
		case <-c.line.options.Store.Failed():
			return message.Reply{}, store.ErrUnavailable
		}
	}
}

// answered looks whether the delivery of the route has ended, and with what.
func (c *channel) answered(ctx context.Context, head []byte, entry *store.Entry) (reply message.Reply, ended bool, err error) {
	s := c.line.options.Store
	list, err := s.Deliveries(ctx, store.DeliveryFilter{Message: entry.Seq, Unit: c.units[c.config.Reply.From], Limit: 1000})
	if err != nil {
		return reply, false, wrap("deliveries", err)
	}
	if len(list) == 0 {
		return c.reply(head, message.Answer{Code: message.Accepted}), true, nil // the route did not want it
	}
	d := list[len(list)-1] // of the last run
	switch {
	case d.State == message.Waiting || d.State == message.Sending:
		return reply, false, nil
	case d.State != message.Delivered && d.Class != message.RefusedSend:
		return reply, true, errNoAnswer
	}
	if d, err = s.FindDelivery(ctx, d.ID); err != nil {
		return reply, false, wrap("delivery", err)
	}
	reply.Answer, reply.Raw = message.Answer{Code: message.Accepted}, d.Answer
	if d.State != message.Delivered {
		reply.Answer = message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Code: 207, Text: "not taken by the receiver"}}}
	}
	if len(reply.Raw) == 0 {
		return c.reply(head, reply.Answer), true, nil
	}
	if relayer, ok := c.config.Parser.(parsers.Relayer); ok {
		reply.Raw = relayer.Relay(head, reply.Raw)
	}
	return reply, true, nil
}

// tooLate parks the delivery that has no answer in time, unless it is being sent:
// then what its owner makes of it counts.
func (c *channel) tooLate(ctx context.Context, head []byte, entry *store.Entry) (message.Reply, error) {
	s := c.line.options.Store
	unit := c.units[c.config.Reply.From]
	list, err := s.Deliveries(ctx, store.DeliveryFilter{Message: entry.Seq, Unit: unit, Limit: 1000})
	if err == nil && len(list) > 0 && list[len(list)-1].State == message.Waiting {
		err = s.Operate(ctx, store.Order{
			Action: store.ActPark, Delivery: list[len(list)-1].ID, Who: "channel:" + c.config.Name, Why: c.late(),
		})
		if r := c.line.findRoute(unit); r != nil {
			r.anew.Store(true)
		}
		c.line.poke(unit)
	}
	if err != nil && !errors.Is(err, store.ErrNotWaiting) {
		c.log.Warn("a delivery without an answer in time is parked by its owner", "message", entry.ID, "error", err.Error())
	}
	grace, cancel := context.WithTimeout(ctx, replyGrace)
	defer cancel()
	if len(list) > 0 {
		if reply, err := c.routeAnswer(grace, head, entry); err == nil {
			return reply, nil
		}
	}
	if ctx.Err() != nil {
		return message.Reply{}, errStopped
	}
	return c.instead(ctx, head, entry), nil
}

// late is the reason of what has no answer in time.
func (c *channel) late() string { return fmt.Sprintf("no answer within %s", c.config.Reply.Within) }

// instead is what the sender is told where the route has no answer: what the
// steps of `else` make of its message, or that it is to try again.
func (c *channel) instead(ctx context.Context, head []byte, entry *store.Entry) message.Reply {
	c.line.options.Metrics.event(c.config.Name, "no-answer", 1)
	if len(c.config.Reply.Map) > 0 {
		raw, err := c.madeInstead(ctx, entry.Seq)
		if err == nil {
			return message.Reply{Answer: message.Answer{Code: message.Accepted}, Raw: raw}
		}
		c.log.Error("the answer in place of the route's cannot be made", "message", entry.ID, "error", err.Error())
	}
	return c.reply(head, message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Code: 207, Text: c.late()}}})
}

// madeInstead runs the steps of `else: { map: … }` over the message.
func (c *channel) madeInstead(ctx context.Context, seq int64) ([]byte, error) {
	m, err := c.line.options.Store.Load(ctx, seq)
	if err != nil {
		return nil, wrap("load", err)
	}
	raw, free, err := content(ctx, m, c.line.large)
	if err != nil {
		return nil, err
	}
	defer free()
	m.Raw, m.Channel = raw, c.config.Name
	if m.Doc, err = c.config.Parser.Parse(raw); err != nil {
		return nil, err
	}
	made, err := apply(ctx, c.config.Reply.Map, []*message.Message{m}, &verdictOf{})
	if err != nil {
		return nil, place("reply: else: map", err)
	}
	if len(made) != 1 {
		return nil, fmt.Errorf("reply: else: map made %d answers", len(made))
	}
	return made[0].Doc.Encode(nil), nil
}

// inTime bounds a send whose answer the sender waits for. When the time is up it
// returns what becomes of the delivery: it parks unsent. What an operator sends
// again has the time of the destination only.
func (r *route) inTime(ctx context.Context, del *message.Delivery) (sending context.Context, end func(), a *store.Answer) {
	within := r.config.Within
	if within == 0 {
		return ctx, func() {}, nil
	}
	now := r.c.line.options.Now()
	m, err := r.c.line.options.Store.Load(ctx, del.Message)
	if err != nil {
		r.log.Error("its message cannot be read, trying again", "delivery", del.ID, "error", err.Error())
		return ctx, func() {}, &store.Answer{
			N: del.N, Message: del.Message, Run: del.Run, State: message.Waiting, Class: message.Unavailable,
			Reason: "its message could not be read", MaybeSent: del.MaybeSent, Unsent: true, Due: now.Add(time.Second),
		}
	}
	deadline := m.Received.Add(within)
	if del.Run > 0 || del.Attempts == 1 && del.Due.After(deadline) {
		return ctx, func() {}, nil
	}
	if left := deadline.Sub(now); left > 0 {
		sending, end = context.WithTimeout(ctx, left)
		return sending, end, nil
	}
	return ctx, func() {}, &store.Answer{
		N: del.N, Message: del.Message, Run: del.Run, State: message.ParkedDelivery, Class: message.Unavailable,
		Reason: r.c.late(), MaybeSent: del.MaybeSent, Unsent: true,
	}
}

// overdue reports whether what is tried again then would have no answer in the
// time in which its sender waits for it.
func (r *route) overdue(d *message.Delivery, now, due time.Time) bool {
	made := madeAt(d.ID)
	return r.config.Within > 0 && (d.Run > 0 || due.Sub(made) >= r.config.Within || now.Sub(made) >= r.config.Within)
}
