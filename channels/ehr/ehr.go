// Package ehr turns drafts of FHIR resources into writes of the core store: it
// finds out which of them the store holds already, merges, and leaves alone
// what is newer. It is `to: ehr`, an effect of T2 and never a queued send.
package ehr

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// A Matcher prepares writes. It is safe for use from several goroutines and
// writes nothing itself.
type Matcher struct {
	// Records is the store that is read.
	Records store.Records
	// Index extracts the search rows of a resource; nil means search.Index.
	Index func(typ string, tree *fhir.Node) fhir.Index
}

// An Origin says which message the drafts come from.
type Origin struct {
	// Message is the id of the message: meta.source of what is written.
	Message string
	// Type is the type of the message: "ADT^A08".
	Type string
	// Sender names the sending system, for the Provenance.
	Sender string
	// Received is when the message came.
	Received time.Time
	// Again is true when a write prepared before met ErrConflict: ids of new
	// resources are looked up too then.
	Again bool
}

// A Plan is what T2 will write, and what people should know.
type Plan struct {
	Writes   []store.Write
	Events   []store.Event
	Worklist []store.WorkItem
}

// one is a draft on its way to a write.
type one struct {
	draft   *fhir.Draft
	id      string
	found   bool // the store holds it
	current store.Resource
	base    *fhir.Node // the current content, nil when new
	keys    []string   // those this resource may claim
	unowned bool       // one of keys is nobody's yet
	own     bool       // an order that was written here, not by a message
	tree    *fhir.Node
	skip    string // why nothing is written
	into    *one   // an earlier draft of this message that is the same resource
	number  int    // of the draft in the message
	gone    bool   // a patient that only lent his numbers to another
}

// Prepare matches drafts with the store. A *message.Failure of kind Malformed
// parks the message (two records claim the patient); other errors are those of
// the store.
func (m *Matcher) Prepare(ctx context.Context, drafts []fhir.Draft, from Origin) (*Plan, error) {
	plan := &Plan{}
	set, err := m.identify(ctx, drafts, from, plan)
	if err != nil {
		return nil, err
	}
	places := make(map[string]string, len(set))
	for _, o := range set {
		places[o.draft.URN] = o.draft.Type + "/" + o.id
	}
	for _, o := range set {
		resolve(o.draft.Tree, places)
		if err := m.settle(ctx, o, from, plan); err != nil {
			return nil, err
		}
		refused(o, plan)
		performed(o, plan)
	}
	index := m.Index
	if index == nil {
		index = search.Index
	}
	for _, o := range set {
		if o.into != nil || o.gone || o.draft.Referred {
			continue
		}
		place := o.draft.Type + "/" + o.id
		if o.skip != "" {
			plan.Events = append(plan.Events, store.Event{Step: "kept", Ref: place, Text: o.skip})
			continue
		}
		plan.Writes = append(plan.Writes, write(o, from, index))
	}
	if len(plan.Writes) > 0 {
		plan.Writes = append(plan.Writes, provenance(plan.Writes, m.newID("Provenance", from.Message), from, index))
	}
	return plan, nil
}

// identify finds the resource of every draft, or the id a new one gets.
func (m *Matcher) identify(ctx context.Context, drafts []fhir.Draft, from Origin, plan *Plan) ([]*one, error) {
	var asked []store.Identity
	for i := range drafts {
		for _, k := range drafts[i].Keys {
			asked = append(asked, store.Identity{Type: drafts[i].Type, Key: k})
		}
	}
	owners, err := m.owners(ctx, asked)
	if err != nil {
		return nil, err
	}
	set := make([]*one, 0, len(drafts))
	byPlace := make(map[string]*one, len(drafts))
	for i := range drafts {
		d := &drafts[i]
		if d.Type == "MessageHeader" {
			continue // of the message, not of the record: the journal has it
		}
		o := &one{draft: d, tree: d.Tree, number: i}
		if err := m.choose(o, owners, plan); err != nil {
			return nil, err
		}
		set = append(set, o)
	}
	for _, o := range set {
		if err := m.name(ctx, o, from); err != nil {
			return nil, err
		}
	}
	if err := m.orders(ctx, set, plan); err != nil {
		return nil, err
	}
	mergePatients(set)
	for _, o := range set {
		if o.gone {
			continue
		}
		place := o.draft.Type + "/" + o.id
		if first := byPlace[place]; first != nil {
			o.into = first
		} else {
			byPlace[place] = o
		}
	}
	return set, nil
}

