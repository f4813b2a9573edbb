package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
)

// A Check looks at a message before it is handed over: all of it, or the
// beginning of a large one. What it finds is journaled as the reason of a
// refusal.
type Check func(head []byte, whole bool) *message.Failure

// beginning is how much of a message that is too large is kept.
const beginning = 64 << 10

// Reasons of content that did not come as it was to come.
var (
	errLarge = errors.New("the content is larger than this channel takes")
	errSlow  = errors.New("the content did not come in time")
	errCut   = errors.New("the content did not come whole")
)

// Take hands over the content of the request: as one message, or as several
// where the channel's format has files of several. One that is not whole is not
// handed over.
func (x *Exchange) Take(handle connectors.Handler, check Check) Outcome {
	t := &taking{x: x, handle: handle, check: check, status: http.StatusOK, answered: true}
	t.body = &body{in: x.Request.Body, left: x.run.Env.Size}
	x.unread = true // until it was
	out := t.content()
	if t.body.done {
		x.unread = false
		// The next wait is for the peer's next request.
		_ = x.control.SetReadDeadline(time.Time{}) // fails only when closed: the answer says so
	}
	return out
}

// A taking is the content of one request on its way to the handler.
type taking struct {
	x      *Exchange
	handle connectors.Handler
	check  Check
	body   *body

	parts    int
	status   int
	problems []message.Problem
	raw      []byte
	answered bool      // every message has an answer of its own
	until    time.Time // when it is not waited any more for what becomes of messages
	ours     error
}

// content reads and hands over.
func (t *taking) content() Outcome {
	env, request := &t.x.run.Env, t.x.Request
	if coding := request.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		env.Count("content-refused", 1)
		return refused(http.StatusUnsupportedMediaType, "compressed content is not taken")
	}
	if request.ContentLength > env.Size {
		head, err := io.ReadAll(io.LimitReader(t.body, min(beginning, env.Size)))
		if err != nil {
			return t.notWhole(err, head)
		}
		return t.tooLarge(head)
	}
	head, err := io.ReadAll(io.LimitReader(t.body, env.Whole+1))
	switch {
	case err != nil:
		return t.notWhole(err, head)
	case len(head) == 0:
		env.Count("empty-body", 1)
		return refused(http.StatusBadRequest, "the request has no content")
	case env.Split != nil:
		return t.split(head)
	case int64(len(head)) <= env.Whole:
		return t.end(t.message(&message.Message{Raw: head, Size: int64(len(head))}, head, true))
	}
	return t.stream(head)
}

// stream hands over a large message while it arrives.
func (t *taking) stream(head []byte) Outcome {
	err := t.message(&message.Message{Stream: io.MultiReader(bytes.NewReader(head), t.body)}, head, false)
	switch {
	case t.body.failure != nil: // whatever was said of it does not count
		return t.notWhole(t.body.failure, head)
	case err == nil && !t.body.done && t.status == http.StatusOK:
		err = errors.New("a message was answered before it was read to its end")
	}
	return t.end(err)
}

// split hands over the messages of a file, each by itself. A refused one does
// not hold up those after it.
func (t *taking) split(head []byte) Outcome {
	err := t.x.run.Env.Split(io.MultiReader(bytes.NewReader(head), t.body), func(raw []byte) error {
		t.parts++
		m := &message.Message{Raw: bytes.Clone(raw), Size: int64(len(raw))}
		head, whole := m.Raw, true
		if m.Size > t.x.run.Env.Whole {
			m.Stream, m.Raw, m.Size, whole = bytes.NewReader(m.Raw), nil, 0, false
		}
		t.ours = t.message(m, head, whole)
		return t.ours
	})
	partial, begun := errors.AsType[*message.Partial](err)
	switch {
	case t.ours != nil:
		return t.end(t.ours)
	case t.body.failure != nil: // what came whole before is taken
		if t.parts > 0 && begun {
			t.parts++
			head = partial.Beginning
		}
		return t.notWhole(t.body.failure, head)
	case err != nil && begun:
		head = partial.Beginning
		t.x.run.Env.Count("message-too-large", 1)
	}
	fault, _ := errors.AsType[*message.Failure](err)
	switch {
	case t.parts == 0 && fault == nil: // whatever it is, it is journaled with its reason
		fault = &message.Failure{Kind: message.Malformed, Code: 100, Err: errors.New("there is no message in the content")}
	case t.parts > 0 && err != nil && (!begun || fault == nil):
		t.worse(http.StatusUnprocessableEntity, []message.Problem{message.Explain(err)}, t.parts+1)
		return t.end(nil)
	case err == nil:
		return t.end(nil)
	}
	if t.parts > 0 {
		t.parts++
	}
	return t.end(t.damaged(head, fault))
}

// damaged hands over the beginning of content that cannot be taken.
func (t *taking) damaged(head []byte, fault *message.Failure) error {
	head = head[:min(len(head), beginning)]
	t.check = func([]byte, bool) *message.Failure { return fault }
	return t.message(&message.Message{Raw: head, Size: int64(len(head))}, head, true)
}

