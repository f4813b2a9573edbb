package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/pgtest"
)

// TestKillTakingOver kills the engine while it takes units over from one that
// died in the middle of a send: the third life owns them, and everything is
// sent once, in order.
func TestKillTakingOver(t *testing.T) {
	killAtSteps(t, []string{"before_t5_commit:1", "after_t5_commit:1", "before_t5_commit:2", "after_t5_commit:2", "before_t5_commit:3", "after_t5_commit:3"}, killTakingOver)
}

// TestKillOperating kills the engine while an operator decides: what was
// answered is there with who and why, what was not is there whole or not at all.
func TestKillOperating(t *testing.T) {
	killAtSteps(t, []string{"before_t6_commit:3", "after_t6_commit:3"}, killOperating)
}

// TestKillWriting kills the engine while resources are written through the API
// which start messages: a 201 stands for the resource and its journal row.
func TestKillWriting(t *testing.T) {
	killAtSteps(t, []string{"before_write_commit:4", "after_write_commit:4"}, killWriting)
}

// killAtSteps runs a cell for each point, on both stores: one of them in each
// run, and all with PLEXUS_FAULTS=long.
func killAtSteps(t *testing.T, points []string, cell func(t *testing.T, database, point string)) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	seed := seedOf(t)
	stores(t, func(t *testing.T, database string) {
		for i, point := range points {
			if sliced(seed, i, len(points)) {
				continue
			}
			t.Run(point, func(t *testing.T) {
				if database != "" {
					database = pgtest.Start(t)
				}
				cell(t, database, point)
			})
		}
	})
}

// diesAt waits until a life was killed at its point.
func (l *life) diesAt(point string) {
	l.site.t.Helper()
	if !l.killed() {
		l.site.t.Fatalf("the engine was not killed at %s: the point is not on the line any more\n%s", point, l.log)
	}
}

func killTakingOver(t *testing.T, database, point string) {
	s, r := newSite(t, database), newMLLPReceiver(t)
	s.tags = "killpoints"
	s.forwardTo(r)
	lanes := lanesOf(3, 6)
	trade := tradeOf(r)
	const send = "after_send_before_answer" // the receiver has a delivery that is still sending here, others wait
	first := s.mustReady("PLEXUS_KILL_AT=" + send + ":4")
	var senders sync.WaitGroup
	for _, lane := range lanes {
		senders.Go(func() {
			for _, raw := range lane {
				trade.once(s, raw) // sent again below
			}
		})
	}
	senders.Wait()
	first.diesAt(send)
	// The second life has work in every unit, so that it takes them all over.
	extra := oru("D3-000", "K3", "30", 1)
	lanes = append(lanes, []string{extra})
	second := s.start("PLEXUS_KILL_AT=" + point)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for address, raw := range map[string]string{s.results: extra, s.admit: adt("ADMIT", "K3", 1, "A08")} {
		senders.Go(func() {
			_, _, _ = deliver(ctx, address, raw) // perhaps it dies before it answers
		})
	}
	second.diesAt(point)
	cancel()
	senders.Wait()
	third := s.mustReady()
	sendLanes(t, s, lanes)
	queue := s.drained(trade.unit, 19)
	compareArrivals(t, s, r.arrived(t), lanes, queue)
	if !slices.ContainsFunc(queue, func(d deliveryRow) bool { return d.MaybeSent }) {
		t.Error("no delivery is marked as perhaps sent, and one was under way")
	}
	third.stop()
}

// sendLanes sends every message of some patients until it is acknowledged.
func sendLanes(t *testing.T, s *site, lanes [][]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var senders sync.WaitGroup
	for _, lane := range lanes {
		senders.Go(func() {
			for _, raw := range lane {
				if code, _, err := deliver(ctx, s.results, raw); err != nil || code != "AA" {
					t.Errorf("%s: answered %q %v", control10(raw), code, err)
				}
			}
		})
	}
	senders.Wait()
}

// decide posts an operator's decision and returns the status, 0 without an answer.
func (s *site) decide(path, why string) int {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	body := fmt.Sprintf(`{"who": "tester", "why": %q}`, why)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0
	}
	return response.StatusCode
}

func killOperating(t *testing.T, database, point string) {
	s, r := newSite(t, database), newMLLPReceiver(t)
	s.tags = "killpoints"
	s.forwardTo(r)
	lanes := lanesOf(2, 3)
	const unit, pause = "lab-results/out", "the laboratory moves"
	first := s.mustReady("PLEXUS_KILL_AT=" + point)
	if status := s.decide("/api/queues/"+unit+"/pause", pause); status != http.StatusOK {
		t.Fatalf("pause was answered %d", status)
	}
	sendLanes(t, s, lanes)
	eventually(t, "six wait", func() bool { return len(s.queueOf(unit)) == 6 })
	waiting := s.queueOf(unit)
	answered, open := waiting[1], waiting[4]
	if status := s.decide("/api/deliveries/"+answered.ID+"/drop", "entered in error"); status != http.StatusOK {
		t.Fatalf("drop was answered %d", status)
	}
	if status := s.decide("/api/deliveries/"+open.ID+"/drop", "the wrong patient"); status != 0 {
		t.Fatalf("the second drop was answered %d, want no answer", status)
	}
	first.diesAt(point)

	second := s.mustReady()
	if held := s.held(unit); !strings.Contains(held, "tester") || !strings.Contains(held, pause) {
		t.Errorf("the route is held: %q, want who paused it and why", held)
	}
	if n := len(r.arrived(t)); n != 0 {
		t.Errorf("%d messages left a paused route", n)
	}
	if !s.dropped(answered, "entered in error") {
		t.Errorf("a drop that was answered is not there: %+v", s.queueOf(unit))
	}
	done := s.dropped(open, "the wrong patient")
	if committed := strings.HasPrefix(point, "after"); done != committed {
		t.Errorf("a drop that was not answered is there: %t, want %t", done, committed)
	}
	gone := []string{answered.Control}
	if done {
		gone = append(gone, open.Control)
	}
	if status := s.decide("/api/queues/"+unit+"/resume", "it has moved"); status != http.StatusOK {
		t.Fatalf("resume was answered %d", status)
	}
	for i, lane := range lanes {
		lanes[i] = slices.DeleteFunc(lane, func(raw string) bool { return slices.Contains(gone, control10(raw)) })
	}
	var sent []deliveryRow
	eventually(t, "the others are delivered", func() bool {
		sent = slices.DeleteFunc(s.queueOf(unit), func(d deliveryRow) bool { return d.State != "delivered" })
		return len(sent) == 6-len(gone)
	})
	compareArrivals(t, s, r.arrived(t), lanes, sent)
	second.stop()
}

