package mllp

import (
	"io"

	"github.com/plexus-health/plexus/message"
)

// A stream is the content of a large frame as it arrives. It ends with io.EOF
// only when the frame came whole.
type stream struct {
	r      *reader
	head   []byte // the beginning, kept for the journal
	unread []byte // of head

	done    bool
	failure *message.Failure // why the frame did not come whole
	stopped error            // we are ending: nobody is to blame
	answer  bool             // the frame's end may still be reached, and answered
}

// Read delivers content; its error is a *message.Failure when the frame is cut
// short, damaged or too large.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(s.unread) > 0 {
		n := copy(p, s.unread)
		s.unread = s.unread[n:]
		return n, nil
	}
	switch {
	case s.stopped != nil:
		return 0, s.stopped
	case s.failure != nil:
		return 0, s.failure
	case s.done:
		return 0, io.EOF
	}
	content, v, err := s.r.piece()
	switch {
	case err != nil && isStopping(err):
		s.stopped = err
		return 0, err
	case err != nil:
		s.failure = s.r.broke(err)
		return 0, s.failure
	case v == ended && !s.r.seat.Hold():
		s.stopped = errDisplaced
		return 0, s.stopped
	case v == ended:
		s.done = true
		return 0, io.EOF
	case v == started:
		s.r.restarted = true
		s.failure = s.r.cut(brokenOff)
		return 0, s.failure
	case s.r.damage != nil:
		s.r.take(content)
		s.failure, s.answer = s.r.damage, true
		return 0, s.failure
	}
	room := s.r.size - (s.r.offset - s.r.began)
	if room <= 0 {
		s.failure, s.answer = s.r.large(), true
		return 0, s.failure
	}
	n := copy(p, content[:min(int64(len(content)), room)])
	s.r.take(content[:n])
	return n, nil
}

// remains is the frame to be journaled as refused after the stream failed.
func (s *stream) remains() frame {
	f := frame{raw: beginning(s.head), damage: s.failure, mute: true, last: true}
	switch {
	case s.r.restarted:
		f.last = s.r.strict
	case s.answer:
		f.mute, f.last = s.r.drain()
	}
	return f
}
