package channels

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/sqlite"
)

// TestAChangedOrderIsABarrier changes the order of a route while messages are
// being processed: whatever was made by a rule is sent before anything made by
// the next one.
func TestAChangedOrderIsABarrier(t *testing.T) {
	h := newHall(t)
	h.start(lab(""))
	p := h.peer("out")
	p.mu.Lock()
	p.gate = make(chan struct{})
	gate := p.gate
	p.mu.Unlock()
	rules := []string{"", ", key: PID-3", ", order: channel", ", key: ORC-1"}
	kinds := []string{"patient", "key:", "channel", "key:NW"}
	for i, rule := range rules {
		if i > 0 {
			must(t, h.line.Apply(h.load(lab(rule))))
		}
		h.giveAll(60, "A", "B", "C", "D", "E", "F")
		h.eventually("one is made by this rule", func() bool { return h.queues()["lab/out"].Open() > int64(60*i) })
	}
	h.eventually("all deliveries are made", func() bool { return h.queues()["lab/out"].Open() == 240 })
	list, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out", Limit: 1000})
	must(t, err)
	made := map[string]int{} // the rule by which a delivery was made, by control id
	count := make([]int, len(rules))
	for _, d := range list {
		kind := 0
		switch {
		case d.Key == "key:NW":
			kind = 3
		case strings.HasPrefix(d.Key, "key:"):
			kind = 1
		case d.Key == "channel":
			kind = 2
		}
		made[d.Control] = kind
		count[kind]++
	}
	if slices.Min(count) == 0 {
		t.Fatalf("the rules made %v deliveries", count)
	}
	p.mu.Lock()
	p.gate = nil
	p.mu.Unlock()
	close(gate)
	h.drained("lab/out", 240)
	reached := 0
	for _, control := range controls(p.list()) {
		if made[control] < reached {
			t.Fatalf("%s, made by %s, was sent after one that was made by %s", control, kinds[made[control]], kinds[reached])
		}
		reached = made[control]
	}
	// A send that the gate has held past its time-out is repeated, and told as such.
	list, err = h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out", Limit: 1000})
	must(t, err)
	attempts := map[string]int{}
	for _, d := range list {
		attempts[d.Control] = d.Attempts
	}
	sends := map[string]int{}
	for _, control := range controls(p.list()) {
		sends[control]++
	}
	for control, n := range sends {
		if n != attempts[control] {
			t.Errorf("%s was sent %d times and counts %d attempts", control, n, attempts[control])
		}
	}
	if len(sends) != 240 {
		t.Errorf("%d deliveries were sent, want 240", len(sends))
	}
}

// TestARenameKeepsEverything renames channel and route while messages of it are
// stored and deliveries wait.
func TestARenameKeepsEverything(t *testing.T) {
	h := newHall(t)
	h.start(lab(""))
	p := h.peer("out")
	p.does(func(arrival) error { return fails(message.Unknown) })
	h.giveAll(60, "A", "B", "C")
	renamed := strings.NewReplacer("name: lab\n", "name: laboratory\n    was: lab\n", "name: out,", "name: outbound, was: out,")
	text := renamed.Replace(lab(", retry: { unknown: " + fast + " }"))
	text = strings.Replace(text, "to: { hand: {", "to: { hand: { name: out,", 1)
	must(t, h.line.Apply(h.load(text)))
	h.giveAll(60, "A", "B", "C")
	for i := range 60 { // copies of what came under the old name
		h.give(order(fmt.Sprint("M", i+1), []string{"A", "B", "C"}[i%3]))
	}
	p.does(nil)
	h.drained("lab/out", 120) // the unit has its id still
	perPatient(t, p)
	list, err := h.store.List(t.Context(), store.Filter{Limit: 1000})
	must(t, err)
	if len(list) != 120 {
		t.Errorf("%d messages are there, want 120", len(list))
	}
	taken := map[string]bool{}
	for _, a := range p.list() {
		taken[a.control] = true
	}
	if len(taken) != 120 {
		t.Errorf("%d messages arrived, want 120", len(taken))
	}
	if got := h.line.Routes(); len(got) != 1 || got[0].Channel != "laboratory" || got[0].Route != "outbound" {
		t.Errorf("the routes are %+v", got)
	}
	t.Run("the old name is a new channel with its own rows", func(t *testing.T) {
		both := strings.Replace(text, "    was: lab\n", "", 1) + strings.NewReplacer("hand: {}", "hand: { name: again }", "name: out,", "name: out, retry: { unknown: "+fast+" },").Replace(lab(""))
		must(t, h.line.Apply(h.load(both)))
		if id := h.line.idOf("lab"); id == "lab" || h.line.idOf("laboratory") != "lab" {
			t.Errorf("lab is %s, laboratory is %s", id, h.line.idOf("laboratory"))
		}
	})
}

