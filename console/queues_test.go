package console

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/sqlite"
	"github.com/plexus-health/plexus/store/storetest"
)

// A fakeEngine has two routes and keeps the units it was told of.
type fakeEngine struct{ poked []string }

func (*fakeEngine) Ready() error    { return nil }
func (*fakeEngine) Channels() any   { return nil }
func (*fakeEngine) Names() []string { return []string{"lab"} }
func (*fakeEngine) Routes() ([]Route, bool) {
	return []Route{{Channel: "lab", Name: "a", Title: "The lab", To: "mllp", Now: "idle"}, {Channel: "lab", Name: "b", Now: "idle"}}, true
}
func (e *fakeEngine) Poke(unit string) { e.poked = append(e.poked, unit) }

// A desk is a console over a store with deliveries.
type desk struct {
	*testing.T
	store.Store
	engine  *fakeEngine
	handler http.Handler
	lease   store.Lease // of the channel
	n       int
}

const canary = "CANARY7F3"

func newDesk(t *testing.T) *desk {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &desk{T: t, Store: s, engine: &fakeEngine{}}
	d.handler = New(Options{Store: s, Engine: d.engine, Access: access.Loopback{}, Log: slog.New(slog.DiscardHandler)})
	if d.lease, err = s.TakeOver(t.Context(), "lab", 0); err != nil {
		t.Fatal(err)
	}
	return d
}

// queue makes a message of a key with one delivery of route a.
func (d *desk) queue(key string) message.Delivery {
	d.Helper()
	d.n++
	in := storetest.Intake("lab", fmt.Sprintf("C%d", d.n), fmt.Sprintf("content %d", d.n))
	in.Message.Header.Key = key
	e, err := d.Record(d.Context(), in)
	if err != nil {
		d.Fatal(err)
	}
	made := message.Delivery{ID: message.NewID(time.Now()), Unit: "lab/a", Key: key, Control: fmt.Sprintf("D%d", d.n), Payload: []byte("payload " + canary)}
	o := store.Outcome{Seq: e.Seq, State: message.Done, Deliveries: []message.Delivery{made}, Actor: "channel:lab"}
	if err := d.lease.Finish(d.Context(), o); err != nil {
		d.Fatal(err)
	}
	return d.find(made.ID)
}

func (d *desk) find(id string) message.Delivery {
	d.Helper()
	found, err := d.FindDelivery(d.Context(), id)
	if err != nil {
		d.Fatal(err)
	}
	return found
}

// send sends everything that waits in route a, and it arrives.
func (d *desk) send(list ...message.Delivery) {
	d.Helper()
	l, err := d.TakeOver(d.Context(), "lab/a", 0)
	if err != nil {
		d.Fatal(err)
	}
	for _, one := range list {
		if _, err := l.Claim(d.Context(), one.N); err != nil {
			d.Fatal(err)
		}
		a := store.Answer{N: one.N, Message: one.Message, Run: one.Run, State: message.Delivered, Raw: []byte("MSA|AA")}
		if _, err := l.Answer(d.Context(), a, 0); err != nil {
			d.Fatal(err)
		}
	}
}

func (d *desk) do(method, path, body string) (int, string) {
	d.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:5000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	if w.Header().Get("Cache-Control") != "no-store" {
		d.Errorf("%s %s may be kept by caches", method, path)
	}
	return w.Code, w.Body.String()
}

const decided = `{"who": "t.reed", "why": "a test"}`

