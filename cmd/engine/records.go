package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/transforms"
)

// records lends the core store to maps that gather. Maps are compiled before it
// is open, and by commands that never open it: then nothing is there.
type records struct{ store atomic.Pointer[store.Records] }

var _ transforms.Records = (*records)(nil)

// open lends a store from now on.
func (r *records) open(s store.Records) { r.store.Store(&s) }

// Resource returns a resource, nil when there is none.
func (r *records) Resource(ctx context.Context, typ, id string) (*fhir.Node, error) {
	s := r.store.Load()
	if s == nil || definitions.Number(typ) == 0 {
		return nil, nil
	}
	found, err := (*s).Read(ctx, typ, id)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDeleted):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return fhir.Parse(found.Content)
}

// most is how many resources are gathered that refer to one.
const mostReferring = 100

// Referring lists the resources of a type whose reference leads to ref.
func (r *records) Referring(ctx context.Context, typ, param, ref string) ([]*fhir.Node, error) {
	s := r.store.Load()
	p, known := definitions.FindParam(typ, param)
	to, id, ok := strings.Cut(ref, "/")
	if s == nil || !known || !ok {
		return nil, nil
	}
	page, err := (*s).Search(ctx, store.Query{
		Type: typ, Limit: mostReferring, Sort: []store.SortKey{{Shape: store.ShapeLastUpdated, Desc: true}},
		Where: []store.Clause{{Param: p.Row, Shape: store.ShapeRef, Any: []store.Match{{Type: to, ID: id}}}},
	})
	if err != nil {
		return nil, err
	}
	var out []*fhir.Node
	for i := range page.Resources {
		n, err := fhir.Parse(page.Resources[i].Content)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}