// held says why a queue is held.
func (s *site) held(unit string) string {
	s.t.Helper()
	var page struct {
		Queue struct{ Held string }
	}
	if status, body := s.get("/api/queues/"+unit, &page); status != http.StatusOK {
		s.t.Fatalf("queue %s: %d %s", unit, status, body)
	}
	return page.Queue.Held
}

// dropped reports whether an operator dropped a delivery, and that its state and
// its trace, with who and why, say the same.
func (s *site) dropped(d deliveryRow, why string) bool {
	s.t.Helper()
	rows := s.rows("control=" + d.Control)
	if len(rows) != 1 {
		s.t.Fatalf("%s is in the journal %d times", d.Control, len(rows))
	}
	var trace struct {
		Events []struct {
			Step, Text, Ref, Who string
		}
		Deliveries []deliveryRow
	}
	if status, body := s.get("/api/messages/"+rows[0].ID+"/trace", &trace); status != http.StatusOK {
		s.t.Fatalf("trace: %d %s", status, body)
	}
	traced, state := false, ""
	for _, e := range trace.Events {
		if e.Who == "tester" && strings.Contains(e.Text, why) {
			traced = true
		}
	}
	for _, row := range trace.Deliveries {
		if row.ID == d.ID {
			state = row.State
		}
	}
	if traced != (state == "dropped") || (state != "dropped" && state != "waiting") {
		s.t.Errorf("%s is %s, and that somebody dropped it is in its trace: %t", d.Control, state, traced)
	}
	return state == "dropped"
}

// create writes a resource without an id and returns the one it got; empty
// without an answer.
func (s *site) create(raw string) (id string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+"/fhir/ServiceRequest", bytes.NewReader([]byte(raw)))
	if err != nil {
		s.t.Error(err)
		return ""
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(body, &made); err != nil || response.StatusCode != http.StatusCreated {
		s.t.Errorf("a create was answered %d", response.StatusCode)
	}
	return made.ID
}

func killWriting(t *testing.T, database, point string) {
	s, r := newSite(t, database), newStoreSource(t)
	s.tags = "killpoints"
	configureOrders(s, r)
	first := s.mustReady("PLEXUS_KILL_AT=" + point)
	const lanes = 3
	created := make([][]string, lanes)
	var writers sync.WaitGroup
	for lane := range lanes {
		writers.Go(func() {
			for range 6 {
				id := s.create(fmt.Sprintf(`{"resourceType":"ServiceRequest","status":"active","intent":"order","code":{"text":"CMP"},"subject":{"reference":"Patient/K%d"}}`, lane))
				if id == "" {
					return
				}
				created[lane] = append(created[lane], id)
			}
		})
	}
	writers.Wait()
	first.diesAt(point)

	second := s.mustReady()
	there := map[string]bool{}
	for _, resource := range s.search("ServiceRequest", url.Values{}) {
		id, _ := resource["id"].(string)
		there[id] = true
	}
	promised := 0
	for _, ids := range created {
		for _, id := range ids {
			promised++
			if !there[id] {
				t.Errorf("ServiceRequest/%s was answered 201 and is not there", id)
			}
		}
	}
	// Each writer had at most one in hand that was not answered.
	if n := len(there); n < promised || n > promised+lanes {
		t.Errorf("%d resources are there, %d were answered 201 by %d writers", n, promised, lanes)
	}
	if strings.HasPrefix(point, "after") && len(there) == promised {
		t.Error("the write that was committed and not answered is not there")
	}
	queue := s.drained("orders/out", len(there)) // a resource without its journal row would be missing here
	journal := 0
	for _, m := range s.rows("") {
		if m.Channel == "orders" {
			journal++
		}
	}
	if journal != len(there) {
		t.Errorf("%d resources and %d journal rows: a write is there in part", len(there), journal)
	}
	arrived := r.arrived(t)
	seen := map[string]bool{}
	for _, id := range arrived {
		doubtful := slices.ContainsFunc(queue, func(d deliveryRow) bool {
			return strings.Contains(d.Control, id) && d.MaybeSent
		})
		if seen[id] && !doubtful {
			t.Errorf("ServiceRequest/%s arrived twice and is not marked as perhaps sent", id)
		}
		seen[id] = true
	}
	for id := range there {
		if !seen[id] {
			t.Errorf("ServiceRequest/%s is there and did not arrive", id)
		}
	}
	for lane, ids := range created {
		places := make([]int, len(ids))
		for i, id := range ids {
			places[i] = slices.Index(arrived, id)
		}
		if !slices.IsSorted(places) {
			t.Errorf("the resources of writer %d arrived in the order %v", lane, places)
		}
	}
	second.stop()
}
