package channels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/maps"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	fhirmessage "github.com/plexus-health/plexus/parsers/fhir"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/parsers/hl7v2/validate"
	"github.com/plexus-health/plexus/queue/memory"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/sqlite"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

const patience = 60 * time.Second

// A hall is a line under test with sources and destinations that the test
// plays itself.
type hall struct {
	t       testing.TB
	folder  string
	store   store.Store
	line    *Line
	log     *strings.Builder
	stopped chan struct{}
	cancel  context.CancelFunc
	wrap    func(store.Store) store.Store // puts something between store and line

	now      func() time.Time // the line's clock
	keepEach time.Duration

	mu       sync.Mutex
	handlers map[string]connectors.Handler // by name of the source
	peers    map[string]*peer
	n        int
}

// A peer is a receiver that the test plays.
type peer struct {
	mu      sync.Mutex
	arrived []arrival
	busy    map[string]bool // keys under way
	clashes int             // sends of one key at once
	behave  func(a arrival) error
	answer  func(a arrival) string // the bytes of a positive answer; nil: an ACK
	gate    chan struct{}          // sends wait for it while it is not nil
}

type arrival struct {
	control, patient, body string
	attempt                int
	maybe                  bool
}

// send plays one send.
func (p *peer) send(ctx context.Context, d *message.Delivery) (message.Reply, error) {
	a := arrival{control: d.Control, patient: field(string(d.Payload), "PID", 3), body: string(d.Payload), attempt: d.Attempts, maybe: d.MaybeSent}
	p.mu.Lock()
	gate := p.gate
	if p.busy[a.patient] {
		p.clashes++
	}
	p.busy[a.patient] = true
	p.arrived = append(p.arrived, a)
	behave, answer := p.behave, p.answer
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.busy[a.patient] = false
	}()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return message.Reply{}, &message.Failure{Kind: message.Unknown, Err: ctx.Err()}
		}
	}
	if behave != nil {
		if err := behave(a); err != nil {
			return message.Reply{}, err
		}
	}
	if answer != nil {
		return message.Reply{Answer: message.Answer{Code: message.Accepted}, Raw: []byte(answer(a))}, nil
	}
	return message.Reply{Answer: message.Answer{Code: message.Accepted}, Raw: []byte("MSH|^~\\&|P|P|E|E|20260101||ACK|A" + d.Control + "|P|2.5\rMSA|AA|" + d.Control + "\r")}, nil
}

func (p *peer) list() []arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]arrival(nil), p.arrived...)
}

func (p *peer) does(f func(a arrival) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behave = f
}

func fails(kind message.Kind) error {
	return &message.Failure{Kind: kind, Err: errors.New("played by the test")}
}

// field is the text of a field, "" when it is absent.
func field(raw, segment string, n int) string {
	for line := range strings.SplitSeq(raw, "\r") {
		if parts := strings.Split(line, "|"); parts[0] == segment && len(parts) > n {
			return parts[n]
		}
	}
	return ""
}

// The options of the played parts.
type (
	handSource struct {
		hall *hall
		Name string `yaml:"name"`
	}
	handTarget struct {
		hall *hall
		Name string `yaml:"name"`
		// Connections are the sends at once.
		Connections int `yaml:"connections"`
		// Timeout of a send. Default 30s.
		Timeout time.Duration `yaml:"timeout"`
	}
	opened struct{ peer *peer }
)

func (o *handSource) Validate() []connectors.Problem { return nil }
func (o *handTarget) Validate() []connectors.Problem { return nil }
func (o *handTarget) Limits() connectors.SendLimits {
	return connectors.SendLimits{Connections: o.Connections, Timeout: cmp.Or(o.Timeout, 30*time.Second)}
}

func (o *handTarget) Open(connectors.Environment) (connectors.Destination, error) {
	return opened{o.hall.peer(o.Name)}, nil
}

func (o opened) Send(ctx context.Context, d *message.Delivery) (message.Reply, error) {
	return o.peer.send(ctx, d)
}
func (o opened) Close() error { return nil }

func (o *handSource) Open(env connectors.Environment) (connectors.Source, error) {
	return playedSource{o.hall, o.Name, env}, nil
}

type playedSource struct {
	hall *hall
	name string
	env  connectors.Environment
}

func (s playedSource) Run(ctx context.Context, handle connectors.Handler) error {
	s.hall.mu.Lock()
	s.hall.handlers[s.name] = handle
	s.hall.mu.Unlock()
	s.env.Receiving()
	<-ctx.Done()
	s.hall.mu.Lock()
	delete(s.hall.handlers, s.name)
	s.hall.mu.Unlock()
	return nil
}

func newHall(t testing.TB) *hall {
	t.Helper()
	before := goleak.IgnoreCurrent()
	h := &hall{t: t, folder: t.TempDir(), handlers: map[string]connectors.Handler{}, peers: map[string]*peer{}}
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

func (h *hall) peer(name string) *peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.peers[name] == nil {
		h.peers[name] = &peer{busy: map[string]bool{}}
	}
	return h.peers[name]
}

