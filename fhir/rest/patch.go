package rest

import (
	"context"
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/patch"
	"github.com/plexus-health/plexus/fhir/rest/format"
	"github.com/plexus-health/plexus/store"
)

// Media types of patches; a FHIRPath Patch has those of resources.
const (
	mediaPatch    = "application/json-patch+json"
	mediaXMLPatch = "application/xml-patch+xml"
)

// patchMedias are the types of patches that are taken (http.html#patch).
var patchMedias = []string{mediaPatch, mediaXMLPatch, "application/fhir+json", "application/fhir+xml"}

// A change makes a new state of a resource from the one it has.
type change func(current *fhir.Node) (*fhir.Node, error)

// changes reads the patch that was sent.
func (c *call) changes() (change, error) {
	media, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	if err := unicode(params); err != nil {
		return nil, err
	}
	data, err := c.bytes()
	if err != nil {
		return nil, err
	}
	out, err := c.changeOf(media, params, data)
	if f, ok := errors.AsType[*fault](err); ok && f.status == http.StatusUnsupportedMediaType {
		c.w.Header().Set("Accept-Patch", strings.Join(patchMedias, ", "))
	}
	return out, err
}

// changeOf reads a patch of a media type.
func (c *call) changeOf(media string, params map[string]string, data []byte) (change, error) {
	switch media {
	case mediaPatch:
		n, err := fhir.Parse(data)
		if err != nil {
			return nil, &fault{http.StatusBadRequest, "structure", "", "the body is not JSON: " + err.Error()}
		}
		return c.bounded(func(ctx context.Context, current *fhir.Node) (*fhir.Node, error) {
			out, err := patch.Apply(ctx, current, n)
			return out, unfit(err, func(i int) string { return pointed(text(current, "resourceType"), text(n.Items[i], "path")) })
		}), nil
	case mediaXMLPatch:
		return c.bounded(func(ctx context.Context, current *fhir.Node) (*fhir.Node, error) {
			out, err := patch.ApplyXML(ctx, current, data)
			return out, unfit(err, func(int) string { return text(current, "resourceType") })
		}), nil
	}
	if _, _, ok := format.MediaOf(media); !ok || !format.Fourth(params) {
		return nil, &fault{http.StatusUnsupportedMediaType, "not-supported", "", "Content-Type of a patch must be one of " + strings.Join(patchMedias, ", ")}
	}
	n, err := c.parse(data, media)
	if err != nil {
		return nil, err
	}
	if err := check(n, "Parameters"); err != nil {
		return nil, err
	}
	return c.bounded(func(ctx context.Context, current *fhir.Node) (*fhir.Node, error) {
		out, err := patch.ApplyFHIRPath(ctx, current, n)
		return out, unfit(err, func(i int) string { return "Parameters.parameter[" + strconv.Itoa(i) + "]" })
	}), nil
}

// bounded gives a change its time: those of a request have PatchTime together.
func (c *call) bounded(apply func(context.Context, *fhir.Node) (*fhir.Node, error)) change {
	return func(current *fhir.Node) (*fhir.Node, error) {
		begun := time.Now()
		defer func() { c.patching += time.Since(begun) }()
		ctx, cancel := context.WithTimeout(c.r.Context(), c.PatchTime-c.patching)
		defer cancel()
		n, err := apply(ctx, current)
		if errors.Is(err, context.DeadlineExceeded) && c.r.Context().Err() == nil {
			err = costly("the patches of the request take longer than " + c.PatchTime.String())
		}
		return n, err
	}
}

// unfit is the fault that a patch is, with the place of the operation that fails.
func unfit(err error, at func(operation int) string) error {
	e, ok := errors.AsType[*patch.Error](err)
	if !ok {
		return err
	}
	f := &fault{http.StatusBadRequest, "structure", "", e.Error()}
	if e.Failed {
		f.status, f.code = http.StatusUnprocessableEntity, "processing"
	}
	if e.Operation >= 0 {
		f.at = at(e.Operation)
	}
	return f
}

