package mllp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/internal/faults"
	"github.com/plexus-health/plexus/internal/partner"
	"github.com/plexus-health/plexus/message"
)

// A route is a destination of a test, with what it logged and counted.
type route struct {
	*Destination

	t      testing.TB
	mu     sync.Mutex
	log    bytes.Buffer
	events map[string]int
}

// newRoute opens a destination of options until the end of the test. Nothing
// that it logs may hold content.
func newRoute(t testing.TB, o *DestinationOptions, folder string) *route {
	t.Helper()
	r := &route{t: t, events: map[string]int{}}
	r.Destination = openDestination(t, o, connectors.Environment{
		Log:    slog.New(slog.NewTextHandler(locked{&r.mu, &r.log}, nil)),
		Count:  func(event string, n int) { r.mu.Lock(); r.events[event] += n; r.mu.Unlock() },
		Folder: folder, Size: 8 << 20,
	})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if strings.Contains(r.log.String(), connectortest.Canary) {
			t.Errorf("content of a message is in the log:\n%s", r.log.String())
		}
	})
	return r
}

func (r *route) event(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[name]
}

// send sends sample message n and holds what every send promises.
func (r *route) send(n int) (message.Reply, error) {
	r.t.Helper()
	raw, control := payload(n)
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	reply, err := r.Send(ctx, &message.Delivery{ID: fmt.Sprint("d", n), Control: control, Payload: raw})
	if err == nil && (reply.Answer.Code != message.Accepted || ReadAck(reply.Raw).Control != control) {
		r.t.Errorf("message %d was accepted by the answer %q", n, reply.Raw)
	}
	if _, ok := errors.AsType[*message.Failure](err); err != nil && !ok {
		r.t.Errorf("message %d: %v is no failure of a class", n, err)
	}
	if err != nil && strings.Contains(err.Error(), connectortest.Canary) {
		r.t.Errorf("content of a message is in the error %v", err)
	}
	return reply, err
}

func (r *route) mustSend(n int) {
	r.t.Helper()
	if _, err := r.send(n); err != nil {
		r.t.Errorf("message %d: %v, want accepted", n, err)
	}
}

// newPartner starts a partner until the end of the test.
func newPartner(t testing.TB, o partner.Options) *partner.Partner {
	t.Helper()
	p, err := partner.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestClasses(t *testing.T) {
	type does = partner.Behaviour
	tests := map[string]struct {
		does
		kind  message.Kind // empty: accepted
		reply bool         // something of the answer comes back
	}{
		"AA":            {does{Answer: "AA"}, "", true},
		"CA":            {does{Answer: "CA"}, "", true},
		"AE":            {does{Answer: "AE"}, message.Busy, true},
		"CE":            {does{Answer: "CE"}, message.Busy, true},
		"AE 206":        {does{Answer: "AE", Code: 206}, message.Busy, true},
		"AE 207":        {does{Answer: "AE", Code: 207}, message.Busy, true},
		"AE 101":        {does{Answer: "AE", Code: 101}, message.RefusedSend, true},
		"CE 204":        {does{Answer: "CE", Code: 204}, message.RefusedSend, true},
		"AR":            {does{Answer: "AR"}, message.RefusedSend, true},
		"CR":            {does{Answer: "CR", Code: 200}, message.RefusedSend, true},
		"AR 207":        {does{Answer: "AR", Code: 207}, message.Busy, true},
		"never":         {does{Answer: partner.Never}, message.Unknown, false},
		"hang up":       {does{Answer: partner.HangUp}, message.Unknown, false},
		"half close":    {does{Answer: partner.HalfClose}, message.Unknown, false},
		"wrong control": {does{Answer: partner.WrongControl}, message.Unknown, true},
		"half frame":    {does{Answer: partner.HalfFrame}, message.Unknown, true},
		"garbage":       {does{Answer: partner.Garbage}, message.Unreadable, false},
		"huge":          {does{Answer: partner.Huge}, message.Unreadable, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPartner(t, partner.Options{Behaviour: test.does})
			o := defaults()
			o.Address = p.Address()
			if test.Answer == partner.Never || test.Answer == partner.Garbage {
				o.Timeout = 100 * time.Millisecond
			}
			r := newRoute(t, o, "")
			reply, err := r.send(1)
			if test.kind == "" && err != nil || test.kind != "" && (err == nil || message.KindOf(err) != test.kind) {
				t.Errorf("Send = %v, kind %s; want kind %q", err, message.KindOf(err), test.kind)
			}
			if (len(reply.Raw) > 0) != test.reply {
				t.Errorf("%d bytes of the answer came back", len(reply.Raw))
			}
			if int64(len(reply.Raw)) > r.env.Size {
				t.Errorf("%d bytes of an answer are kept, more than %d", len(reply.Raw), r.env.Size)
			}
			r.options.Timeout = patience
			if err := p.Behave(partner.Behaviour{}); err != nil {
				t.Fatal(err)
			}
			r.mustSend(2)
			came := p.Arrivals()
			if got := controls(p); got != "M000001 M000002" {
				t.Fatalf("%s arrived", got)
			}
			doubtful := test.kind == message.Unknown || test.kind == message.Unreadable
			if again := came[0].Peer != came[1].Peer; again != doubtful {
				t.Errorf("a new connection for the next message: %v, want %v", again, doubtful)
			}
		})
	}
}