// name gives a draft that nobody owns the id of a new resource.
func (m *Matcher) name(ctx context.Context, o *one, from Origin) error {
	d := o.draft
	if o.id != "" {
		return nil
	}
	seed := from.Message + "|" + strconv.Itoa(o.number)
	if len(o.keys) > 0 {
		seed = o.keys[0]
	}
	o.id = m.newID(d.Type, seed)
	if !from.Again {
		return nil
	}
	return m.lookAgain(ctx, o)
}

// choose decides which of the owners of a draft's keys it is.
func (m *Matcher) choose(o *one, owners map[store.Identity]owner, plan *Plan) error {
	d := o.draft
	var first store.Resource
	firstKey := -1
	foreign, other := 0, 0
	for i, k := range d.Keys {
		owner, owned := owners[store.Identity{Type: d.Type, Key: k}]
		if owned && d.Type == "ServiceRequest" {
			another, err := otherPlacer(&owner.Resource, d.Tree)
			if err != nil {
				return err
			}
			if another {
				other++
				continue
			}
		}
		switch {
		case !owned:
			o.keys, o.unowned = append(o.keys, k), true
		case firstKey < 0:
			first, firstKey = owner.Resource, i
			o.keys = owner.claim(o.keys, k)
		case owner.ID == first.ID:
			o.keys = owner.claim(o.keys, k)
		default:
			foreign++
		}
	}
	if other > 0 {
		plan.Worklist = append(plan.Worklist, store.WorkItem{
			Kind: "ambiguous", Where: d.Name,
			Text: "the filler's number of this order is that of an order with another placer's number; the two were not joined",
		})
	}
	if foreign > 0 {
		plan.Worklist = append(plan.Worklist, store.WorkItem{
			Kind: "ambiguous", Where: d.Name,
			Text: fmt.Sprintf("identifiers of this %s belong to %d other records; nothing was merged", d.Type, foreign),
		})
		if firstKey > 0 && d.Type == "Patient" {
			return &message.Failure{
				Kind: message.Malformed, Where: d.Name, Code: 204,
				Err: errors.New("the identifiers belong to several patients and the first of them to none"),
			}
		}
	}
	if firstKey >= 0 {
		o.id, o.found, o.current = first.ID, true, first
	}
	return nil
}

// lookAgain finds out whether a resource stands under the id that a new one
// would get: one that was deleted, or written since.
func (m *Matcher) lookAgain(ctx context.Context, o *one) error {
	current, err := m.Records.Read(ctx, o.draft.Type, o.id)
	switch {
	case err == nil, errors.Is(err, store.ErrDeleted):
		o.found, o.current = true, current
		return nil
	case errors.Is(err, store.ErrNotFound):
		return nil
	}
	return fmt.Errorf("read: %w", err)
}

