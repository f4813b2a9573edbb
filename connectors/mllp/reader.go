package mllp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/message"
)

// Bounds of a reader that no option sets.
const (
	bufferSize = 16 << 10 // of a connection
	kept       = 64 << 10 // bytes kept of a frame that cannot be taken
	drained    = 16       // sizes of the largest message that are read to the end of one that is too large
	strays     = 16       // runs of bytes outside of frames that are handed over; what comes after them is counted
)

// A frame is what a reader found: a message, or the remains of one.
type frame struct {
	raw []byte
	// stream is the content of a large frame; raw is empty then.
	stream *stream
	// damage says why the content cannot be taken.
	damage *message.Failure
	// mute: no answer may be sent, because the peer would take it for the
	// answer to another message, or is gone.
	mute bool
	// last: the connection ends after this frame.
	last bool
	// stray: these bytes stood outside of frames.
	stray bool
}

// A reader finds frames in the bytes of one connection. It holds one buffer and
// one frame, never more than its limits allow, and finds the same frames
// however the bytes were cut on their way.
type reader struct {
	in *bufio.Reader
	// deadline bounds the reads that follow; the zero time: no bound.
	deadline func(time.Time)
	// count counts a fault and says where it is: the offset in the connection.
	count func(event string, n int, offset int64)
	// seat is told of frames that begin; nil: nobody asks.
	seat *network.Seat

	size, whole          int64
	idle, frame, endWait time.Duration
	strict               bool
	impatient            bool // a frame that cannot be taken is not read to its end
	strays               int  // runs of bytes outside of frames that may still be handed over

	offset    int64 // bytes consumed since the connection began
	began     int64 // offset of the first byte of content of the frame in hand
	by        time.Time
	first     [3]byte // how the content of the frame in hand begins
	firsts    int
	noise     int64  // bytes other than space before the frame in hand
	stray     []byte // the first of them
	after     error  // what ended the connection behind them
	damage    *message.Failure
	restarted bool // the frame was broken off: the start byte of the next is in the buffer
}

// Errors of a reader between frames.
var (
	errIdle  = errors.New("silent for too long")
	errNoise = errors.New("bytes outside of frames")
	errTLS   = errors.New("the peer encrypts, and no tls is configured")
)

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// next returns the next frame, or why there is none: io.EOF, errIdle,
// errNoise, or what the connection says. Streams must be finished before.
func (r *reader) next() (frame, error) {
	for r.after == nil {
		unframed, err := r.begin()
		if r.says() {
			r.after = err
			return r.strayed(), nil
		}
		if err != nil {
			return frame{}, err
		}
		if unframed {
			return r.unframed(), nil
		}
		f, found, err := r.collect()
		if found || err != nil {
			return f, err
		}
	}
	return frame{}, r.after
}

// begin consumes everything up to and with the next start byte. It reports
// true when what comes is a message without a frame.
func (r *reader) begin() (unframed bool, err error) {
	if r.restarted {
		r.restarted = false
		r.consume(1)
		r.open()
		return false, nil
	}
	var gap int64
	r.noise = 0
	at := r.offset
	defer func() {
		if gap > 0 {
			r.count("gap-bytes", int(gap), at)
		}
	}()
	for idle := true; ; {
		if r.in.Buffered() == 0 {
			if idle {
				r.deadline(time.Now().Add(r.idle)) // bytes outside of frames do not extend it
				idle = false
			}
			if _, err := r.in.Peek(1); err != nil {
				if timedOut(err) {
					err = errIdle
				}
				return false, err
			}
		}
		chunk, _ := r.in.Peek(r.in.Buffered()) // what is buffered cannot fail
		n := bytes.IndexByte(chunk, startByte)
		if n == 0 {
			if r.restarted = r.says(); !r.restarted {
				r.consume(1)
				r.open()
			}
			return false, nil
		}
		if n < 0 {
			n = len(chunk)
		}
		if r.noise == 0 {
			space := len(chunk[:n]) - len(bytes.TrimLeft(chunk[:n], "\r\n \t"))
			if space > 0 {
				n = space
			} else if chunk[0] == 'M' && r.startsUnframed() {
				return true, nil
			} else if (chunk[0] == handshake || r.impatient && chunk[0] == alert) && r.startsTLS() {
				r.count("tls-unexpected", 1, r.offset)
				return false, errTLS
			}
			if space == 0 && r.strict { // one is enough to end it
				raw := r.pause()
				r.keep(raw)
				gap += int64(len(raw))
				return false, errNoise
			}
			r.noise += int64(n - space)
		} else {
			r.noise += int64(n)
		}
		n = int(min(int64(n), r.size+1-gap))
		if r.noise > 0 {
			r.keep(chunk[:n])
		}
		gap += int64(n)
		r.consume(n)
		if gap > r.size {
			return false, errNoise
		}
	}
}

