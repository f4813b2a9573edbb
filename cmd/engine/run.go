package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"github.com/spf13/viper"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/channels"
	"github.com/plexus-health/plexus/console"
	"github.com/plexus-health/plexus/fhir/rest"
	"github.com/plexus-health/plexus/fhir/validate/profile"
	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/queue"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/postgres"
	"github.com/plexus-health/plexus/store/sqlite"
)

// Settings of the engine itself: flags, PLEXUS_… variables or engine.yaml, in
// this order. routes.yaml is not among them.
type settings struct {
	Routes   string
	Env      string
	Secrets  string
	Data     string
	Database string
	HTTP     string
	Profiles string
	LogLevel string
	Origins  []string
	// References is what becomes of a FHIR reference that leads to nobody.
	References string
	Queue      queueSettings
	records    *records // what maps gather from, empty until the store is open
	loaded     *profile.Set
}

func runCommand(a *app) *cobra.Command {
	v := viper.New()
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve the channels of routes.yaml",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := readSettings(v)
			if err != nil {
				return &exit{code: exitUsage, err: err}
			}
			setGrowth(growthStarting)
			return a.serve(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.String("routes", "routes.yaml", "the file of channels")
	f.String("env", "", "environment: variables of env/NAME.yaml beside the routes")
	f.String("secrets", "secrets", "folder of mounted secrets, one file each")
	f.String("data", "./data", "folder of the embedded store")
	f.String("database", "", "postgres://… in place of the embedded store")
	f.String("http", "127.0.0.1:8080", "address of /fhir, /api, /metrics, /healthz and /readyz")
	f.StringSlice("fhir-origins", nil, "origins of browser applications that may use /fhir (CORS), such as https://app.example.org")
	f.String("fhir-references", referencesAccept, "accept FHIR references to resources that are not there, or require them to lead to one")
	f.String("profiles", "", "folder or package (.tgz) of FHIR profiles that resources are held against")
	f.String("log-level", "info", "debug, info, warn or error")
	queueFlags(f)
	if err := v.BindPFlags(f); err != nil {
		panic(err) // a programmer's mistake that every test meets
	}
	return cmd
}

func readSettings(v *viper.Viper) (settings, error) {
	v.SetEnvPrefix("PLEXUS")
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	// By its whole name: a search for "engine" would find the program itself.
	v.SetConfigFile("engine.yaml")
	if err := v.ReadInConfig(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return settings{}, fmt.Errorf("engine.yaml: %w", err)
	}
	origins, err := readOrigins(v.GetStringSlice("fhir-origins"))
	if err != nil {
		return settings{}, err
	}
	references := v.GetString("fhir-references")
	if references != referencesAccept && references != referencesRequire {
		return settings{}, fmt.Errorf("--fhir-references %q is not known; known: %s, %s", references, referencesAccept, referencesRequire)
	}
	return settings{
		Origins: origins, References: references,
		Routes: v.GetString("routes"), Env: v.GetString("env"), Secrets: v.GetString("secrets"),
		Data: v.GetString("data"), Database: v.GetString("database"), HTTP: v.GetString("http"),
		Profiles: v.GetString("profiles"),
		LogLevel: v.GetString("log-level"), Queue: readQueueSettings(v), records: new(records),
	}, nil
}

// What becomes of references that lead to nobody (--fhir-references).
const (
	referencesAccept  = "accept"
	referencesRequire = "require"
)

// readOrigins reads origins as browsers write them. All of them ("*") are none: a
// page of anybody could read the record through a browser on this machine.
func readOrigins(list []string) ([]string, error) {
	var out []string
	for _, text := range strings.FieldsFunc(strings.Join(list, ","), func(r rune) bool { return r == ',' || r == ' ' }) {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.TrimSuffix(text, "/") != u.Scheme+"://"+u.Host {
			return nil, fmt.Errorf("--fhir-origins %q is no origin: write scheme and host, such as https://app.example.org", text)
		}
		out = append(out, strings.TrimSuffix(text, "/"))
	}
	return out, nil
}

// load reads the routes file under these settings.
func (s settings) load() (*routes.Config, routes.Problems) { return s.loadLooking(nil) }

// loadLooking is load, and tells which files it has looked for.
func (s settings) loadLooking(looked func(files []string)) (*routes.Config, routes.Problems) {
	return routes.Load(routes.LoadOptions{
		Looked: looked, File: s.Routes, Env: s.Env, Environ: os.LookupEnv, SecretsFolder: s.Secrets, Parts: parts(s.records),
	})
}

// loadProfiles reads the profiles these settings name.
func (s *settings) loadProfiles() (err error) {
	if s.Profiles != "" {
		s.loaded, err = profile.Load(s.Profiles)
	}
	return err
}

// open opens the store these settings name.
func (s settings) open(ctx context.Context, log *slog.Logger) (store.Store, error) {
	if s.Database != "" {
		return postgres.Open(ctx, postgres.Options{DSN: s.Database, Log: log})
	}
	return sqlite.Open(ctx, sqlite.Options{Folder: s.Data, Log: log, Unsafe: killpoint.Unsafe()})
}

// serve runs the engine until ctx ends or its store can write no more.
func (a *app) serve(ctx context.Context, s settings) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return &exit{code: exitUsage, err: fmt.Errorf("--log-level %q is not known; known: debug, info, warn, error", s.LogLevel)}
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	if err := onlyLoopback(s.HTTP); err != nil {
		return &exit{code: exitUsage, err: err}
	}
	if err := s.loadProfiles(); err != nil {
		return &exit{code: exitUsage, err: err}
	}
	config, problems := s.load()
	if len(problems) > 0 {
		fmt.Fprint(a.stderr, problems.Error(), "\n")
		return &exit{code: exitSome}
	}
	opened, err := s.open(ctx, log)
	if err != nil {
		return &exit{code: exitFailed, err: err}
	}
	s.records.open(opened)
	tickets, closeTickets, err := s.openQueue(ctx, log)
	if err != nil {
		return &exit{code: exitUsage, err: errors.Join(err, opened.Close())}
	}
	e := newEngine(s, opened, tickets, log)
	err = e.run(ctx, config)
	if closing := closeTickets(); closing != nil {
		log.Warn("the queue was not closed in order", "error", closing.Error())
	}
	if closing := opened.Close(); err == nil && closing != nil {
		err = fmt.Errorf("close: %w", closing)
	}
	if err != nil {
		return &exit{code: exitFailed, err: err}
	}
	return nil
}

