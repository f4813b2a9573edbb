package mllp

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
)

const (
	ackBlock = "\x0b\x06\x1c\r"
	nakBlock = "\x0b\x15\x1c\r"
)

// said reads everything a listener says until it ends the connection, and names
// its blocks.
func said(t *testing.T, r io.Reader) string {
	t.Helper()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		return ""
	}
	var out []string
	for block := range strings.SplitSeq(strings.TrimSuffix(string(all), "\x1c\r"), "\x1c\r") {
		switch content := strings.TrimPrefix(block, "\x0b"); content {
		case "\x06":
			out = append(out, "stored")
		case "\x15":
			out = append(out, "not-stored")
		default:
			a := ReadAck([]byte(content))
			out = append(out, a.Code+":"+a.Control)
		}
	}
	return strings.Join(out, " ")
}

func TestReleaseTwoSource(t *testing.T) {
	down := errors.New("the store is away")
	for name, c := range map[string]struct {
		sent, want string
		fails      int // so many times the handler takes nothing
		again      int // it says of so many that nothing was written
		silent     bool
		release    int
		events     map[string]int
	}{
		"stored, then answered":               {sent: framed(m1) + ackBlock + framed(m2) + ackBlock, want: "stored AA:1 stored AA:2"},
		"a peer that does not commit answers": {sent: framed(m1) + framed(m2), want: "stored AA:1 stored AA:2"},
		"an answer that was not stored comes again, not for ever": {
			sent: framed(m1) + nakBlock + nakBlock + nakBlock + ackBlock + framed(m2), want: "stored AA:1 AA:1 AA:1 stored AA:2", events: map[string]int{"answer-not-stored": 3},
		},
		"a block without an answer to speak of": {sent: nakBlock + framed(m1), want: "stored AA:1", events: map[string]int{"answer-not-stored": 0}},
		"what is damaged is to be sent again":   {sent: "\x0b" + m1[:30] + "\x1c" + m1[30:] + "\x1c\r" + framed(m1), want: "not-stored stored AA:1"},
		"what could not be stored, too":         {sent: framed(m1) + framed(m1), fails: 1, want: "not-stored stored AA:1", events: map[string]int{"unanswered": 1}},
		"what is to come again was not stored":  {sent: framed(m1) + framed(m1), again: 1, want: "not-stored stored AA:1"},
		"release 1 says it in words":            {sent: framed(m1) + framed(m1), again: 1, release: 1, want: "AE:1 AA:1"},
		"no answer is wanted":                   {sent: framed(m1) + framed(m2), silent: true, want: "stored stored"},
		"release 1 knows no blocks":             {sent: framed(m1) + ackBlock, release: 1, want: "AA:1 AE:"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.options.Release = 2
			if c.release > 0 {
				s.options.Release = c.release
			}
			var calls atomic.Int64
			s.handle = func(ctx context.Context, m *message.Message) (message.Reply, error) {
				if int(calls.Add(1)) <= c.fails {
					return message.Reply{}, down
				}
				if int(calls.Load()) <= c.again {
					reply := ack(m, message.Erroneous)
					reply.Answer.Again = true
					return reply, nil
				}
				reply, err := s.note(ctx, m)
				if len(m.Raw) == 1 {
					reply = ack(m, message.Erroneous)
				}
				if c.silent {
					reply.Raw = nil
				}
				return reply, err
			}
			s.run()
			conn := s.dial()
			if _, err := io.WriteString(conn, c.sent); err != nil {
				t.Fatal(err)
			}
			if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := said(t, conn); got != c.want {
				t.Errorf("said %q, want %q", got, c.want)
			}
			for event, want := range c.events {
				if got := s.event(event); got != want {
					t.Errorf("%s was counted %d times, want %d", event, got, want)
				}
			}
		})
	}
}

