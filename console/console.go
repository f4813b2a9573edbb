// Package console serves what people and machines ask an engine: /api,
// /metrics, /healthz and /readyz.
package console

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// An Engine is the little the console needs of the line.
type Engine interface {
	// Ready returns nil when the engine takes messages, or why it does not.
	Ready() error
	// Channels lists the channels with what they do now, as JSON-able values.
	Channels() any
	// Routes lists the routes of the configuration that queue deliveries, with
	// what they do now; false when no engine runs.
	Routes() ([]Route, bool)
	// Names lists the channels of the configuration.
	Names() []string
	// Poke says that an operator has changed the rows of a channel or route; it
	// takes the id of the unit.
	Poke(unit string)
}

// Options are what the console serves from.
type Options struct {
	Store   store.Store
	Engine  Engine
	Access  access.Decider
	Metrics http.Handler // may be nil
	Log     *slog.Logger
}

// New returns the handler of /api, /metrics, /healthz and /readyz.
func New(o Options) http.Handler {
	s := &server{o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.guard("health", s.health))
	mux.HandleFunc("GET /readyz", s.guard("health", s.ready))
	if o.Metrics != nil {
		mux.HandleFunc("GET /metrics", s.guard("metrics", o.Metrics.ServeHTTP))
	}
	mux.HandleFunc("GET /api/channels", s.guard("channels.list", s.channels))
	mux.HandleFunc("GET /api/ledger", s.guard("messages.list", s.ledger))
	mux.HandleFunc("GET /api/worklist", s.guard("worklist.list", s.worklist))
	mux.HandleFunc("GET /api/messages", s.guard("messages.list", s.list))
	mux.HandleFunc("GET /api/messages/{id}", s.guard("messages.show", s.show))
	mux.HandleFunc("GET /api/messages/{id}/raw", s.guard("messages.show", s.raw))
	mux.HandleFunc("GET /api/messages/{id}/trace", s.guard("messages.show", s.trace))
	mux.HandleFunc("POST /api/messages/{id}/reprocess", s.guard("messages.reprocess", s.operate(store.ActReprocess)))
	mux.HandleFunc("POST /api/messages/{id}/release", s.guard("messages.release", s.operate(store.ActRelease)))
	mux.HandleFunc("POST /api/messages/{id}/drop", s.guard("messages.drop", s.operate(store.ActDrop)))
	s.queueRoutes(mux)
	return mux
}

type server struct{ Options }

// guard asks whether the request is allowed before anything of it is read.
func (s *server) guard(action string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		err := s.Access.Decide(r.Context(), access.Request{Actor: "local", Remote: r.RemoteAddr, Action: action, Target: targetOf(r)})
		if err != nil {
			s.fail(w, http.StatusForbidden, err)
			return
		}
		next(w, r)
	}
}

// targetOf is what a path names: a message or delivery, a channel or route.
func targetOf(r *http.Request) string {
	if id := r.PathValue("id"); id != "" {
		return id
	}
	return unitOf(r)
}

func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-s.Store.Failed():
		s.fail(w, http.StatusServiceUnavailable, errors.New("the store can write no more"))
	default:
		_, _ = io.WriteString(w, "ok\n")
	}
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.Engine.Ready(); err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	state := map[string]any{"ready": true, "acknowledged survives": s.Store.Survives(), "channels": s.Engine.Channels()}
	if left := s.Store.Unindexed(); left > 0 {
		state["resources to index"] = left
	}
	s.answer(w, state)
}

func (s *server) channels(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.Engine.Channels()) }

// A Count is one line of the ledger: of the messages of a channel, or of the
// deliveries of a route.
type Count struct {
	Channel string        `json:"channel"`
	Route   string        `json:"route,omitempty"`
	State   message.State `json:"state"`
	N       int64         `json:"n"`
}

