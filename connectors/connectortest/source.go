// Package connectortest holds the conformance suites of connectors: what the
// contract in package connectors promises, tried on one implementation.
package connectortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
)

// patience bounds every wait of the suites; a healthy part needs a fraction.
const patience = 30 * time.Second

// Canary is text that the suites put into every message. It stands for what a
// patient would not want read in a log.
const Canary = "CANARY-7f3a"

// A Peer is one sender to a source, as a partner's system would be.
type Peer interface {
	// Send sends one message and reports whether it was answered
	// positively. An error: no answer.
	Send(ctx context.Context, raw []byte) (accepted bool, err error)
	Close()
}

// A SourceCase is one kind of source to be tried.
type SourceCase struct {
	// Open makes a source in env.
	Open func(t *testing.T, env connectors.Environment) connectors.Source
	// Dial connects a new peer with the source that runs, and waits until it
	// takes connections.
	Dial func(t *testing.T) Peer
	// Message is a message number n of the format the source carries; it
	// holds Canary.
	Message func(n int) []byte
	// Reply is what a handler answers m.
	Reply func(m *message.Message, code message.AnswerCode) message.Reply
	// Filler is what may follow a message without making it another, and what
	// large ones are filled with: one or more bytes; empty: any bytes.
	Filler string
	// OneByOne says that such a source hands over one message after the
	// other, whoever sent it, and tries by itself again what a handler failed
	// to take: a folder.
	OneByOne bool
}

// RunSource tries a source.
func RunSource(t *testing.T, c SourceCase) {
	tests := map[string]func(*sourceRun){
		"content is handed over as it was sent":                 contentUntouched,
		"messages of one peer come in order":                    inOrder,
		"content handed over is not reused":                     notReused,
		"an answer follows its handler":                         answerFollows,
		"a refusal is no positive answer":                       refusal,
		"a failing handler is no positive answer":               failing,
		"Run returns after the last handler":                    returnsLast,
		"Run ends with ctx while peers are connected":           endsWithPeers,
		"Run may be called again":                               runsAgain,
		"many peers are served at once":                         manyPeers,
		"a message comes whole or as a stream, by its size":     largeOnes,
		"the handler's context is not that of Run at its end":   handlerMayFinish,
		"a peer that hangs up before its answer harms no other": hangsUp,
	}
	if c.OneByOne {
		delete(tests, "many peers are served at once")
		delete(tests, "a peer that hangs up before its answer harms no other")
		tests["one message is handed over after the other"] = oneByOne
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { // after the end of whatever Open started
				if err := goleak.Find(before); err != nil {
					t.Error(err)
				}
			})
			r := &sourceRun{T: t, SourceCase: c, events: map[string]int{}}
			test(r)
			r.end()
			r.noCanary()
		})
	}
}