// TestLaterAnswers: the application acknowledgement follows the accept
// acknowledgement on the same connection, or comes alone, in either release.
func TestLaterAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		release int
		bound   time.Duration
		alone   bool
		want    string
	}{
		"release 1":         {1, patience, false, "CA:1 AA:1 CA:2 AA:2"},
		"release 2":         {2, patience, false, "stored CA:1 AA:1 stored CA:2 AA:2"},
		"not wanted":        {1, 0, false, "CA:1 CA:2"},
		"too late":          {1, time.Millisecond, false, "CA:1 CA:2"},
		"alone, release 1":  {1, patience, true, "AA:1 AA:2"},
		"alone, release 2":  {2, patience, true, "stored AA:1 stored AA:2"},
		"alone, not wanted": {1, 0, true, ""},
		"alone, too late":   {1, time.Millisecond, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.options.Release, s.options.Application = c.release, c.bound
			s.handle = func(_ context.Context, m *message.Message) (message.Reply, error) {
				aa := ack(m, message.Accepted)
				ca := message.Reply{Answer: aa.Answer, Raw: []byte(strings.Replace(string(aa.Raw), "MSA|AA", "MSA|CA", 1))}
				if c.alone {
					ca.Raw = nil
				}
				ca.Later = func(ctx context.Context) []byte {
					if c.bound == time.Millisecond {
						<-ctx.Done()
						return nil
					}
					return aa.Raw
				}
				return ca, nil
			}
			s.run()
			conn := s.dial()
			if _, err := io.WriteString(conn, framed(m1)+framed(m2)); err != nil {
				t.Fatal(err)
			}
			if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := said(t, conn); got != c.want {
				t.Errorf("said %q, want %q", got, c.want)
			}
		})
	}
}

func TestReleaseTwoDestination(t *testing.T) {
	msa := func(text string) string { return framed(ackHead + "MSA|" + text + "\r") }
	for name, c := range map[string]struct {
		answers []string
		wait    string
		retries int
		kind    message.Kind
		code    string
		events  map[string]int
	}{
		"stored, then answered":              {answers: []string{ackBlock + msa("AA|@")}, code: "AA"},
		"stored, then CA and AA":             {answers: []string{ackBlock + msa("CA|@") + msa("AA|@")}, wait: waitApplication, code: "AA"},
		"stored is all that is waited for":   {answers: []string{ackBlock}, wait: waitCommit},
		"not stored, then stored":            {answers: []string{nakBlock, ackBlock + msa("AA|@")}, retries: 2, code: "AA", events: map[string]int{"not-stored": 1}},
		"not stored at all":                  {answers: []string{nakBlock, nakBlock, nakBlock}, retries: 2, kind: message.Busy, events: map[string]int{"not-stored": 3}},
		"a receiver of release 1":            {answers: []string{msa("AA|@")}, code: "AA", events: map[string]int{"commit-missing": 1}},
		"two blocks where an answer was due": {answers: []string{ackBlock + ackBlock}, kind: message.Unreadable, code: ""},
		"stored, and no answer":              {answers: []string{ackBlock}, kind: message.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			o := defaults()
			o.Address, o.Release, o.Retries = scripted(t, c.answers...), 2, c.retries
			if c.wait != "" {
				o.Wait = c.wait
			}
			if c.kind == message.Unknown {
				o.Timeout = 100 * time.Millisecond
			}
			if problems := o.Validate(); len(problems) > 0 {
				t.Fatal(joined(problems))
			}
			r := newRoute(t, o, "")
			raw, control := payload(1)
			reply, err := r.Send(t.Context(), &message.Delivery{ID: "d", Control: control, Payload: raw})
			if (err == nil) != (c.kind == "") || err != nil && message.KindOf(err) != c.kind {
				t.Errorf("Send = %v, want %q", err, c.kind)
			}
			if got := ReadAck(reply.Raw).Code; got != c.code {
				t.Errorf("the answer %q came back, want %q", got, c.code)
			}
			for event, want := range c.events {
				if got := r.event(event); got != want {
					t.Errorf("%s was counted %d times, want %d", event, got, want)
				}
			}
		})
	}
}