// message hands over one message and notes what was said of it.
func (t *taking) message(m *message.Message, head []byte, whole bool) error {
	m.Peer, m.Received = t.x.Request.RemoteAddr, t.x.run.Env.Now()
	if t.check != nil {
		m.Damage = t.check(head, whole)
	}
	if m.Damage != nil && m.Stream != nil {
		m.Stream, m.Raw = nil, head[:min(len(head), beginning)]
		m.Size = int64(len(m.Raw))
	}
	reply, err := t.handle(t.x.run.work, m)
	if err != nil {
		return err
	}
	status := verdict(reply.Answer)
	switch {
	case m.Damage != nil && status == http.StatusOK:
		return errors.New("a damaged message was answered positively")
	case reply.Answer.Code == message.None:
		return errors.New("a message was not answered")
	case m.Damage != nil && status != http.StatusServiceUnavailable:
		status = http.StatusBadRequest
	}
	if len(reply.Raw) == 0 && reply.Later != nil {
		reply.Raw = t.later(reply)
	}
	if len(reply.Raw) == 0 {
		t.answered = false
	}
	if n := len(t.raw); n > 0 && t.raw[n-1] != '\n' && t.raw[n-1] != '\r' {
		t.raw = append(t.raw, '\n')
	}
	t.raw = append(t.raw, reply.Raw...)
	if status != http.StatusOK {
		t.worse(status, reply.Answer.Problems, t.parts)
	}
	return nil
}

// laterWait bounds how long a request waits for what becomes of its messages
// where their senders want to hear of nothing else.
const laterWait = 30 * time.Second

// later is the answer of a message that has no other: what became of it, if that
// is known in time.
func (t *taking) later(reply message.Reply) []byte {
	now := time.Now()
	if t.until.IsZero() {
		t.until = now.Add(laterWait)
	}
	if !now.Before(t.until) {
		return nil
	}
	ctx, done := context.WithDeadline(t.x.run.work, t.until)
	defer done()
	return reply.Later(ctx)
}

// worse notes a negative answer. A fault of ours outweighs one of the content:
// the sender is to send everything again, and what is taken is recognised.
func (t *taking) worse(status int, problems []message.Problem, part int) {
	if t.status == http.StatusOK || (status == http.StatusServiceUnavailable && t.status != status) {
		t.status = status
	}
	if len(problems) == 0 {
		problems = []message.Problem{{Text: "refused without a reason"}}
	}
	for _, p := range problems {
		if len(t.problems) == maxProblems {
			return
		}
		if part > 0 {
			p.Text = fmt.Sprintf("message %d: %s", part, p.Text)
		}
		t.problems = append(t.problems, p)
	}
}

// maxProblems is how many problems an answer tells.
const maxProblems = 100

// end is the outcome of what was handed over. An error is one of ours: nothing
// may be claimed, and the sender keeps its message.
func (t *taking) end(err error) Outcome {
	if err != nil {
		t.x.run.Env.Count("unanswered", 1)
		t.x.run.Env.Log.Warn("message not taken, the sender is to send it again", "peer", t.x.Request.RemoteAddr, "error", err.Error())
		return refused(http.StatusServiceUnavailable, "not taken now, send it again later")
	}
	o := Outcome{Status: t.status, Problems: t.problems}
	if t.answered {
		o.Raw = t.raw
	}
	return o
}

// notWhole is the outcome of content of which a part is missing or too much: its
// beginning is journaled as refused.
func (t *taking) notWhole(err error, head []byte) Outcome {
	switch {
	case t.x.run.ctx.Err() != nil:
		return refused(http.StatusServiceUnavailable, "the listener stops, send it again later")
	case errors.Is(err, errLarge):
		return t.tooLarge(head)
	}
	return t.cut(err, head)
}

// cut is the outcome of content whose end did not come. The sender is told so,
// and not by an answer of the format: that would be one to its whole message.
func (t *taking) cut(err error, head []byte) Outcome {
	env, status := &t.x.run.Env, http.StatusBadRequest
	if errors.Is(err, errSlow) {
		status = http.StatusRequestTimeout
		env.Count("body-timeout", 1)
	} else {
		err = errCut
		env.Count("body-cut", 1)
	}
	env.Log.Info("message not taken", "peer", t.x.Request.RemoteAddr, "error", err.Error())
	// All bytes may be there and the end of the last chunk may not: what is
	// kept must not be the message itself, or it would come again as a copy.
	if head = head[:max(0, len(head)-1)]; len(head) == 0 {
		return refused(status, err.Error())
	}
	if ours := t.damaged(head, &message.Failure{Kind: message.Malformed, Err: err}); ours != nil {
		return t.end(ours)
	}
	return refused(status, err.Error())
}

// tooLarge has content above the limit journaled as refused, with its beginning.
func (t *taking) tooLarge(head []byte) Outcome {
	t.x.run.Env.Count("body-too-large", 1)
	t.status, t.problems, t.raw = http.StatusOK, nil, nil
	out := t.end(t.damaged(head, &message.Failure{Kind: message.Malformed, Err: fmt.Errorf("%w: more than %d bytes", errLarge, t.x.run.Env.Size)}))
	if out.Status != http.StatusServiceUnavailable {
		out.Status = http.StatusRequestEntityTooLarge
	}
	return out
}

// A body is the content as it arrives. It ends with io.EOF only when it came
// whole.
type body struct {
	in      io.Reader
	left    int64 // bytes that may still come
	done    bool
	failure error
}

// Read delivers content; its error says why there is no more.
func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.failure != nil:
		return 0, b.failure
	case b.done:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n, err := b.in.Read(p[:min(int64(len(p)), b.left+1)])
	if int64(n) > b.left {
		b.failure = errLarge
		return int(b.left), b.failure
	}
	b.left -= int64(n)
	timeout := net.Error(nil)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		b.done = true
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		b.failure = errSlow
	default:
		b.failure = errCut
	}
	return n, b.failure
}
