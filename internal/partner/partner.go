// Package partner is a simulated partner system that speaks MLLP: it takes
// messages, keeps a ledger of what came, and answers as it is told, also wrongly
// or not at all. It is written apart from the engine's own framing, so that both
// would have to be wrong in the same way.
package partner

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// Options are how a Partner is reached and what it does.
type Options struct {
	// Address to listen on; with Dial the address to connect to. Empty:
	// 127.0.0.1:0.
	Address string
	// Dial is the number of connections to make and to make again when they
	// end. 0: it listens.
	Dial int
	// Again is how long it waits before it connects again. 0: 1s.
	Again time.Duration
	// TLS encrypts the connections; nil: none.
	TLS *tls.Config
	// Behaviour is what it answers.
	Behaviour
	// Choose, if it is not nil, says for each arrival what is answered, in
	// place of Behaviour. It is called by several goroutines.
	Choose func(a Arrival, raw []byte) Behaviour
	// Seed is of the draws of a mix.
	Seed uint64
	// Count is the number of arrivals after which Done is closed and nothing
	// more is taken. 0: no end.
	Count int
	// Size is the largest message in bytes. 0: 64 MB.
	Size int
	// Log is a file that gets one JSON line for each arrival, synced before
	// the answer. Empty: none.
	Log string
	// Took, if it is not nil, is called with each arrival after it was logged
	// and before it is answered, in the order of their numbers. It must not
	// call the partner.
	Took func(a Arrival, raw []byte)
	// Forget keeps no arrivals in memory.
	Forget bool
}

// A Partner is a partner system at work.
type Partner struct {
	options  Options
	listener net.Listener
	log      *os.File
	ctx      context.Context //nolint:containedctx // the life of the partner
	cancel   context.CancelFunc
	group    sync.WaitGroup
	done     chan struct{}

	mu       sync.Mutex
	does     Behaviour
	dice     *rand.Rand
	conns    map[net.Conn]struct{}
	arrivals []Arrival
	came     int // arrivals taken
	answered int // of them, those whose answer is out
	replies  int
	err      error
	ended    bool
}

// Start starts a partner. Close ends it.
func Start(o Options) (*Partner, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	if o.Again <= 0 {
		o.Again = time.Second
	}
	if o.Size <= 0 {
		o.Size = 64 << 20
	}
	if err := o.Behaviour.Check(); err != nil {
		return nil, err
	}
	p := &Partner{
		options: o, does: o.Behaviour, dice: rand.New(rand.NewPCG(o.Seed, 1)), //nolint:gosec // no secret
		conns: map[net.Conn]struct{}{}, done: make(chan struct{}),
	}
	var err error
	if o.Log != "" {
		if p.log, err = os.OpenFile(o.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			return nil, err
		}
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if o.Dial > 0 {
		for range o.Dial {
			p.group.Go(p.dial)
		}
		return p, nil
	}
	if p.listener, err = new(net.ListenConfig).Listen(p.ctx, "tcp", o.Address); err != nil {
		p.cancel()
		if p.log != nil {
			err = errors.Join(err, p.log.Close())
		}
		return nil, err
	}
	p.group.Go(p.accept)
	return p, nil
}

// Address is where the partner listens, or connects to.
func (p *Partner) Address() string {
	if p.listener == nil {
		return p.options.Address
	}
	return p.listener.Addr().String()
}

// Arrivals lists what came so far, in the order it came.
func (p *Partner) Arrivals() []Arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Arrival(nil), p.arrivals...)
}

// Behave says what is answered from now on.
func (p *Partner) Behave(b Behaviour) error {
	if err := b.Check(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.does = b
	return nil
}

// Drop closes the connections there are.
func (p *Partner) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close() // that is what is wanted
	}
}

// Done is closed when Count arrivals have been answered, or the ledger could
// not be written.
func (p *Partner) Done() <-chan struct{} { return p.done }

// Close ends the partner and its connections and returns why the ledger could not
// be written, if it could not.
func (p *Partner) Close() error {
	p.cancel()
	if p.listener != nil {
		_ = p.listener.Close() // ends accept
	}
	p.Drop()
	p.group.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log != nil {
		p.err = errors.Join(p.err, p.log.Close())
		p.log = nil
	}
	return p.err
}

// accept takes connections until the listener is closed.
func (p *Partner) accept() {
	for {
		conn, err := p.listener.Accept()
		switch {
		case err == nil:
			p.group.Go(func() { p.serve(conn, tls.Server) })
		case p.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default:
			p.pause(100 * time.Millisecond) // no file descriptor left, or the like
		}
	}
}

// dial connects again and again.
func (p *Partner) dial() {
	for p.ctx.Err() == nil {
		conn, err := new(net.Dialer).DialContext(p.ctx, "tcp", p.options.Address)
		if err == nil {
			p.serve(conn, tls.Client)
		}
		p.pause(p.options.Again)
	}
}

func (p *Partner) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
	}
}

// serve talks with the other side of one connection until it ends.
func (p *Partner) serve(conn net.Conn, encrypt func(net.Conn, *tls.Config) *tls.Conn) {
	defer func() { _ = conn.Close() }() // whatever was to be said was said
	if p.options.TLS != nil {
		secure := encrypt(conn, p.options.TLS)
		ctx, done := context.WithTimeout(p.ctx, 30*time.Second)
		defer done()
		if secure.HandshakeContext(ctx) != nil {
			return
		}
		conn = secure
	}
	p.mu.Lock()
	p.conns[conn] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, conn)
		p.mu.Unlock()
	}()
	in := bufio.NewReaderSize(conn, 64<<10)
	for p.ctx.Err() == nil {
		raw, err := readFrame(in, p.options.Size)
		if err != nil {
			return
		}
		a, b, ok := p.arrived(conn.RemoteAddr().String(), raw)
		if !ok {
			return
		}
		goes := p.answer(conn, a, b, raw)
		p.finished()
		if !goes {
			return
		}
	}
}

// finished counts one answer that is out.
func (p *Partner) finished() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answered++; p.options.Count > 0 && p.answered == p.options.Count {
		p.end(nil)
	}
}

// end says that nothing more is taken.
func (p *Partner) end(err error) {
	p.err = errors.Join(p.err, err)
	if !p.ended {
		p.ended = true
		close(p.done)
	}
}

// Bytes of a frame.
const (
	startByte      = 0x0b
	endByte        = 0x1c
	carriageReturn = 0x0d
)

var errFrame = errors.New("not a frame")

// readFrame reads the content of the next frame, which ends with both of its
// end bytes.
func readFrame(in *bufio.Reader, size int) ([]byte, error) {
	for {
		b, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		if b == startByte {
			break
		}
	}
	var content []byte
	for {
		piece, err := in.ReadSlice(endByte)
		if content = append(content, piece...); len(content) > size {
			return nil, errFrame
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err
		}
		next, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		if next == carriageReturn {
			return content[:len(content)-1], nil
		}
		content = append(content, next)
	}
}
