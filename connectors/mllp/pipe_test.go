package mllp

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
)

// A pool listens for connections on each of which it reads n messages before it
// says anything, and then what says makes of their control ids.
func pool(t *testing.T, n int, says func(controls []string) string) (address string, connections func() int) {
	t.Helper()
	var count atomic.Int64
	address = listening(t, func(c *visitor) {
		count.Add(1)
		for {
			var controls []string
			for len(controls) < n {
				raw, ok := c.next()
				if !ok {
					return
				}
				control, _, _ := Control(raw)
				controls = append(controls, control)
			}
			text := says(controls)
			if text == "" {
				return // it hangs up
			}
			c.say(text)
		}
	})
	return address, func() int { return int(count.Load()) }
}

// ackOf is an acknowledgement in its frame.
func ackOf(code, control string) string {
	return framed(ackHead + "MSA|" + code + "|" + control + "\r")
}

// sendAll sends messages at once and returns what became of each.
func sendAll(r *route, n int) []error {
	outcomes := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { _, outcomes[i] = r.send(i) })
	}
	group.Wait()
	return outcomes
}

// TestManyAreInFlight: a receiver that answers only when it has four messages,
// in any order, gets them over one connection.
func TestManyAreInFlight(t *testing.T) {
	for name, order := range map[string]func([]string){
		"in their order": func([]string) {},
		"in another":     slices.Reverse[[]string],
	} {
		t.Run(name, func(t *testing.T) {
			address, connections := pool(t, 4, func(controls []string) string {
				order(controls)
				text := ""
				for _, control := range controls {
					text += ackOf("AA", control)
				}
				return text
			})
			o := defaults()
			o.Address, o.Pipeline = address, 4
			r := newRoute(t, o, "")
			for range 5 {
				if outcomes := sendAll(r, 4); slices.ContainsFunc(outcomes, func(err error) bool { return err != nil }) {
					t.Fatalf("%v", outcomes)
				}
			}
			if n := connections(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestWhatIsInFlightWhenTheAnswersEnd: an answer that cannot be paired, the end of
// the connection and silence leave all that is in flight unknown, and what comes
// later goes over another connection.
func TestWhatIsInFlightWhenTheAnswersEnd(t *testing.T) {
	for name, says := range map[string]func([]string) string{
		"another control id":      func([]string) string { return ackOf("AA", "of nobody") },
		"no control id":           func([]string) string { return framed("MSH|^~\\&|R\r") },
		"it hangs up":             func([]string) string { return "" },
		"silence":                 func([]string) string { return "\r" },
		"no frame":                func([]string) string { return "HTTP/1.1 400 Bad Request\r\n" },
		"half an answer":          func(c []string) string { return ackOf("AA", c[0])[:20] },
		"an answer, then silence": func(c []string) string { return ackOf("AA", c[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := pool(t, 3, says)
			o := defaults()
			o.Address, o.Pipeline, o.Timeout = address, 3, 300*time.Millisecond
			r := newRoute(t, o, "")
			taken := 0
			for _, err := range sendAll(r, 3) {
				switch kind := message.KindOf(err); {
				case err == nil:
					taken++
				case kind != message.Unknown && kind != message.Unreadable:
					t.Errorf("%v", err)
				}
			}
			if want := map[string]int{"an answer, then silence": 1}[name]; taken != want {
				t.Errorf("%d were taken, want %d", taken, want)
			}
		})
	}
}

// TestRefusalsInAPipe: a negative answer is that of its message alone.
func TestRefusalsInAPipe(t *testing.T) {
	address, connections := pool(t, 3, func(controls []string) string {
		slices.Sort(controls)
		return ackOf("AA", controls[0]) + ackOf("AR", controls[1]) + ackOf("AE", controls[2])
	})
	o := defaults()
	o.Address, o.Pipeline = address, 3
	r := newRoute(t, o, "")
	for range 2 {
		outcomes := sendAll(r, 3)
		if outcomes[0] != nil || message.KindOf(outcomes[1]) != message.RefusedSend || message.KindOf(outcomes[2]) != message.Busy {
			t.Errorf("%v", outcomes)
		}
	}
	if n := connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestPipesAreFilledBeforeOthersAreMade: a second connection is made when there is
// no room on the first, and none beyond what is allowed; idle ones are closed.
func TestPipesAreFilledBeforeOthersAreMade(t *testing.T) {
	gate := make(chan struct{})
	address, connections := pool(t, 1, func(c []string) string { <-gate; return ackOf("AA", c[0]) })
	o := defaults()
	o.Address, o.Connections, o.Pipeline, o.Idle = address, 2, 2, 50*time.Millisecond
	r := newRoute(t, o, "")
	go func() {
		for connections() < 2 {
			time.Sleep(time.Millisecond)
		}
		close(gate)
	}()
	for range 3 {
		if outcomes := sendAll(r, 4); slices.ContainsFunc(outcomes, func(err error) bool { return err != nil }) {
			t.Fatal(outcomes)
		}
	}
	if n := connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
	for r.event("idle-closed") < 2 {
		time.Sleep(10 * time.Millisecond)
	}
	if outcomes := sendAll(r, 2); outcomes[0] != nil || outcomes[1] != nil || connections() != 3 {
		t.Errorf("%v, %d connections", outcomes, connections())
	}
}

func TestPipelineWords(t *testing.T) {
	for want, change := range map[string]func(o *DestinationOptions){
		"pipeline: 0 is not between 1 and 256":                                        func(o *DestinationOptions) { o.Pipeline = 0 },
		"pipeline: 100 on each of 3 connections are more than 256 messages in flight": func(o *DestinationOptions) { o.Pipeline, o.Connections = 100, 3 },
		"pipeline: 2 needs mode: client":                                              func(o *DestinationOptions) { o.Pipeline, o.Mode = 2, modeServer },
		"pipeline: 2 needs release: 1; release 2 has one message in flight":           func(o *DestinationOptions) { o.Pipeline, o.Release = 2, 2 },
		"pipeline: 2 needs wait: accept":                                              func(o *DestinationOptions) { o.Pipeline, o.Wait = 2, waitApplication },
	} {
		o := defaults()
		o.Address = "127.0.0.1:1"
		if change(o); joined(o.Validate()) != want {
			t.Errorf("%q, want %q", joined(o.Validate()), want)
		}
	}
	o := defaults()
	o.Connections, o.Pipeline = 2, 8
	if n := o.Limits().Connections; n != 16 {
		t.Errorf("%d sends at once", n)
	}
}
