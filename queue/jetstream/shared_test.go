package jetstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/plexus-health/plexus/queue/jetstream"
)

// stream is the operator's view of the stream of tickets.
func (s *natsServer) stream() natsjs.Stream {
	s.t.Helper()
	c, err := nats.Connect(s.url())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	js, err := natsjs.New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	stream, err := js.Stream(context.Background(), "plexus")
	if err != nil {
		s.t.Fatal(err)
	}
	return stream
}

// kinds opens a queue of each kind, with a short patience or a long one.
func kinds(t *testing.T, wait time.Duration, run func(t *testing.T, q *jetstream.Queue)) {
	t.Run("embedded", func(t *testing.T) { run(t, open(t, jetstream.Options{Patience: wait})) })
	t.Run("external", func(t *testing.T) {
		q := open(t, jetstream.Options{URL: external(t).url(), Patience: wait})
		found(t, q)
		run(t, q)
	})
}

func TestDueInTheFuture(t *testing.T) {
	kinds(t, patience, func(t *testing.T, q *jetstream.Queue) {
		at := make(chan time.Time, 10)
		work(t, q, func(context.Context, string) time.Time { at <- time.Now(); return time.Time{} })
		due := time.Now().Add(300 * time.Millisecond)
		push(t, q, "a", due)
		if got := receive(t, at); got.Before(due) {
			t.Errorf("came %v before its time", due.Sub(got))
		}
	})
}

func TestPushReplacedByAnEarlierDue(t *testing.T) {
	kinds(t, patience, func(t *testing.T, q *jetstream.Queue) {
		w := work(t, q, nil)
		push(t, q, "a", time.Now().Add(time.Hour))
		push(t, q, "b", time.Now())
		eventually(t, "b is taken", func() bool { return w.times("b") == 1 })
		if n := w.times("a"); n != 0 {
			t.Errorf("a was taken %d times an hour early", n)
		}
		w.works("a")
		push(t, q, "b", time.Now())
		eventually(t, "b is taken again", func() bool { return w.times("b") == 2 })
		if n := w.times("a"); n != 1 {
			t.Errorf("a was taken %d times, want once", n)
		}
	})
}

func TestPushDuringTakeDoesNotWaitForItsTime(t *testing.T) {
	kinds(t, patience, func(t *testing.T, q *jetstream.Queue) {
		entered, leave := make(chan struct{}, 10), make(chan struct{})
		calls := 0
		work(t, q, func(context.Context, string) time.Time {
			entered <- struct{}{}
			<-leave
			if calls++; calls == 1 {
				return time.Now().Add(time.Hour)
			}
			return time.Time{}
		})
		push(t, q, "a", time.Now())
		receive(t, entered)
		for range 50 {
			push(t, q, "a", time.Now())
		}
		close(leave)
		receive(t, entered) // not in an hour
	})
}

func TestManyUnits(t *testing.T) {
	const units = 2_000
	kinds(t, patience, func(t *testing.T, q *jetstream.Queue) {
		w := work(t, q, nil)
		for i := range units {
			push(t, q, fmt.Sprint("unit ", i), time.Now())
		}
		eventually(t, "all are taken", func() bool { return w.units() == units })
	})
}

// TestManyUnitsWait keeps more delayed tickets than one pull takes: they hold
// up nobody.
func TestManyUnitsWait(t *testing.T) {
	const units = 2_000
	kinds(t, patience, func(t *testing.T, q *jetstream.Queue) {
		w := work(t, q, func(_ context.Context, unit string) time.Time {
			if strings.HasPrefix(unit, "held") {
				return time.Now().Add(time.Hour)
			}
			return time.Time{}
		})
		for i := range units {
			push(t, q, fmt.Sprint("held", i), time.Now())
		}
		eventually(t, "all are taken once", func() bool { return w.units() == units })
		w.works("free")
	})
}

func TestNamesOfUnits(t *testing.T) {
	names := []string{
		"a.b", "a b", "*", ">", "channel/lab", "Über", "_", "a\nb", "\xff\xfe", strings.Repeat("x", 1000),
	}
	kinds(t, patience, func(t *testing.T, q *jetstream.Queue) {
		w := work(t, q, nil)
		for _, name := range names {
			w.works(name)
		}
		if w.units() != len(names) {
			t.Errorf("%d units were taken, want %d", w.units(), len(names))
		}
		for _, name := range []string{"", strings.Repeat("x", 1001)} {
			if err := q.Push(context.Background(), name, time.Now()); err == nil || strings.Contains(err.Error(), "xx") {
				t.Errorf("a name of %d bytes: %v, want an error without it", len(name), err)
			}
		}
	})
}

