package mllp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/message"
)

// A Source receives over MLLP: as a listener on as many connections as it is
// allowed, or on the one connection it makes itself; one message in flight on
// each, answered in the order they came.
type Source struct {
	options SourceOptions
	env     connectors.Environment
	peers   []netip.Prefix
	endWait time.Duration // how long an end byte waits for its carriage return
	grace   time.Duration // how long a handler may go on when Run is to end
	soon    time.Duration // the first wait before dialing again
	late    time.Duration // the longest

	listened func(net.Addr)                                      // for tests: the port taken
	listen   func(context.Context, string) (net.Listener, error) // for tests: the listener
}

var _ connectors.Source = (*Source)(nil)

// A run is one call of Run.
type run struct {
	*Source
	ctx    context.Context //nolint:containedctx // the life of one Run
	handle connectors.Handler
	work   context.Context //nolint:containedctx // of handlers: ends a grace after ctx
	room   *network.Room
	conns  sync.WaitGroup

	certificates *network.Certificates // nil: no encryption
	tls          *tls.Config           // of a listener
}

// Run listens until ctx ends. Then it takes no connection and no message any
// more; a handler at work has a few seconds to end and its answer goes out.
func (s *Source) Run(ctx context.Context, handle connectors.Handler) error {
	r := &run{Source: s, handle: handle, room: &network.Room{Seats: s.env.Connections, Each: s.options.PeerConnections, Env: s.env}}
	if s.options.TLS != nil {
		r.certificates = &network.Certificates{Options: *s.options.TLS, Folder: s.env.Folder, Log: s.env.Log, Count: s.env.Count, Listening: s.options.Dial == ""}
	}
	if s.options.Dial != "" {
		return r.dialing(ctx)
	}
	if r.certificates != nil {
		config, err := r.certificates.Listener()
		if err != nil {
			return err
		}
		r.tls = config
	}
	listen := s.listen
	if listen == nil {
		listen = func(ctx context.Context, address string) (net.Listener, error) {
			config := net.ListenConfig{KeepAliveConfig: keepAlive(s.options.KeepAlive)}
			return config.Listen(ctx, "tcp", address)
		}
	}
	listener, err := listen(ctx, s.options.Listen)
	if err != nil {
		return err
	}
	s.env.Log.Info("listening", "address", listener.Addr().String(), "tls", r.tls != nil)
	if s.env.Receiving != nil {
		s.env.Receiving()
	}
	if s.listened != nil {
		s.listened(listener.Addr())
	}
	return r.serve(ctx, listener)
}

// live makes the contexts of a run: that of reads ends with ctx or cancel, that
// of handlers a grace later. end releases both.
func (r *run) live(ctx context.Context) (cancel, end func()) {
	var giveUp context.CancelFunc
	r.ctx, cancel = context.WithCancel(ctx)
	r.work, giveUp = context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(r.ctx, func() { time.AfterFunc(r.grace, giveUp) })
	return cancel, func() {
		unhook()
		cancel()
		giveUp()
	}
}

// serve accepts connections and waits for all of them to end.
func (r *run) serve(ctx context.Context, listener net.Listener) error {
	cancel, end := r.live(ctx)
	defer end()
	closed := context.AfterFunc(r.ctx, func() { _ = listener.Close() }) // ends Accept; there is nobody to tell more
	defer closed()
	err := network.Accept(r.ctx, listener, r.peers, r.env, r.admit)
	cancel()
	_ = listener.Close() // it may be closed already
	r.conns.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// admit starts a connection if there is room.
func (r *run) admit(conn net.Conn) {
	seat := r.room.Enter(conn)
	if seat == nil {
		return
	}
	r.conns.Go(func() {
		defer seat.Leave()
		r.connection(conn, seat)
	})
}

// What reads return when the end of the connection is our doing.
var (
	errStopping  = errors.New("the listener stops")
	errDisplaced = errors.New("the connection made room for another")
)

// isStopping reports whether nobody is to blame for the end of a connection.
func isStopping(err error) bool {
	return errors.Is(err, errStopping) || errors.Is(err, errDisplaced)
}

// A link is a connection whose reads end with the run, or when its seat is lost.
type link struct {
	net.Conn
	ctx  context.Context //nolint:containedctx // the life of one Run
	seat *network.Seat
}

// Read reads; errStopping when the run ended while it waited, errDisplaced when
// the connection was closed in favour of another.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	switch {
	case err == nil:
	case l.ctx.Err() != nil && timedOut(err):
		err = errStopping
	case l.seat.Lost():
		err = errDisplaced
	}
	return n, err
}