// TestReleaseTwoBothSides sends from our destination to our source.
func TestReleaseTwoBothSides(t *testing.T) {
	s := newSite(t)
	s.options.Release = 2
	o := defaults()
	o.Address, o.Release = s.run(), 2
	r := newRoute(t, o, "")
	for n := range 50 {
		r.mustSend(n)
	}
	if n := r.event("commit-missing") + s.event("answer-not-stored"); n != 0 {
		t.Errorf("%d times the two did not agree", n)
	}
}

// A halfConn answers the first message that is written; what is written behind it
// is lost.
type halfConn struct {
	net.Conn
	answers io.Reader
	written int
}

func (c *halfConn) Read(p []byte) (int, error) { return c.answers.Read(p) }
func (c *halfConn) Close() error               { return nil }

func (c *halfConn) SetDeadline(time.Time) error     { return nil }
func (c *halfConn) SetReadDeadline(time.Time) error { return nil }

func (c *halfConn) Write(p []byte) (int, error) {
	if c.written++; c.written > 1 {
		return 0, errors.New("connection reset")
	}
	return len(p), nil
}

// TestAnAnswerCountsThoughItsCommitIsLost: an answer that was read is the outcome
// of the send, and the connection is used no more.
func TestAnAnswerCountsThoughItsCommitIsLost(t *testing.T) {
	msa := func(code string) string { return framed(ackHead + "MSA|" + code + "|1\r") }
	for name, c := range map[string]struct {
		answers string
		wait    func([]byte) bool
		code    string
		kind    message.Kind
	}{
		"AA":                {ackBlock + msa("AA"), nil, "AA", ""},
		"AE":                {ackBlock + msa("AE"), nil, "AE", ""},
		"without a block":   {msa("AA"), nil, "AA", ""},
		"CA is not the end": {ackBlock + msa("CA"), func(raw []byte) bool { return ReadAck(raw).Code == "CA" }, "CA", message.Unknown},
	} {
		client := newClient(&halfConn{answers: strings.NewReader(c.answers)}, 0)
		client.release2 = true
		reply, err := client.exchange(t.Context(), []byte(m1), c.wait)
		if got := ReadAck(reply).Code; got != c.code || (err == nil) != (c.kind == "") || err != nil && message.KindOf(err) != c.kind {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if !client.dead.Load() {
			t.Errorf("%s: the connection is used again", name)
		}
	}
}

// TestAnswersThatAreNotStoredAreLoggedOnce: a peer that refuses answers for ever
// is counted each time and fills no log.
func TestAnswersThatAreNotStoredAreLoggedOnce(t *testing.T) {
	s := newSite(t)
	s.options.Release = 2
	s.run()
	conn := s.dial()
	if _, err := io.WriteString(conn, framed(m1)+strings.Repeat(nakBlock, 500)+framed(m2)+strings.Repeat(nakBlock, 500)); err != nil {
		t.Fatal(err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := said(t, conn); got != "stored AA:1 AA:1 AA:1 stored AA:2 AA:2 AA:2" {
		t.Errorf("said %q", got)
	}
	s.mu.Lock()
	log := s.log.String()
	s.mu.Unlock()
	if n := s.event("answer-not-stored"); n != 1000 {
		t.Errorf("%d were counted", n)
	}
	if n := strings.Count(log, "could not store"); n != 1 {
		t.Errorf("%d lines were logged", n)
	}
}

func TestReleaseWords(t *testing.T) {
	o := defaults()
	o.Address, o.Wait, o.Retries = "127.0.0.1:1", waitCommit, 21
	want := "wait: commit needs release: 2; retries: 21 is not between 0 and 20"
	if got := joined(o.Validate()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s := DefaultSource().(*SourceOptions)
	s.Release, s.Application = 3, -1
	want = "release: 3 is not known; known: 1, 2; application: -1ns is not a time, such as 30s, nor 0 for never"
	if got := joined(s.Validate()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
