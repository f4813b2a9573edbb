// Package channels runs the line a message travels: receive (T1 and its
// acknowledgement), process (parse to T2) and, for what leaves the engine,
// deliver. It owns the units of its engine and schedules them by key.
package channels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/plexus-health/plexus/channels/ehr"
	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/queue"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// Options are what a Line is made of.
type Options struct {
	Store store.Store
	Queue queue.Queue
	Log   *slog.Logger
	// Metrics is never nil; NewMetrics makes one.
	Metrics *Metrics
	// Now tells the time; nil means time.Now.
	Now func() time.Time
	// Folder is where relative names in the options of parts start.
	Folder string
	// Workers is how many messages of one channel are processed at once;
	// 0 means 32 for each processor, so that T2 commits are shared.
	Workers int
	// KeepEach is how often it is looked for content that is not to be kept any
	// longer; 0 means each minute.
	KeepEach time.Duration
}

// A Line runs the channels of one configuration and exchanges them when it
// changes. Run blocks; the other methods may be called from any goroutine.
type Line struct {
	options Options
	matcher *ehr.Matcher
	large   chan struct{} // one large message is processed at a time
	turns   turns
	// outgoing are messages that routes send as they came.
	outgoing *recent

	mu       sync.Mutex
	config   *routes.Config
	units    *units
	channels map[string]*channel // running, by id
	routes   map[string]*route   // of the running channels, by id
	fresh    map[string]*fresh   // of the channels that have run, by id
	ctx      context.Context     //nolint:containedctx // the life of Run, for channels that a reload starts
	apply    sync.Mutex          // one Apply at a time
	wait     waiters

	leasing sync.Mutex
	leases  map[string]store.Lease // by unit
	older   map[string]bool        // units of which another engine runs a newer configuration

	progress progress
	watch    watch
	clock    clock
}

var _ store.Trigger = (*Line)(nil)

// New returns a line that runs nothing yet.
func New(o Options) *Line {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Workers == 0 {
		o.Workers = 32 * runtime.GOMAXPROCS(0)
	}
	l := &Line{
		options:  o,
		matcher:  &ehr.Matcher{Records: o.Store},
		large:    make(chan struct{}, 1),
		turns:    turns{hot: map[string]*turn{}},
		outgoing: newRecent(recentOutgoing),
		channels: map[string]*channel{},
		routes:   map[string]*route{},
		fresh:    map[string]*fresh{},
		wait:     waiters{waiting: map[int64][]chan outcome{}},
		leases:   map[string]store.Lease{},
		progress: progress{waiting: map[int64][]chan struct{}{}},
	}
	l.watch = watch{line: l, raised: map[string][]string{}, shown: map[string][2]string{}}
	o.Store.Start(l)
	return l
}

// Prepare makes config the one by which written resources start messages. It
// is called before anything can be written.
func (l *Line) Prepare(ctx context.Context, config *routes.Config) error {
	u, err := l.resolve(ctx, config)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config, l.units = config, u
	return nil
}

// Run runs the channels of config until ctx ends, then ends in the order of
// the line: sources stop, what was received is answered, messages in hand are
// finished. Ready is called once every source has been started.
func (l *Line) Run(ctx context.Context, config *routes.Config, ready func()) error {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	l.mu.Lock()
	l.ctx = inner
	l.mu.Unlock()
	if err := l.Apply(config); err != nil {
		return err
	}
	var owners sync.WaitGroup
	owners.Go(func() { l.own(inner) })
	owners.Go(func() { l.watch.run(inner) })
	owners.Go(func() { l.keep(inner) })
	if ready != nil {
		ready()
	}
	<-ctx.Done()
	l.stopSources()
	cancel()
	owners.Wait()
	return nil
}