func (h *hall) parts() routes.Parts {
	shipped, problems := tables.Shipped()
	if len(problems) > 0 {
		h.t.Fatal(problems)
	}
	return routes.Parts{
		Connectors: []connectors.Kind{{
			Name:        "hand",
			Source:      func() connectors.SourceOptions { return &handSource{hall: h, Name: "in"} },
			Destination: func() connectors.DestinationOptions { return &handTarget{hall: h, Name: "out", Connections: 1} },
		}},
		Parsers:    append([]parsers.Kind{hl7v2.Kind(validate.Validation()), fhirmessage.Kind(nil)}, moreParsers()...),
		Transforms: []transforms.Kind{mapping.Kind(mapping.Options{Maps: maps.FS, Tables: shipped})},
		Tables:     shipped,
	}
}

// load reads a configuration given as text.
func (h *hall) load(text string) *routes.Config {
	h.t.Helper()
	file := filepath.Join(h.folder, "routes.yaml")
	if err := os.WriteFile(file, []byte("zone: America/New_York\nchannels:\n"+text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	config, problems := routes.Load(routes.LoadOptions{File: file, Parts: h.parts()})
	if len(problems) > 0 {
		h.t.Fatal(problems.Error())
	}
	return config
}

// start begins a life of the line with a configuration.
func (h *hall) start(text string) {
	h.t.Helper()
	config := h.load(text)
	var err error
	if h.store, err = sqlite.Open(context.Background(), sqlite.Options{Folder: filepath.Join(h.folder, "data"), Now: h.now}); err != nil {
		h.t.Fatal(err)
	}
	h.log = &strings.Builder{}
	between := h.store
	if h.wrap != nil {
		between = h.wrap(h.store)
	}
	h.line = New(Options{
		Store: between, Queue: &memory.Queue{}, Log: slog.New(slog.NewTextHandler(lockedWriter{&h.mu, h.log}, nil)),
		Metrics: NewMetrics(prometheus.NewRegistry()), Folder: h.folder, Now: h.now, KeepEach: h.keepEach,
	})
	if err := h.line.Prepare(context.Background(), config); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.stopped = cancel, make(chan struct{})
	ready := make(chan struct{})
	go func() {
		defer close(h.stopped)
		if err := h.line.Run(ctx, config, func() { close(ready) }); err != nil {
			h.t.Error(err)
		}
	}()
	<-ready
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// stop ends the life.
func (h *hall) stop() {
	if h.cancel == nil {
		return
	}
	h.cancel()
	<-h.stopped
	h.cancel = nil
	if err := h.store.Close(); err != nil {
		h.t.Error(err)
	}
}

// logged is what was logged so far.
func (h *hall) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// eventually waits until a condition holds.
func (h *hall) eventually(what string, holds func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if holds() {
			return
		}
	}
	h.t.Fatalf("%s: not within %s\n%s\nqueues: %+v", what, patience, h.logged(), h.queues())
}

// order is a message of a patient with a control id of its own.
func order(control, patient string) string {
	return "MSH|^~\\&|EHR|NORTH|LAB|LAB|20260301120000||ORM^O01|" + control + "|P|2.5.1\rPID|1||" + patient + "||TEST^ONE\rORC|NW|" + control + "\rOBR|1|" + control + "||GLU^Glucose^L\r"
}

// give hands a message to the source called in.
func (h *hall) give(raw string) message.Reply {
	h.t.Helper()
	return h.hand(&message.Message{Raw: []byte(raw), Peer: "test"})
}

// stream does the same with content that is not in memory.
func (h *hall) stream(raw string) message.Reply {
	h.t.Helper()
	return h.hand(&message.Message{Stream: strings.NewReader(raw), Peer: "test"})
}

func (h *hall) hand(m *message.Message) message.Reply {
	h.t.Helper()
	return h.handTo("in", m)
}

// handTo hands a message to the source of a name.
func (h *hall) handTo(source string, m *message.Message) message.Reply {
	h.t.Helper()
	reply, err := h.handler(source)(context.Background(), m)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply
}

// handler is what the source of a name hands its messages to.
func (h *hall) handler(source string) (handle connectors.Handler) {
	h.t.Helper()
	h.eventually("the source receives", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		handle = h.handlers[source]
		return handle != nil
	})
	return handle
}

// giveAll hands over messages M1 … Mn of the patients in turn.
func (h *hall) giveAll(n int, patients ...string) {
	h.t.Helper()
	for i := range n {
		h.n++
		if reply := h.give(order(fmt.Sprint("M", h.n), patients[i%len(patients)])); reply.Answer.Code != message.Accepted {
			h.t.Fatalf("M%d was answered %+v", h.n, reply.Answer)
		}
	}
}

func (h *hall) queues() map[string]store.QueueState {
	list, err := h.store.Queues(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	out := map[string]store.QueueState{}
	for _, q := range list {
		out[q.Unit] = q
	}
	return out
}

// drained waits until a queue has delivered n and has nothing open.
func (h *hall) drained(unit string, n int64) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("%s has delivered %d", unit, n), func() bool {
		q := h.queues()[unit]
		return q.Delivered == n && q.Open() == 0
	})
}

// controls are the control ids that arrived, in order.
func controls(list []arrival) []string {
	var out []string
	for _, a := range list {
		out = append(out, a.control)
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
