package fhir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/message"
)

// A drafting makes drafts of a document.
type drafting struct {
	scope  string
	drafts []fhir.Draft
	places map[string]string // URN of a draft, by fullUrl and by type and id
	shared map[string]int    // how many resources of the document have a key
}

// DraftsOf are the resources of the document for the core store: of a Bundle
// those of its entries. Ids are the sender's: scope tells the ids of one sender
// from those of another, and they lead to the resource again, not to the
// resource that has the same id here. References among the resources, to ids of
// the sender and by identifier (R4, bundle.html#references, http.html#trules)
// lead to drafts. The error is a *message.Failure of kind Malformed.
func (d *Document) DraftsOf(scope string) ([]fhir.Draft, error) {
	if d.typ == "Bundle" && str(d.tree, "type") == "message" {
		scope += "|" + headerOf(d.tree).Sender // one channel takes messages of many
	}
	w := &drafting{scope: scope, places: map[string]string{}, shared: map[string]int{}}
	resources, urls, err := d.members()
	if err != nil {
		return nil, err
	}
	for i, r := range resources {
		typ, id := str(r, "resourceType"), str(r, "id")
		urn := urnOf(scope, strconv.Itoa(i))
		w.drafts = append(w.drafts, fhir.Draft{Name: typ, Type: typ, URN: urn, Tree: stripped(r), SourceAt: updated(r)})
		if id != "" {
			w.places[typ+"/"+id] = urn
		}
		if urls[i] != "" {
			w.places[urls[i]] = urn
		}
		for _, key := range identifierKeys(r, typ) {
			w.shared[key]++
		}
	}
	for i, r := range resources {
		w.drafts[i].Keys = w.keys(r)
		if err := w.refer(w.drafts[i].Tree); err != nil {
			return nil, err
		}
	}
	return w.drafts, nil
}

func unfit(text string, args ...any) error {
	return &message.Failure{Kind: message.Malformed, Code: 207, Err: fmt.Errorf(text, args...)}
}

// members are the resources that are meant, and the addresses that references
// know them by.
func (d *Document) members() (resources []*fhir.Node, urls []string, err error) {
	if d.typ != "Bundle" {
		return []*fhir.Node{d.tree}, []string{""}, nil
	}
	switch typ := str(d.tree, "type"); typ {
	case "transaction", "batch", "message", "collection", "document":
	default:
		return nil, nil, unfit("a Bundle of this type is an answer: nothing of it is stored")
	}
	entries := d.tree.Get("entry")
	if entries == nil {
		return nil, nil, nil
	}
	for i, entry := range entries.Items {
		where := "Bundle.entry[" + strconv.Itoa(i) + "]"
		switch str(entry.Get("request"), "method") {
		case "", "POST", "PUT":
		default:
			return nil, nil, unfit("%s: what is neither POST nor PUT is no resource to store", where)
		}
		r := entry.Get("resource")
		switch {
		case r == nil || r.Kind != fhir.Object:
			return nil, nil, unfit("%s has no resource", where)
		case str(r, "resourceType") == "Bundle":
			return nil, nil, unfit("%s is a Bundle in a Bundle", where)
		}
		resources, urls = append(resources, r), append(urls, str(entry, "fullUrl"))
	}
	return resources, urls, nil
}

// stripped is a resource without what the sender's server says of its version.
func stripped(r *fhir.Node) *fhir.Node {
	tree := r.Clone()
	tree.Delete("id")
	if meta := tree.Get("meta"); meta != nil {
		meta.Delete("versionId")
		meta.Delete("lastUpdated")
		if len(meta.Members) == 0 {
			tree.Delete("meta")
		}
	}
	return tree
}

// updated is when the sender's server last changed the resource.
func updated(r *fhir.Node) time.Time {
	t, err := time.Parse(time.RFC3339, str(r.Get("meta"), "lastUpdated"))
	if err != nil {
		return time.Time{} // it does not say
	}
	return t
}

