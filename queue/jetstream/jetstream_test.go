package jetstream_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/queue"
	"github.com/plexus-health/plexus/queue/jetstream"
	"github.com/plexus-health/plexus/queue/queuetest"
)

// patience bounds every wait of these tests; a healthy queue needs a fraction.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if folder := os.Getenv("PLEXUS_TEST_NATS"); folder != "" {
		serve(folder, os.Getenv("PLEXUS_TEST_NATS_PORT"))
	}
	goleak.VerifyTestMain(m)
}

// open opens a queue that is closed at the end of the test.
func open(t testing.TB, o jetstream.Options) *jetstream.Queue {
	t.Helper()
	if o.Folder == "" && o.URL == "" {
		o.Folder = filepath.Join(t.TempDir(), "jetstream")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	q, err := jetstream.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return q
}

// serve is a NATS server in a process of its own. It ends by a kill.
func serve(folder, port string) {
	n, err := strconv.Atoi(port)
	if err != nil {
		panic(err)
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: n, JetStream: true, StoreDir: folder, NoSigs: true, NoLog: true,
		JetStreamMaxMemory: 16 << 20, JetStreamMaxStore: 256 << 20,
	})
	if err != nil {
		panic(err)
	}
	s.Start()
	s.WaitForShutdown()
	os.Exit(1)
}

// A natsServer is a server of other people, as far as the queue knows.
type natsServer struct {
	t      testing.TB
	folder string
	port   string
	cmd    *exec.Cmd
}

func external(t testing.TB) *natsServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &natsServer{t: t, folder: t.TempDir(), port: port}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *natsServer) url() string { return "nats://127.0.0.1:" + s.port }

func (s *natsServer) start() {
	s.t.Helper()
	s.cmd = exec.CommandContext(context.Background(), os.Args[0])
	s.cmd.Env = append(os.Environ(), "PLEXUS_TEST_NATS="+s.folder, "PLEXUS_TEST_NATS_PORT="+s.port)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the server answers", func() bool {
		c, err := nats.Connect(s.url())
		if err != nil {
			return false
		}
		defer c.Close()
		js, err := natsjs.New(c)
		if err != nil {
			return false
		}
		_, err = js.AccountInfo(context.Background())
		return err == nil
	})
}

func (s *natsServer) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // as it was told
}

// eventually waits until done says so.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// The suite's patience is the queue's as well: no unit is looked at without its
// ticket because the machine is slow.
func TestEmbedded(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) queue.Queue { return open(t, jetstream.Options{Patience: patience}) })
}

func TestExternal(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) queue.Queue {
		q := open(t, jetstream.Options{URL: external(t).url(), Patience: patience})
		found(t, q)
		return q
	})
}

// found runs the queue until it has found its stream.
func found(t testing.TB, q *jetstream.Queue) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- q.Run(ctx, func(context.Context, string) time.Time { return time.Time{} })
	}()
	eventually(t, "the stream is used", func() bool { return q.Failing() == nil })
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func BenchmarkPushAndTake(b *testing.B) {
	q := open(b, jetstream.Options{Patience: patience})
	ctx, cancel := context.WithCancel(context.Background())
	took := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- q.Run(ctx, func(context.Context, string) time.Time { took <- struct{}{}; return time.Time{} })
	}()
	for b.Loop() {
		if err := q.Push(ctx, "a", time.Time{}); err != nil {
			b.Fatal(err)
		}
		<-took
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
