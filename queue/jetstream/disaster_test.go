package jetstream_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/queue/jetstream"
)

// A worker is a Run in the background that notes what it was handed.
type worker struct {
	t    testing.TB
	q    *jetstream.Queue
	stop context.CancelFunc
	done chan error
	once sync.Once

	mu    sync.Mutex
	taken map[string]int
}

// work runs q; take may be nil: nothing is left open.
func work(t testing.TB, q *jetstream.Queue, take func(ctx context.Context, unit string) time.Time) *worker {
	ctx, stop := context.WithCancel(context.Background())
	w := &worker{t: t, q: q, stop: stop, done: make(chan error, 1), taken: map[string]int{}}
	go func() {
		w.done <- q.Run(ctx, func(ctx context.Context, unit string) time.Time {
			w.mu.Lock()
			w.taken[unit]++
			w.mu.Unlock()
			if take == nil {
				return time.Time{}
			}
			return take(ctx, unit)
		})
	}()
	t.Cleanup(w.end)
	return w
}

func (w *worker) end() {
	w.once.Do(func() {
		w.stop()
		select {
		case err := <-w.done:
			if err != nil {
				w.t.Errorf("Run ended with %v, want nil", err)
			}
		case <-time.After(patience):
			w.t.Error("Run did not end")
		}
	})
}

func (w *worker) times(unit string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken[unit]
}

func (w *worker) units() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.taken)
}

// works shows that a unit pushed now is taken.
func (w *worker) works(unit string) {
	w.t.Helper()
	before := w.times(unit)
	push(w.t, w.q, unit, time.Now())
	eventually(w.t, unit+" is taken", func() bool { return w.times(unit) > before })
}

func push(t testing.TB, q *jetstream.Queue, unit string, due time.Time) {
	t.Helper()
	if err := q.Push(context.Background(), unit, due); err != nil {
		t.Fatalf("Push(%q): %v", unit, err)
	}
}

// used waits until the stream is used.
func (w *worker) used() {
	w.t.Helper()
	eventually(w.t, "the stream is used", func() bool { return w.q.Failing() == nil })
}

// aside lists the folders that were set aside.
func aside(t testing.TB, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(folder + ".broken-*")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// once opens a queue in a folder, works in it, leaves tickets behind and closes it.
func once(t *testing.T, folder string, units int) {
	t.Helper()
	q, err := jetstream.Open(context.Background(), jetstream.Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	w := work(t, q, nil)
	w.works("first")
	w.end()
	for i := range units {
		push(t, q, fmt.Sprint("left", i), time.Now())
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTicketsOutliveTheProcess(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "jetstream")
	once(t, folder, 50)
	w := work(t, open(t, jetstream.Options{Folder: folder}), nil)
	for i := range 50 {
		unit := fmt.Sprint("left", i)
		eventually(t, unit+", left behind, is taken", func() bool { return w.times(unit) > 0 })
	}
}

func TestFolderDeletedWhileDown(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "jetstream")
	once(t, folder, 5)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	q := open(t, jetstream.Options{Folder: folder})
	if err := q.Failing(); err != nil {
		t.Errorf("the stream is not used: %v", err)
	}
	work(t, q, nil).works("after")
}

// TestFolderCorrupted bends the files of a stopped server in every way the seed
// gives. Whatever is left of them, the queue opens, uses a stream and works.
func TestFolderCorrupted(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	if os.Getenv("PLEXUS_FAULTS") == "long" {
		rounds = 2_000
	}
	set := 0
	for seed := range rounds {
		// Each has ended its server before the next begins its own.
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "jetstream")
			once(t, folder, 20)
			what := bend(t, folder, rand.New(rand.NewPCG(7, uint64(seed))))
			q := open(t, jetstream.Options{Folder: folder})
			if err := q.Failing(); err != nil {
				t.Errorf("%s: the stream is not used: %v", what, err)
			}
			w := work(t, q, nil)
			w.works("after")
			if err := q.Failing(); err != nil {
				t.Errorf("%s: the stream failed later: %v", what, err)
			}
			w.end()
			set += len(aside(t, folder))
		})
	}
	t.Logf("%d of %d folders were set aside, the others could be used", set, rounds)
}

