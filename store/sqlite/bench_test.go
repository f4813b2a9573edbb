package sqlite

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

func intake(i int) store.Intake {
	m := &message.Message{ID: message.NewID(time.Now()), Channel: "c", State: message.Stored, Raw: make([]byte, 2000), Answer: message.Answer{Code: message.Accepted}}
	m.Header = message.Header{Type: "ORU^R01", Sender: "a|b", Control: fmt.Sprint(i), Key: fmt.Sprint("k", i), Hash: sha256.Sum256([]byte(fmt.Sprint(i)))}
	return store.Intake{Message: m}
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