// A sourceRun is one test of a source.
type sourceRun struct {
	*testing.T
	SourceCase

	log    lockedBuffer
	mu     sync.Mutex
	events map[string]int
	source connectors.Source
	cancel context.CancelFunc
	done   chan error
	peers  []Peer

	senders sync.WaitGroup // of messages sent in the background
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start opens the source once and runs it.
func (r *sourceRun) start(handle connectors.Handler) {
	r.Helper()
	if r.source == nil {
		r.source = r.Open(r.T, connectors.Environment{
			Log: slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Count: func(event string, n int) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.events[event] += n
			},
			Folder: r.TempDir(), Size: 4 << 20, Whole: 1 << 20, Connections: 50, Now: time.Now,
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r.cancel, r.done = cancel, done
	go func() { done <- r.source.Run(ctx, handle) }()
}

// end ends the run, if there is one.
func (r *sourceRun) end() {
	r.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	select {
	case err := <-r.done:
		if err != nil {
			r.Errorf("Run ended with %v, want nil at the end of ctx", err)
		}
	case <-time.After(patience):
		r.Fatal("Run did not end with ctx")
	}
	r.hangUp()
}

// hangUp closes the peers, after whatever they wait for.
func (r *sourceRun) hangUp() {
	r.senders.Wait()
	for _, p := range r.peers {
		p.Close()
	}
	r.peers = nil
}

func (r *sourceRun) noCanary() {
	if strings.Contains(r.log.String(), Canary) {
		r.Errorf("content of a message is in the log:\n%s", r.log.String())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for event := range r.events {
		if strings.Contains(event, Canary) {
			r.Errorf("content of a message is in the event %q", event)
		}
	}
}

func (r *sourceRun) dial() Peer {
	p := r.Dial(r.T)
	r.peers = append(r.peers, p)
	return p
}

func (r *sourceRun) send(p Peer, raw []byte) (bool, error) {
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	return p.Send(ctx, raw)
}

// mustSend sends and wants a positive answer.
func (r *sourceRun) mustSend(p Peer, raw []byte) {
	r.Helper()
	if ok, err := r.send(p, raw); err != nil || !ok {
		r.Errorf("Send = %v, %v; want a positive answer", ok, err)
	}
}

// accept is a handler that takes everything.
func (r *sourceRun) accept(_ context.Context, m *message.Message) (message.Reply, error) {
	return r.Reply(m, message.Accepted), nil
}

func contentUntouched(r *sourceRun) {
	var got [][]byte
	r.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
		if m.Peer == "" || m.Received.IsZero() {
			r.Errorf("peer %q, received %v: both must be said", m.Peer, m.Received)
		}
		got = append(got, m.Raw)
		return r.Reply(m, message.Accepted), nil
	})
	p := r.dial()
	odd := "\rNTE|1||\xff\x00\xe4 \n\r"
	if r.Filler != "" {
		odd = r.Filler
	}
	want := [][]byte{r.Message(1), append(r.Message(2), odd...)}
	for _, raw := range want {
		r.mustSend(p, raw)
	}
	r.end()
	if len(got) != len(want) {
		r.Fatalf("%d messages came, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			r.Errorf("message %d came with %d bytes other than the %d sent", i, len(got[i]), len(want[i]))
		}
	}
}

func inOrder(r *sourceRun) {
	peers, each := 4, 25
	if r.OneByOne {
		peers = 1 // all of them are one folder
	}
	var mu sync.Mutex
	got := map[string][][]byte{}
	r.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
		mu.Lock()
		defer mu.Unlock()
		got[m.Peer] = append(got[m.Peer], m.Raw)
		return r.Reply(m, message.Accepted), nil
	})
	var senders sync.WaitGroup
	for p := range peers {
		peer := r.dial()
		senders.Go(func() {
			for i := range each {
				r.mustSend(peer, r.Message(1000*p+i))
			}
		})
	}
	senders.Wait()
	r.end()
	known := map[string]int{}
	for p := range peers {
		for i := range each {
			known[string(r.Message(1000*p+i))] = 1000*p + i
		}
	}
	for peer, list := range got {
		last := -1
		for _, raw := range list {
			n, ok := known[string(raw)]
			if !ok || n <= last {
				r.Errorf("peer %s: message %d came after %d", peer, n, last)
			}
			delete(known, string(raw))
			last = n
		}
	}
	if len(known) > 0 {
		r.Errorf("%d messages did not come", len(known))
	}
}

func notReused(r *sourceRun) {
	var got [][]byte
	r.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
		got = append(got, m.Raw)
		return r.Reply(m, message.Accepted), nil
	})
	p := r.dial()
	for i := range 20 {
		r.mustSend(p, r.Message(i))
	}
	r.end()
	for i, raw := range got {
		if !bytes.Equal(raw, r.Message(i)) {
			r.Errorf("the content of message %d changed after it was handed over", i)
		}
	}
}

func answerFollows(r *sourceRun) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
		close(entered)
		<-leave
		return r.Reply(m, message.Accepted), nil
	})
	p := r.dial()
	answered := make(chan struct{})
	go func() {
		r.mustSend(p, r.Message(1))
		close(answered)
	}()
	r.wait(entered, "the message")
	select {
	case <-answered:
		r.Error("the answer came before the handler returned")
	default:
	}
	close(leave)
	r.wait(answered, "the answer")
}

func (r *sourceRun) wait(ch <-chan struct{}, what string) {
	r.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		r.Fatalf("%s did not come", what)
	}
}

func refusal(r *sourceRun) {
	codes := []message.AnswerCode{message.Erroneous, message.Rejected, message.Accepted}
	n := 0
	r.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
		code := codes[n]
		n++
		return r.Reply(m, code), nil
	})
	p := r.dial()
	for i, code := range codes {
		ok, err := r.send(p, r.Message(i))
		if err != nil || ok != (code == message.Accepted) {
			r.Errorf("answer %q: Send = %v, %v", code, ok, err)
		}
	}
}

func failing(r *sourceRun) {
	var calls atomic.Int32
	r.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
		if calls.Add(1) == 1 {
			return r.Reply(m, message.Accepted), errors.New("the store is away")
		}
		return r.Reply(m, message.Accepted), nil
	})
	if ok, _ := r.send(r.dial(), r.Message(1)); ok && calls.Load() == 1 {
		r.Error("a positive answer although the handler failed")
	}
	r.mustSend(r.dial(), r.Message(1))
}

func returnsLast(r *sourceRun) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
		close(entered)
		<-leave
		return r.Reply(m, message.Accepted), nil
	})
	p := r.dial()
	r.senders.Go(func() {
		ok, err := r.send(p, r.Message(1))
		if !ok {
			r.Errorf("Send = %v, %v; a handler at work when Run ends is answered", ok, err)
		}
	})
	r.wait(entered, "the message")
	r.cancel()
	select {
	case <-r.done:
		r.Fatal("Run returned while a handler was at work")
	default:
	}
	close(leave)
	r.end()
}