// bend damages some of the files below a folder and says how.
func bend(t *testing.T, folder string, random *rand.Rand) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	var what []string
	for range 1 + random.IntN(3) {
		path := files[random.IntN(len(files))]
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone already
		}
		way := random.IntN(6)
		switch {
		case way == 0:
			err = os.Remove(path)
		case way == 1:
			err = os.Truncate(path, 0)
		case way == 2:
			err = os.Truncate(path, int64(random.IntN(len(data)+1)))
		case way == 3:
			err = os.WriteFile(path, append(data, make([]byte, 1+random.IntN(200))...), 0o600)
		case way == 4 && len(data) >= 8: // lengths that are none
			binary.LittleEndian.PutUint64(data[random.IntN(len(data)-7):], random.Uint64())
			err = os.WriteFile(path, data, 0o600)
		case len(data) > 0:
			data[random.IntN(len(data))] ^= 1 << random.IntN(8)
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		what = append(what, fmt.Sprintf("%s by way %d", filepath.Base(path), way))
	}
	return strings.Join(what, ", ")
}

func TestFolderIsNone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "jetstream")
	for range 3 {
		if err := os.WriteFile(folder, []byte("not a folder"), 0o600); err != nil {
			t.Fatal(err)
		}
		q, err := jetstream.Open(context.Background(), jetstream.Options{Folder: folder})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Failing(); err != nil {
			t.Errorf("the stream is not used: %v", err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if found := aside(t, folder); len(found) != 1 {
			t.Errorf("%d folders were set aside and kept, want 1", len(found))
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFolderDamagedWhileRunning takes the files away under a running server.
// The queue goes on at once, and uses a stream again.
func TestFolderDamagedWhileRunning(t *testing.T) {
	for name, damage := range map[string]func(folder string) error{
		"deleted":     os.RemoveAll,
		"overwritten": overwrite,
		"replaced by a file": func(folder string) error {
			if err := os.RemoveAll(folder); err != nil {
				return err
			}
			return os.WriteFile(folder, nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "jetstream")
			q := open(t, jetstream.Options{Folder: folder, Patience: 100 * time.Millisecond})
			w := work(t, q, nil)
			w.works("before")
			if err := damage(folder); err != nil {
				t.Fatal(err)
			}
			for i := range 200 {
				w.works(fmt.Sprint("during", i%7))
			}
			w.used()
			w.works("after")
		})
	}
}

// overwrite fills every file below a folder with noise.
func overwrite(folder string) error {
	random := rand.NewChaCha8([32]byte{9})
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server goes on working, and has taken it away
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		noise := make([]byte, info.Size())
		_, _ = random.Read(noise) // it never fails
		return os.WriteFile(path, noise, 0o600)
	})
}

// TestFolderOfAnother shows that a folder in use is neither shared nor set
// aside: the second engine works without it.
func TestFolderOfAnother(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "jetstream")
	first, err := jetstream.Open(context.Background(), jetstream.Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	second := open(t, jetstream.Options{Folder: folder})
	if second.Failing() == nil {
		t.Error("two queues use one folder")
	}
	w := work(t, second, nil)
	for i := range 20 {
		w.works(fmt.Sprint(i))
	}
	if found := aside(t, folder); len(found) > 0 {
		t.Errorf("the folder of another was set aside: %v", found)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	w.used() // it is free now
}

func TestReadOnlyFolder(t *testing.T) {
	q := open(t, jetstream.Options{Folder: "/proc/nothing/jetstream"}) // not even root makes it
	if q.Failing() == nil {
		t.Error("a folder that cannot be made is used")
	}
	w := work(t, q, nil)
	for i := range 20 {
		w.works(fmt.Sprint(i))
	}
	at := make(chan time.Time, 10)
	w.end()
	r := work(t, q, func(context.Context, string) time.Time { at <- time.Now(); return time.Time{} })
	due := time.Now().Add(200 * time.Millisecond)
	push(t, q, "late", due)
	if got := <-at; got.Before(due) {
		t.Errorf("came %v before its time", due.Sub(got))
	}
	r.end()
}
