package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// A Route is what one route of the running configuration does now.
type Route struct {
	Channel string `json:"channel"`
	Name    string `json:"route"`
	// Title is the channel's; To the word of the destination: mllp.
	Title string `json:"title,omitempty"`
	To    string `json:"to,omitempty"`
	// Now is idle, held, sending, peer down, ramping up, outside its hours or
	// retired; not configured for a route that only the store knows. Until is when that
	// ends, where it is known.
	Now   string    `json:"now"`
	Until time.Time `json:"until,omitzero"`
	// Alerts are the limits of `alert:` that are passed now.
	Alerts []string `json:"alerts,omitempty"`
}

// A Queue is what stands in the queue of a route, and what the route does now.
type Queue struct {
	Route
	store.QueueState
	// Rule is the rule of order its deliveries are made by.
	Rule string `json:"rule,omitempty"`
	id   string // of its unit, whose name Unit is
}

// A Delivery is a delivery as the API shows it.
type Delivery struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	Channel string `json:"channel"`
	Route   string `json:"route"`
	Run     int    `json:"run"`
	Part    int    `json:"part"`
	// N orders deliveries: `after` of a list.
	N         int64                 `json:"n"`
	State     message.DeliveryState `json:"state"`
	Class     message.Kind          `json:"class,omitempty"`
	Reason    string                `json:"reason,omitempty"`
	Attempts  int                   `json:"attempts"`
	Due       time.Time             `json:"due,omitzero"`
	Started   time.Time             `json:"started,omitzero"`
	Answered  time.Time             `json:"answered,omitzero"`
	MaybeSent bool                  `json:"maybeSent,omitempty"`
	Late      bool                  `json:"late,omitempty"`
	Control   string                `json:"control,omitempty"`
	// File names the file of several deliveries that it is in; 0: none.
	File int64 `json:"file,omitempty"`
}

// A Result is what a decision about all deliveries of a route came to.
type Result struct {
	Queue
	// Done is how many deliveries were changed.
	Done int `json:"done"`
}

// queueRoutes are the paths of queues and deliveries.
func (s *server) queueRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/queues", s.guard("queues.list", s.queues))
	mux.HandleFunc("GET /api/queues/{channel}/{route}", s.guard("queues.show", s.queue))
	mux.HandleFunc("POST /api/queues/{channel}/{route}/pause", s.guard("queues.pause", s.hold(store.ActPause)))
	mux.HandleFunc("POST /api/queues/{channel}/{route}/resume", s.guard("queues.resume", s.hold(store.ActResume)))
	mux.HandleFunc("POST /api/channels/{channel}/pause", s.guard("channels.pause", s.hold(store.ActPause)))
	mux.HandleFunc("POST /api/channels/{channel}/resume", s.guard("channels.resume", s.hold(store.ActResume)))
	mux.HandleFunc("GET /api/deliveries/{id}", s.guard("deliveries.show", s.delivery))
	mux.HandleFunc("GET /api/deliveries/{id}/payload", s.guard("deliveries.show", s.payload))
	mux.HandleFunc("GET /api/deliveries/{id}/answer", s.guard("deliveries.show", s.peerAnswer))
	for word, action := range deliveryActions {
		mux.HandleFunc("POST /api/deliveries/{id}/"+word, s.guard("deliveries."+word, s.operateDelivery(word, action)))
		mux.HandleFunc("POST /api/queues/{channel}/{route}/"+word, s.guard("queues."+word, s.operateAll(word, action)))
	}
}

// deliveryActions are the words of paths and commands for what may be decided
// about a delivery.
var deliveryActions = map[string]string{
	"retry": store.ActRetry, "park": store.ActPark, "move": store.ActMove, "drop": store.ActDropDelivery,
}