// keys are the identities of a resource: the sender's id first.
func (w *drafting) keys(r *fhir.Node) []string {
	typ, id := str(r, "resourceType"), str(r, "id")
	var keys []string
	if id != "" {
		keys = append(keys, w.idKey(typ, id))
		if !fhir.NamedByIdentifier(typ) {
			return keys
		}
	}
	for _, key := range identifierKeys(r, typ) {
		if w.shared[key] == 1 {
			keys = append(keys, key)
		}
	}
	return keys
}

func (w *drafting) idKey(typ, id string) string { return fhir.IdentityKey(typ, "id:"+w.scope, id) }

// identifierKeys are the keys by the identifiers that have a system and are in
// use, but for the numbers of documents.
func identifierKeys(r *fhir.Node, typ string) []string {
	var keys []string
	list := r.Get("identifier")
	if list == nil {
		return nil
	}
	items := list.Items
	if list.Kind == fhir.Object {
		items = []*fhir.Node{list}
	}
	for _, i := range items {
		if system, value := str(i, "system"), str(i, "value"); system != "" && value != "" && str(i, "use") != "old" && !fhir.OfDocument(i) {
			keys = append(keys, fhir.IdentityKey(typ, system, value))
		}
	}
	return keys
}

// refer makes the references of a tree lead to drafts.
func (w *drafting) refer(n *fhir.Node) error {
	for i := range n.Members {
		m := &n.Members[i]
		if m.Name == "reference" && m.Value.Kind == fhir.String {
			to, err := w.to(m.Value.Text)
			if err != nil {
				return err
			}
			if to != "" {
				m.Value = fhir.Text(to)
			}
			continue
		}
		if err := w.refer(m.Value); err != nil {
			return err
		}
	}
	for _, item := range n.Items {
		if err := w.refer(item); err != nil {
			return err
		}
	}
	return nil
}

var errConditional = errors.New("a reference by a search is taken by one identifier with its system only")

// to is the URN of the draft that a reference leads to, "" where it leads to
// none.
func (w *drafting) to(reference string) (string, error) {
	if urn, ok := w.places[reference]; ok {
		return urn, nil
	}
	if strings.HasPrefix(reference, "#") || strings.Contains(reference, ":") && !strings.Contains(reference, "?") {
		return "", nil
	}
	place, _, _ := strings.Cut(reference, "/_history/")
	if urn, ok := w.places[place]; ok {
		return urn, nil
	}
	d := fhir.Draft{Referred: true, Tree: fhir.NewObject(), URN: urnOf(w.scope, "to "+reference)}
	if typ, query, conditional := strings.Cut(reference, "?"); conditional {
		system, value, ok := strings.Cut(strings.TrimPrefix(query, "identifier="), "|")
		if !strings.HasPrefix(query, "identifier=") || !ok || system == "" || value == "" || strings.ContainsAny(value, "&,|%") || definitions.Number(typ) == 0 {
			return "", &message.Failure{Kind: message.Malformed, Code: 207, Err: errConditional}
		}
		d.Type, d.Keys, d.Existing = typ, []string{fhir.IdentityKey(typ, system, value)}, true
	} else {
		typ, id, ok := strings.Cut(place, "/")
		if !ok || id == "" || strings.Contains(id, "/") || definitions.Number(typ) == 0 {
			return "", nil
		}
		d.Type, d.Keys = typ, []string{w.idKey(typ, id)}
	}
	d.Name = d.Type
	w.drafts = append(w.drafts, d)
	w.places[reference], w.places[place] = d.URN, d.URN
	return d.URN, nil
}

// urnOf names a draft among those of one document: a UUID of version 8 (RFC
// 9562, 5.8).
func urnOf(scope, place string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(scope)) + ":" + scope + place))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	s := hex.EncodeToString(sum[:16])
	return "urn:uuid:" + s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
