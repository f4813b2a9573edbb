package rest

import (
	"errors"
	"mime"
	"net/http"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/patch"
	"github.com/plexus-health/plexus/store"
)

const mediaPatch = "application/json-patch+json"

// changes reads the JSON Patch that was sent.
func (c *call) changes() (*fhir.Node, error) {
	media, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || media != mediaPatch {
		c.w.Header().Set("Accept-Patch", mediaPatch)
		return nil, &fault{http.StatusUnsupportedMediaType, "not-supported", "", "Content-Type of a patch must be " + mediaPatch}
	}
	if err := unicode(params); err != nil {
		return nil, err
	}
	data, err := c.bytes()
	if err != nil {
		return nil, err
	}
	n, err := fhir.Parse(data)
	if err != nil {
		return nil, &fault{http.StatusBadRequest, "structure", "", "the body is not JSON: " + err.Error()}
	}
	return n, nil
}

// patch changes parts of a resource (http.html#patch).
func (c *call) patch() error {
	changes, err := c.changes()
	if err != nil {
		return err
	}
	return c.change(c.id, changes)
}

// conditionalPatch changes the one resource that the criteria find.
func (c *call) conditionalPatch() error {
	changes, err := c.changes()
	if err != nil {
		return err
	}
	if c.r.URL.RawQuery == "" {
		return &fault{http.StatusBadRequest, "required", "", "a patch needs an id in the path, or search criteria"}
	}
	found, err := c.matching(c.typ, c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	switch len(found) {
	case 0:
		return store.ErrNotFound
	case 1:
		return c.change(found[0].ID, changes)
	}
	return &fault{http.StatusPreconditionFailed, "multiple-matches", "", "the criteria find several resources"}
}

// change applies a patch to the current version. When another writer came
// between, it is applied to what that one has written, unless the client named
// the version it has seen.
func (c *call) change(id string, changes *fhir.Node) error {
	for range 10 {
		current, err := c.Records.Read(c.r.Context(), c.typ, id)
		if err != nil {
			return err
		}
		if err := c.ifMatch(current); err != nil {
			return err
		}
		n, err := c.patched(current, changes)
		if err != nil {
			return err
		}
		out, err := c.commit(c.r.Context(), []store.Write{write(c.typ, id, n, current.Version)})
		if errors.Is(err, store.ErrConflict) && c.r.Header.Get("If-Match") == "" {
			continue
		}
		if errors.Is(err, store.ErrConflict) {
			return &fault{http.StatusPreconditionFailed, "conflict", "", "the resource changed meanwhile"}
		}
		if err != nil {
			return err
		}
		return c.written(http.StatusOK, out[0])
	}
	return &fault{http.StatusConflict, "duplicate", c.typ + ".identifier", "an identifier belongs to another resource"}
}

// patched is a resource as the patch makes it, checked like one that was sent.
func (c *call) patched(current store.Resource, changes *fhir.Node) (*fhir.Node, error) {
	n, err := fhir.Parse(fhir.Stamped(current.Content, current.Version, current.Updated))
	if err != nil {
		return nil, err
	}
	n, err = patch.Apply(n, changes)
	if e, ok := errors.AsType[*patch.Error](err); ok {
		status, code := http.StatusBadRequest, "structure"
		if e.Failed {
			status, code = http.StatusUnprocessableEntity, "processing"
		}
		return nil, &fault{status, code, "", e.Error()}
	}
	if err != nil {
		return nil, err
	}
	if n.Kind != fhir.Object {
		return nil, &fault{http.StatusUnprocessableEntity, "structure", "", "the patch leaves no resource"}
	}
	if text(n, "resourceType") != c.typ || text(n, "id") != current.ID {
		return nil, &fault{http.StatusUnprocessableEntity, "business-rule", "", "a patch must not change the type or the id of a resource"}
	}
	return n, c.check(n, c.typ)
}