// The first byte of a TLS connection, and of what a TLS server says to somebody
// who does not encrypt (RFC 8446, 5.1).
const (
	handshake = 0x16
	alert     = 0x15
)

// startsTLS reports whether the peer begins to encrypt, or wants us to.
func (r *reader) startsTLS() bool {
	head, _ := r.in.Peek(2) // fewer bytes are none of a handshake
	return len(head) == 2 && head[1] == 0x03
}

// open begins a frame: the start byte was consumed.
func (r *reader) open() {
	r.began, r.by, r.firsts, r.damage = r.offset, time.Time{}, 0, nil
	r.seat.Begin()
}

func (r *reader) consume(n int) {
	_, _ = r.in.Discard(n) // n bytes are buffered
	r.offset += int64(n)
}

// take consumes n bytes of content that piece returned.
func (r *reader) take(content []byte) {
	for i := 0; r.firsts < len(r.first) && i < len(content); i++ {
		r.first[r.firsts] = content[i]
		r.firsts++
	}
	r.consume(len(content))
}

// What piece found after the content it returned.
type verdict int

const (
	more    verdict = iota // content, at least one byte
	ended                  // the end of the frame
	started                // the start byte of another frame, not consumed; this one was broken off
)

// piece returns content of the frame in hand as it lies in the buffer, without
// consuming it, or the end of the frame, which it consumes.
func (r *reader) piece() ([]byte, verdict, error) {
	for {
		if r.in.Buffered() == 0 {
			if r.by.IsZero() {
				r.by = time.Now().Add(r.frame)
				r.deadline(r.by)
			}
			if _, err := r.in.Peek(1); err != nil {
				return nil, more, err
			}
		}
		chunk, _ := r.in.Peek(r.in.Buffered()) // what is buffered cannot fail
		if end := bytes.IndexByte(chunk, endByte); end >= 0 {
			chunk = chunk[:end]
		}
		if start := bytes.IndexByte(chunk, startByte); start >= 0 {
			chunk = chunk[:start]
		}
		if len(chunk) > 0 {
			return chunk, more, nil
		}
		special, _ := r.in.Peek(1)
		if special[0] == startByte {
			if r.firsts == 0 {
				// Nothing was lost: the peer only said it twice.
				r.count("start-twice", 1, r.offset)
				by := r.by // the time for the frame goes on, or it would never end
				r.consume(1)
				r.open()
				r.by = by
				continue
			}
			if r.another() {
				r.count("start-inside", 1, r.offset)
				return nil, started, nil
			}
			r.damaged("start-inside", "start byte 0B inside the message")
			special, _ = r.in.Peek(1) // looking ahead may have moved the buffer
			return special, more, nil
		}
		if r.ends() {
			return nil, ended, nil
		}
		r.damaged("end-inside", "end byte 1C inside the message, without the carriage return that ends a frame")
		special, _ = r.in.Peek(1)
		return special, more, nil
	}
}

// another reports whether the start byte in hand begins another message, and
// does not stand in the middle of this one.
func (r *reader) another() bool {
	r.arm()
	ahead, _ := r.in.Peek(4) // fewer bytes begin no message
	if len(ahead) < 4 {
		return false
	}
	switch string(ahead[1:]) {
	case "MSH", "FHS", "BHS":
		return true
	}
	return r.firsts == len(r.first) && string(ahead[1:]) == string(r.first[:])
}

// arm sets the deadline of the frame if that was not needed before.
func (r *reader) arm() {
	if r.by.IsZero() {
		r.by = time.Now().Add(r.frame)
		r.deadline(r.by)
	}
}

// ends reports whether the end byte in hand ends the frame, and consumes its
// end. Only a carriage return makes it certain; a tolerant reader takes it
// without when the next frame begins at once or nothing follows for a while.
func (r *reader) ends() bool {
	r.arm()
	if r.strict {
		if ahead, _ := r.in.Peek(2); len(ahead) == 2 && ahead[1] == carriageReturn {
			r.consume(2)
			return true
		}
		return false
	}
	if r.in.Buffered() < 2 {
		r.deadline(r.sooner(r.endWait))
		defer func() { r.deadline(r.by) }()
	}
	ahead, err := r.in.Peek(2)
	n := 1
	switch {
	case len(ahead) == 2 && ahead[1] == carriageReturn:
		r.consume(2)
		return true
	case len(ahead) == 2 && ahead[1] == lineFeed:
		n = 2
		if r.in.Buffered() < 3 {
			r.deadline(r.sooner(r.endWait))
			defer func() { r.deadline(r.by) }()
		}
		ahead, err = r.in.Peek(3)
	}
	if len(ahead) == n+1 && ahead[n] != startByte {
		return false
	}
	if len(ahead) <= n && !errors.Is(err, io.EOF) && !timedOut(err) {
		return false // the connection broke: nobody knows what would have followed
	}
	r.count("end-without-cr", 1, r.offset)
	r.consume(n)
	return true
}