func TestDecisionsAreGuarded(t *testing.T) {
	d := newDesk(t)
	one := d.queue("k")
	path := "/api/deliveries/" + one.ID + "/"
	for name, c := range map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"nobody decides":           {path + "park", `{"why": "x"}`, 400, "who decides"},
		"without a reason":         {path + "park", `{"who": "x"}`, 400, "who decides"},
		"a field nobody knows":     {path + "park", `{"who": "x", "why": "y", "force": true}`, 400, "the body must be"},
		"two bodies":               {path + "park", decided + decided, 400, "the body must be"},
		"late is not for park":     {path + "park", `{"who": "x", "why": "y", "late": true}`, 400, "late is for"},
		"to is for move":           {path + "retry", `{"who": "x", "why": "y", "to": "lab/b"}`, 400, "to is for move"},
		"move to nowhere":          {path + "move", decided, 400, "known: lab/a, lab/b"},
		"move to no route":         {path + "move", `{"who": "x", "why": "y", "to": "lab/z"}`, 400, "known: lab/a, lab/b"},
		"no such delivery":         {"/api/deliveries/0195aaaa/park", decided, 404, "no delivery has this id"},
		"no such route":            {"/api/queues/lab/z/retry", decided, 404, "lab/a, lab/b"},
		"no such route to pause":   {"/api/queues/lab/z/pause", decided, 404, "known: lab, lab/a, lab/b"},
		"no such channel to pause": {"/api/channels/other/pause", decided, 404, "known: lab, lab/a, lab/b"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := d.do(http.MethodPost, c.path, c.body); status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("got %d %s, want %d with %q", status, body, c.status, c.want)
			}
		})
	}
	t.Run("a page of another site", func(t *testing.T) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path+"drop", strings.NewReader(decided))
		r.RemoteAddr = "127.0.0.1:5000"
		r.Header.Set("Content-Type", "text/plain")
		w := httptest.NewRecorder()
		if d.handler.ServeHTTP(w, r); w.Code != http.StatusUnsupportedMediaType {
			t.Errorf("got %d", w.Code)
		}
	})
	t.Run("another machine", func(t *testing.T) {
		for _, p := range []string{"/api/queues", "/api/queues/lab/a", "/api/deliveries/" + one.ID, "/api/deliveries/" + one.ID + "/payload"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, p, nil)
			r.RemoteAddr = "10.1.2.3:5000"
			w := httptest.NewRecorder()
			if d.handler.ServeHTTP(w, r); w.Code != http.StatusForbidden {
				t.Errorf("%s: got %d", p, w.Code)
			}
		}
	})
	if got := d.find(one.ID); got.State != message.Waiting || len(d.engine.poked) != 0 {
		t.Errorf("it is %s, and %v were told", got.State, d.engine.poked)
	}
}

// A page of other rows than those asked for would be taken for them.
func TestNumbersThatAreNoneAreRefused(t *testing.T) {
	d := newDesk(t)
	d.queue("K1")
	for _, place := range []string{"/api/messages", "/api/worklist", "/api/queues/lab/a"} {
		for _, limit := range []string{"0", "-1", "10001", "ten", "1e3", "99999999999999999999"} {
			if code, body := d.do(http.MethodGet, place+"?limit="+limit, ""); code != http.StatusBadRequest || !strings.Contains(body, "from 1 to 10000") {
				t.Errorf("%s, limit %s: %d %s", place, limit, code, body)
			}
		}
		if code, body := d.do(http.MethodGet, place+"?limit=10000", ""); code != http.StatusOK {
			t.Errorf("%s: %d %s", place, code, body)
		}
	}
	for _, place := range []string{"/api/messages?before=x", "/api/messages?before=-1", "/api/queues/lab/a?after=1.5"} {
		if code, body := d.do(http.MethodGet, place, ""); code != http.StatusBadRequest || !strings.Contains(body, "number of a row") {
			t.Errorf("%s: %d %s", place, code, body)
		}
	}
}

func TestQueuesAndDeliveries(t *testing.T) {
	d := newDesk(t)
	one, two := d.queue(canary), d.queue(canary)
	status, list := d.do(http.MethodGet, "/api/queues", "")
	var queues []Queue
	if err := json.Unmarshal([]byte(list), &queues); err != nil || status != http.StatusOK || len(queues) != 2 {
		t.Fatalf("%d %v %s", status, err, list)
	}
	if q := queues[0]; q.Unit != "lab/a" || q.Channel != "lab" || q.Name != "a" || q.Title != "The lab" || q.Waiting != 2 || q.Oldest.IsZero() {
		t.Errorf("got %+v", q)
	}
	var page QueuePage
	_, body := d.do(http.MethodGet, "/api/queues/lab/a?state=waiting&limit=1", "")
	if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Deliveries) != 1 || page.Deliveries[0].ID != one.ID || page.Deliveries[0].Message == "" {
		t.Errorf("first page: %v %s", err, body)
	}
	page = QueuePage{}
	_, body = d.do(http.MethodGet, fmt.Sprintf("/api/queues/lab/a?after=%d", one.N), "")
	if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Deliveries) != 1 || page.Deliveries[0].ID != two.ID {
		t.Errorf("second page: %v %s", err, body)
	}
	if status, body := d.do(http.MethodGet, "/api/queues/lab/a?state=lost", ""); status != http.StatusBadRequest || !strings.Contains(body, "known: waiting") {
		t.Errorf("%d %s", status, body)
	}
	_, show := d.do(http.MethodGet, "/api/deliveries/"+one.ID, "")
	if strings.Contains(list+body+show, canary) {
		t.Error("a key or payload is shown outside of /payload")
	}
	if _, got := d.do(http.MethodGet, "/api/deliveries/"+one.ID+"/payload", ""); got != "payload "+canary {
		t.Errorf("payload %q", got)
	}
	if status, got := d.do(http.MethodGet, "/api/deliveries/"+one.ID+"/answer", ""); status != http.StatusNotFound {
		t.Errorf("answer: %d %s", status, got)
	}
	d.send(one)
	if _, got := d.do(http.MethodGet, "/api/deliveries/"+one.ID+"/answer", ""); got != "MSA|AA" {
		t.Errorf("answer %q", got)
	}
	if status, got := d.do(http.MethodPost, "/api/deliveries/"+one.ID+"/park", decided); status != http.StatusConflict || !strings.Contains(got, "in state delivered takes no park") {
		t.Errorf("%d %s", status, got)
	}
}

