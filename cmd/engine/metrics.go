package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/plexus-health/plexus/store"
)

// A ledgerCollector shows the ledger as it stands in the store, so that metrics
// and journal cannot disagree.
type ledgerCollector struct {
	store store.Store
	log   *slog.Logger
}

var (
	ledgerMetric = prometheus.NewDesc("plexus_journal_messages", "Messages in the journal by channel and state.", []string{"channel", "state"}, nil)
	queueMetric  = prometheus.NewDesc("plexus_queue_deliveries", "Deliveries by route and state.", []string{"channel", "route", "state"}, nil)
	oldestMetric = prometheus.NewDesc("plexus_queue_oldest_seconds", "Age of the message of the oldest open delivery; 0 when none is open.", []string{"channel", "route"}, nil)
	indexMetric  = prometheus.NewDesc("plexus_unindexed_resources", "Resources whose search index is still that of an older version of the engine.", nil, nil)
	heldMetric   = prometheus.NewDesc("plexus_queue_held", "1 while an operator or a stop holds the route.", []string{"channel", "route"}, nil)
)

// Describe sends the descriptions.
func (l *ledgerCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ledgerMetric, queueMetric, oldestMetric, heldMetric, indexMetric} {
		ch <- d
	}
}

// Collect reads the ledger and the heads of the queues.
func (l *ledgerCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(indexMetric, prometheus.GaugeValue, float64(l.store.Unindexed()))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	counts, err := l.store.Ledger(ctx)
	if err != nil {
		l.log.Warn("ledger cannot be read for the metrics", "error", err.Error())
		return
	}
	units, err := l.store.Units(ctx)
	if err != nil {
		l.log.Warn("names cannot be read for the metrics", "error", err.Error())
		return
	}
	names := map[string]string{}
	for _, u := range units {
		names[u.ID] = u.Name
	}
	nameOf := func(id string) string {
		if name, ok := names[id]; ok {
			return name
		}
		return id
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, c := range counts {
		// Units of routes have a slash, names of channels have none.
		if channel, route, isRoute := strings.Cut(nameOf(c.Channel), "/"); isRoute {
			gauge(queueMetric, float64(c.N), channel, route, string(c.State))
		} else {
			gauge(ledgerMetric, float64(c.N), channel, string(c.State))
		}
	}
	queues, err := l.store.Queues(ctx)
	if err != nil {
		l.log.Warn("queues cannot be read for the metrics", "error", err.Error())
		return
	}
	for i := range queues {
		q := &queues[i]
		channel, route, _ := strings.Cut(nameOf(q.Unit), "/")
		age, held := 0.0, 0.0
		if !q.Oldest.IsZero() {
			age = max(time.Since(q.Oldest).Seconds(), 0)
		}
		if q.Held != "" {
			held = 1
		}
		gauge(oldestMetric, age, channel, route)
		gauge(heldMetric, held, channel, route)
	}
}
