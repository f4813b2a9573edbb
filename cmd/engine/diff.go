package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/plexus-health/plexus/channels"
	"github.com/plexus-health/plexus/console"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// A changed is what becomes of a channel or of its work when a running engine
// takes over another file. Text begins with the place it speaks of.
type changed struct {
	What string `json:"what"` // added, changed, removed, renamed, waits, refused
	Text string `json:"text"`
}

// compare prints what a running engine would change if config were its own.
// The exit code is 1 when it would not take it over.
func (c *checking) compare(ctx context.Context, config *routes.Config) error {
	running, work, err := c.engine.work(ctx)
	if err != nil {
		return err
	}
	list := changesOf(running, config)
	first, err := reordered(ctx, work, config)
	if err != nil {
		return err
	}
	for _, text := range first {
		list = append(list, changed{"waits", text})
	}
	lacking, err := removed(ctx, work, config, nil)
	if err != nil {
		return err
	}
	for _, text := range lacking {
		list = append(list, changed{"refused", text})
	}
	if c.json {
		err = (&journal{app: c.app}).print(list)
	} else {
		for _, l := range list {
			fmt.Fprintf(c.app.stdout, "%-8s  %s\n", l.What, l.Text)
		}
		if len(list) == 0 {
			fmt.Fprintln(c.app.stdout, c.file+": the running engine would change nothing")
		}
	}
	if err != nil {
		return &exit{code: exitFailed, err: err}
	}
	if len(lacking) > 0 {
		return &exit{code: exitSome}
	}
	return nil
}

// changesOf are the channels that differ, those of the new file first.
func changesOf(running []channels.ChannelState, config *routes.Config) []changed {
	list := []changed{}
	before := map[string]string{}
	for _, r := range running {
		before[r.Name] = r.Hash
	}
	renamed := map[string]bool{}
	for _, n := range config.Channels {
		hash, known := before[n.Name]
		_, had := before[n.Was]
		switch {
		case known && hash != n.Hash:
			list = append(list, changed{"changed", "channel " + n.Name})
		case !known && had && config.Channel(n.Was) == nil:
			renamed[n.Was] = true
			list = append(list, changed{"renamed", "channel " + n.Name + " was " + n.Was})
		case !known:
			list = append(list, changed{"added", "channel " + n.Name})
		}
	}
	for _, r := range running {
		if config.Channel(r.Name) == nil && !renamed[r.Name] {
			list = append(list, changed{"removed", "channel " + r.Name})
		}
	}
	return list
}

// remote is the stock of a running engine, under names in place of ids.
type remote struct {
	units  []store.Unit
	ledger []store.Count
	queues []store.QueueState
}

var _ stock = (*remote)(nil)

func (r *remote) Units(context.Context) ([]store.Unit, error)        { return r.units, nil }
func (r *remote) Ledger(context.Context) ([]store.Count, error)      { return r.ledger, nil }
func (r *remote) Queues(context.Context) ([]store.QueueState, error) { return r.queues, nil }

// work asks the running engine for its channels and what it has to do.
func (j *journal) work(ctx context.Context) ([]channels.ChannelState, *remote, error) {
	var running []channels.ChannelState
	var counts []console.Count
	var queues []console.Queue
	for _, ask := range []struct {
		path string
		into any
	}{{"/api/channels", &running}, {"/api/ledger", &counts}, {"/api/queues", &queues}} {
		if err := j.online(ctx, http.MethodGet, ask.path, ask.into); err != nil {
			return nil, nil, err
		}
	}
	out := &remote{}
	for _, r := range running {
		out.units = append(out.units, store.Unit{ID: r.Name, Name: r.Name})
	}
	for _, c := range counts {
		if c.Route == "" && c.State == message.Stored {
			out.ledger = append(out.ledger, store.Count{Channel: c.Channel, State: c.State, N: c.N})
		}
	}
	for i := range queues {
		q := &queues[i]
		out.units = append(out.units, store.Unit{ID: q.Unit, Name: q.Unit, Rule: q.Rule})
		out.queues = append(out.queues, q.QueueState)
	}
	return running, out, nil
}
