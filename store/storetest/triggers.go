package storetest

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// A starter starts a message of channel "outbound" for every Observation.
type starter struct {
	mu      sync.Mutex
	started []string
	vias    []string
}

func (s *starter) Starts(w *store.Write, version int, via string) []store.Intake {
	if w.Type != "Observation" || w.Delete {
		return nil
	}
	s.mu.Lock()
	s.vias = append(s.vias, via)
	s.mu.Unlock()
	in := Intake("outbound", fmt.Sprintf("%s/%s/_history/%d", w.Type, w.ID, version), string(w.Content))
	in.Message.Via = via
	return []store.Intake{in}
}

func (s *starter) Started(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = append(s.started, channel)
}

func triggers(t *testing.T, o Opener) {
	s := o.Open(t)
	tell := &starter{}
	s.Start(tell)
	write := func(id string, expect int, text string) store.Write {
		content := []byte(`{"resourceType":"Observation","id":"` + id + `","status":"` + text + `"}`)
		return store.Write{Type: "Observation", ID: id, Expect: expect, Content: content, Hash: sha256.Sum256(content)}
	}
	outbound := func(t *testing.T) int {
		t.Helper()
		list, err := s.List(t.Context(), store.Filter{Channel: "outbound"})
		must(t, err)
		return len(list)
	}
	t.Run("a resource written by the API starts a message in its own transaction", func(t *testing.T) {
		_, err := s.Write(t.Context(), []store.Write{write("a", 0, "final")}, store.Author{Actor: "test"})
		must(t, err)
		list, err := s.List(t.Context(), store.Filter{Channel: "outbound", Control: "Observation/a/_history/1"})
		if err != nil || len(list) != 1 || list[0].State != message.Stored {
			t.Errorf("got %+v %v", list, err)
		}
		if len(tell.started) != 1 || tell.started[0] != "outbound" {
			t.Errorf("told of %v", tell.started)
		}
	})
	t.Run("a write that changes nothing starts nothing", func(t *testing.T) {
		_, err := s.Write(t.Context(), []store.Write{write("a", 1, "final")}, store.Author{Actor: "test"})
		must(t, err)
		if n := outbound(t); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
	})
	t.Run("a write that fails starts nothing", func(t *testing.T) {
		if _, err := s.Write(t.Context(), []store.Write{write("b", 0, "final"), write("a", 7, "final")}, store.Author{Actor: "test"}); err == nil {
			t.Fatal("no conflict")
		}
		if n := outbound(t); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
	})
	t.Run("a resource that a message writes starts one too, and knows the way", func(t *testing.T) {
		e := record(t, s, Intake("lab", "trigger", "trigger"))
		l, err := s.TakeOver(t.Context(), "lab", 0)
		must(t, err)
		in := Intake("second", "from-lab", "content")
		in.Message.ID = message.NewID(time.Now())
		must(t, l.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Done, Writes: []store.Write{write("c", 0, "final")}, Via: "lab", Intakes: []store.Intake{in}}))
		if n := outbound(t); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
		if last := tell.vias[len(tell.vias)-1]; last != "lab" {
			t.Errorf("it came through %q", last)
		}
		second, err := s.List(t.Context(), store.Filter{Channel: "second"})
		if err != nil || len(second) != 1 {
			t.Errorf("the message of the other channel: %+v %v", second, err)
		}
	})
}