// Apply runs config in place of what runs: channels that did not change notice
// nothing. Those removed or changed stop listening first and their handlers
// return; then the new set opens. After an error everything is as it was.
func (l *Line) Apply(config *routes.Config) error {
	l.apply.Lock()
	defer l.apply.Unlock()
	u, err := l.resolve(l.ctx, config)
	if err != nil {
		return err
	}
	if err := l.options.Store.Runs(l.ctx, hashesOf(config, u)); err != nil {
		return wrap("versions", err)
	}
	next := map[string]*routes.Channel{}
	for _, c := range config.Channels {
		if c.Enabled {
			next[u.id(c.Name)] = c
		}
	}
	l.mu.Lock()
	var leaving []*channel
	for id, running := range l.channels {
		if c := next[id]; c == nil || c.Hash != running.config.Hash {
			leaving = append(leaving, running)
			delete(l.channels, id)
			for unit := range running.routes {
				delete(l.routes, unit)
			}
		}
	}
	l.config, l.units = config, u
	l.mu.Unlock()
	for _, c := range leaving {
		c.stop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, c := range next {
		if l.channels[id] == nil {
			l.channels[id] = l.start(c, config.Version)
		}
	}
	if l.ctx != nil {
		go l.pokeAll(l.ctx)
	}
	return nil
}

// Config returns the configuration that runs.
func (l *Line) Config() *routes.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.config
}

// States lists the channels with what they do now, in the order of the file.
func (l *Line) States() []ChannelState {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.config == nil {
		return nil
	}
	var states []ChannelState
	for _, c := range l.config.Channels {
		s := ChannelState{Name: c.Name, Hash: c.Hash, Title: c.Title, Source: c.SourceKind, Ack: string(c.Ack), State: "disabled"}
		if running := l.channels[l.units.id(c.Name)]; running != nil {
			s.State, s.Error = running.status()
		}
		states = append(states, s)
	}
	return states
}

// A ChannelState is what one channel does now.
type ChannelState struct {
	Name   string `json:"name"`
	Hash   string `json:"hash"` // of its configuration
	Title  string `json:"title,omitempty"`
	Source string `json:"source"`
	Ack    string `json:"ack"`
	State  string `json:"state"` // starting, running, waiting (its source cannot receive), disabled
	Error  string `json:"error,omitempty"`
}

// find returns the running channel of an id, or nil.
func (l *Line) find(id string) *channel {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.channels[id]
}

func (l *Line) stopSources() {
	l.mu.Lock()
	all := make([]*channel, 0, len(l.channels))
	for _, c := range l.channels {
		all = append(all, c)
	}
	l.mu.Unlock()
	var stops sync.WaitGroup
	for _, c := range all {
		stops.Go(c.stop)
	}
	stops.Wait()
}

// A channel is one running channel of the configuration.
type channel struct {
	line    *Line
	id      string // of its unit
	config  *routes.Channel
	version string
	log     *slog.Logger
	cancel  context.CancelFunc
	done    chan struct{} // closed when the source has ended
	retired chan struct{} // closed when nothing new is to be processed
	recent  *recent
	anew    atomic.Bool       // the stored messages are to be read from the first on
	rows    atomic.Bool       // there are stored messages that fresh does not know
	fresh   *fresh            // nil: the store is not one that keeps the order
	pace    *rate.Limiter     // nil: there is no `limits: { rate }`
	pokes   chan struct{}     // a message was recorded
	working atomic.Bool       // the owner is at work on it here
	routes  map[string]*route // by id
	units   map[string]string // ids of the routes, by name
	ruledAt atomic.Int64      // the epoch under which its rules of order were noted
	counted counted           // by senders who number their messages
	heldAt  atomic.Int64      // when it was last seen not to be held, in nanoseconds since 1970

	mu    sync.Mutex
	state string // starting, running, waiting
	fault error  // why the source cannot receive now
}

// start runs a channel's source. The line is locked.
func (l *Line) start(config *routes.Channel, version string) *channel {
	ctx, cancel := context.WithCancel(l.ctx)
	c := &channel{
		line: l, id: l.units.id(config.Name), config: config, version: version, cancel: cancel, done: make(chan struct{}),
		retired: make(chan struct{}), pokes: make(chan struct{}, 1),
		log:    l.options.Log.With("channel", config.Name),
		recent: newRecent(recentIntake), state: "starting",
	}
	if r := config.Limits.Rate; r.Count > 0 {
		c.pace = rate.NewLimiter(rate.Every(r.Per/time.Duration(r.Count)), r.Count)
	}
	if _, ordered := l.options.Store.(store.Ordered); ordered {
		if l.fresh[c.id] == nil {
			l.fresh[c.id] = &fresh{}
		}
		c.fresh = l.fresh[c.id] // that of the channel before, if this is a reload
	}
	c.routesOf(l.units)
	for unit, r := range c.routes {
		l.routes[unit] = r
	}
	go c.run(ctx)
	return c
}