// deadline bounds the reads that follow, and ends them at once when the run is
// to end.
func (l *link) deadline(t time.Time) {
	_ = l.SetReadDeadline(t) // fails only when closed: the read says so
	if l.ctx.Err() != nil {
		_ = l.SetReadDeadline(time.Unix(1, 0))
	}
}

// connection serves one peer until it goes, misbehaves or the run ends.
func (r *run) connection(conn net.Conn, seat *network.Seat) {
	if r.tls != nil {
		secure := tls.Server(conn, r.tls)
		ctx, done := context.WithTimeout(r.ctx, r.options.Frame)
		err := secure.HandshakeContext(ctx)
		done()
		if seat.Lost() {
			_ = conn.Close() // it was told and counted already
			return
		}
		if err != nil {
			r.env.Count("tls-failed", 1)
			r.env.Log.Warn("no encrypted connection", "peer", conn.RemoteAddr().String(), "error", err.Error())
			_ = conn.Close() // nothing was read from it
			return
		}
		conn = secure
	}
	r.converse(conn, seat)
}

// converse serves the peer of a connection that is ready for messages. It
// returns how many were handed over. seat is nil for one that we made.
func (r *run) converse(conn net.Conn, seat *network.Seat) (messages int) {
	defer func() { _ = conn.Close() }() // after an orderly end there is nothing to tell
	peer := conn.RemoteAddr().String()
	log := r.env.Log.With("peer", peer)
	l := &link{Conn: conn, ctx: r.ctx, seat: seat}
	unhook := context.AfterFunc(r.ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer unhook()
	senders, known := r.options.TLS.Senders(conn)
	if !known {
		r.env.Count("peer-unnamed", 1)
		log.Warn("the certificate of the peer has none of tls.names, connection closed")
		return 0
	}
	c := &connection{run: r, conn: conn, peer: peer, senders: senders, log: log, told: map[string]struct{}{}}
	c.reader = &reader{
		in: bufio.NewReaderSize(l, bufferSize), deadline: l.deadline, count: c.fault, seat: seat,
		size: r.env.Size, whole: r.env.Whole, idle: r.options.Idle, frame: r.options.Frame,
		endWait: r.endWait, strict: r.options.Framing == strict, strays: strays,
	}
	return c.serve()
}

// A connection is one peer being served.
type connection struct {
	run  *run
	conn net.Conn
	peer string
	// senders are those for whom the peer may speak; nil: anyone.
	senders []string
	log     *slog.Logger
	reader  *reader
	out     []byte              // the answer being written, reused
	told    map[string]struct{} // faults that were logged

	resends int // of the answer in out, in release 2
}

// fault counts a fault of framing and logs the first of its sort.
func (c *connection) fault(event string, n int, offset int64) {
	c.run.env.Count(event, n)
	if _, again := c.told[event]; again {
		return
	}
	c.told[event] = struct{}{}
	level := slog.LevelWarn
	if event == "gap-bytes" || event == "empty-frame" {
		level = slog.LevelInfo
	}
	c.log.Log(c.run.ctx, level, "fault of framing, only the first of a connection is logged", "fault", event, "count", n, "offset", offset)
}

// serve hands over message after message and returns their number.
func (c *connection) serve() (messages int) {
	for {
		f, err := c.reader.next()
		if err != nil {
			c.ended(err)
			return messages
		}
		if c.run.options.Release == 2 && isCommit(f) {
			c.reader.seat.Void() // no message
			if !c.commitOfPeer(f) {
				return messages
			}
			continue
		}
		if !f.stray {
			messages++
		}
		if f.stream == nil && !c.reader.seat.Hold() {
			return messages // nothing was claimed: the sender keeps it
		}
		if !c.message(f) {
			return messages
		}
	}
}

// ended says why a connection ended between messages, where that is worth it.
func (c *connection) ended(err error) {
	switch {
	case isStopping(err), errors.Is(err, io.EOF):
	case errors.Is(err, errIdle):
		c.run.env.Count("idle-closed", 1)
		c.log.Info("connection was silent for too long and is closed")
	case errors.Is(err, errNoise), errors.Is(err, errTLS):
		c.log.Warn("connection closed", "error", err.Error())
	default:
		c.log.Info("connection lost", "error", err.Error())
	}
}

// message hands one frame over and writes its answer. It reports whether the
// connection goes on.
func (c *connection) message(f frame) bool {
	reply, err := c.handle(f)
	if f.stream != nil {
		switch s := f.stream; {
		case s.stopped != nil:
			return false
		case s.failure != nil:
			// It did not come whole: whatever was said of it does not count.
			f = s.remains()
			if !c.reader.seat.Hold() {
				return false
			}
			reply, err = c.handle(f)
		case !s.done && err == nil:
			c.log.Error("a message was answered before it was read to its end, connection closed")
			return false
		}
	}
	if err != nil {
		return c.refuse(f, err)
	}
	if f.damage != nil && reply.Answer.Code == message.Accepted {
		c.log.Error("a damaged message was answered positively, connection closed without the answer")
		return false
	}
	if !f.mute && !c.answer(f, reply) {
		return false
	}
	c.reader.seat.Rest()
	if f.last {
		c.log.Warn("connection closed after a fault of framing")
		if !f.mute {
			c.linger()
		}
		return false
	}
	return c.run.ctx.Err() == nil
}

func (c *connection) handle(f frame) (message.Reply, error) {
	m := &message.Message{Peer: c.peer, Received: c.run.env.Now(), Raw: f.raw, Damage: f.damage, Senders: c.senders, Size: int64(len(f.raw))}
	if f.stream != nil {
		m.Stream, m.Size = f.stream, 0
	}
	return c.run.handle(c.run.work, m)
}

// answer writes what the peer is told of a frame that was handed over. In release
// 2 one that is damaged is not what the peer sent, and one that is to come again
// was not written: the commit block alone says so, and the peer sends it again.
func (c *connection) answer(f frame, reply message.Reply) bool {
	if c.run.options.Release == 2 && (f.damage != nil || reply.Answer.Again) {
		return c.commit(notStored)
	}
	return c.commit(stored) && c.write(reply.Raw) && c.later(reply)
}

// refuse tells the peer nothing, for nothing may be claimed: without an answer
// the sender keeps the message. In release 2 it is told so, and may go on.
func (c *connection) refuse(f frame, err error) bool {
	c.run.env.Count("unanswered", 1)
	if c.run.options.Release == 2 && !f.mute && !f.last && (f.stream == nil || f.stream.done) {
		c.log.Warn("message not taken, the peer is told to send it again", "error", err.Error())
		c.reader.seat.Rest()
		return c.commit(notStored) && c.run.ctx.Err() == nil
	}
	c.log.Warn("message not taken, connection closed without an answer", "error", err.Error())
	return false
}

// later sends the further answer of a message, if the peer waits for one.
func (c *connection) later(reply message.Reply) bool {
	if reply.Later == nil || c.run.options.Application == 0 {
		return true
	}
	ctx, done := context.WithTimeout(c.run.work, c.run.options.Application)
	defer done()
	return c.write(reply.Later(ctx))
}

// write sends an answer in a frame; no bytes: none is sent.
func (c *connection) write(raw []byte) bool {
	if len(raw) == 0 {
		return true
	}
	c.out, c.resends = appendFrame(c.out[:0], raw), 0
	return c.flush()
}

// flush writes the frame in hand.
func (c *connection) flush() bool {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.run.options.Write)); err != nil {
		c.lost(err)
		return false
	}
	if _, err := c.conn.Write(c.out); err != nil {
		c.lost(err)
		return false
	}
	return true
}

func (c *connection) lost(err error) {
	c.run.env.Count("reply-failed", 1)
	c.log.Warn("answer could not be delivered, the sender will send the message again", "error", err.Error())
}

// linger lets the peer read the last answer: closing with unread bytes would
// take it away from him.
func (c *connection) linger() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Second)) // fails only when closed
		_, _ = io.CopyN(io.Discard, c.conn, 1<<20)              // whatever comes is lost on purpose
	}
}

// appendFrame appends content in a frame. Bytes that no content may hold, which
// an answer can only have from a damaged message, become spaces.
func appendFrame(dst, content []byte) []byte {
	dst = append(dst, startByte)
	begin := len(dst)
	dst = append(dst, content...)
	if bytes.IndexByte(content, startByte) >= 0 || bytes.IndexByte(content, endByte) >= 0 {
		for i, b := range dst[begin:] {
			if b == startByte || b == endByte {
				dst[begin+i] = ' '
			}
		}
	}
	return append(dst, endByte, carriageReturn)
}
