package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/plexus-health/plexus/message"
)

// errStopping says that the run ended between two messages of a file.
var errStopping = errors.New("the source stops")

// maxFaults is how many reasons are written beside a file.
const maxFaults = 50

// beginning is how much of a message that is too large is kept.
const beginning = 64 << 10

// triesToRead is how often an unreadable file is tried until it is set aside.
const triesToRead = 3

// file takes one file to its end. An error is one of ours or of the whole place.
func (r *run) file(s *sight) error {
	if !s.info.Regular {
		s.gone = true
		r.Env.Count("not-a-file", 1)
		r.log(s).Warn("a link, pipe or device is not picked up")
		return nil
	}
	if strings.ContainsRune(s.info.Name, '/') {
		s.gone = true
		r.Env.Count("odd-name", 1)
		r.log(s).Warn("a name with a separator is not picked up")
		return nil
	}
	if !s.ended {
		h := &handing{run: r, s: s}
		err := h.content()
		switch {
		case errors.Is(err, errStopping):
			return nil
		case h.unread != nil:
			return r.unread(s, h.unread)
		case err != nil:
			return err
		}
		s.ended, s.faults, s.tries = true, h.faults, 0
		if len(s.faults) > 0 {
			r.Env.Count("file-refused", 1)
			r.log(s).Warn("file not taken", "reasons", len(s.faults), "first", s.faults[0])
		}
	}
	return r.putAway(s)
}

// unread is what follows when a file could not be read to its end.
func (r *run) unread(s *sight, err error) error {
	switch {
	case errors.Is(err, ErrLost):
		r.leave()
		return err
	case errors.Is(err, fs.ErrNotExist):
		delete(r.seen, s.info.Name)
		r.Env.Count("file-vanished", 1)
		return nil
	case errors.Is(err, ErrChanged):
		delete(r.seen, s.info.Name) // its time starts anew
		r.Env.Count("file-changed", 1)
		return nil
	}
	s.again()
	r.Env.Count("file-unreadable", 1)
	if s.tries < triesToRead {
		return nil
	}
	text := "the file cannot be read: " + Reason(err).Error()
	s.ended, s.faults, s.tries = true, []string{text}, 0
	r.log(s).Warn("file not taken", "reasons", 1, "first", text)
	return r.putAway(s)
}

// A handing is one file on its way to the handler.
type handing struct {
	*run
	s      *sight
	faults []string
	parts  int
	unread error // the file could not be read
	ours   error // the handler failed: nothing may be claimed
}

// fault notes why a message was not taken.
func (h *handing) fault(part int, problems []message.Problem) {
	if len(problems) == 0 {
		problems = []message.Problem{{Text: "refused without a reason"}}
	}
	for _, p := range problems {
		var text strings.Builder
		if part > 0 {
			fmt.Fprintf(&text, "message %d: ", part)
		}
		if p.Where != "" {
			text.WriteString(p.Where + ": ")
		}
		if p.Code > 0 {
			fmt.Fprintf(&text, "%d: ", p.Code)
		}
		text.WriteString(p.Text)
		if len(h.faults) < maxFaults {
			h.faults = append(h.faults, text.String())
		}
	}
}

// content hands over the messages of the file.
func (h *handing) content() (err error) {
	if h.s.info.Size == 0 {
		h.Env.Count("empty-file", 1)
		return h.message(0, &message.Message{Raw: []byte{}, Damage: &message.Failure{
			Kind: message.Malformed, Code: 100, Err: errors.New("the file is empty"),
		}})
	}
	file, err := h.place.Open(h.s.info)
	if err != nil {
		h.unread = err
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	in := read(h.place, file, h.s.info)
	switch {
	case h.Env.Split == nil && h.s.info.Size > h.Env.Size:
		return h.tooLarge(in)
	case h.Env.Split == nil && h.s.info.Size > h.Env.Whole:
		return h.stream(in)
	case h.s.info.Size > h.Env.Whole:
		return h.split(in, in)
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		h.unread = err
		return err
	}
	if h.Env.Split == nil {
		return h.message(0, &message.Message{Raw: raw, Size: int64(len(raw))})
	}
	return h.split(bytes.NewReader(raw), in)
}

// tooLarge has a file above the limit journaled as refused, with its beginning.
func (h *handing) tooLarge(in *reading) error {
	h.Env.Count("file-too-large", 1)
	raw := make([]byte, min(beginning, h.s.info.Size))
	if _, err := io.ReadFull(in, raw); err != nil {
		h.unread = err
		return err
	}
	return h.message(0, &message.Message{Raw: raw, Size: int64(len(raw)), Damage: &message.Failure{
		Kind: message.Malformed, Err: fmt.Errorf("the file has %d bytes, more than the %d that are taken", h.s.info.Size, h.Env.Size),
	}})
}

// stream hands over a large file while it is read.
func (h *handing) stream(in *reading) error {
	err := h.message(0, &message.Message{Stream: in})
	switch {
	case in.failure != nil:
		h.unread = in.failure // whatever was said of it does not count
		return in.failure
	case err == nil && !in.done:
		return errors.New("a file was answered before it was read to its end")
	}
	return err
}

// split hands over the messages in r, each by itself. A refused one does not
// hold up those after it.
func (h *handing) split(r io.Reader, in *reading) error {
	err := h.Env.Split(r, func(raw []byte) error {
		if h.ctx.Err() != nil {
			return errStopping
		}
		h.parts++
		m := &message.Message{Raw: bytes.Clone(raw), Size: int64(len(raw))}
		if m.Size > h.Env.Whole {
			m.Stream, m.Raw, m.Size = bytes.NewReader(m.Raw), nil, 0
		}
		h.ours = h.message(h.parts, m)
		return h.ours
	})
	switch {
	case h.ours != nil, errors.Is(err, errStopping):
		return err
	case in.failure != nil:
		h.unread = in.failure
		return in.failure
	case err != nil:
		return h.notSplit(err)
	case !in.done:
		return errors.New("a file was answered before it was read to its end")
	case h.parts == 0:
		h.fault(0, []message.Problem{{Text: "there is no message in the file"}})
	}
	return nil
}

// notSplit has the message at which a file could not be taken apart journaled as
// refused, with its beginning. Nothing behind it is read.
func (h *handing) notSplit(err error) error {
	part := 0 // it may be the only one
	if h.parts > 0 {
		part = h.parts + 1
	}
	partial, begun := errors.AsType[*message.Partial](err)
	failure, placed := errors.AsType[*message.Failure](err)
	if !begun || !placed {
		h.fault(part, []message.Problem{message.Explain(err)})
		return nil
	}
	h.Env.Count("message-too-large", 1)
	raw := partial.Beginning[:min(len(partial.Beginning), beginning)]
	return h.message(part, &message.Message{Raw: raw, Size: int64(len(raw)), Damage: failure})
}

// message hands over one message.
func (h *handing) message(part int, m *message.Message) error {
	m.Peer, m.Received = h.Peer, h.Env.Now()
	damaged := m.Damage != nil
	reply, err := h.handle(h.work, m)
	switch {
	case err != nil:
		return err
	case reply.Answer.Again:
		return errors.New("the message cannot be taken now")
	case reply.Answer.Code == message.Erroneous, reply.Answer.Code == message.Rejected:
		h.fault(part, reply.Answer.Problems)
	case reply.Answer.Code != message.Accepted:
		return errors.New("the message was not answered")
	case damaged:
		return errors.New("a damaged message was answered positively")
	}
	return nil
}
