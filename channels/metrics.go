package channels

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the counters of the line, taken where every message passes. They
// hold no patient data: labels are names of channels and words of ours.
type Metrics struct {
	messages   *prometheus.CounterVec
	events     *prometheus.CounterVec
	outcomes   *prometheus.CounterVec
	intakes    *prometheus.HistogramVec
	processing *prometheus.HistogramVec
	sends      *prometheus.CounterVec
	sending    *prometheus.HistogramVec
	alerts     *prometheus.GaugeVec
	prunes     *prometheus.CounterVec
	bytes      prometheus.Counter
}

// NewMetrics registers the line's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	buckets := []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}
	m := &Metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plexus_received_total", Help: "Messages taken from peers since the start: recorded, refused and copies.",
		}, []string{"channel"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plexus_events_total", Help: "Events since the start: copy, refused, clash, unavailable, conflict, panic, fault, and the tolerances of sources.",
		}, []string{"channel", "event"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plexus_processed_total", Help: "Messages that reached a final state since the start, by that state.",
		}, []string{"channel", "state"}),
		intakes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "plexus_intake_seconds", Help: "From the last byte of a message to its answer.", Buckets: buckets,
		}, []string{"channel"}),
		processing: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "plexus_process_seconds", Help: "From the start of processing to the commit of T2.", Buckets: buckets,
		}, []string{"channel"}),
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plexus_sends_total", Help: "Attempts to send since the start: accepted, or the class of the failure.",
		}, []string{"channel", "route", "result"}),
		sending: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "plexus_send_seconds", Help: "From the first byte of an attempt to its answer.", Buckets: buckets,
		}, []string{"channel", "route"}),
		alerts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "plexus_alert", Help: "1 while a limit of the route's alert is passed: waiting, depth, parked.",
		}, []string{"channel", "route", "alert"}),
	}
	m.prunes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "plexus_pruned_total", Help: "Messages whose content was taken away since the start, because keep: of their channel was over.",
	}, []string{"channel"})
	m.bytes = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "plexus_pruned_bytes_total", Help: "Bytes of contents, payloads and answers taken away since the start.",
	})
	r.MustRegister(m.prunes, m.bytes)
	r.MustRegister(m.messages, m.events, m.outcomes, m.intakes, m.processing, m.sends, m.sending, m.alerts)
	return m
}

func (m *Metrics) received(channel string) { m.messages.WithLabelValues(channel).Inc() }

func (m *Metrics) event(channel, event string, n int) {
	m.events.WithLabelValues(channel, event).Add(float64(n))
}

func (m *Metrics) intake(channel string, d time.Duration) {
	m.intakes.WithLabelValues(channel).Observe(d.Seconds())
}

func (m *Metrics) processed(channel, state string, d time.Duration) {
	m.outcomes.WithLabelValues(channel, state).Inc()
	m.processing.WithLabelValues(channel).Observe(d.Seconds())
}

func (m *Metrics) sent(channel, route, result string, d time.Duration) {
	m.sends.WithLabelValues(channel, route, result).Inc()
	m.sending.WithLabelValues(channel, route).Observe(d.Seconds())
}

func (m *Metrics) prune(channel string, n int) { m.prunes.WithLabelValues(channel).Add(float64(n)) }

func (m *Metrics) prunedBytes(n int64) { m.bytes.Add(float64(n)) }

func (m *Metrics) alert(channel, route, alert string, raised bool) {
	value := 0.0
	if raised {
		value = 1
	}
	m.alerts.WithLabelValues(channel, route, alert).Set(value)
}

// forgetAlerts takes away what a route shows that this engine does not watch
// any more.
func (m *Metrics) forgetAlerts(channel, route string) {
	m.alerts.DeletePartialMatch(prometheus.Labels{"channel": channel, "route": route})
}
