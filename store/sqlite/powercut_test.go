package sqlite

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/powercut"
	"github.com/plexus-health/plexus/store/storetest"
)

// TestLogThatCannotBeMoved takes the disk away while the log waits to be moved
// into the database and nobody writes. The sync that fails then ends the store:
// a second one would call good what the first has lost.
func TestLogThatCannotBeMoved(t *testing.T) {
	if !powercut.Alone(t) {
		return
	}
	for range 10 { // where the log was moved before the cut there is nothing to fail
		d := powercut.New(t, 256)
		s := open(t, filepath.Join(d.Path, "data"))
		wal := filepath.Join(d.Path, "data", "plexus.db-wal")
		for n := 0; ; n++ {
			in := storetest.Intake("c", fmt.Sprint(n), "key")
			in.Message.Raw = append(in.Message.Raw, bytes.Repeat([]byte{byte(n), 'x'}, 50_000)...)
			if _, err := s.Record(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(wal); err == nil && info.Size() >= 4<<20 {
				break
			}
		}
		d.Cut()
		select {
		case <-s.Failed():
			if _, err := s.Record(t.Context(), storetest.Intake("c", "after", "key")); err == nil {
				t.Error("a store that has failed took a message")
			}
			_ = s.Close() // of a disk that is gone
			return
		case <-time.After(2 * time.Second):
		}
		_ = s.Close() // of a disk that is gone
	}
	t.Error("the log could not be moved and the store goes on")
}