// newID makes the id of a new resource from its identity, keyed by the store's
// secret: a plain hash of a patient number could be found by trying them all.
// RFC 9562, 5.8 (UUID version 8).
func (m *Matcher) newID(typ, seed string) string {
	h := hmac.New(sha256.New, m.Records.Secret())
	h.Write([]byte(strconv.Itoa(len(typ)) + ":" + typ + seed))
	b := h.Sum(nil)[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// resolve replaces the URNs of drafts in references by the places of resources.
func resolve(n *fhir.Node, places map[string]string) {
	for i := range n.Members {
		m := &n.Members[i]
		if m.Name == "reference" && m.Value.Kind == fhir.String && strings.HasPrefix(m.Value.Text, "urn:uuid:") {
			if place, ok := places[m.Value.Text]; ok {
				m.Value = fhir.Text(place)
			}
			continue
		}
		resolve(m.Value, places)
	}
	for _, item := range n.Items {
		resolve(item, places)
	}
}

// settle decides what becomes of one draft: its new content, or why the store
// keeps what it has.
func (m *Matcher) settle(ctx context.Context, o *one, from Origin, plan *Plan) error {
	switch {
	case o.gone:
		return nil
	case o.draft.Referred:
		if o.draft.Existing && !o.found && o.into == nil {
			return &message.Failure{Kind: message.Malformed, Where: o.draft.Name, Code: 204, Err: errors.New("the message refers to a " + o.draft.Type + " by an identifier that nobody has here")}
		}
		return nil
	case o.draft.Existing && (!o.found || o.current.Deleted):
		o.skip = "it tells of a resource that is not here"
		plan.Worklist = append(plan.Worklist, store.WorkItem{
			Kind: "unmatched", Where: o.draft.Name,
			Text: "the message tells of a " + o.draft.Type + " that is not here; nothing was made of it",
		})
		return nil
	case o.into != nil:
		if ofOther(o.draft.Tree, o.into.draft.Tree) {
			return errPatient(o.draft)
		}
		o.join()
		return nil
	case !o.found || o.current.Deleted:
		o.tree = o.draft.Tree
		return nil
	}
	base, err := fhir.Parse(o.current.Content)
	if err != nil {
		return fmt.Errorf("content of %s/%s: %w", o.draft.Type, o.id, err)
	}
	o.base = base
	if err := m.samePatient(ctx, o, from); err != nil {
		return err
	}
	if o.draft.Type == "ServiceRequest" {
		if o.own, err = m.writtenHere(ctx, &o.current); err != nil {
			return err
		}
	}
	if older(o) {
		o.skip = "the record holds a newer state"
		return nil
	}
	if why := backward(o.draft.Type, base, o.draft.Tree); why != "" {
		o.skip = why
		return nil
	}
	if o.own {
		o.tree = ownOrder(o.draft, base)
	} else {
		o.tree = combine(o.draft, base, from)
	}
	if same(o.tree, base) && !o.unowned {
		o.skip = nothingNew
	}
	return nil
}

// join adds a draft to an earlier one of the same resource.
func (o *one) join() {
	first := o.into
	first.keys = append(first.keys, o.keys...)
	if !first.own {
		first.tree = merge(first.tree, o.draft.Tree, nil, nil)
		return
	}
	first.tree = ownOrder(o.draft, first.tree)
	if first.skip == nothingNew && (o.unowned || !same(first.tree, first.base)) {
		first.skip = ""
	}
}

// nothingNew is why a draft that says what the store holds is not written.
const nothingNew = "nothing in it is new"

// older reports whether the message tells of a time before the record's.
func older(o *one) bool {
	return !o.draft.SourceAt.IsZero() && !o.current.SourceAt.IsZero() && o.draft.SourceAt.Before(o.current.SourceAt)
}

// write makes the store's write of a settled draft.
func write(o *one, from Origin, index func(string, *fhir.Node) fhir.Index) store.Write {
	sourceAt := o.draft.SourceAt
	if sourceAt.IsZero() {
		sourceAt = o.current.SourceAt
	}
	w := store.Write{Type: o.draft.Type, ID: o.id, Keys: dedupe(o.keys), SourceAt: sourceAt}
	if o.found {
		w.Expect = o.current.Version
	}
	w.Content, w.Hash, w.Index = encode(o.draft.Type, o.id, stamp(o.tree, from.Message), index)
	return w
}

// encode writes a resource with type and id in front.
func encode(typ, id string, tree *fhir.Node, index func(string, *fhir.Node) fhir.Index) ([]byte, [32]byte, fhir.Index) {
	whole := &fhir.Node{Kind: fhir.Object, Members: make([]fhir.Member, 0, len(tree.Members)+2)}
	whole.Members = append(whole.Members, fhir.Member{Name: "resourceType", Value: fhir.Text(typ)}, fhir.Member{Name: "id", Value: fhir.Text(id)})
	for _, m := range tree.Members {
		if m.Name != "resourceType" && m.Name != "id" {
			whole.Members = append(whole.Members, m)
		}
	}
	content := whole.AppendJSON(make([]byte, 0, 1024))
	return content, sha256.Sum256(content), index(typ, whole)
}

// provenance says which message the writes come from. Resources that other
// messages wrote before keep theirs.
func provenance(writes []store.Write, id string, from Origin, index func(string, *fhir.Node) fhir.Index) store.Write {
	targets := &fhir.Node{Kind: fhir.Array}
	for i := range writes {
		targets.Items = append(targets.Items, object("reference", fhir.Text(writes[i].Type+"/"+writes[i].ID)))
	}
	tree := object(
		"target", targets,
		"recorded", fhir.Text(from.Received.UTC().Format("2006-01-02T15:04:05.000Z")),
		"agent", list(object("who", object("display", fhir.Text(from.Sender)))),
		"entity", list(object(
			"role", fhir.Text("source"),
			"what", object("identifier", object("system", fhir.Text("urn:ietf:rfc:3986"), "value", fhir.Text("urn:uuid:"+from.Message))),
		)),
	)
	w := store.Write{Type: "Provenance", ID: id}
	w.Content, w.Hash, w.Index = encode("Provenance", id, tree, index)
	return w
}

func object(pairs ...any) *fhir.Node {
	n := fhir.NewObject()
	for i := 0; i+1 < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		value, _ := pairs[i+1].(*fhir.Node)
		n.Members = append(n.Members, fhir.Member{Name: name, Value: value})
	}
	return n
}

func list(items ...*fhir.Node) *fhir.Node { return &fhir.Node{Kind: fhir.Array, Items: items} }

func dedupe(keys []string) []string {
	seen := make(map[string]bool, len(keys))
	out := keys[:0:0]
	for _, k := range keys {
		if !seen[k] {
			seen[k] = true
			out = append(out, k)
		}
	}
	return out
}
