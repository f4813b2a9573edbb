package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/queue"
	"github.com/plexus-health/plexus/queue/memory"
	"github.com/plexus-health/plexus/queue/queuetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQueue(t *testing.T) {
	open := func(*testing.T) queue.Queue { return &memory.Queue{} }
	queuetest.Run(t, open)
	queuetest.RunTimed(t, open)
}

func TestQueueIsBounded(t *testing.T) {
	q := &memory.Queue{Units: 2}
	ctx := context.Background()
	for i, want := range []error{nil, nil, memory.ErrFull} {
		if err := q.Push(ctx, fmt.Sprint(i), time.Now()); !errors.Is(err, want) {
			t.Errorf("push %d: %v, want %v", i, err, want)
		}
	}
	if err := q.Push(ctx, "0", time.Now()); err != nil {
		t.Errorf("a unit that is known was refused: %v", err)
	}
}

func TestPushAfterTheEndOfItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := new(memory.Queue).Push(ctx, "a", time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("Push = %v, want %v", err, context.Canceled)
	}
}

func BenchmarkPushAndTake(b *testing.B) {
	q := &memory.Queue{}
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