// TestWhatATicketSays shows that a ticket holds the unit's name and its time
// and nothing else, and that one ticket is left of many pushes.
func TestWhatATicketSays(t *testing.T) {
	s := external(t)
	q := open(t, jetstream.Options{URL: s.url(), Patience: patience})
	found(t, q)
	due := time.Now().Add(time.Hour).UTC()
	for i := range 10 {
		push(t, q, "lab", due.Add(time.Duration(i)))
	}
	stream := s.stream()
	eventually(t, "one ticket is left", func() bool {
		info, err := stream.Info(context.Background(), natsjs.WithSubjectFilter("plexus.work.DHGM4"))
		return err == nil && info.State.Subjects["plexus.work.DHGM4"] == 1 && info.State.LastSeq > 10
	})
	m, err := stream.GetLastMsgForSubject(context.Background(), "plexus.work.DHGM4")
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(m.Data, &body); err != nil {
		t.Fatal(err)
	}
	if len(body) != 2 || body["unit"] != "lab" || body["due"] != due.Add(9).Format(time.RFC3339Nano) {
		t.Errorf("got %s", m.Data)
	}
	if len(m.Header) > 0 {
		t.Errorf("got headers %v", m.Header)
	}
}

// TestForeignMessages puts what is no ticket into the stream.
func TestForeignMessages(t *testing.T) {
	s := external(t)
	q := open(t, jetstream.Options{URL: s.url(), Patience: patience})
	found(t, q)
	c, err := nats.Connect(s.url())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, token := range []string{"!", "0", "a-b", "%00", strings.Repeat("A", 3000)} {
		if err := c.Publish("plexus.work."+token, []byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Publish("plexus.work.C5H66", []byte("no JSON")); err != nil { // of unit "abc"
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	w := work(t, q, nil)
	eventually(t, "what cannot be read is due now", func() bool { return w.times("abc") == 1 })
	w.works("lab")
	stream := s.stream()
	eventually(t, "nothing is left", func() bool {
		info, err := stream.Info(context.Background())
		return err == nil && info.State.Msgs == 0
	})
}

// TestServerRestarts kills the server again and again under two engines.
func TestServerRestarts(t *testing.T) {
	s := external(t)
	var workers []*worker
	for range 2 {
		workers = append(workers, work(t, open(t, jetstream.Options{URL: s.url(), Patience: 100 * time.Millisecond}), nil))
	}
	for round := range 3 {
		for _, w := range workers {
			w.used()
		}
		both(t, workers, fmt.Sprint("up", round))
		s.kill()
		for i := range 20 {
			for _, w := range workers {
				w.works(fmt.Sprintf("down%d-%d", round, i)) // each by itself: nothing waits for the server
			}
		}
		s.start()
	}
	for _, w := range workers {
		w.used()
	}
	both(t, workers, "after")
}

// both shows that a unit pushed by the first is taken by one of them.
func both(t *testing.T, workers []*worker, unit string) {
	t.Helper()
	push(t, workers[0].q, unit, time.Now())
	eventually(t, unit+" is taken", func() bool { return workers[0].times(unit)+workers[1].times(unit) > 0 })
}

// TestStreamAndConsumerAreMadeAgain has them deleted while they are in use.
func TestStreamAndConsumerAreMadeAgain(t *testing.T) {
	s := external(t)
	w := work(t, open(t, jetstream.Options{URL: s.url(), Patience: 100 * time.Millisecond}), nil)
	w.used()
	ctx := context.Background()
	for round := range 3 {
		stream := s.stream()
		if err := stream.DeleteConsumer(ctx, "engines"); err != nil {
			t.Fatal(err)
		}
		w.works(fmt.Sprint("no consumer", round))
		eventually(t, "the consumer is there again", func() bool {
			_, err := stream.Consumer(ctx, "engines")
			return err == nil
		})
		c, err := nats.Connect(s.url())
		if err != nil {
			t.Fatal(err)
		}
		js, err := natsjs.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := js.DeleteStream(ctx, "plexus"); err != nil {
			t.Fatal(err)
		}
		w.works(fmt.Sprint("no stream", round))
		eventually(t, "the stream is there again", func() bool {
			_, err := js.Stream(ctx, "plexus")
			return err == nil
		})
		c.Close()
		w.used()
	}
	w.works("after")
}

// TestEnginesShareUnits shows that both engines get work, and each ticket one
// of them.
func TestEnginesShareUnits(t *testing.T) {
	const units = 200
	s := external(t)
	a, b := open(t, jetstream.Options{URL: s.url(), Patience: patience}), open(t, jetstream.Options{URL: s.url(), Patience: patience})
	found(t, a)
	found(t, b)
	wa, wb := work(t, a, nil), work(t, b, nil)
	for i := 0; wa.units() == 0 || wb.units() == 0; i++ { // until both are seen to take part
		if i == 100 {
			t.Fatalf("after %d tickets one engine has had none: %d and %d", i*units, wa.units(), wb.units())
		}
		for u := range units {
			push(t, a, fmt.Sprint(u), time.Now())
		}
		eventually(t, "all are taken", func() bool {
			for u := range units {
				if name := fmt.Sprint(u); wa.times(name)+wb.times(name) == 0 {
					return false
				}
			}
			return true
		})
	}
	stream := s.stream()
	eventually(t, "nothing is left", func() bool {
		info, err := stream.Info(context.Background())
		return err == nil && info.State.Msgs == 0
	})
}

// A cut is a connection that can be cut off, as a dead engine's is: nothing
// more is heard of it.
type cut struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	pumps    sync.WaitGroup
}

func newCut(t *testing.T, target string) *cut {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cut{listener: l}
	c.pumps.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, near, far)
			c.mu.Unlock()
			for _, p := range [][2]net.Conn{{near, far}, {far, near}} {
				c.pumps.Go(func() {
					_, _ = io.Copy(p[0], p[1]) // until either side is cut
					_ = p[0].Close()
				})
			}
		}
	})
	t.Cleanup(c.now)
	return c
}

