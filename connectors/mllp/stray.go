package mllp

import (
	"bytes"
	"errors"
	"time"

	"github.com/plexus-health/plexus/message"
)

// says reports whether bytes outside of frames hold more than controls, which
// some senders put around each frame.
func (r *reader) says() bool {
	if bytes.ContainsFunc(r.stray, func(c rune) bool { return c > ' ' && c != 0x7f }) {
		return true
	}
	r.stray = r.stray[:0]
	return false
}

// strayed is what stood outside of frames: nobody is answered, for it asked nothing.
func (r *reader) strayed() frame {
	r.strays--
	r.seat.Begin()
	f := frame{raw: r.stray, damage: &message.Failure{Kind: message.Malformed, Offset: 1, Err: errNoise}, mute: true, stray: true}
	r.stray = nil
	return f
}

// keep keeps bytes outside of frames, as many as are kept of a frame.
func (r *reader) keep(noise []byte) {
	if r.strays > 0 {
		r.stray = append(r.stray, noise[:min(len(noise), kept-len(r.stray))]...)
	}
}

// startsUnframed reports whether a message begins here without a start byte.
func (r *reader) startsUnframed() bool {
	head, _ := r.in.Peek(4) // fewer bytes are none of a message
	return len(head) == 4 && string(head[:3]) == "MSH" && head[3] != startByte
}

// unframed collects a message that came without a frame, as far as it comes.
func (r *reader) unframed() frame {
	r.count("unframed", 1, r.offset)
	r.open()
	return frame{raw: r.pause(), last: true, damage: &message.Failure{
		Kind: message.Malformed, Offset: 1, Err: errors.New("the message came without an MLLP frame: start byte 0B is missing"),
	}}
}

// pause consumes the byte in hand and what comes behind it until the peer rests
// or a byte of framing comes, as many bytes as are kept.
func (r *reader) pause() []byte {
	chunk, _ := r.in.Peek(1) // it is buffered
	raw := []byte{chunk[0]}
	r.consume(1)
	r.by = time.Now().Add(r.frame)
	for len(raw) < kept {
		if r.in.Buffered() == 0 {
			r.deadline(r.sooner(2 * r.endWait))
			if _, err := r.in.Peek(1); err != nil {
				break
			}
		}
		chunk, _ := r.in.Peek(r.in.Buffered())
		end := bytes.IndexAny(chunk, "\x0b\x1c")
		if end >= 0 {
			chunk = chunk[:end]
		}
		chunk = chunk[:min(len(chunk), kept-len(raw))]
		raw = append(raw, chunk...)
		r.consume(len(chunk))
		if end >= 0 {
			break
		}
	}
	return raw
}