// pointed is a JSON Pointer into a resource of a type as a FHIRPath expression, as
// far as it names elements.
func pointed(typ, pointer string) string {
	at := typ
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		n, err := strconv.Atoi(step)
		switch {
		case err == nil && n >= 0:
			at += "[" + strconv.Itoa(n) + "]"
		case definitions.Word(step):
			at += "." + step
		default:
			return at
		}
	}
	return at
}

// payload is what an entry sends: its resource, or for a patch what a Binary
// holds (http.html#patch).
func payload(method string, resource *fhir.Node) (media string, body []byte, ok bool) {
	if method == http.MethodPatch && text(resource, "resourceType") == "Binary" {
		body, err := base64.StdEncoding.DecodeString(text(resource, "data"))
		return text(resource, "contentType"), body, err == nil
	}
	if resource != nil {
		body = resource.AppendJSON(nil)
	}
	return format.Default().Media, body, true
}

// entryChange reads the patch of an entry.
func (c *call) entryChange(resource *fhir.Node) (change, error) {
	media, body, ok := payload(http.MethodPatch, resource)
	if !ok {
		return nil, &fault{http.StatusBadRequest, "invalid", "Binary.data", "is not base64"}
	}
	name, params, err := mime.ParseMediaType(media)
	if err != nil {
		name = ""
	}
	apply, err := c.changeOf(name, params, body)
	if err != nil || text(resource, "resourceType") != "Binary" {
		return apply, err
	}
	return func(current *fhir.Node) (*fhir.Node, error) {
		n, err := apply(current)
		if f, ok := errors.AsType[*fault](err); ok { // its place is none of the entry's resource
			return n, &fault{f.status, f.code, "", f.text}
		}
		return n, err
	}, nil
}

// patch changes parts of a resource (http.html#patch).
func (c *call) patch() error {
	changes, err := c.changes()
	if err != nil {
		return err
	}
	return c.compete(c.again, func() error {
		current, err := c.Records.Read(c.r.Context(), c.typ, c.id)
		if err != nil {
			return err
		}
		return c.changeOver(current, changes)
	})
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
	return c.compete(c.again, func() error {
		found, err := single(c.matching(c.typ, c.r.URL.RawQuery))
		switch {
		case err != nil:
			return err
		case found.Version == 0:
			return store.ErrNotFound
		}
		return c.changeOver(found, changes)
	})
}

// changeOver applies a patch to the version that was read. When another writer
// comes between, it is applied to what that one has written.
func (c *call) changeOver(current store.Resource, changes change) error {
	if err := c.ifMatch(current); err != nil {
		return err
	}
	n, err := c.patched(current, changes)
	if err != nil {
		return err
	}
	w := write(c.typ, current.ID, n, current.Version)
	keep(&w, n, current)
	if w.Drops, err = dropped(current, n); err != nil {
		return err
	}
	out, err := c.commitOne(http.StatusOK, w)
	if err != nil {
		return err
	}
	return c.written(http.StatusOK, out)
}

// patched is a resource as the patch makes it, checked like one that was sent.
func (c *call) patched(current store.Resource, changes change) (*fhir.Node, error) {
	n, err := fhir.Parse(fhir.Stamped(current.Content, current.Version, current.Updated))
	if err != nil {
		return nil, err
	}
	if n, err = changes(n); err != nil {
		return nil, err
	}
	if n.Kind != fhir.Object {
		return nil, &fault{http.StatusUnprocessableEntity, "structure", current.Type, "the patch leaves no resource"}
	}
	if text(n, "resourceType") != current.Type || text(n, "id") != current.ID {
		return nil, &fault{http.StatusUnprocessableEntity, "business-rule", current.Type + ".id", "a patch must not change the type or the id of a resource"}
	}
	return n, c.check(n, current.Type)
}
