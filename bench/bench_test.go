package bench

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/mllp"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/validate"
	"github.com/plexus-health/plexus/message"
)

func TestORU(t *testing.T) {
	raw := ORU("A", 7, 20)
	if control, _, _ := mllp.Control(raw); control != "A7" {
		t.Errorf("the control id is %q, want A7", control)
	}
	if n := bytes.Count(raw, []byte("\rOBX|")); n != 20 {
		t.Errorf("%d observations, want 20", n)
	}
	if len(raw) < 1500 || len(raw) > 2600 {
		t.Errorf("%d bytes, want about %d", len(raw), MessageSize)
	}
	if bytes.Equal(ORU("A", 8, 20), raw) {
		t.Error("two messages are the same")
	}
}

func TestResources(t *testing.T) {
	for name, body := range map[string][]byte{"observation": NewObservation(7), "transaction": Transaction("A", 7)} {
		n, err := fhir.Parse(body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, f := range validate.Structure(n) {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if n, err := Matches(Transaction("A", 7)); err != nil || n != 7 {
		t.Errorf("%d entries, %v, want 7", n, err)
	}
}

func TestMachine(t *testing.T) {
	syncs, err := AppendSync(t.TempDir(), time.Millisecond)
	if err != nil || syncs <= 0 {
		t.Errorf("AppendSync = %v, %v", syncs, err)
	}
	rate, median, err := Loopback(3, 10*time.Millisecond)
	if err != nil || rate <= 0 || median <= 0 {
		t.Errorf("Loopback = %v, %v, %v", rate, median, err)
	}
}

func TestBare(t *testing.T) {
	b, err := StartBare(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f, err := Feed{Address: b.Address(), Connections: 4, Count: 100, Message: func(n int) []byte { return ORU("A", n, 2) }}.Run(t.Context())
	if err != nil || f.Sent != 100 {
		t.Errorf("Run = %+v, %v", f, err)
	}
	kept := 0
	if err := b.db.QueryRowContext(t.Context(), `SELECT count(*) FROM message WHERE substr(body, 1, 3) = CAST('MSH' AS BLOB)`).Scan(&kept); err != nil || kept != 100 {
		t.Errorf("%d rows, %v, want those of 100 messages", kept, err)
	}
	// A message that came before has the key of another row: it is not promised.
	f, err = Feed{Address: b.Address(), Connections: 1, Count: 1, Message: func(int) []byte { return ORU("A", 1, 2) }}.Run(t.Context())
	if err == nil {
		t.Errorf("Run = %+v, want an error: the row is there", f)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if rate, err := BareEffects(t.Context(), t.TempDir(), time.Millisecond); err != nil || rate <= 0 {
		t.Errorf("BareEffects = %v, %v", rate, err)
	}
}

// listen starts a listener that answers with a code and returns its address.
func listen(t *testing.T, code string) string {
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	options := mllp.DefaultSource()
	options.(*mllp.SourceOptions).Listen = address
	source, err := options.Open(connectors.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- source.Run(ctx, func(_ context.Context, m *message.Message) (message.Reply, error) {
			control, _, _ := mllp.Control(m.Raw)
			return message.Reply{Raw: []byte("MSH|^~\\&|\rMSA|" + code + "|" + control + "\r")}, nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for {
		c, err := mllp.Dial(ctx, mllp.ClientOptions{Address: address})
		if err == nil {
			_ = c.Close()
			return address
		}
	}
}

func TestFeed(t *testing.T) {
	oru := func(n int) []byte { return ORU("A", n, 2) }
	t.Run("a number of messages", func(t *testing.T) {
		f, err := Feed{Address: listen(t, "AA"), Connections: 4, Count: 100, Message: oru}.Run(context.Background())
		if err != nil || f.Sent != 100 || f.Rate <= 0 || f.Max < f.P50 {
			t.Errorf("Run = %+v, %v", f, err)
		}
	})
	t.Run("an open loop for a time", func(t *testing.T) {
		var made atomic.Int32
		f, err := Feed{
			Address: listen(t, "AA"), Connections: 4, Duration: 100 * time.Millisecond, Rate: 1000,
			Message: func(n int) []byte { made.Add(1); return oru(n) },
		}.Run(context.Background())
		if err != nil || f.Sent != 100 || made.Load() != 100 {
			t.Errorf("Run = %+v, %v, of %d made; want the 100 that were due", f, err, made.Load())
		}
	})
	t.Run("a refusal is an error", func(t *testing.T) {
		_, err := Feed{Address: listen(t, "AE"), Connections: 1, Count: 10, Message: oru}.Run(context.Background())
		if !errors.Is(err, errNotAccepted) {
			t.Errorf("Run = %v, want %v", err, errNotAccepted)
		}
	})
}

func TestPostgresPrograms(t *testing.T) {
	if got := release(filepath.Join("/usr/lib/postgresql", "15", "bin", "initdb")); got != 15 {
		t.Errorf("release = %d, want 15", got)
	}
}
