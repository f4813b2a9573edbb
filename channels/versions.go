package channels

import (
	"context"

	"github.com/plexus-health/plexus/routes"
)

// Several engines may run configurations that differ, while a changed file goes
// from one to the next. Each takes in by its own; the units that differ are
// worked on by the engine that read its file last, as long as it is alive. Sources
// may differ: each engine listens where it is.

// hashesOf says by which configuration each unit is run: that of its channel.
func hashesOf(config *routes.Config, u *units) map[string]string {
	out := map[string]string{}
	for _, c := range config.Channels {
		out[u.id(c.Name)] = c.Work
		for _, r := range c.Routes {
			if r.Destination != nil {
				out[u.id(unitOf(c.Name, r.Name))] = c.Work
			}
		}
	}
	return out
}

// compareVersions finds out which units are not to be owned here, and hands
// those back that nothing works on; what works on one hands it back itself.
func (l *Line) compareVersions(ctx context.Context) error {
	older, err := l.options.Store.Older(ctx)
	if err != nil {
		return err
	}
	l.leasing.Lock()
	defer l.leasing.Unlock()
	for unit := range older {
		if !l.older[unit] {
			l.options.Log.Info("another engine runs a newer configuration of this unit, it is left to that one", "unit", unit)
		}
	}
	l.older = older
	for unit := range l.leases {
		if older[unit] && !l.working(unit) {
			l.handBack(ctx, unit)
		}
	}
	return nil
}

// isOlder reports whether another engine runs a newer configuration of a unit.
func (l *Line) isOlder(unit string) bool {
	l.leasing.Lock()
	defer l.leasing.Unlock()
	return l.older[unit]
}

// working reports whether something works on a unit here.
func (l *Line) working(unit string) bool {
	if r := l.findRoute(unit); r != nil {
		return r.working.Load()
	}
	c := l.find(unit)
	return c != nil && c.working.Load()
}

// handBack gives up a lease; the caller holds l.leasing.
func (l *Line) handBack(ctx context.Context, unit string) {
	if err := l.leases[unit].Release(ctx); err != nil {
		l.options.Log.Warn("unit was not handed back", "unit", unit, "error", err.Error())
	}
	delete(l.leases, unit)
}
