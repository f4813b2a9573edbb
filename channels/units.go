package channels

import (
	"context"
	"errors"
	"time"

	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// units are the ids of the channels and routes of a configuration. The store
// and the queue speak of ids, which stay when something is renamed; people of
// names.
type units struct {
	ids   map[string]string // by name: a channel's, or channel/route
	names map[string]string // by id
}

// id is the id of a name.
func (u *units) id(name string) string {
	if u != nil && u.ids[name] != "" {
		return u.ids[name]
	}
	return name
}

// name is the name of an id.
func (u *units) name(id string) string {
	if u != nil && u.names[id] != "" {
		return u.names[id]
	}
	return id
}

// resolve finds the units of a configuration. Those that it names for the first
// time are made; those with another name before (`was:`) get their new one.
func (l *Line) resolve(ctx context.Context, config *routes.Config) (*units, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	u := &units{}
	if err := l.known(ctx, u); err != nil {
		return nil, err
	}
	ask := func(name, was string) (changed bool, err error) {
		if u.ids[name] != "" {
			return false, nil
		}
		id, err := l.options.Store.Unit(ctx, name, was)
		if err != nil {
			return false, wrap("unit "+name, err)
		}
		u.ids[name], u.names[id] = id, name
		return true, nil
	}
	renamed := false
	for _, c := range config.Channels {
		changed, err := ask(c.Name, c.Was)
		if err != nil {
			return nil, err
		}
		renamed = renamed || (changed && c.Was != "")
	}
	if renamed { // and so were the routes of a channel
		if err := l.known(ctx, u); err != nil {
			return nil, err
		}
	}
	for _, c := range config.Channels {
		for _, r := range c.Routes {
			if r.Destination == nil {
				continue
			}
			was := ""
			if r.Was != "" {
				was = unitOf(c.Name, r.Was)
			}
			if _, err := ask(unitOf(c.Name, r.Name), was); err != nil {
				return nil, err
			}
		}
	}
	return u, nil
}

// known reads what units there are.
func (l *Line) known(ctx context.Context, u *units) error {
	list, err := l.options.Store.Units(ctx)
	if err != nil {
		return wrap("units", err)
	}
	u.ids, u.names = map[string]string{}, map[string]string{}
	for _, unit := range list {
		u.ids[unit.Name], u.names[unit.ID] = unit.ID, unit.Name
	}
	return nil
}

// idOf is the id of a channel, or of channel/route.
func (l *Line) idOf(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.units.id(name)
}

// nameOf is the name of a unit.
func (l *Line) nameOf(id string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.units.name(id)
}

// Settle lets what was being sent wait again for routes that the configuration
// lacks: nobody else takes them over, and an operator may then move or drop it.
// Routes of an engine that is alive are left to it.
func (l *Line) Settle(ctx context.Context) {
	s := l.options.Store
	queues, err := s.Queues(ctx)
	for i := range queues {
		q := &queues[i]
		if q.Sending == 0 || l.has(q.Unit) {
			continue
		}
		lease, taken := s.TakeOver(ctx, q.Unit, 30*time.Second)
		if errors.Is(taken, store.ErrOwned) {
			continue
		}
		if err = taken; err == nil {
			err = lease.Release(ctx)
		}
		if err != nil {
			break
		}
	}
	if err != nil && ctx.Err() == nil {
		l.options.Log.Warn("routes that the configuration lacks were not looked at", "error", err.Error())
	}
}

// has reports whether the configuration has a route that queues under this id
// and is at work.
func (l *Line) has(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.config.Channels {
		if !c.Enabled {
			continue
		}
		for _, r := range c.Routes {
			if r.Destination != nil && l.units.id(unitOf(c.Name, r.Name)) == id {
				return true
			}
		}
	}
	return false
}
