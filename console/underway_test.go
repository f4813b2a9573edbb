package console

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// A refusing store says when it has refused a decision for the first time.
type refusing struct {
	store.Store
	once sync.Once
	then func()
}

func (r *refusing) Operate(ctx context.Context, o store.Order) error {
	err := r.Store.Operate(ctx, o)
	if err != nil {
		r.once.Do(r.then)
	}
	return err
}

// TestADecisionWaitsForTheEndOfAnAttempt parks a delivery while its peer, which
// is down, is being asked.
func TestADecisionWaitsForTheEndOfAnAttempt(t *testing.T) {
	d := newDesk(t)
	one := d.queue("k")
	lease, err := d.TakeOver(t.Context(), "lab/a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lease.Claim(t.Context(), one.N); err != nil {
		t.Fatal(err)
	}
	d.handler = New(Options{Engine: d.engine, Access: access.Loopback{}, Log: slog.New(slog.DiscardHandler), Store: &refusing{Store: d.Store, then: func() {
		a := store.Answer{N: one.N, Message: one.Message, Run: one.Run, State: message.Waiting, Class: message.Down}
		if _, err := lease.Answer(t.Context(), a, 0); err != nil {
			t.Error(err)
		}
	}}})
	if status, got := d.do(http.MethodPost, "/api/deliveries/"+one.ID+"/park", decided); status != http.StatusOK {
		t.Errorf("%d %s", status, got)
	}
	if got := d.find(one.ID); got.State != message.ParkedDelivery {
		t.Errorf("it is %s", got.State)
	}
}
