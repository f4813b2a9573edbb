package console

import (
	"context"

	"github.com/plexus-health/plexus/store"
)

// names translate between the ids of channels and routes, which the store
// speaks of and which stay when something is renamed, and their names.
type names struct {
	ids, names map[string]string
	rules      map[string]string // of routes, by name
}

func (s *server) names(ctx context.Context) (*names, error) {
	units, err := s.Store.Units(ctx)
	if err != nil {
		return nil, err
	}
	return namesOf(units), nil
}

func namesOf(units []store.Unit) *names {
	n := &names{ids: map[string]string{}, names: map[string]string{}, rules: map[string]string{}}
	for _, u := range units {
		n.ids[u.Name], n.names[u.ID], n.rules[u.Name] = u.ID, u.Name, u.Rule
	}
	return n
}

// name is the name of an id.
func (n *names) name(id string) string {
	if name, ok := n.names[id]; ok {
		return name
	}
	return id
}

// id is the id of a name. One that no unit has is nobody's: not that of a unit
// which had the name before.
func (n *names) id(name string) string {
	if id, ok := n.ids[name]; ok {
		return id
	}
	if _, renamed := n.names[name]; renamed {
		return name + "#"
	}
	return name
}

// unitID is the id of a channel or route, which is made if there is none yet:
// something may be paused before it has run for the first time.
func (s *server) unitID(ctx context.Context, name string) (string, error) {
	n, err := s.names(ctx)
	if err != nil {
		return "", err
	}
	if id, ok := n.ids[name]; ok {
		return id, nil
	}
	return s.Store.Unit(ctx, name, "")
}