// run keeps the source receiving until the channel stops: a source that cannot
// receive (its port is taken) is tried again.
func (c *channel) run(ctx context.Context) {
	defer close(c.done)
	if c.config.Source == nil {
		c.setState("running", nil)
		<-ctx.Done()
		return
	}
	pause := 200 * time.Millisecond
	for ctx.Err() == nil {
		err := c.receiveFrom(ctx)
		if ctx.Err() != nil {
			return
		}
		c.setState("waiting", err)
		if err != nil {
			c.log.Error("source cannot receive, trying again", "error", err.Error(), "pause", pause.String())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, 10*time.Second)
	}
}

func (c *channel) receiveFrom(ctx context.Context) error {
	source, err := c.config.Source.Open(c.environment(func() { c.setState("running", nil) }))
	if err != nil {
		return err
	}
	return source.Run(ctx, c.receive)
}

// environment is what the channel lends to its source and destinations.
func (c *channel) environment(receiving func()) connectors.Environment {
	env := connectors.Environment{
		Log:         c.log,
		Count:       func(event string, n int) { c.line.options.Metrics.event(c.config.Name, event, n) },
		Receiving:   receiving,
		Folder:      c.line.options.Folder,
		Size:        c.config.Limits.Size,
		Whole:       store.MaxChunk,
		Connections: c.config.Limits.Connections,
		Now:         c.line.options.Now,
	}
	if splitter, ok := c.config.Parser.(parsers.Splitter); ok {
		env.Split = func(r io.Reader, take func(raw []byte) error) error {
			return splitter.Split(r, c.config.Limits.Size, take)
		}
	}
	return env
}

// now is the time by the clock on the wall of the channel's zone.
func (c *channel) now() time.Time {
	now := c.line.options.Now()
	if c.config.Zone != nil {
		now = now.In(c.config.Zone)
	}
	return now
}

// stop ends the source; when the last message in hand is answered, nothing new
// of the channel is processed or sent.
func (c *channel) stop() {
	c.cancel()
	<-c.done
	close(c.retired)
	for _, r := range c.routes {
		if !r.working.Load() {
			r.close()
		}
	}
}

func (c *channel) setState(state string, fault error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.fault = state, fault
}

func (c *channel) status() (state, fault string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != nil {
		return c.state, c.fault.Error()
	}
	return c.state, ""
}

// An outcome is what became of a message, for those who wait for it.
type outcome struct {
	state  message.State
	reason string
	answer message.Answer
}

// waiters are the senders whose channel says `ack: processed`: they wait for
// T2 of their message.
type waiters struct {
	mu      sync.Mutex
	waiting map[int64][]chan outcome
}

func (w *waiters) join(seq int64) chan outcome {
	ch := make(chan outcome, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting[seq] = append(w.waiting[seq], ch)
	return ch
}

func (w *waiters) leave(seq int64, ch chan outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.waiting[seq]
	for i, c := range list {
		if c == ch {
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(w.waiting, seq)
		return
	}
	w.waiting[seq] = list
}

func (w *waiters) tell(seq int64, o outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.waiting[seq] {
		ch <- o // each has room for its one outcome
	}
	delete(w.waiting, seq)
}

// progress are those who wait for the deliveries of a message (`ack: delivered`).
type progress struct {
	mu      sync.Mutex
	waiting map[int64][]chan struct{}
}

func (p *progress) join(seq int64) chan struct{} {
	ch := make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[seq] = append(p.waiting[seq], ch)
	return ch
}

func (p *progress) leave(seq int64, ch chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.DeleteFunc(p.waiting[seq], func(c chan struct{}) bool { return c == ch })
	if len(list) == 0 {
		delete(p.waiting, seq)
		return
	}
	p.waiting[seq] = list
}

// tell says that a delivery of the message has ended.
func (p *progress) tell(seq int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ch := range p.waiting[seq] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// errStopped is returned to a source whose message was not taken because the
// engine ends.
var errStopped = errors.New("the engine is stopping")

func wrap(step string, err error) error { return fmt.Errorf("%s: %w", step, err) }
