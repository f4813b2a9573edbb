package channels

import (
	"context"
	"sync"
	"time"

	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// watchEach is how often the queues are compared with the limits of `alert:`.
const watchEach = 3 * time.Second

// The alerts of a route.
const (
	alertWaiting = "waiting" // the oldest open delivery waits too long
	alertDepth   = "depth"   // too many are open
	alertParked  = "parked"  // too many are parked
)

// A watch compares what stands in the queues with what the routes allow, says
// so once when a limit is passed and once when it holds again, and shows it as
// a metric in between.
type watch struct {
	line *Line

	mu     sync.Mutex
	raised map[string][]string  // by unit
	shown  map[string][2]string // channel and route of the units whose metric was set
}

// run watches until ctx ends.
func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(watchEach)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look compares once. Units that another engine owns are watched by that one.
func (w *watch) look(ctx context.Context) {
	s := w.line.options.Store
	queues, err := s.Queues(ctx)
	if err == nil {
		var elsewhere map[string]bool
		if elsewhere, err = s.Elsewhere(ctx); err == nil {
			w.compare(queues, elsewhere)
			return
		}
	}
	if ctx.Err() == nil {
		w.line.options.Log.Warn("queues cannot be read for the alerts, trying again", "error", err.Error())
	}
}

func (w *watch) compare(queues []store.QueueState, elsewhere map[string]bool) {
	states := map[string]*store.QueueState{}
	for i := range queues {
		states[queues[i].Unit] = &queues[i]
	}
	watched := map[string]bool{}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.line.runningRoutes() {
		if elsewhere[r.unit] {
			continue
		}
		watched[r.unit] = true
		q := states[r.unit]
		if q == nil {
			q = &store.QueueState{Unit: r.unit}
		}
		w.tell(r, q)
	}
	for unit, name := range w.shown {
		if !watched[unit] {
			w.line.options.Metrics.forgetAlerts(name[0], name[1])
			delete(w.shown, unit)
			delete(w.raised, unit)
		}
	}
}

// tell says what has changed of one route.
func (w *watch) tell(r *route, q *store.QueueState) {
	now := passed(r.config.Alert, q, w.line.options.Now())
	before := w.raised[r.unit]
	name := [2]string{r.c.config.Name, r.config.Name}
	if shown, was := w.shown[r.unit]; was && shown != name {
		w.line.options.Metrics.forgetAlerts(shown[0], shown[1])
	}
	w.raised[r.unit], w.shown[r.unit] = now, name
	for _, alert := range []string{alertWaiting, alertDepth, alertParked} {
		is, was := contains(now, alert), contains(before, alert)
		w.line.options.Metrics.alert(r.c.config.Name, r.config.Name, alert, is)
		switch {
		case is && !was:
			r.log.Warn("alert", "alert", alert, "waiting", q.Waiting, "sending", q.Sending, "parked", q.Parked, "attempts", q.Attempts)
		case was && !is:
			r.log.Info("alert ended", "alert", alert, "waiting", q.Waiting, "sending", q.Sending, "parked", q.Parked)
		}
	}
}

// passed lists the limits of a route that its queue is at or above.
func passed(limits routes.Alert, q *store.QueueState, now time.Time) []string {
	var out []string
	if limits.Waiting > 0 && !q.Oldest.IsZero() && now.Sub(q.Oldest) >= limits.Waiting {
		out = append(out, alertWaiting)
	}
	if limits.Depth > 0 && q.Open() >= int64(limits.Depth) {
		out = append(out, alertDepth)
	}
	if limits.Parked > 0 && q.Parked >= int64(limits.Parked) {
		out = append(out, alertParked)
	}
	return out
}

func contains(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// alerts are the limits that a unit is at or above.
func (w *watch) alerts(unit string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.raised[unit]
}

// runningRoutes lists the routes that queue, of the channels that run.
func (l *Line) runningRoutes() []*route {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*route
	for _, c := range l.channels {
		for _, r := range c.routes {
			out = append(out, r)
		}
	}
	return out
}

// A RouteState is what one route that queues deliveries does now.
type RouteState struct {
	Channel, Route string
	Title          string // of the channel
	To             string // the word of its destination
	Now            string
	// Until is when that ends by itself, where it is known.
	Until  time.Time
	Alerts []string
}

// Routes lists the routes that queue deliveries, in the order of the file.
func (l *Line) Routes() []RouteState {
	config := l.Config()
	if config == nil {
		return nil
	}
	var out []RouteState
	for _, c := range config.Channels {
		for _, r := range c.Routes {
			if r.Destination == nil {
				continue
			}
			s := RouteState{Channel: c.Name, Route: r.Name, Title: c.Title, To: r.Kind, Now: "disabled"}
			if running := l.findRoute(l.idOf(unitOf(c.Name, r.Name))); running != nil {
				s.Now, s.Until = running.now()
				s.Alerts = l.watch.alerts(running.unit)
			}
			out = append(out, s)
		}
	}
	return out
}

// now is what a route does, and until when.
func (r *route) now() (what string, until time.Time) {
	what = "idle"
	if r.working.Load() {
		what = "sending"
	}
	now := r.c.now()
	if open, next := r.config.Hours.Open(now); !open {
		return "outside its hours", next
	}
	allowed, until := r.breaker.allowed(now, r.limits.Connections)
	switch {
	case r.breaker.count() > 0 && allowed == 0:
		return "peer down", until
	case r.breaker.count() > 0:
		return "peer down", time.Time{}
	case allowed < r.limits.Connections:
		return "ramping up", time.Time{}
	case r.config.Retired && what == "idle":
		return "retired", time.Time{}
	}
	return what, time.Time{}
}
