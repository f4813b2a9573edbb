package console

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// What is decided about all of a route is decided once for each file, and counts
// every delivery in it.
func TestDecisionsAboutFiles(t *testing.T) {
	d := newDesk(t)
	list := []message.Delivery{d.queue("A"), d.queue("B"), d.queue("C")}
	lease, err := d.TakeOver(t.Context(), "lab/a", 0)
	if err != nil {
		t.Fatal(err)
	}
	file, err := lease.Bundle(t.Context(), store.Batch{ID: message.NewID(time.Now()), Number: 1, Payload: []byte("file"), Deliveries: list[:2]}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var answers []store.Answer
	for _, one := range file.Deliveries {
		answers = append(answers, store.Answer{N: one.N, Message: one.Message, Run: one.Run, State: message.Waiting, Class: message.Busy, Due: time.Now().Add(time.Hour)})
	}
	if err := lease.AnswerBatch(t.Context(), file.N, answers); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		word, body      string
		done            int
		waiting, parked int64
	}{
		{"park", decided, 3, 0, 3},
		{"retry", decided, 3, 3, 0},
		{"move", `{"who": "t.reed", "why": "a test", "to": "lab/b"}`, 3, 0, 0},
	} {
		status, body := d.do(http.MethodPost, "/api/queues/lab/a/"+step.word, step.body)
		var r Result
		if err := json.Unmarshal([]byte(body), &r); err != nil || status != http.StatusOK || r.Done != step.done || r.Waiting != step.waiting || r.Parked != step.parked {
			t.Fatalf("%s: %d %v %s", step.word, status, err, body)
		}
		var q struct{ Deliveries []Delivery }
		_, body = d.do(http.MethodGet, "/api/queues/lab/a", "")
		if err := json.Unmarshal([]byte(body), &q); err != nil {
			t.Fatal(err)
		}
		if step.word != "move" && (len(q.Deliveries) != 3 || q.Deliveries[0].File != file.N || q.Deliveries[2].File != 0) {
			t.Errorf("%s: the deliveries are shown as %s", step.word, body)
		}
	}
	open, err := d.Open(t.Context(), "lab/b", 0, 0, 10)
	if err != nil || len(open) != 3 {
		t.Errorf("in lab/b wait %+v: %v", open, err)
	}
}
