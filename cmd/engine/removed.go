package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/plexus-health/plexus/channels"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// A stock is the work that a store holds.
type stock interface {
	Units(ctx context.Context) ([]store.Unit, error)
	Ledger(ctx context.Context) ([]store.Count, error)
	Queues(ctx context.Context) ([]store.QueueState, error)
}

// removed lists what a configuration lacks although it has work: channels with
// stored messages, routes with deliveries that are open or parked. Nobody would
// do it. old, which may be nil, says where they stood.
func removed(ctx context.Context, s stock, config, old *routes.Config) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	units, err := s.Units(ctx)
	if err != nil {
		return nil, err
	}
	names, next := map[string]string{}, successor{config: config, taken: map[string]bool{}}
	for _, u := range units {
		names[u.ID], next.taken[u.Name] = u.Name, true
	}
	nameOf := func(id string) string {
		if name, ok := names[id]; ok {
			return name
		}
		return id
	}
	counts, err := s.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range counts {
		name := nameOf(c.Channel)
		if c.State != message.Stored || c.N == 0 || strings.Contains(name, "/") || next.channel(name) != nil {
			continue
		}
		out = append(out, fmt.Sprintf("channel %s%s has %d stored messages: keep it until they are processed, rename it with was: %s, or engine messages drop ID…", name, place(old, name, ""), c.N, name))
	}
	queues, err := s.Queues(ctx)
	if err != nil {
		return nil, err
	}
	for i := range queues {
		q := &queues[i]
		channel, route, _ := strings.Cut(nameOf(q.Unit), "/")
		if q.Open()+q.Parked == 0 || next.route(channel, route) {
			continue
		}
		since := ""
		if !q.Oldest.IsZero() {
			since = ", the oldest of " + q.Oldest.Local().Format(time.DateTime)
		}
		out = append(out, fmt.Sprintf("channel %s: route %s%s has %d deliveries (%d waiting, %d sending, %d parked%s): keep it with retired: true until it has drained, rename it with was: %s, or engine queue move --all %s/%s --to CHANNEL/ROUTE, or engine queue drop --all %s/%s",
			channel, route, place(old, channel, route), q.Open()+q.Parked, q.Waiting, q.Sending, q.Parked, since, route, channel, route, channel, route))
	}
	return out, nil
}

// A successor finds out what of a configuration a unit of the store is, or will
// be: a name that another unit has already is not given away by `was:`.
type successor struct {
	config *routes.Config
	taken  map[string]bool // the names of units
}

// channel is the channel that has a name, or will have what had it.
func (s successor) channel(name string) *routes.Channel {
	if c := s.config.Channel(name); c != nil {
		return c
	}
	for _, c := range s.config.Channels {
		if c.Was == name && !s.taken[c.Name] {
			return c
		}
	}
	return nil
}

// route reports whether deliveries of a route will be sent.
func (s successor) route(channel, route string) bool {
	c := s.channel(channel)
	if c == nil {
		return false
	}
	for _, r := range c.Routes {
		switch {
		case r.Destination == nil:
		case c.Name == channel && r.Name == route:
			return true
		case (r.Name == route || r.Was == route) && !s.taken[c.Name+"/"+r.Name]:
			return true
		}
	}
	return false
}

// place is where a channel or route stood, in brackets.
func place(old *routes.Config, channel, route string) string {
	if old == nil {
		return ""
	}
	c := old.Channel(channel)
	if c == nil {
		return ""
	}
	at := c.Place
	for _, r := range c.Routes {
		if r.Name == route {
			at = r.Place
		}
	}
	return " (" + at.String() + ")"
}

// reordered lists the routes whose open deliveries were made by another rule of
// order than the configuration has: they go first.
func reordered(ctx context.Context, s stock, config *routes.Config) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	units, err := s.Units(ctx)
	if err != nil {
		return nil, err
	}
	queues, err := s.Queues(ctx)
	if err != nil {
		return nil, err
	}
	open := map[string]int64{}
	for i := range queues {
		open[queues[i].Unit] = queues[i].Open()
	}
	var out []string
	for _, u := range units {
		channel, route, isRoute := strings.Cut(u.Name, "/")
		c := config.Channel(channel)
		if !isRoute || c == nil || u.Rule == "" || open[u.ID] == 0 {
			continue
		}
		for _, r := range c.Routes {
			if rule := channels.Rule(c, r); r.Name == route && r.Destination != nil && rule != u.Rule {
				out = append(out, fmt.Sprintf("channel %s: route %s: %d deliveries made by %s go first, then those made by %s", channel, route, open[u.ID], u.Rule, rule))
			}
		}
	}
	return out, nil
}
