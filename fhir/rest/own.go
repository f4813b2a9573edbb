package rest

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

// own is the base of this server as the client sees it.
func (c *call) own() string { return strings.TrimRight(c.full("", ""), "/") }

// relate lets references that are written with the address of this server be found
// as relative ones are. What is stored stays as it came.
func (c *call) relate(writes []store.Write) error {
	base := c.own()
	for i := range writes {
		w := &writes[i]
		if !bytes.Contains(w.Content, []byte(`"`+base+"/")) {
			continue
		}
		n, err := fhir.Parse(w.Content)
		if err != nil {
			return err
		}
		w.Index = search.IndexUnder(base, w.Type, n)
	}
	return nil
}

// A link is a reference of a resource: where it stands, and what it says.
type link struct{ at, reference string }

// referencesOf appends the references of a node. What stands in a Bundle leads where
// its full URLs say.
func referencesOf(n *fhir.Node, at string, out []link) []link {
	if text(n, "resourceType") == "Bundle" {
		return out
	}
	for _, m := range n.Members {
		if m.Name == "reference" && m.Value.Kind == fhir.String {
			out = append(out, link{at, m.Value.Text})
			continue
		}
		out = referencesOf(m.Value, at+"."+m.Name, out)
	}
	for i, item := range n.Items {
		out = referencesOf(item, at+"["+strconv.Itoa(i)+"]", out)
	}
	return out
}

// lead refuses writes of which a reference to this server leads to nobody, when
// that is asked for: neither to a resource that is there nor to one of the writes.
func (c *call) lead(writes []store.Write) error {
	if !c.RequireReferences {
		return nil
	}
	known := map[string]bool{}
	for i := range writes {
		known[writes[i].Type+"/"+writes[i].ID] = !writes[i].Delete
	}
	absent := map[string]bool{}
	var found []link
	for i := range writes {
		w := &writes[i]
		if w.Delete {
			continue
		}
		n, err := fhir.Parse(w.Content)
		if err != nil {
			return err
		}
		for _, l := range referencesOf(n, w.Type, nil) {
			there, err := c.leads(l.reference, known)
			if err != nil {
				return err
			}
			if !there {
				absent[l.reference] = true
				found = append(found, l)
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	if placed := c.placesIn(absent); len(placed) > 0 {
		found = placed
	}
	var list faults
	for _, l := range found[:min(len(found), mostAbsent)] {
		list = append(list, &fault{http.StatusUnprocessableEntity, "not-found", l.at, "refers to a resource that is not on this server"})
	}
	return list
}

// mostAbsent is how many references that lead to nobody are told.
const mostAbsent = 100

// placesIn are the places of some references in the entries that were sent.
func (c *call) placesIn(absent map[string]bool) (out []link) {
	for i, e := range c.entries {
		r := e.Get("resource")
		if r == nil {
			continue
		}
		for _, l := range referencesOf(r, "Bundle.entry["+strconv.Itoa(i)+"].resource", nil) {
			if absent[l.reference] {
				out = append(out, l)
			}
		}
	}
	return out
}

// leads reports whether a reference leads to a resource, or to another server or
// place that is not looked at. known keeps what was found.
func (c *call) leads(reference string, known map[string]bool) (bool, error) {
	rest := strings.TrimPrefix(reference, c.own()+"/")
	typ, below, ok := strings.Cut(rest, "/")
	if _, exists := definitions.Resource(typ); !ok || !exists {
		return true, nil
	}
	id, version, versioned := strings.Cut(below, "/_history/")
	if there, met := known[typ+"/"+id]; met && (there || !versioned) {
		return there, nil
	}
	if there, met := known[rest]; met {
		return there, nil
	}
	if !goodID.MatchString(id) {
		return false, nil
	}
	var err error
	if n, wrong := strconv.Atoi(version); versioned && wrong == nil {
		_, err = c.Records.ReadVersion(c.r.Context(), typ, id, n)
	} else {
		_, err = c.Records.Read(c.r.Context(), typ, id)
	}
	there := err == nil
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDeleted) {
		err = nil
	}
	known[rest] = there
	return there, err
}