// controls lists the control ids that arrived.
func controls(p *partner.Partner) string {
	var out []string
	for _, a := range p.Arrivals() {
		out = append(out, a.Control)
	}
	return strings.Join(out, " ")
}

// TestStorm is a receiver that answers every message only after we gave it up,
// 200 times: no answer may ever be taken for that to another message, and each
// message gets its own in the end.
func TestStorm(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	p := newPartner(t, partner.Options{Choose: func(a partner.Arrival, _ []byte) partner.Behaviour {
		mu.Lock()
		defer mu.Unlock()
		if seen[a.Control]++; seen[a.Control] == 1 {
			return partner.Behaviour{Answer: partner.Late, Late: 250 * time.Millisecond}
		}
		return partner.Behaviour{}
	}})
	o := defaults()
	o.Address, o.Connections, o.Timeout = p.Address(), 4, 20*time.Millisecond
	r := newRoute(t, o, "")
	const messages = 200
	var group sync.WaitGroup
	for worker := range o.Connections {
		group.Go(func() {
			for n := worker; n < messages; n += o.Connections {
				for deadline := time.Now().Add(patience); ; {
					_, err := r.send(n)
					if err == nil {
						break
					}
					if errors.Is(err, errOtherReply) || message.KindOf(err) != message.Unknown && message.KindOf(err) != message.Down {
						t.Errorf("message %d: %v: an answer met another message", n, err)
					}
					if time.Now().After(deadline) {
						t.Errorf("message %d was not accepted", n)
						return
					}
				}
			}
		})
	}
	group.Wait()
	mu.Lock()
	defer mu.Unlock()
	for n := range messages {
		if _, control := payload(n); seen[control] < 2 {
			t.Errorf("%s was sent %d times: its first answer came too late", control, seen[control])
		}
	}
	if len(seen) != messages {
		t.Errorf("%d control ids arrived, want %d", len(seen), messages)
	}
}

func TestDroppedBetweenSends(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			var keys keyring
			o, options := defaults(), partner.Options{}
			if secure {
				keys = newKeyring(t)
				o.TLS, options.TLS = ours(), keys.server
			}
			p := newPartner(t, options)
			o.Address = p.Address()
			r := newRoute(t, o, keys.folder)
			var want []string
			for n := range 20 {
				r.mustSend(n)
				_, control := payload(n)
				want = append(want, control)
				p.Drop()
			}
			if got := controls(p); got != strings.Join(want, " ") {
				t.Errorf("%s arrived, want each once", got)
			}
			if n := r.event("stale-connection"); n == 0 {
				t.Error("no connection was found stale")
			}
		})
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	p := newPartner(t, partner.Options{})
	o := defaults()
	o.Address, o.Idle = p.Address(), 10*time.Millisecond
	r := newRoute(t, o, "")
	for n := range 3 {
		r.mustSend(n)
		for deadline := time.Now().Add(patience); r.event("idle-closed") < n+1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the silent connection was not closed")
			}
		}
	}
}

