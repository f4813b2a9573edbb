// Package transformtest holds what every transform must do: the suite that
// each implementation calls.
package transformtest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/transforms"
)

// Canary is a word that cases put into the values of their messages: it must
// not come out in an error.
const Canary = "ZZCANARYZZ"

// A Case is one message for a transform.
type Case struct {
	Name string
	// Raw are the bytes of the message; they hold Canary in a value.
	Raw []byte
	// Fails is true when the transform must refuse the message.
	Fails bool
}

// Run checks a transform against the contract of transforms.Transform. parse
// makes the document of a case; it is called anew for each use, since a
// document is read by one goroutine at a time.
func Run(t *testing.T, tr transforms.Transform, parse func(t *testing.T, raw []byte) message.Document, cases []Case) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			if !bytes.Contains(c.Raw, []byte(Canary)) {
				t.Fatal("the case holds no canary")
			}
			s := &suite{tr: tr, parse: parse, c: c}
			t.Run("the same message gives the same result", s.same)
			t.Run("the input is not modified", s.unmodified)
			t.Run("results share all but the document", s.shares)
			t.Run("an error is a Failure without values of the message", s.errors)
			t.Run("it is used from several goroutines", s.concurrent)
			t.Run("an ended context ends it", s.ended)
		})
	}
}

type suite struct {
	tr    transforms.Transform
	parse func(t *testing.T, raw []byte) message.Document
	c     Case
}

func (s *suite) message(t *testing.T) *message.Message {
	t.Helper()
	raw := bytes.Clone(s.c.Raw)
	return &message.Message{ID: "m-1", Seq: 1, Channel: "test", Peer: "peer", Raw: raw, Size: int64(len(raw)), Doc: s.parse(t, raw)}
}

// apply returns the bytes of the results, one after the other.
func (s *suite) apply(t *testing.T) ([]byte, error) {
	t.Helper()
	out, err := s.tr.Apply(context.Background(), s.message(t))
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, m := range out {
		all = append(m.Doc.Encode(all), '\n')
	}
	return all, nil
}

func (s *suite) same(t *testing.T) {
	first, err := s.apply(t)
	if (err != nil) != s.c.Fails {
		t.Fatalf("Apply gives error %v, want one: %t", err, s.c.Fails)
	}
	for range 3 {
		again, err2 := s.apply(t)
		if !bytes.Equal(first, again) || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatal("another run gave another result")
		}
	}
}

func (s *suite) unmodified(t *testing.T) {
	m := s.message(t)
	before := *m
	_, _ = s.tr.Apply(context.Background(), m)
	if !bytes.Equal(m.Raw, s.c.Raw) {
		t.Error("Raw was modified")
	}
	if got := m.Doc.Encode(nil); !bytes.Equal(got, s.c.Raw) {
		t.Error("the document was modified")
	}
	if m.ID != before.ID || m.Seq != before.Seq || m.Channel != before.Channel || m.Doc != before.Doc || m.State != before.State {
		t.Error("the message was modified")
	}
}

func (s *suite) shares(t *testing.T) {
	m := s.message(t)
	out, err := s.tr.Apply(context.Background(), m)
	if err != nil {
		return
	}
	for _, next := range out {
		if next == m {
			t.Error("the result is the input")
		}
		if next.ID != m.ID || next.Seq != m.Seq || next.Channel != m.Channel || !bytes.Equal(next.Raw, m.Raw) {
			t.Error("the result does not share what the input holds")
		}
		if next.Doc == nil {
			t.Error("the result has no document")
		}
	}
}

func (s *suite) errors(t *testing.T) {
	_, err := s.apply(t)
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*message.Failure](err); !ok {
		t.Errorf("the error is no *message.Failure: %T", err)
	}
	if strings.Contains(err.Error(), Canary) {
		t.Error("the error holds a value of the message")
	}
	if p := message.Explain(err); strings.Contains(p.Text+p.Where, Canary) {
		t.Error("what the peer is told holds a value of the message")
	}
}

func (s *suite) concurrent(t *testing.T) {
	want, wantErr := s.apply(t)
	const workers = 8
	inputs := make([]*message.Message, workers)
	for i := range inputs {
		inputs[i] = s.message(t)
	}
	var wait sync.WaitGroup
	for _, m := range inputs {
		wait.Go(func() {
			out, err := s.tr.Apply(context.Background(), m)
			if (err == nil) != (wantErr == nil) {
				t.Errorf("Apply gives error %v among others, %v alone", err, wantErr)
				return
			}
			var all []byte
			for _, next := range out {
				all = append(next.Doc.Encode(all), '\n')
			}
			if err == nil && !bytes.Equal(all, want) {
				t.Error("the result among others is not that alone")
			}
		})
	}
	wait.Wait()
}

func (s *suite) ended(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out, err := s.tr.Apply(ctx, s.message(t))
	if err == nil {
		t.Fatalf("Apply gives %d messages after the context ended", len(out))
	}
	if kind := message.KindOf(err); kind != message.Unavailable && !s.c.Fails {
		t.Errorf("the error is of kind %q, want %q", kind, message.Unavailable)
	}
}