func (r *reader) sooner(d time.Duration) time.Time {
	if t := time.Now().Add(d); t.Before(r.by) {
		return t
	}
	return r.by
}

// damaged notes the first fault inside the frame in hand.
func (r *reader) damaged(event, text string) {
	r.count(event, 1, r.offset)
	if r.damage == nil {
		r.damage = &message.Failure{Kind: message.Malformed, Offset: int(r.offset-r.began) + 1, Err: errors.New(text)}
	}
}

// collect reads the frame in hand: whole, or its beginning and a stream. found
// is false when it was empty.
func (r *reader) collect() (f frame, found bool, err error) {
	var raw []byte
	for {
		content, v, err := r.piece()
		if err != nil {
			return r.broken(raw, err)
		}
		switch v {
		case ended:
			if len(raw) == 0 {
				r.count("empty-frame", 1, r.began)
				r.seat.Void()
				return frame{}, false, nil
			}
			return frame{raw: raw, damage: r.damage, last: r.strict && r.damage != nil}, true, nil
		case started:
			r.restarted = true
			return frame{raw: beginning(raw), damage: r.cut(brokenOff), mute: true, last: r.strict}, true, nil
		}
		switch {
		case int64(len(raw)+len(content)) > r.size:
			raw = append(raw, content[:min(len(content), max(0, kept-len(raw)))]...)
			f := frame{raw: beginning(raw), damage: r.large()}
			f.mute, f.last = r.drain()
			return f, true, nil
		case int64(len(raw)+len(content)) > r.whole && r.damage != nil:
			raw = append(raw, content[:r.whole-int64(len(raw))]...)
			f := frame{raw: beginning(raw), damage: r.damage}
			f.mute, f.last = r.drain()
			return f, true, nil
		case int64(len(raw)+len(content)) > r.whole:
			content = content[:r.whole-int64(len(raw))]
			raw = append(raw, content...)
			r.take(content)
			return frame{stream: &stream{r: r, head: raw, unread: raw}}, true, nil
		}
		raw = append(raw, content...)
		r.take(content)
	}
}

const brokenOff = "the message was broken off by the start of another"

// broken is the frame in hand when the connection ended inside it.
func (r *reader) broken(raw []byte, err error) (frame, bool, error) {
	if isStopping(err) {
		return frame{}, false, err
	}
	if len(raw) == 0 {
		// Not one byte of content came: there is nothing to keep.
		_ = r.broke(err) // counted; there is no message to be damaged
		return frame{}, false, err
	}
	return frame{raw: beginning(raw), damage: r.broke(err), mute: true, last: true}, true, nil
}

// broke says how the connection ended inside the frame in hand, and counts it.
func (r *reader) broke(err error) *message.Failure {
	if timedOut(err) {
		r.count("frame-timeout", 1, r.offset)
		return r.cut("the message did not end within the time for a frame")
	}
	r.count("frame-cut", 1, r.offset)
	return r.cut("the connection ended inside the message")
}

// cut is a failure at the place reached.
func (r *reader) cut(text string) *message.Failure {
	return &message.Failure{Kind: message.Malformed, Offset: int(r.offset-r.began) + 1, Err: errors.New(text)}
}

// large is the failure of a frame above the size limit.
func (r *reader) large() *message.Failure {
	r.count("frame-too-large", 1, r.began)
	return &message.Failure{Kind: message.Malformed, Offset: int(r.size) + 1, Err: errors.New("the message is larger than this channel takes")}
}

// drain reads the frame in hand to its end and keeps nothing. It reports
// whether no answer can be sent, and whether the connection must end.
func (r *reader) drain() (mute, last bool) {
	if r.impatient {
		return false, true
	}
	for {
		content, v, err := r.piece()
		switch {
		case err != nil:
			return !timedOut(err), true
		case v == ended:
			return false, r.strict
		case v == started:
			r.restarted = true
			return true, r.strict
		}
		r.take(content)
		if r.offset-r.began > drained*max(r.size, bufferSize) {
			return false, true
		}
	}
}

// beginning is what is kept of a frame that cannot be taken.
func beginning(raw []byte) []byte { return raw[:min(len(raw), kept)] }