func TestPayloadsThatNoFrameCarries(t *testing.T) {
	p := newPartner(t, partner.Options{})
	o := defaults()
	o.Address = p.Address()
	r := newRoute(t, o, "")
	for _, raw := range []string{"", "MSH|\x0b", m1 + "NTE|1||a\x1cb\r"} {
		_, err := r.Send(context.Background(), &message.Delivery{Payload: []byte(raw)})
		if message.KindOf(err) != message.RefusedSend {
			t.Errorf("Send(%q) = %v, want refused", raw, err)
		}
	}
	r.mustSend(1)
	if got := controls(p); got != "M000001" {
		t.Errorf("%s arrived", got)
	}
}

func TestBrokenWays(t *testing.T) {
	tests := map[string]struct {
		faults.Faults
		kind message.Kind
	}{
		"cut inside the message":    {faults.Faults{Forth: faults.Fault{After: 40, Cut: true}}, message.Unknown},
		"reset inside the message":  {faults.Faults{Forth: faults.Fault{After: 40, Cut: true, Reset: true}}, message.Unknown},
		"the message is swallowed":  {faults.Faults{Forth: faults.Fault{After: 40, Swallow: true}}, message.Unknown},
		"cut inside the answer":     {faults.Faults{Back: faults.Fault{After: 40, Cut: true}}, message.Unknown},
		"reset inside the answer":   {faults.Faults{Back: faults.Fault{After: 40, Cut: true, Reset: true}}, message.Unknown},
		"the answer is swallowed":   {faults.Faults{Back: faults.Fault{After: 40, Swallow: true}}, message.Unknown},
		"the answer comes in drops": {faults.Faults{Back: faults.Fault{Chunk: 1}}, ""},
		"the message goes in drops": {faults.Faults{Forth: faults.Fault{Chunk: 1}}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPartner(t, partner.Options{})
			proxy := faults.NewProxy(t, p.Address())
			proxy.Next(test.Faults)
			o := defaults()
			o.Address = proxy.Address()
			if test.Forth.Swallow || test.Back.Swallow {
				o.Timeout = 100 * time.Millisecond
			}
			r := newRoute(t, o, "")
			if _, err := r.send(1); (err == nil) != (test.kind == "") || err != nil && message.KindOf(err) != test.kind {
				t.Errorf("Send = %v, want %q", err, test.kind)
			}
			r.options.Timeout = patience
			r.mustSend(1) // as a repeat: the same bytes under the same id
			r.mustSend(2)
		})
	}
}

func TestLargePayload(t *testing.T) {
	p := newPartner(t, partner.Options{})
	o := defaults()
	o.Address = p.Address()
	r := newRoute(t, o, "")
	raw := append(sample(1), bytes.Repeat([]byte("NTE|1||x\r"), 1<<20)...)
	if _, err := r.Send(context.Background(), &message.Delivery{Control: "M000001", Payload: raw}); err != nil {
		t.Fatal(err)
	}
	if a := p.Arrivals(); len(a) != 1 || a[0].Bytes != len(raw) {
		t.Errorf("%+v arrived, want %d bytes", a, len(raw))
	}
}

// scripted listens and answers each message on a connection with the next of
// these texts, in which @ stands for its control id; then it stays silent.
func scripted(t *testing.T, answers ...string) string {
	t.Helper()
	return listening(t, func(c *visitor) {
		for _, text := range append(answers, "") {
			raw, ok := c.next()
			if !ok {
				return
			}
			control, _, _ := Control(raw)
			c.say(strings.ReplaceAll(text, "@", control))
		}
		c.listen()
	})
}