// onlyLoopback holds the HTTP address on this machine as long as there are no
// users and no TLS.
func onlyLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--http %q is not host:port", address)
	}
	ip := net.ParseIP(host)
	if host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("--http %q is not on this machine: the engine has no users yet and serves 127.0.0.1 or [::1] only", address)
}

// An engine is one running process.
type engine struct {
	settings settings
	store    store.Store
	log      *slog.Logger
	line     *channels.Line
	handler  http.Handler
	ready    atomic.Bool
}

var _ console.Engine = (*engine)(nil)

func newEngine(s settings, opened store.Store, tickets queue.Queue, log *slog.Logger) *engine {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&ledgerCollector{store: opened, log: log},
	)
	e := &engine{settings: s, store: opened, log: log}
	e.line = channels.New(channels.Options{
		Store: opened, Queue: tickets, Log: log,
		Metrics: channels.NewMetrics(registry), Folder: filepath.Dir(s.Routes),
	})
	mux := http.NewServeMux()
	api := rest.New(rest.Options{Records: opened, Access: access.Loopback{}, Base: "/fhir", Log: log, Origins: s.Origins, Profiles: s.loaded, RequireReferences: s.References == referencesRequire})
	mux.Handle("/fhir", api)
	mux.Handle("/fhir/", api)
	mux.Handle("/", console.New(console.Options{
		Store: opened, Engine: e, Access: access.Loopback{}, Log: log,
		Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}))
	e.handler = access.Local(mux)
	return e
}

// run serves until ctx ends. Shutdown follows the line: sources stop, what was
// received is finished, then HTTP ends; the store is closed last, by the caller.
func (e *engine) run(ctx context.Context, config *routes.Config) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", e.settings.HTTP)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Before HTTP: what is written starts messages from the first request on.
	if err := e.line.Prepare(ctx, config); err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler: e.handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute,
		WriteTimeout: 5 * time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
	}
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("http: %w", err))
		}
	})
	parts.Go(func() { e.watch(ctx, config) })
	parts.Go(func() {
		select {
		case <-e.store.Failed():
			cancel(errStoreFailed)
		case <-ctx.Done():
		}
	})
	e.reportRemoved(ctx, config)
	err = e.line.Run(ctx, config, func() {
		e.ready.Store(true)
		e.log.Info("ready", "http", "http://"+listener.Addr().String(), "channels", len(config.Channels), "routes", config.Version, "acknowledged survives", e.store.Survives())
		parts.Go(release)
	})
	e.ready.Store(false)
	ending, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	if closing := server.Shutdown(ending); closing != nil {
		e.log.Warn("http requests were cut off", "error", closing.Error())
	}
	cause := context.Cause(ctx)
	cancel(nil)
	parts.Wait()
	if err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if err == nil {
		e.log.Info("stopped")
	}
	return err
}

