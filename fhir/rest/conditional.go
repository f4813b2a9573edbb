package rest

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/store"
)

// createIfNone creates unless the criteria find something (http.html#ccreate).
func (c *call) createIfNone(criteria string) error {
	if criteria == "" {
		return &fault{http.StatusBadRequest, "required", inRequest + "If-None-Exist", "If-None-Exist has no criteria"}
	}
	n, err := c.resource()
	if err != nil {
		return err
	}
	return c.compete(c.again, func() error {
		list, free, err := c.claim(c.typ, criteria, "")
		found, err := single(list, err)
		switch {
		case err != nil:
			return placed(err, inRequest+"If-None-Exist")
		case found.Version > 0:
			if err := c.note(result{http.StatusOK, c.typ, found.ID, found.Version}); err != nil {
				return err
			}
			return c.written(http.StatusOK, found)
		}
		out, err := c.commitOne(http.StatusCreated, write(c.typ, free.ID, n, free.Version))
		if err != nil {
			return err
		}
		return c.written(http.StatusCreated, out)
	})
}

// claim finds at most two resources by criteria and, where there is none, the
// place of what is made because of that: its id, and the version that stands there
// or was deleted. It is the id the client gives, if it does; else one made from the
// criteria, so that of many that run side by side with the same ones all come to
// one place, and one of them gets it. A place that is taken is passed over only
// when a search that began after it was seen taken has found nothing: what stands
// there does not meet the criteria.
func (c *call) claim(typ, criteria, id string) (found []store.Resource, free store.Resource, err error) {
	for passed := 0; ; {
		if found, err = c.matching(typ, criteria); err != nil || len(found) > 0 {
			return found, free, err
		}
		if id != "" {
			free, err = c.current(typ, id)
			return nil, free, err
		}
		n, free, err := c.placeFor(typ, criteria)
		if err != nil || n == passed {
			return nil, free, err
		}
		passed = n
	}
}

// placeFor is the first place for what criteria have not found where nothing
// stands, and its number.
func (c *call) placeFor(typ, criteria string) (n int, free store.Resource, err error) {
	first, err := c.seedOf(typ, criteria)
	if err != nil {
		return 0, free, err
	}
	for n = 0; ; n++ {
		seed := first
		if n > 0 {
			seed += "\x00" + strconv.Itoa(n)
		}
		current, err := c.current(typ, c.hashID(seed))
		if err != nil || current.Version == 0 || current.Deleted {
			return n, current, err
		}
	}
}

// seedOf is what the place of criteria is made from: the same for all that select
// the same, in whatever order, escapes and other spellings they are written.
func (c *call) seedOf(typ, criteria string) (string, error) {
	q, err := c.selecting(typ, criteria)
	if err != nil {
		return "", err
	}
	return typ + "?" + query.Seed(q.Where), nil
}

// selecting reads criteria, which must all be understood.
func (c *call) selecting(typ, criteria string) (*query.Search, error) {
	values, err := url.ParseQuery(criteria)
	if err != nil {
		return nil, bad("the criteria are no query")
	}
	q, err := query.Parse(typ, values, true, c)
	switch {
	case err != nil:
		return nil, err
	case len(q.Where) == 0:
		return nil, &fault{http.StatusPreconditionFailed, "invalid", "", "the criteria select nothing"}
	case q.Type != typ:
		return nil, bad("criteria find no contained resources: they take no _contained=true and no both")
	}
	query.Here(c.own(), q.Where)
	return q, nil
}

func (c *call) conditionalUpdate() error {
	n, err := c.resource()
	if err != nil {
		return err
	}
	if c.r.URL.RawQuery == "" {
		return &fault{http.StatusBadRequest, "required", "", "an update needs an id in the path, or search criteria"}
	}
	return c.compete(c.again, func() error {
		id := text(n, "id")
		list, free, err := c.claim(c.typ, c.r.URL.RawQuery, id)
		found, err := single(list, err)
		switch {
		case err != nil:
			return err
		case found.Version > 0 && id != "" && id != found.ID:
			return &fault{http.StatusBadRequest, "invalid", c.typ + ".id", "the id of the resource is not that of the one the criteria find"}
		case found.Version > 0:
			free = found
		}
		return c.putOver(free, n)
	})
}

// single is the one resource that criteria have found; without a version when they
// have found none.
func single(found []store.Resource, err error) (store.Resource, error) {
	switch {
	case err != nil || len(found) == 0:
		return store.Resource{}, err
	case len(found) > 1:
		return store.Resource{}, &fault{http.StatusPreconditionFailed, "multiple-matches", "", "the criteria find several resources"}
	}
	return found[0], nil
}

func (c *call) conditionalDelete() error {
	if c.r.URL.RawQuery == "" {
		return &fault{http.StatusBadRequest, "required", "", "a delete needs an id in the path, or search criteria"}
	}
	return c.compete(c.again, func() error {
		found, err := single(c.matching(c.typ, c.r.URL.RawQuery))
		if err != nil {
			return err
		}
		return c.removeOver(found)
	})
}

// matching finds at most two resources by criteria.
func (c *call) matching(typ, criteria string) ([]store.Resource, error) {
	q, err := c.selecting(typ, criteria)
	if err != nil {
		return nil, err
	}
	var found []store.Resource
	for q.Limit = 2; ; q.Limit = min(2*q.Limit, 64) { // more than one page only of what is deleted
		page, err := c.find(q.Query)
		if err != nil {
			return nil, err
		}
		for _, res := range page.Resources {
			if len(found) < 2 && !c.deleting[place{res.Type, res.ID}] {
				found = append(found, res)
			}
		}
		if len(found) == 2 || page.Next == "" {
			return found, nil
		}
		q.After = page.Next
	}
}

// owned puts the place of the entry before an ErrIdentity: of the first one with
// an identity that another resource has.
func (c *call) owned(err error, writes []store.Write, items []*item) error {
	if !errors.Is(err, store.ErrIdentity) {
		return err
	}
	at := map[place]string{}
	for _, it := range items {
		at[place{it.typ, it.id}] = it.at + ".resource.identifier"
	}
	var asked []store.Identity
	for i := range writes {
		for _, key := range writes[i].Keys {
			asked = append(asked, store.Identity{Type: writes[i].Type, Key: key})
		}
	}
	owners, failed := c.Records.Identify(c.r.Context(), asked)
	if failed != nil {
		return errors.Join(err, failed)
	}
	for i := range writes {
		p := place{writes[i].Type, writes[i].ID}
		for _, key := range writes[i].Keys {
			k := store.Identity{Type: p.typ, Key: key}
			owner, known := owners[k]
			if known && owner.ID != p.id && !owner.Deleted && !c.deleting[place{p.typ, owner.ID}] {
				return placed(err, at[p])
			}
			owners[k] = store.Resource{Type: p.typ, ID: p.id}
		}
	}
	return err
}