func (c *cut) now() {
	_ = c.listener.Close()
	c.mu.Lock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
	c.mu.Unlock()
	c.pumps.Wait()
}

// TestDeadEngine cuts off an engine that has a unit in hand: AckWait gives it
// to the other.
func TestDeadEngine(t *testing.T) {
	s := external(t)
	way := newCut(t, "127.0.0.1:"+s.port)
	dead := open(t, jetstream.Options{URL: "nats://" + way.listener.Addr().String(), Patience: patience, AckWait: time.Second})
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	w := work(t, dead, func(context.Context, string) time.Time {
		entered <- struct{}{}
		<-leave
		return time.Time{}
	})
	w.used()
	push(t, dead, "lab", time.Now())
	receive(t, entered)
	other := work(t, open(t, jetstream.Options{URL: s.url(), Patience: patience, AckWait: time.Second}), nil)
	other.used()
	// Three times AckWait the ticket stays where it is worked on.
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if other.times("lab") > 0 {
			t.Fatal("the ticket was handed out twice while it was worked on")
		}
	}
	way.now()
	eventually(t, "the other engine has it", func() bool { return other.times("lab") == 1 })
	close(leave)
}

// TestLostTicket shows that a ticket another engine keeps to itself does not
// keep its unit from being looked at here.
func TestLostTicket(t *testing.T) {
	s := external(t)
	q := open(t, jetstream.Options{URL: s.url(), Patience: 200 * time.Millisecond})
	found(t, q)
	consumer, err := s.stream().Consumer(context.Background(), "engines")
	if err != nil {
		t.Fatal(err)
	}
	push(t, q, "lab", time.Now())
	got, err := consumer.Fetch(1, natsjs.FetchMaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	if m := <-got.Messages(); m == nil {
		t.Fatalf("no ticket: %v", got.Error())
	}
	w := work(t, q, nil)
	eventually(t, "it is taken here", func() bool { return w.times("lab") > 0 })
}

// TestStreamOfOthers shows that a stream that is no queue of tickets is left alone.
func TestStreamOfOthers(t *testing.T) {
	s := external(t)
	c, err := nats.Connect(s.url())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	js, err := natsjs.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(context.Background(), natsjs.StreamConfig{Name: "plexus", Subjects: []string{"orders"}}); err != nil {
		t.Fatal(err)
	}
	q := open(t, jetstream.Options{URL: s.url()})
	w := work(t, q, nil)
	w.works("lab")
	eventually(t, "it says why", func() bool {
		err := q.Failing()
		return err != nil && strings.Contains(err.Error(), "is not a work queue")
	})
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]jetstream.Options{
		"neither a folder":     {},
		"is not made of":       {URL: "nats://127.0.0.1:1", Name: "a.b"},
		"no such file":         {URL: "nats://127.0.0.1:1", Credentials: "/nothing/here"},
		"a certificate needs ": {URL: "nats://127.0.0.1:1", Key: "/dev/null"},
	} {
		if _, err := jetstream.Open(context.Background(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("it did not come")
		panic("not reached")
	}
}
