package mllp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/plexus-health/plexus/message"
)

// A pipe is a connection with several messages in flight, which its receiver has
// agreed to. Answers are known by MSA-2, in whatever order they come. After an
// answer that is none, or none in time, nobody can say whose the next one is: the
// connection ends, and what is in flight on it has an unknown outcome.
type pipe struct {
	d      *Destination
	client *Client
	users  int // calls of Send on it, under the lock of the destination

	mu     sync.Mutex
	flying []*flight // in the order they were written
	ended  error
	ending bool        // when nothing is in flight any more
	timer  *time.Timer // closes it after the idle time; nil: it may wait for ever
}

// A flight is one message that is waited for.
type flight struct {
	control string
	landed  chan landing // has room for the one there will be
}

type landing struct {
	reply message.Reply
	err   error
}

// pipelined is Send where several messages are in flight on a connection.
func (d *Destination) pipelined(ctx context.Context, delivery *message.Delivery) (message.Reply, error) {
	control := controlOf(delivery)
	connecting, done := context.WithTimeout(ctx, d.options.Connect)
	defer done()
	for {
		p, used, err := d.pipe(connecting)
		if err != nil {
			return message.Reply{}, err
		}
		reply, err := p.send(ctx, delivery.Payload, control)
		d.leave(p)
		if message.KindOf(err) == message.Down && err != nil && used && ctx.Err() == nil {
			d.env.Count("stale-connection", 1)
			continue // no byte left
		}
		return reply, err
	}
}

// pipe finds a connection with room for one more, the oldest first, or makes one.
// leave must be called.
func (d *Destination) pipe(ctx context.Context) (p *pipe, used bool, err error) {
	if p, err = d.withRoom(); p != nil || err != nil {
		return p, true, err
	}
	select {
	case d.making <- struct{}{}: // who comes next finds what is made here
		defer func() { <-d.making }()
	case <-ctx.Done():
		return nil, false, &message.Failure{Kind: message.Down, Err: ctx.Err()}
	}
	if p, err = d.withRoom(); p != nil || err != nil {
		return p, true, err
	}
	client, err := d.dial(ctx)
	if err != nil {
		return nil, false, err
	}
	client.ctx = context.Background() // each message has a time of its own
	p = &pipe{d: d, client: client, users: 1}
	d.mu.Lock()
	closed := d.closed
	if !closed {
		d.pipes = append(d.pipes, p)
	}
	d.mu.Unlock()
	if closed {
		_ = client.Close() // nothing was sent
		return nil, false, &message.Failure{Kind: message.Down, Err: errClosed}
	}
	go p.read()
	return p, false, nil
}

// withRoom finds a connection with room for one more; nil when there is none.
func (d *Destination) withRoom() (*pipe, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, &message.Failure{Kind: message.Down, Err: errClosed}
	}
	for _, p := range d.pipes {
		if p.users < d.options.Pipeline && !p.client.dead.Load() {
			p.users++
			return p, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none, and no fault
}

// leave ends one use of a connection.
func (d *Destination) leave(p *pipe) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.users--
}

// send writes a message behind those in flight and waits for its answer.
func (p *pipe) send(ctx context.Context, payload []byte, control string) (message.Reply, error) {
	ctx, done := context.WithTimeout(ctx, p.d.options.Timeout)
	defer done()
	hook := context.AfterFunc(ctx, func() { p.end(ctx.Err()) })
	defer hook()
	f := &flight{control: control, landed: make(chan landing, 1)}
	if err := p.write(ctx, payload, f); err != nil {
		return message.Reply{}, err
	}
	l := <-f.landed // end lands all
	return l.reply, l.err
}

// write puts a message on its way. The order of the flights is that of the bytes.
func (p *pipe) write(ctx context.Context, payload []byte, f *flight) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended != nil:
		return &message.Failure{Kind: message.Down, Err: p.ended}
	case p.ending:
		return &message.Failure{Kind: message.Down, Err: errClosed}
	}
	if err := ctx.Err(); err != nil {
		return &message.Failure{Kind: message.Down, Err: err}
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	until, _ := ctx.Deadline() // there is one
	err := p.client.conn.SetWriteDeadline(until)
	if err != nil {
		err = &message.Failure{Kind: message.Down, Err: err}
	} else {
		err = p.client.put(payload)
	}
	if err != nil {
		p.over(err)
		return err
	}
	p.flying = append(p.flying, f)
	return nil
}

// errUnaskedFor is why a connection ends on which somebody else's answer came.
var errUnaskedFor = errors.New("an answer came to a message that is not in flight")

// read lands messages until the connection ends.
func (p *pipe) read() {
	for {
		raw, err := p.client.answer()
		switch {
		case errors.Is(err, errIdle) && p.quiet():
			continue
		case err != nil:
			p.fail(raw, err, err)
			return
		}
		a := readAnswer(raw)
		f, more := p.land(a.control)
		if f == nil {
			p.fail(raw, &message.Failure{Kind: message.Unknown, Err: errOtherReply}, errUnaskedFor)
			return
		}
		reply, err := classify(raw, f.control)
		over := !more
		switch kind := message.KindOf(err); {
		case err != nil && (kind == message.Unknown || kind == message.Unreadable):
			over = true
			p.end(err) // before anybody is told, and sends the next
		case over:
			p.end(errClosed)
		}
		f.landed <- landing{reply, err}
		if over {
			return
		}
	}
}

// quiet reports whether nothing is in flight.
func (p *pipe) quiet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flying) == 0 && p.ended == nil
}

// land takes the flight with a control id, the first where several have it. more
// reports whether the connection goes on.
func (p *pipe) land(control string) (f *flight, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.flying, func(f *flight) bool { return f.control == control })
	if at < 0 {
		return nil, false
	}
	f = p.flying[at]
	if p.flying = slices.Delete(p.flying, at, at+1); len(p.flying) > 0 {
		return f, true
	}
	if p.ending {
		return f, false
	}
	if p.d.options.Idle > 0 {
		p.timer = time.AfterFunc(p.d.options.Idle, p.expire)
	}
	return f, true
}

// fail ends the connection, and then lands the message that has waited longest
// with what came in its place: who is told of it sends the next on another one.
func (p *pipe) fail(raw []byte, err, why error) {
	_ = p.client.Close() // a write under way ends, too
	p.mu.Lock()
	defer p.mu.Unlock()
	var f *flight
	if len(p.flying) > 0 {
		f, p.flying = p.flying[0], p.flying[1:]
	}
	p.over(why)
	if f != nil {
		f.landed <- landing{message.Reply{Raw: raw}, err}
	}
}

// expire closes a connection that was silent for too long.
func (p *pipe) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.flying) == 0 && p.ended == nil { // else it was taken meanwhile
		p.d.env.Count("idle-closed", 1)
		p.over(errIdle)
	}
}

// close ends a connection once nothing is in flight on it.
func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending = true; len(p.flying) == 0 {
		p.over(errClosed)
	}
}

// end closes the connection and lands what is in flight.
func (p *pipe) end(err error) {
	_ = p.client.Close() // a write under way ends, too
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over(err)
}

// over is end under the lock.
func (p *pipe) over(err error) {
	if p.ended != nil {
		return
	}
	p.ended = err
	_ = p.client.Close() // nothing more is read or written
	if p.timer != nil {
		p.timer.Stop()
	}
	for _, f := range p.flying {
		f.landed <- landing{err: &message.Failure{Kind: message.Unknown, Err: err}}
	}
	p.flying = nil
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.d.pipes = slices.DeleteFunc(p.d.pipes, func(other *pipe) bool { return other == p })
}
