package rest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/fhir/terms"
	"github.com/plexus-health/plexus/store"
)

// stored are the value sets and code systems among the resources: of several of
// one url that which was written last. What was read is kept for the request.
type stored struct {
	c        *call
	sets     map[string]*terms.ValueSet
	systems  map[string]*terms.System
	expanded map[string][]terms.Concept
}

var _ terms.Source = (*stored)(nil)

// ValueSet finds a ValueSet by its url and version.
func (s *stored) ValueSet(url, version string) (*terms.ValueSet, error) {
	key := url + "|" + version
	if set, met := s.sets[key]; met {
		return set, nil
	}
	n, err := s.find("ValueSet", url, version)
	if err != nil {
		return nil, err
	}
	s.sets[key] = nil
	if n != nil {
		s.sets[key] = terms.ValueSetOf(n)
	}
	return s.sets[key], nil
}

// System finds a CodeSystem by its url.
func (s *stored) System(url string) (*terms.System, error) {
	if system, met := s.systems[url]; met {
		return system, nil
	}
	n, err := s.find("CodeSystem", url, "")
	if err != nil {
		return nil, err
	}
	s.systems[url] = nil
	if n != nil {
		s.systems[url] = terms.SystemOf(n)
	}
	return s.systems[url], nil
}

func (s *stored) find(typ, url, version string) (*fhir.Node, error) {
	res, err := s.c.canonical(url, version, typ)
	if err != nil || res.ID == "" {
		return nil, err
	}
	return fhir.Parse(res.Content)
}

// canonical is the resource, of one of some types, that was written last of those
// with a url and, where that is not empty, a version; without an ID when there is
// none.
func (c *call) canonical(url, version string, types ...string) (store.Resource, error) {
	q := store.Query{
		Type: "*", Limit: len(types), Sort: []store.SortKey{{Shape: store.ShapeLastUpdated, Desc: true}},
		Where: []store.Clause{{Param: search.Named, Shape: store.ShapeRef, Any: []store.Match{{ID: url + "|" + version}}}},
	}
	if len(types) == 1 {
		q.Type = types[0]
	} else {
		q.Bytes = 1 // which one it is matters only
	}
	page, err := timed(c, func(ctx context.Context) (store.Page, error) { return c.Records.Search(ctx, q) })
	for _, res := range page.Resources {
		if slices.Contains(types, res.Type) {
			return res, err
		}
	}
	return store.Resource{}, err
}

// sources are where codes are looked up: what is stored, what the operator has
// loaded, and R4.
func (c *call) sources() []terms.Source {
	if c.terms == nil {
		c.terms = &stored{c, map[string]*terms.ValueSet{}, map[string]*terms.System{}, map[string][]terms.Concept{}}
	}
	return []terms.Source{c.terms, c.Profiles.Terms(), terms.R4()}
}

// In lists the codes of a value set, by its canonical URL or by a reference to a
// ValueSet of this server (search.html#token).
func (c *call) In(valueSet string) ([]terms.Concept, error) {
	sources := c.sources()
	if list, met := c.terms.expanded[valueSet]; met {
		return list, nil
	}
	set, err := c.valueSet(valueSet, sources)
	if err != nil {
		return nil, err
	}
	list, err := terms.Expand(set, sources...)
	if err == nil {
		c.terms.expanded[valueSet] = list
	}
	return list, err
}

func (c *call) valueSet(valueSet string, sources []terms.Source) (*terms.ValueSet, error) {
	rest := strings.TrimPrefix(valueSet, c.own()+"/")
	if id, local := strings.CutPrefix(rest, "ValueSet/"); local && goodID.MatchString(id) {
		res, err := c.Records.Read(c.r.Context(), "ValueSet", id)
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDeleted):
			return nil, &terms.Error{Code: "not-found", Text: "there is no such ValueSet on this server"}
		case err != nil:
			return nil, err
		}
		n, err := fhir.Parse(res.Content)
		if err != nil {
			return nil, err
		}
		return terms.ValueSetOf(n), nil
	}
	return terms.Find(valueSet, sources...)
}

// System is a code system with all its codes.
func (c *call) System(url string) (*terms.System, error) {
	return terms.FindSystem(url, c.sources()...)
}
