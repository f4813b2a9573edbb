package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/pgtest"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
	"github.com/plexus-health/plexus/store/storetest"
)

// Parts that a message is about to refer to are not swept, however old they are;
// parts that are being swept are not referred to.
func TestSweepAndRecordSideBySide(t *testing.T) {
	s := open(t, pgtest.Start(t))
	in := storetest.Intake("lab", "large", "x")
	in.Message.Raw, in.Message.Size, in.Chunks = nil, 2000, in.Message.ID
	for n := range 2 {
		if err := s.Chunk(t.Context(), in.Chunks, n, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(2 * time.Hour) // the clock was set ahead
	row := relational.RowOf(&in, time.Now())
	sweep := func() (n int64) {
		t.Helper()
		err := s.inTx(t.Context(), func(tx *tx, _ *relational.Ledger) (err error) {
			n, err = relational.SweepChunks(t.Context(), tx, later)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	err := s.inTx(t.Context(), func(tx *tx, led *relational.Ledger) error {
		if err := relational.Whole(t.Context(), tx, &row); err != nil {
			return err
		}
		if n := sweep(); n != 0 {
			t.Errorf("%d parts were swept under a message that is being recorded", n)
		}
		_, err := relational.Record(t.Context(), tx, &row, led)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := sweep(); n != 0 {
		t.Errorf("%d parts of a message were swept", n)
	}
	other := storetest.Intake("lab", "other", "y")
	other.Message.Raw, other.Message.Size, other.Chunks = nil, 1000, other.Message.ID
	if err := s.Chunk(t.Context(), other.Chunks, 0, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if n := sweep(); n != 1 {
		t.Errorf("%d parts of nobody were swept, want 1", n)
	}
	if _, err := s.Record(t.Context(), other); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a message whose parts were swept: %v", err)
	}
}
