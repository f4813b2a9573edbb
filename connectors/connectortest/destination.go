package connectortest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
)

// A Behaviour is what a Receiver does with what it is sent.
type Behaviour int

// The behaviours. Each leads to one class of error.
const (
	Accept     Behaviour = iota // answers positively: no error
	Refuse                      // answers that it will never take it: message.RefusedSend
	TryLater                    // answers that it cannot take it now: message.Busy
	Babble                      // answers what is no answer: message.Unreadable
	HangUp                      // reads everything and closes without an answer: message.Unknown
	StaySilent                  // reads everything and says nothing: message.Unknown when ctx ends
	Away                        // takes no connection: message.Down
)

// String returns the word of the behaviour.
func (b Behaviour) String() string {
	return [...]string{"accepts", "refuses", "is busy", "babbles", "hangs up", "stays silent", "is away"}[b]
}

// class is the kind of error that a behaviour leads to; empty: none.
func (b Behaviour) class() message.Kind {
	return map[Behaviour]message.Kind{
		Refuse: message.RefusedSend, TryLater: message.Busy, Babble: message.Unreadable,
		HangUp: message.Unknown, StaySilent: message.Unknown, Away: message.Down,
	}[b]
}

// A Receiver is the system a destination sends to.
type Receiver interface {
	// Behave says what happens to what comes next.
	Behave(Behaviour)
	// Taken returns the payloads read so far, whatever was answered.
	Taken() [][]byte
}

// A DestinationCase is one kind of destination to be tried.
type DestinationCase struct {
	// Open starts a receiver that ends with the test, and makes a
	// destination that sends to it.
	Open func(t *testing.T, env connectors.Environment) (connectors.Destination, Receiver)
	// Payload is payload number n and its control id; it holds Canary.
	Payload func(n int) (payload []byte, control string)
	// Connections is how many calls of Send go on at once.
	Connections int
	// Lacks are behaviours that such a receiver does not have: a folder gives
	// no answer, so that it cannot give a wrong one.
	Lacks []Behaviour
}

// A destinationRun is one test of a destination.
type destinationRun struct {
	*testing.T
	DestinationCase

	log         lockedBuffer
	destination connectors.Destination
	receiver    Receiver
}

// RunDestination tries a destination.
func RunDestination(t *testing.T, c DestinationCase) {
	tests := map[string]func(*destinationRun){
		"payloads arrive as they stand":                  payloadsUntouched,
		"what was opened connects when it is first used": connectsLate,
		"sends go on at once on all connections":         concurrentSends,
		"an ended context sends nothing":                 endedContext,
		"Close may follow any error":                     closeAfterError,
		"errors and logs hold nothing of the payload":    errorsSilent,
	}
	if !slices.Contains(c.Lacks, StaySilent) {
		tests["an answer is never that to another message"] = noLateAnswer
	}
	for b := Accept; b <= Away; b++ {
		if slices.Contains(c.Lacks, b) {
			continue
		}
		tests["a receiver that "+b.String()+" is told by the class"] = func(r *destinationRun) { classes(r, b) }
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { // after the receiver's own end
				if err := goleak.Find(before); err != nil {
					t.Error(err)
				}
			})
			r := &destinationRun{T: t, DestinationCase: c}
			r.destination, r.receiver = c.Open(t, connectors.Environment{
				Log:   slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Count: func(string, int) {}, Folder: t.TempDir(), Size: 8 << 20, Whole: 1 << 20,
				Connections: max(c.Connections, 1), Now: time.Now,
			})
			test(r)
			if err := r.destination.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if strings.Contains(r.log.String(), Canary) {
				t.Errorf("content of a payload is in the log:\n%s", r.log.String())
			}
		})
	}
}

// send sends payload number n.
func (r *destinationRun) send(ctx context.Context, n int) (message.Reply, error) {
	payload, control := r.Payload(n)
	return r.destination.Send(ctx, &message.Delivery{
		ID: fmt.Sprint("delivery-", n), Unit: "test", Control: control, Payload: payload, Attempts: 1,
	})
}