var errStoreFailed = errors.New("the store can write no more: the process ends and recovers from the log at its next start")

// watch applies a changed configuration: by SIGHUP, or because one of its files
// changed. A faulty file leaves the running one in place.
func (e *engine) watch(ctx context.Context, config *routes.Config) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	changed := make(chan struct{}, 1)
	watched := config.Files
	stop := e.follow(ctx, watched, changed)
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		case <-changed:
		}
		// The files are watched meanwhile, so that no change is missed.
		var looked []string
		config = e.exchange(ctx, config, func(files []string) { looked = files })
		// Where the new configuration is faulty its files are watched too.
		files := slices.Clone(config.Files)
		for _, file := range looked {
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
		if !slices.Equal(files, watched) {
			before := stop
			watched, stop = files, e.follow(ctx, files, changed)
			before()
		}
	}
}

// follow watches files until stop is called.
func (e *engine) follow(ctx context.Context, files []string, changed chan<- struct{}) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		err := routes.Watch(ctx, files, func() {
			select {
			case changed <- struct{}{}:
			default: // it will be looked at anyway
			}
		})
		if err != nil && ctx.Err() == nil {
			e.log.Warn("files are not watched; send SIGHUP after a change", "error", err.Error())
		}
	})
	return func() {
		cancel()
		watcher.Wait()
	}
}

// reportRemoved says what the configuration lacks although it has work. It stays
// in the store, and nothing of it is lost.
func (e *engine) reportRemoved(ctx context.Context, config *routes.Config) {
	lacking, err := removed(ctx, e.store, config, nil)
	if err != nil {
		e.log.Warn("it cannot be read what has work", "error", err.Error())
	}
	for _, text := range lacking {
		e.log.Error("the configuration lacks what has work: " + text)
	}
	e.line.Settle(ctx)
}

// exchange loads the configuration anew and applies it if it is right.
func (e *engine) exchange(ctx context.Context, old *routes.Config, looked func(files []string)) *routes.Config {
	config, problems := e.settings.loadLooking(looked)
	if len(problems) > 0 {
		e.log.Error("the new configuration is faulty, the old one runs on", "problems", len(problems))
		for _, p := range problems {
			e.log.Error(p.Error())
		}
		return old
	}
	diff := routes.Diff(old, config)
	lacking, err := removed(ctx, e.store, config, old)
	if err != nil {
		e.log.Error("it cannot be read what has work, the old configuration runs on", "error", err.Error())
		return old
	}
	if len(lacking) > 0 {
		e.log.Error("the new configuration lacks what has work, the old one runs on", "problems", len(lacking))
		for _, text := range lacking {
			e.log.Error(text)
		}
		return old
	}
	if len(diff.Added)+len(diff.Removed)+len(diff.Changed) == 0 {
		return config
	}
	first, err := reordered(ctx, e.store, config)
	if err == nil {
		err = e.line.Apply(config)
	}
	if err != nil {
		e.log.Error("the new configuration was not taken over, the old one runs on", "error", err.Error())
		return old
	}
	for _, text := range first {
		e.log.Info("order changed", "what", text)
	}
	e.log.Info("configuration changed", "routes", config.Version, "added", len(diff.Added), "removed", len(diff.Removed), "changed", len(diff.Changed))
	return config
}

// Ready returns nil when the engine takes messages.
func (e *engine) Ready() error {
	select {
	case <-e.store.Failed():
		return errStoreFailed
	default:
	}
	if !e.ready.Load() {
		return errors.New("starting or stopping")
	}
	for _, c := range e.line.States() {
		if c.State == "starting" || c.State == "waiting" {
			return fmt.Errorf("channel %s is %s %s", c.Name, c.State, c.Error)
		}
	}
	return nil
}

// Channels lists the channels with what they do now.
func (e *engine) Channels() any { return e.line.States() }

// Names lists the channels of the configuration.
func (e *engine) Names() []string {
	var names []string
	for _, s := range e.line.States() {
		names = append(names, s.Name)
	}
	return names
}

// Routes lists the routes that queue deliveries, with what they do now.
func (e *engine) Routes() ([]console.Route, bool) {
	var out []console.Route
	for _, r := range e.line.Routes() {
		out = append(out, console.Route{Channel: r.Channel, Name: r.Route, Title: r.Title, To: r.To, Now: r.Now, Until: r.Until, Alerts: r.Alerts})
	}
	return out, true
}

// Poke says that an operator has changed the rows of a channel or route.
func (e *engine) Poke(unit string) { e.line.Poke(unit) }