func TestApplicationAnswers(t *testing.T) {
	msa := func(text string) string { return framed(ackHead + "MSA|" + text + "\r") }
	tests := map[string]struct {
		answers string
		wait    string
		kind    message.Kind
		code    string // of the answer that comes back
	}{
		"accept: CA ends it":                         {msa("CA|@"), waitAccept, "", "CA"},
		"application: CA, then AA":                   {msa("CA|@") + msa("AA|@"), waitApplication, "", "AA"},
		"application: CA, then AR":                   {msa("CA|@") + msa("AR|@"), waitApplication, message.RefusedSend, "AR"},
		"application: CA, then AE":                   {msa("CA|@") + msa("AE|@"), waitApplication, message.Busy, "AE"},
		"application: AA at once":                    {msa("AA|@"), waitApplication, "", "AA"},
		"application: CE ends it":                    {msa("CE|@"), waitApplication, message.Busy, "CE"},
		"application: CA of another":                 {msa("CA|X"), waitApplication, message.Unknown, "CA"},
		"application: CA, then an answer to another": {msa("CA|@") + msa("AA|X"), waitApplication, message.Unknown, "AA"},
		"application: CA, then nothing":              {msa("CA|@"), waitApplication, message.Unknown, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := defaults()
			o.Address, o.Wait = scripted(t, test.answers), test.wait
			if test.code == "" {
				o.Timeout = 100 * time.Millisecond
			}
			reply, err := newRoute(t, o, "").send(1)
			if (err == nil) != (test.kind == "") || err != nil && message.KindOf(err) != test.kind {
				t.Errorf("Send = %v, want %q", err, test.kind)
			}
			if got := ReadAck(reply.Raw).Code; got != test.code {
				t.Errorf("the answer %q came back, want %q", got, test.code)
			}
		})
	}
}

// TestNoAnswerIsWaitedFor sends to a receiver that answers nothing, and to one
// that answers all the same: that answer meets nobody.
func TestNoAnswerIsWaitedFor(t *testing.T) {
	for name, answers := range map[string]string{"nothing": "", "a refusal": framed(ackHead + "MSA|AR|@\r")} {
		t.Run(name, func(t *testing.T) {
			o := defaults()
			o.Address, o.Wait, o.Timeout = scripted(t, answers, answers, answers), waitNone, time.Hour
			r := newRoute(t, o, "")
			for n := range 3 {
				reply, err := r.Send(t.Context(), &message.Delivery{Control: "M", Payload: sample(n)})
				if err != nil || len(reply.Raw) > 0 || reply.Answer.Code != message.Accepted {
					t.Fatalf("Send = %+v, %v", reply, err)
				}
			}
		})
	}
	o := defaults()
	o.Address, o.Wait = "127.0.0.1:1", waitNone
	if _, err := newRoute(t, o, "").Send(t.Context(), &message.Delivery{Control: "M", Payload: sample(1)}); message.KindOf(err) != message.Down {
		t.Errorf("nobody is there: %v", err)
	}
	o.Release = 2
	if got := joined(o.Validate()); got != "wait: none needs release: 1; in release: 2 each message is answered by a commit block" {
		t.Errorf("%q", got)
	}
}

// TestUnasked is a receiver that says more than it was asked: what it says
// meets nobody, and no message is sent twice for it.
func TestUnasked(t *testing.T) {
	o := defaults()
	aa := framed(ackHead + "MSA|AA|@\r")
	o.Address = scripted(t, aa+aa)
	r := newRoute(t, o, "")
	for n := range 5 {
		r.mustSend(n)
	}
}

// BenchmarkSend is one connection over loopback, the partner in the same process.
func BenchmarkSend(b *testing.B) {
	p := newPartner(b, partner.Options{Forget: true})
	o := defaults()
	o.Address = p.Address()
	r := newRoute(b, o, "")
	raw := append(sample(1), bytes.Repeat([]byte("NTE|1||"+strings.Repeat("x", 93)+"\r"), 20)...)
	d := &message.Delivery{Control: "M000001", Payload: raw}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := r.Send(context.Background(), d); err != nil {
			b.Fatal(err)
		}
	}
}