func TestRetryOfAllStopsAtTheFirstThatIsOvertaken(t *testing.T) {
	d := newDesk(t)
	first, old, young, last := d.queue("x"), d.queue("k"), d.queue("k"), d.queue("y")
	for _, one := range []message.Delivery{first, old, last} {
		if status, body := d.do(http.MethodPost, "/api/deliveries/"+one.ID+"/park", decided); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	d.send(young)
	d.engine.poked = nil
	status, body := d.do(http.MethodPost, "/api/queues/lab/a/retry", decided)
	if status != http.StatusConflict || !strings.Contains(body, "1 deliveries took retry") || !strings.Contains(body, old.ID) || !strings.Contains(body, errLate.Error()) {
		t.Errorf("%d %s", status, body)
	}
	for one, want := range map[string]message.DeliveryState{first.ID: message.Waiting, old.ID: message.ParkedDelivery, last.ID: message.ParkedDelivery} {
		if got := d.find(one); got.State != want {
			t.Errorf("%s is %s, want %s", got.Control, got.State, want)
		}
	}
	if len(d.engine.poked) != 1 || d.engine.poked[0] != "lab/a" {
		t.Errorf("told were %v", d.engine.poked)
	}
	status, body = d.do(http.MethodPost, "/api/queues/lab/a/retry", `{"who": "t.reed", "why": "a test", "late": true}`)
	var r Result
	if err := json.Unmarshal([]byte(body), &r); err != nil || status != http.StatusOK || r.Done != 2 || r.Parked != 0 || r.Waiting != 3 {
		t.Errorf("%d %v %s", status, err, body)
	}
	if got := d.find(old.ID); !got.Late || d.find(last.ID).Late {
		t.Errorf("late is %v and %v, want the overtaken one only", got.Late, d.find(last.ID).Late)
	}
	t.Run("moving all keeps their order and tells both routes", func(t *testing.T) {
		d.engine.poked = nil
		status, body := d.do(http.MethodPost, "/api/queues/lab/a/move", `{"who": "t.reed", "why": "a test", "to": "lab/b"}`)
		if err := json.Unmarshal([]byte(body), &r); err != nil || status != http.StatusOK || r.Done != 3 {
			t.Fatalf("%d %v %s", status, err, body)
		}
		open, err := d.Open(t.Context(), "lab/b", 0, 0, 10)
		if err != nil || len(open) != 3 || open[0].ID != first.ID || open[1].ID != old.ID || open[2].ID != last.ID {
			t.Errorf("%v: in lab/b wait %+v", err, open)
		}
		if strings.Join(d.engine.poked, " ") != "lab/a lab/b" {
			t.Errorf("told were %v", d.engine.poked)
		}
	})
	t.Run("pause and resume", func(t *testing.T) {
		if _, body := d.do(http.MethodPost, "/api/queues/lab/b/pause", decided); !strings.Contains(body, "paused by t.reed: a test") {
			t.Errorf("pause: %s", body)
		}
		if _, body := d.do(http.MethodPost, "/api/channels/lab/pause", decided); !strings.Contains(body, `"unit":"lab","held":"paused by`) {
			t.Errorf("pause of the channel: %s", body)
		}
		if _, body := d.do(http.MethodPost, "/api/queues/lab/b/resume", decided); !strings.Contains(body, `"held":""`) {
			t.Errorf("resume: %s", body)
		}
	})
}