// queuesNow lists the routes of the configuration and those the store knows,
// by name.
func (s *server) queuesNow(ctx context.Context) ([]Queue, error) {
	states, err := s.Store.Queues(ctx)
	if err != nil {
		return nil, err
	}
	held, err := s.Store.Held(ctx)
	if err != nil {
		return nil, err
	}
	n, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]*Queue{}
	add := func(unit string) *Queue {
		channel, route, isRoute := strings.Cut(unit, "/")
		if known[unit] == nil && isRoute {
			known[unit] = &Queue{Route: Route{Channel: channel, Name: route, Now: "not configured"}, QueueState: store.QueueState{Unit: unit, Held: held[n.id(unit)]}, Rule: n.rules[unit], id: n.id(unit)}
		}
		return known[unit]
	}
	for _, q := range states {
		q.Unit = n.name(q.Unit)
		add(q.Unit).QueueState = q
	}
	for id := range held {
		add(n.name(id))
	}
	configured, running := s.Engine.Routes()
	for _, r := range configured {
		add(r.Channel + "/" + r.Name).Route = r
	}
	out := make([]Queue, 0, len(known))
	for _, q := range known {
		switch {
		case !running:
			q.Now = "no engine runs"
		case q.Held != "" && q.Now == "idle":
			q.Now = "held"
		}
		out = append(out, *q)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Unit < out[j].Unit })
	return out, nil
}