func (s *server) ledger(w http.ResponseWriter, r *http.Request) {
	counts, err := s.Store.Ledger(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	n, err := s.names(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	out := make([]Count, 0, len(counts))
	for _, c := range counts {
		channel, route, _ := strings.Cut(n.name(c.Channel), "/")
		out = append(out, Count{Channel: channel, Route: route, State: c.State, N: c.N})
	}
	s.answer(w, out)
}

// An Item is one entry of the work list.
type Item struct {
	Kind  string `json:"kind"`
	Where string `json:"where,omitempty"`
	Table string `json:"table,omitempty"`
	Code  string `json:"code,omitempty"`
	Text  string `json:"text,omitempty"`
}

func (s *server) worklist(w http.ResponseWriter, r *http.Request) {
	limit, _, ok := s.numbers(w, r, "")
	if !ok {
		return
	}
	items, err := s.Store.Worklist(r.Context(), limit)
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	out := make([]Item, 0, len(items))
	for _, i := range items {
		out = append(out, Item{Kind: i.Kind, Where: i.Where, Table: i.Table, Code: i.Code, Text: i.Text})
	}
	s.answer(w, out)
}

// A Message is a journaled message as the API shows it.
type Message struct {
	ID            string         `json:"id"`
	Seq           int64          `json:"seq"`
	Channel       string         `json:"channel"`
	State         message.State  `json:"state"`
	Reason        string         `json:"reason,omitempty"`
	Type          string         `json:"type,omitempty"`
	Control       string         `json:"control,omitempty"`
	Sender        string         `json:"sender,omitempty"`
	Peer          string         `json:"peer,omitempty"`
	Received      time.Time      `json:"received"`
	Size          int64          `json:"size"`
	Run           int            `json:"run"`
	Answer        message.Answer `json:"answer"`
	RoutesVersion string         `json:"routesVersion,omitempty"`
	// Pruned is since when its content is not kept any more.
	Pruned time.Time `json:"pruned,omitzero"`
}

func view(m *message.Message, n *names) Message {
	return Message{
		ID: m.ID, Seq: m.Seq, Channel: n.name(m.Channel), State: m.State, Reason: m.Reason,
		Type: m.Header.Type, Control: m.Header.Control, Sender: m.Header.Sender, Peer: m.Peer,
		Received: m.Received, Size: m.Size, Run: m.Run, Answer: m.Answer, RoutesVersion: m.RoutesVersion, Pruned: m.Pruned,
	}
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, before, ok := s.numbers(w, r, "before") // 0: from the newest on
	if !ok {
		return
	}
	f := store.Filter{
		Channel: q.Get("channel"), State: message.State(q.Get("state")),
		Control: q.Get("control"), Type: q.Get("type"), Before: before, Limit: limit,
	}
	if f.State != "" && !f.State.Known() {
		s.fail(w, http.StatusBadRequest, errors.New("state is not known; known: stored, done, filtered, parked, refused, dropped"))
		return
	}
	n, err := s.names(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	if f.Channel != "" {
		f.Channel = n.id(f.Channel)
	}
	rows, err := s.Store.List(r.Context(), f)
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	out := make([]Message, 0, len(rows))
	for _, m := range rows {
		out = append(out, view(m, n))
	}
	s.answer(w, out)
}

func (s *server) find(w http.ResponseWriter, r *http.Request) *message.Message {
	m, err := s.Store.Find(r.Context(), r.PathValue("id"))
	switch {
	case err == nil:
		return m
	case errors.Is(err, store.ErrNotFound):
		s.fail(w, http.StatusNotFound, errors.New("no message has this id"))
	default:
		s.fail(w, http.StatusServiceUnavailable, err)
	}
	return nil
}

func (s *server) show(w http.ResponseWriter, r *http.Request) {
	m := s.find(w, r)
	if m == nil {
		return
	}
	n, err := s.names(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	s.answer(w, view(m, n))
}

func (s *server) raw(w http.ResponseWriter, r *http.Request) {
	if m := s.find(w, r); m != nil {
		s.content(w, r, m)
	}
}

// A Trace is what happened to a message.
type Trace struct {
	Message    Message       `json:"message"`
	Events     []store.Event `json:"events"`
	Deliveries []Delivery    `json:"deliveries"`
}

func (s *server) trace(w http.ResponseWriter, r *http.Request) {
	m := s.find(w, r)
	if m == nil {
		return
	}
	events, err := s.Store.Trace(r.Context(), m.Seq)
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	rows, err := s.Store.Deliveries(r.Context(), store.DeliveryFilter{Message: m.Seq, Limit: 1000})
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	n, err := s.names(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	t := Trace{Message: view(m, n), Events: events, Deliveries: make([]Delivery, 0, len(rows))}
	for i := range rows {
		t.Deliveries = append(t.Deliveries, viewDelivery(&rows[i], m.ID, n))
	}
	s.answer(w, t)
}

// numbers reads the parameters of a page: limit (1 to 10000, 100 when it is not
// given) and where it begins, 0 when that is not given. What is no such number
// is refused: a page of other rows than those asked for would be taken for them.
func (s *server) numbers(w http.ResponseWriter, r *http.Request, from string) (limit int, start int64, ok bool) {
	q := r.URL.Query()
	limit = 100
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 10000 {
			s.fail(w, http.StatusBadRequest, errors.New("limit is a number from 1 to 10000"))
			return 0, 0, false
		}
		limit = n
	}
	if text := q.Get(from); from != "" && text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			s.fail(w, http.StatusBadRequest, errors.New(from+" is the number of a row, as a page before this one gave it"))
			return 0, 0, false
		}
		start = n
	}
	return limit, start, true
}

func (s *server) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		s.Log.Debug("answer was not sent", "error", err.Error())
	}
}

func (s *server) fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	s.answer(w, map[string]string{"error": err.Error()})
}