func (r *destinationRun) mustSend(n int) {
	r.Helper()
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	reply, err := r.send(ctx, n)
	if err != nil || reply.Answer.Code != message.Accepted {
		r.Errorf("Send = %q, %v; want accepted", reply.Answer.Code, err)
	}
}

func payloadsUntouched(r *destinationRun) {
	for n := range 5 {
		r.mustSend(n)
	}
	got := r.receiver.Taken()
	if len(got) != 5 {
		r.Fatalf("%d payloads arrived, want 5", len(got))
	}
	for n, payload := range got {
		if want, _ := r.Payload(n); !bytes.Equal(payload, want) {
			r.Errorf("payload %d arrived with %d bytes other than the %d sent", n, len(payload), len(want))
		}
	}
}

func connectsLate(r *destinationRun) {
	r.receiver.Behave(Away)
	r.receiver.Behave(Accept)
	r.mustSend(1)
}

func concurrentSends(r *destinationRun) {
	var sends sync.WaitGroup
	for worker := range max(r.Connections, 1) {
		sends.Go(func() {
			for i := range 20 {
				r.mustSend(100*worker + i)
			}
		})
	}
	sends.Wait()
	if got, want := len(r.receiver.Taken()), 20*max(r.Connections, 1); got != want {
		r.Errorf("%d payloads arrived, want %d", got, want)
	}
}

// classes tries one behaviour, and that the destination works again after it.
func classes(r *destinationRun, b Behaviour) {
	r.receiver.Behave(b)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	if b == StaySilent {
		cancel()
		ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
	}
	defer cancel()
	_, err := r.send(ctx, 1)
	want := b.class()
	switch {
	case want == "" && err != nil:
		r.Errorf("Send = %v, want no error", err)
	case want != "" && (err == nil || message.KindOf(err) != want):
		r.Errorf("Send = %v, kind %s; want kind %s", err, message.KindOf(err), want)
	}
	if want == message.Down && len(r.receiver.Taken()) > 0 {
		r.Error("bytes left although the class says that none did")
	}
	r.receiver.Behave(Accept)
	r.mustSend(2)
}

func endedContext(r *destinationRun) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.send(ctx, 1); message.KindOf(err) != message.Down {
		r.Errorf("Send = %v, kind %s; want down, for no byte left", err, message.KindOf(err))
	}
	if n := len(r.receiver.Taken()); n > 0 {
		r.Errorf("%d payloads arrived, want none", n)
	}
}

func closeAfterError(r *destinationRun) {
	b := HangUp
	if slices.Contains(r.Lacks, b) {
		b = Away
	}
	r.receiver.Behave(b)
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	if _, err := r.send(ctx, 1); err == nil {
		r.Errorf("no error of a receiver that %s", b)
	}
}

func errorsSilent(r *destinationRun) {
	for _, b := range []Behaviour{Refuse, TryLater, Babble, HangUp, Away} {
		if slices.Contains(r.Lacks, b) {
			continue
		}
		r.receiver.Behave(b)
		ctx, done := context.WithTimeout(context.Background(), patience)
		_, err := r.send(ctx, int(b))
		done()
		if err != nil && strings.Contains(err.Error(), Canary) {
			r.Errorf("a receiver that %s: content of the payload is in the error", b)
		}
	}
}

// noLateAnswer holds that after a send without an answer the next answer is
// that of the next message.
func noLateAnswer(r *destinationRun) {
	r.receiver.Behave(StaySilent)
	ctx, done := context.WithTimeout(context.Background(), 200*time.Millisecond)
	_, err := r.send(ctx, 1)
	done()
	if err == nil {
		r.Fatal("no error of a receiver that stayed silent")
	}
	r.receiver.Behave(Refuse)
	ctx, done = context.WithTimeout(context.Background(), patience)
	defer done()
	if _, err := r.send(ctx, 2); message.KindOf(err) != message.RefusedSend {
		r.Errorf("Send = %v, kind %s; want refused, the answer to this message", err, message.KindOf(err))
	}
}