func (s *server) queues(w http.ResponseWriter, r *http.Request) {
	list, err := s.queuesNow(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	s.answer(w, list)
}

// unitOf is the unit a path names: a route, or a channel.
func unitOf(r *http.Request) string {
	unit := r.PathValue("channel")
	if route := r.PathValue("route"); route != "" {
		unit += "/" + route
	}
	return unit
}

// findQueue returns the route a path names; nil when it has answered already.
func (s *server) findQueue(w http.ResponseWriter, r *http.Request) *Queue {
	list, err := s.queuesNow(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return nil
	}
	unit := unitOf(r)
	known := make([]string, 0, len(list))
	for i := range list {
		if list[i].Unit == unit {
			return &list[i]
		}
		known = append(known, list[i].Unit)
	}
	s.fail(w, http.StatusNotFound, unknownRoute(known))
	return nil
}

func unknownRoute(known []string) error {
	if len(known) == 0 {
		return errors.New("there is no such route: none queues deliveries")
	}
	return errors.New("there is no such route; those with deliveries: " + strings.Join(known, ", "))
}

// A QueuePage is a route with some of its deliveries.
type QueuePage struct {
	Queue      Queue      `json:"queue"`
	Deliveries []Delivery `json:"deliveries"`
}

func (s *server) queue(w http.ResponseWriter, r *http.Request) {
	q := s.findQueue(w, r)
	if q == nil {
		return
	}
	state := message.DeliveryState(r.URL.Query().Get("state"))
	if state != "" && !state.Known() {
		s.fail(w, http.StatusBadRequest, errors.New("state is not known; known: waiting, sending, delivered, parked, diverted, dropped"))
		return
	}
	limit, after, ok := s.numbers(w, r, "after") // 0: from the first on
	if !ok {
		return
	}
	rows, err := s.Store.Deliveries(r.Context(), store.DeliveryFilter{Unit: q.id, State: state, After: after, Limit: limit})
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	n, err := s.names(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	page := QueuePage{Queue: *q, Deliveries: make([]Delivery, 0, len(rows))}
	ids := map[int64]string{}
	for i := range rows {
		seq := rows[i].Message
		if ids[seq] == "" {
			if ids[seq], err = s.messageID(r.Context(), seq); err != nil {
				s.fail(w, http.StatusServiceUnavailable, err)
				return
			}
		}
		page.Deliveries = append(page.Deliveries, viewDelivery(&rows[i], ids[seq], n))
	}
	s.answer(w, page)
}

// messageID is the id of the message with a seq.
func (s *server) messageID(ctx context.Context, seq int64) (string, error) {
	rows, err := s.Store.List(ctx, store.Filter{Before: seq + 1, Limit: 1})
	if err != nil || len(rows) == 0 || rows[0].Seq != seq {
		return "", err
	}
	return rows[0].ID, nil
}

func viewDelivery(d *message.Delivery, id string, n *names) Delivery {
	channel, route, _ := strings.Cut(n.name(d.Unit), "/")
	v := Delivery{
		ID: d.ID, Message: id, Channel: channel, Route: route, Run: d.Run, Part: d.Part, N: d.N, State: d.State, Class: d.Class, Reason: d.Reason,
		Attempts: d.Attempts, Started: d.Started, Answered: d.Answered, MaybeSent: d.MaybeSent, Late: d.Late, Control: d.Control, File: d.Batch,
	}
	if d.State == message.Waiting {
		v.Due = d.Due
	}
	return v
}

// findDelivery returns the delivery a path names; nil when it has answered
// already.
func (s *server) findDelivery(w http.ResponseWriter, r *http.Request) *message.Delivery {
	d, err := s.Store.FindDelivery(r.Context(), r.PathValue("id"))
	switch {
	case err == nil:
		return &d
	case errors.Is(err, store.ErrNotFound):
		s.fail(w, http.StatusNotFound, errors.New("no delivery has this id"))
	default:
		s.fail(w, http.StatusServiceUnavailable, err)
	}
	return nil
}

func (s *server) delivery(w http.ResponseWriter, r *http.Request) {
	d := s.findDelivery(w, r)
	if d == nil {
		return
	}
	id, err := s.messageID(r.Context(), d.Message)
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	n, err := s.names(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	s.answer(w, viewDelivery(d, id, n))
}

// hold pauses or resumes a route or a channel.
func (s *server) hold(action string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d, ok := s.decision(w, r, action)
		if !ok {
			return
		}
		unit := unitOf(r)
		if known, running := s.unitsNow(); running && !known[unit] {
			list := make([]string, 0, len(known))
			for name := range known {
				list = append(list, name)
			}
			sort.Strings(list)
			s.fail(w, http.StatusNotFound, errors.New("there is no such channel or route; known: "+strings.Join(list, ", ")))
			return
		}
		id, err := s.unitID(r.Context(), unit)
		if err != nil {
			s.fail(w, http.StatusServiceUnavailable, err)
			return
		}
		if err := s.Store.Operate(r.Context(), store.Order{Action: action, Unit: id, Who: d.Who, Why: d.Why}); err != nil {
			s.refuse(w, err)
			return
		}
		s.Engine.Poke(id)
		held, err := s.Store.Held(r.Context())
		if err != nil {
			s.fail(w, http.StatusServiceUnavailable, err)
			return
		}
		s.answer(w, Hold{Unit: unit, Held: held[id]})
	}
}

// A Hold says whether a channel or route is held, and why.
type Hold struct {
	Unit string `json:"unit"`
	Held string `json:"held"`
}

// unitsNow are the names that may be paused: what the configuration has, and
// what the store holds already. Without an engine they are not known.
func (s *server) unitsNow() (map[string]bool, bool) {
	configured, running := s.Engine.Routes()
	known := map[string]bool{}
	for _, r := range configured {
		known[r.Channel+"/"+r.Name] = true
	}
	for _, name := range s.Engine.Names() {
		known[name] = true
	}
	return known, running
}

const (
	// underWay is how long a decision waits for the end of an attempt that is
	// under way.
	underWay = 3 * time.Second
	askEach  = 20 * time.Millisecond
)

func isOpen(s message.DeliveryState) bool { return s == message.Waiting || s == message.Sending }

// operateDelivery decides about one delivery. One that is being sent just now is
// asked again until that attempt has ended.
func (s *server) operateDelivery(word, action string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		decided, ok := s.decision(w, r, action)
		if !ok {
			return
		}
		to, ok := s.target(w, r, action, decided.To)
		if !ok {
			return
		}
		d := s.findDelivery(w, r)
		if d == nil {
			return
		}
		o := store.Order{Action: action, Delivery: d.ID, To: to, Late: decided.Late, Who: decided.Who, Why: decided.Why}
		err := s.Store.Operate(r.Context(), o)
		for wait := underWay; errors.Is(err, store.ErrNotWaiting) && wait > 0 && isOpen(d.State); wait -= askEach {
			// An attempt is under way, of a peer that is down perhaps.
			select {
			case <-time.After(askEach):
			case <-r.Context().Done():
			}
			if d = s.findDelivery(w, r); d == nil {
				return
			}
			err = s.Store.Operate(r.Context(), o)
		}
		if errors.Is(err, store.ErrNotWaiting) {
			s.fail(w, http.StatusConflict, fmt.Errorf("a delivery in state %s takes no %s", d.State, word))
			return
		}
		if err != nil {
			s.refuse(w, err)
			return
		}
		s.Engine.Poke(d.Unit)
		if to != "" {
			s.Engine.Poke(to)
		}
		s.delivery(w, r)
	}
}

// target is the id of the route that a move goes to; false when it has answered
// already.
func (s *server) target(w http.ResponseWriter, r *http.Request, action, to string) (id string, ok bool) {
	if action != store.ActMove {
		return "", true
	}
	list, err := s.queuesNow(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return "", false
	}
	known := make([]string, 0, len(list))
	for i := range list {
		// A route that the configuration lacks would never send it.
		if list[i].Now == "not configured" {
			continue
		}
		if list[i].Unit == to {
			return list[i].id, true
		}
		known = append(known, list[i].Unit)
	}
	if _, running := s.Engine.Routes(); !running && strings.Count(to, "/") == 1 {
		if id, err = s.unitID(r.Context(), to); err != nil { // what the configuration has is not known
			s.fail(w, http.StatusServiceUnavailable, err)
			return "", false
		}
		return id, true
	}
	s.fail(w, http.StatusBadRequest, fmt.Errorf("to: to which route? known: %s", strings.Join(known, ", ")))
	return "", false
}

// operateAll decides about every delivery of a route that is not closed, and
// stops at the first that cannot be changed.
func (s *server) operateAll(word, action string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d, ok := s.decision(w, r, action)
		if !ok {
			return
		}
		to, ok := s.target(w, r, action, d.To)
		if !ok {
			return
		}
		q := s.findQueue(w, r)
		if q == nil {
			return
		}
		done, err := s.all(r.Context(), q.id, store.Order{Action: action, To: to, Late: d.Late, Who: d.Who, Why: d.Why})
		if done > 0 {
			s.Engine.Poke(q.id)
			if to != "" {
				s.Engine.Poke(to)
			}
		}
		if err != nil {
			s.refuse(w, fmt.Errorf("%d deliveries took %s, then: %w", done, word, err))
			return
		}
		if q = s.findQueue(w, r); q != nil {
			s.answer(w, Result{Queue: *q, Done: done})
		}
	}
}

