package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/transforms"
)

// records lends the core store to maps that gather. Maps are compiled before it
// is open; until it is, nothing is said to be absent.
type records struct{ store atomic.Pointer[store.Records] }

var _ transforms.Records = (*records)(nil)

var (
	errNotOpen     = errors.New("the store is not open yet")
	errNoReference = errors.New("what resources refer by is no reference parameter of theirs, or what they refer to is not named TYPE/ID")
)

// open lends a store from now on.
func (r *records) open(s store.Records) { r.store.Store(&s) }

// Resource returns the current version of a resource, nil when there is none.
func (r *records) Resource(ctx context.Context, typ, id string) (*fhir.Node, error) {
	s := r.store.Load()
	if s == nil {
		return nil, errNotOpen
	}
	if _, known := definitions.Resource(typ); !known {
		return nil, nil
	}
	found, err := (*s).Read(ctx, typ, id)
	return existing(&found, err)
}

// Version returns one version of a resource, nil when there is none.
func (r *records) Version(ctx context.Context, typ, id string, version int) (*fhir.Node, error) {
	s := r.store.Load()
	if s == nil {
		return nil, errNotOpen
	}
	if _, known := definitions.Resource(typ); !known {
		return nil, nil
	}
	found, err := (*s).ReadVersion(ctx, typ, id, version)
	return existing(&found, err)
}

// existing is a resource that was read, nil where there is none.
func existing(found *store.Resource, err error) (*fhir.Node, error) {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDeleted):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read: %w", err)
	}
	return shown(found)
}

// mostReferring is how many resources are gathered that refer to one.
const mostReferring = 100

// Referring lists the resources of a type whose reference leads to ref.
func (r *records) Referring(ctx context.Context, typ, param, ref string) ([]*fhir.Node, error) {
	s := r.store.Load()
	if s == nil {
		return nil, errNotOpen
	}
	p, known := definitions.FindParam(typ, param)
	to, id, ok := strings.Cut(ref, "/")
	if !known || p.Kind != "reference" || !ok || id == "" {
		return nil, errNoReference
	}
	page, err := (*s).Search(ctx, store.Query{
		Type: typ, Limit: mostReferring, Sort: []store.SortKey{{Shape: store.ShapeLastUpdated, Desc: true}},
		Where: []store.Clause{{Param: p.Row, Shape: store.ShapeRef, Any: []store.Match{{Type: to, ID: id}}}},
	})
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	var out []*fhir.Node
	for i := range page.Resources {
		n, err := shown(&page.Resources[i])
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// shown is a resource as the API shows it, with version and time in its meta.
func shown(r *store.Resource) (*fhir.Node, error) {
	n, err := fhir.Parse(fhir.Stamped(r.Content, r.Version, r.Updated))
	if err != nil {
		return nil, fmt.Errorf("content of %s/%s: %w", r.Type, r.ID, err)
	}
	return n, nil
}
