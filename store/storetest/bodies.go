package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

func bodies(t *testing.T, o Opener) {
	s := o.Open(t)
	whole := make([]byte, 2*store.MaxChunk+12345)
	for i := range whole {
		whole[i] = byte(i * 7)
	}
	in := Intake("lab", "large", "x")
	in.Message.Raw, in.Message.Size, in.Chunks = nil, int64(len(whole)), in.Message.ID
	for n := 0; n*store.MaxChunk < len(whole); n++ {
		must(t, s.Chunk(t.Context(), in.Chunks, n, whole[n*store.MaxChunk:min(len(whole), (n+1)*store.MaxChunk)]))
	}
	t.Run("a part that is too large is refused", func(t *testing.T) {
		if err := s.Chunk(t.Context(), "other", 0, make([]byte, store.MaxChunk+1)); err == nil {
			t.Error("taken")
		}
	})
	t.Run("a large body is streamed back as it was", func(t *testing.T) {
		e := record(t, s, in)
		m, err := s.Load(t.Context(), e.Seq)
		must(t, err)
		if m.Raw != nil || m.Body == nil || m.Size != int64(len(whole)) {
			t.Fatalf("raw %d bytes, body %v, size %d", len(m.Raw), m.Body != nil, m.Size)
		}
		body, err := m.Body(t.Context())
		must(t, err)
		got, err := io.ReadAll(body)
		must(t, err)
		must(t, body.Close())
		if !bytes.Equal(got, whole) {
			t.Errorf("%d bytes came back, want %d", len(got), len(whole))
		}
	})
	t.Run("a body of which parts are missing is not taken, and taken when it comes again", func(t *testing.T) {
		torn := Intake("lab", "torn", "y")
		torn.Message.Raw, torn.Message.Size, torn.Chunks = nil, 5000, torn.Message.ID
		for _, n := range []int{0, 1, 3, 4} {
			must(t, s.Chunk(t.Context(), torn.Chunks, n, make([]byte, 1000)))
		}
		before := counts(t, s, "lab")
		if e, err := s.Record(t.Context(), torn); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("taken with parts missing: %+v %v", e, err)
		}
		swept := Intake("lab", "swept", "z")
		swept.Message.Raw, swept.Message.Size, swept.Chunks = nil, 5000, swept.Message.ID
		if e, err := s.Record(t.Context(), swept); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("taken with no part there: %+v %v", e, err)
		}
		if after := counts(t, s, "lab"); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("the ledger was %v and is %v", before, after)
		}
		must(t, s.Chunk(t.Context(), torn.Chunks, 2, make([]byte, 1000)))
		if e := record(t, s, torn); e.Copy || e.Seq == 0 {
			t.Errorf("got %+v", e)
		}
		// A copy has parts of its own, or none: it is known all the same.
		again := torn
		copied := *torn.Message
		copied.ID = message.NewID(time.Now())
		again.Message, again.Chunks = &copied, copied.ID
		if e := record(t, s, again); !e.Copy || e.ID != torn.Message.ID {
			t.Errorf("a copy finds %+v", e)
		}
	})
	t.Run("crashes are counted before the work and taken back by the outcome", func(t *testing.T) {
		lease, err := s.TakeOver(t.Context(), "lab", 0)
		must(t, err)
		e := record(t, s, in) // a copy: the same row
		must(t, lease.Began(t.Context(), e.Seq))
		must(t, lease.Began(t.Context(), e.Seq))
		m, err := s.Load(t.Context(), e.Seq)
		must(t, err)
		if m.Crashes != 2 {
			t.Errorf("%d crashes, want 2", m.Crashes)
		}
		for range 3 { // one more than were counted
			must(t, lease.Spared(t.Context(), e.Seq))
		}
		if m, err = s.Load(t.Context(), e.Seq); err != nil || m.Crashes != 0 {
			t.Errorf("%d crashes %v after they were taken back, want 0", m.Crashes, err)
		}
		must(t, lease.Began(t.Context(), e.Seq))
		must(t, lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Done, Actor: "x"}))
		must(t, lease.Spared(t.Context(), e.Seq)) // too late, and no harm
		if m, err = s.Load(t.Context(), e.Seq); err != nil || m.Crashes != 0 {
			t.Errorf("%d crashes %v, want 0", m.Crashes, err)
		}
	})
}