// all takes one decision about the deliveries of a unit that are not closed: the
// parked ones first, which are the older ones of their keys, then those that
// wait. A retry changes nothing for those that are due already.
func (s *server) all(ctx context.Context, unit string, o store.Order) (done int, err error) {
	files := map[int64]bool{} // about which was decided
	if o.Action != store.ActPark {
		after := int64(0)
		for {
			rows, err := s.Store.Deliveries(ctx, store.DeliveryFilter{Unit: unit, State: message.ParkedDelivery, After: after, Limit: 1000})
			if err != nil || len(rows) == 0 {
				if err != nil {
					return done, err
				}
				break
			}
			after = rows[len(rows)-1].N
			if err := s.each(ctx, rows, o, files, &done); err != nil {
				return done, err
			}
		}
	}
	now := time.Now()
	closed, err := s.Store.Closed(ctx, unit)
	if err != nil {
		return done, err
	}
	for i := range closed {
		if o.Action == store.ActRetry && !closed[i].Deliveries[0].Due.After(now) {
			continue
		}
		if err := s.each(ctx, closed[i].Deliveries, o, files, &done); err != nil {
			return done, err
		}
	}
	for pos, n := int64(0), int64(0); ; {
		rows, err := s.Store.Open(ctx, unit, pos, n, 1000)
		if err != nil || len(rows) == 0 {
			return done, err
		}
		pos, n = rows[len(rows)-1].Pos, rows[len(rows)-1].N
		if o.Action == store.ActRetry {
			rows = slices.DeleteFunc(rows, func(d message.Delivery) bool { return !d.Due.After(now) })
		}
		if err := s.each(ctx, rows, o, files, &done); err != nil {
			return done, err
		}
	}
}

// each takes a decision about some deliveries. One that was begun to be sent or
// closed meanwhile is not what was meant. What is decided about one of a file is
// decided about all that are in it.
func (s *server) each(ctx context.Context, rows []message.Delivery, o store.Order, files map[int64]bool, done *int) error {
	for i := range rows {
		if file := rows[i].Batch; file != 0 {
			if files[file] {
				*done++
				continue
			}
			files[file] = true
		}
		o.Delivery = rows[i].ID
		switch err := s.Store.Operate(ctx, o); {
		case errors.Is(err, store.ErrNotWaiting):
		case err != nil:
			return fmt.Errorf("delivery %s: %w", rows[i].ID, err)
		default:
			*done++
		}
	}
	return nil
}
