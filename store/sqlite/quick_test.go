package sqlite

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

func intake(i int) store.Intake {
	m := &message.Message{ID: message.NewID(time.Now()), Channel: "c", State: message.Stored, Raw: make([]byte, 2000), Answer: message.Answer{Code: message.Accepted}}
	m.Header = message.Header{Type: "ORU^R01", Sender: "a|b", Control: fmt.Sprint(i), Key: fmt.Sprint("k", i), Hash: sha256.Sum256([]byte(fmt.Sprint(i)))}
	return store.Intake{Message: m}
}

func TestQuick(t *testing.T) {
	s, err := Open(t.Context(), Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Record(t.Context(), intake(1))
	if err != nil {
		t.Fatal(err)
	}
	if e2, err := s.Record(t.Context(), intake(1)); err != nil || !e2.Copy || e2.Seq != e.Seq {
		t.Fatal(e2, err)
	}
	l, err := s.TakeOver(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	n, _ := fhir.Parse([]byte(`{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:x","value":"123"}],"name":[{"family":"Müller"}],"birthDate":"1970-01-01"}`))
	c := n.AppendJSON(nil)
	w := store.Write{Type: "Patient", ID: "p1", Content: c, Hash: sha256.Sum256(c), Index: search.Index("Patient", n), Keys: []string{"k"}}
	if err := l.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Done, Writes: []store.Write{w}, Actor: "x", Events: []store.Event{{Step: "wrote"}}}); err != nil {
		t.Fatal(err)
	}
	v := "123"
	p, _ := search.Param("Patient", "identifier")
	page, err := s.Search(t.Context(), store.Query{Type: "Patient", Limit: 10, Where: []store.Clause{{Param: p, Shape: store.ShapeToken, Any: []store.Match{{Value: &v}}}}, Total: true})
	t.Log(page, err)
	led, _ := s.Ledger(t.Context())
	tr, _ := s.Trace(t.Context(), e.Seq)
	t.Log(led, tr)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := Open(b.Context(), Options{Folder: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var wg sync.WaitGroup
			b.ResetTimer()
			for c := range n {
				wg.Go(func() {
					for i := c; i < b.N; i += n {
						if _, err := s.Record(b.Context(), intake(i)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