func endsWithPeers(r *sourceRun) {
	r.start(r.accept)
	p := r.dial()
	r.dial()
	r.mustSend(p, r.Message(1))
	r.end()
}

func runsAgain(r *sourceRun) {
	for i := range 3 {
		r.start(r.accept)
		r.mustSend(r.dial(), r.Message(i))
		r.end()
	}
}

func manyPeers(r *sourceRun) {
	const peers = 10
	all := make(chan struct{})
	var mu sync.Mutex
	inside := 0
	r.start(func(ctx context.Context, m *message.Message) (message.Reply, error) {
		mu.Lock()
		if inside++; inside == peers {
			close(all)
		}
		mu.Unlock()
		select {
		case <-all:
			return r.Reply(m, message.Accepted), nil
		case <-time.After(patience):
			return message.Reply{}, errors.New("the others did not come")
		case <-ctx.Done():
			return message.Reply{}, ctx.Err()
		}
	})
	var senders sync.WaitGroup
	for i := range peers {
		p := r.dial()
		senders.Go(func() { r.mustSend(p, r.Message(i)) })
	}
	senders.Wait()
}

// oneByOne holds that a handler is never entered twice at once.
func oneByOne(r *sourceRun) {
	const messages = 10
	var inside, most atomic.Int32
	r.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
		most.Store(max(most.Load(), inside.Add(1)))
		defer inside.Add(-1)
		return r.Reply(m, message.Accepted), nil
	})
	var senders sync.WaitGroup
	for i := range messages {
		p := r.dial()
		senders.Go(func() { r.mustSend(p, r.Message(i)) })
	}
	senders.Wait()
	if most.Load() != 1 {
		r.Errorf("%d messages were in hand at once, want 1", most.Load())
	}
}

func largeOnes(r *sourceRun) {
	var sizes []string
	r.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
		if m.Stream == nil {
			sizes = append(sizes, fmt.Sprint("whole ", len(m.Raw)))
			return r.Reply(m, message.Accepted), nil
		}
		if len(m.Raw) > 0 {
			r.Error("a stream comes with Raw")
		}
		var content bytes.Buffer
		if _, err := content.ReadFrom(m.Stream); err != nil {
			return message.Reply{}, err
		}
		m.Raw = content.Bytes()
		sizes = append(sizes, fmt.Sprint("stream ", content.Len()))
		return r.Reply(m, message.Accepted), nil
	})
	filler := []byte("x")
	if r.Filler != "" {
		filler = []byte(r.Filler[:1])
	}
	p := r.dial()
	var want []string
	for _, size := range []int{100 << 10, 1 << 20, 1<<20 + 1, 4 << 20} {
		raw := r.Message(1)
		raw = append(raw, bytes.Repeat(filler, size-len(raw))...)
		r.mustSend(p, raw)
		kind := "whole "
		if size > 1<<20 {
			kind = "stream "
		}
		want = append(want, fmt.Sprint(kind, size))
	}
	r.mustSend(p, r.Message(2))
	want = append(want, fmt.Sprint("whole ", len(r.Message(2))))
	r.end()
	if fmt.Sprint(sizes) != fmt.Sprint(want) {
		r.Errorf("came %v, want %v", sizes, want)
	}
}

func handlerMayFinish(r *sourceRun) {
	entered, cancelled := make(chan struct{}), make(chan struct{})
	r.start(func(ctx context.Context, m *message.Message) (message.Reply, error) {
		close(entered)
		<-cancelled
		return r.Reply(m, message.Accepted), ctx.Err()
	})
	p := r.dial()
	r.senders.Go(func() {
		if ok, err := r.send(p, r.Message(1)); !ok {
			r.Errorf("Send = %v, %v; the handler's context ended with that of Run", ok, err)
		}
	})
	r.wait(entered, "the message")
	r.cancel()
	close(cancelled)
	r.end()
}

func hangsUp(r *sourceRun) {
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	r.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
		entered <- struct{}{}
		<-leave
		return r.Reply(m, message.Accepted), nil
	})
	rude, good := r.dial(), r.dial()
	ctx, hangUp := context.WithCancel(context.Background())
	var senders sync.WaitGroup
	senders.Go(func() {
		_, _ = rude.Send(ctx, r.Message(1)) // whatever it returns
	})
	r.wait(entered, "the message")
	hangUp()
	rude.Close()
	senders.Go(func() { r.mustSend(good, r.Message(2)) })
	r.wait(entered, "the message of the other peer")
	close(leave)
	senders.Wait()
}