func TestRuleOfOrder(t *testing.T) {
	patient, channel := &routes.Channel{Order: routes.OrderPatient}, &routes.Channel{Order: routes.OrderChannel}
	for name, c := range map[string]struct {
		channel *routes.Channel
		route   routes.Route
		want    string
	}{
		"the channel's":             {patient, routes.Route{}, "order: patient"},
		"said again":                {patient, routes.Route{Order: routes.OrderPatient}, "order: patient"},
		"coarser":                   {patient, routes.Route{Order: routes.OrderChannel}, "order: channel"},
		"the channel's own, coarse": {channel, routes.Route{}, "order: channel"},
		"finer than the channel's":  {channel, routes.Route{Order: routes.OrderPatient}, "order: patient of channel channel"},
		"none":                      {channel, routes.Route{Order: routes.OrderNone}, "order: none"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Rule(c.channel, &c.route); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAlertLimits(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	limits := routes.Alert{Waiting: time.Minute, Depth: 10, Parked: 2}
	for name, c := range map[string]struct {
		limits routes.Alert
		queue  store.QueueState
		want   string
	}{
		"nothing":                {limits, store.QueueState{}, ""},
		"just below":             {limits, store.QueueState{Waiting: 8, Sending: 1, Parked: 1, Oldest: now.Add(-59 * time.Second)}, ""},
		"old":                    {limits, store.QueueState{Waiting: 1, Oldest: now.Add(-time.Minute)}, "waiting"},
		"deep":                   {limits, store.QueueState{Waiting: 9, Sending: 1, Oldest: now}, "depth"},
		"parked":                 {limits, store.QueueState{Parked: 2}, "parked"},
		"all":                    {limits, store.QueueState{Waiting: 10, Parked: 3, Oldest: now.Add(-time.Hour)}, "waiting depth parked"},
		"nobody is told":         {routes.Alert{}, store.QueueState{Waiting: 99, Parked: 9, Oldest: now.Add(-time.Hour)}, ""},
		"delivered is no matter": {limits, store.QueueState{Delivered: 1000, Dropped: 50, Diverted: 50}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(passed(c.limits, &c.queue, now), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestAlertsAreToldOnce looks several times at a queue with something parked.
func TestAlertsAreToldOnce(t *testing.T) {
	h := newHall(t)
	h.start(lab(""))
	p := h.peer("out")
	p.does(func(arrival) error { return fails(message.RefusedSend) })
	h.giveAll(1, "A")
	h.eventually("it is parked", func() bool { return h.queues()["lab/out"].Parked == 1 })
	told := func(word string) int { return strings.Count(h.logged(), word+" channel=lab route=out alert=parked") }
	for range 3 {
		h.line.watch.look(t.Context())
	}
	if n := told("msg=alert"); n != 1 {
		t.Errorf("told %d times, want once\n%s", n, h.logged())
	}
	if got := h.line.Routes()[0].Alerts; len(got) != 1 || got[0] != "parked" {
		t.Errorf("alerts are %v", got)
	}
	list, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out"})
	must(t, err)
	must(t, h.store.Operate(t.Context(), store.Order{Action: store.ActDropDelivery, Delivery: list[0].ID, Who: "ann", Why: "a test"}))
	for range 3 {
		h.line.watch.look(t.Context())
	}
	if n := told(`msg="alert ended"`); n != 1 || told("msg=alert") != 1 {
		t.Errorf("the end was told %d times, want once\n%s", n, h.logged())
	}
}

// TestWhatARemovedRouteWasSendingWaitsAgain starts after a crash with a file
// that lacks the route: what was under way can be moved or dropped.
func TestWhatARemovedRouteWasSendingWaitsAgain(t *testing.T) {
	h := newHall(t)
	h.start(lab(""))
	h.peer("out").does(func(arrival) error { return fails(message.Busy) })
	h.giveAll(1, "A")
	h.eventually("it waits", func() bool { return h.queues()["lab/out"].Waiting == 1 })
	h.stop()
	h.reopen(func(s store.Store) {
		list, err := s.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out"})
		must(t, err)
		lease, err := s.TakeOver(t.Context(), "lab/out", 0)
		must(t, err)
		_, err = lease.Claim(t.Context(), list[0].N)
		must(t, err)
	})
	h.start(strings.Replace(lab(""), "name: out", "name: other", 1))
	if q := h.queues()["lab/out"]; q.Sending != 1 {
		t.Fatalf("got %+v, want one that is being sent", q)
	}
	h.line.Settle(t.Context())
	list, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out"})
	must(t, err)
	if list[0].State != message.Waiting || !list[0].MaybeSent {
		t.Errorf("got %+v, want it waiting and marked", list[0])
	}
}

// reopen lends the store of a hall that does not run.
func (h *hall) reopen(use func(store.Store)) {
	h.t.Helper()
	s, err := sqlite.Open(h.t.Context(), sqlite.Options{Folder: filepath.Join(h.folder, "data")})
	must(h.t, err)
	use(s)
	must(h.t, s.Close())
}
