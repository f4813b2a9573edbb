package ehr

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// An order that was written here, through the API, has no identity that
// messages know: a laboratory names it by the numbers it was sent with. It is
// found by them, and stays as it was written: a message adds its own numbers
// and what the order lacks, and moves its status.

// sameNumber bounds how many orders of one bare number are looked at.
const sameNumber = 20

// A number is one placer or filler number of an order.
type number struct {
	system, value, assigner string
	placer                  bool
}

// numbersOf are the numbers an order is named by: not those of its group.
func numbersOf(tree *fhir.Node) []number {
	list := tree.Get("identifier")
	if list == nil {
		return nil
	}
	var out []number
	for _, i := range list.Items {
		n := number{system: text(i, "system"), value: text(i, "value"), assigner: text(i.Get("assigner"), "display")}
		kind := kindOf(i)
		if n.placer = kind == "PLAC"; n.value != "" && (n.placer || kind == "FILL") {
			out = append(out, n)
		}
	}
	return out
}

// otherPlacer reports whether an order goes by other numbers of the placer's
// than a draft does. A filler who gives a number a second time would otherwise
// have what it says of one order written into another.
func otherPlacer(r *store.Resource, said *fhir.Node) (bool, error) {
	if r.Deleted {
		return false, nil
	}
	tree, err := fhir.Parse(r.Content)
	if err != nil {
		return false, fmt.Errorf("content of ServiceRequest/%s: %w", r.ID, err)
	}
	had, now := placers(tree), placers(said)
	for value := range now {
		if had[value] {
			return false, nil
		}
	}
	return len(had) > 0 && len(now) > 0, nil
}

// placers are the placer's numbers of an order.
func placers(tree *fhir.Node) map[string]bool {
	out := map[string]bool{}
	for _, n := range numbersOf(tree) {
		if n.placer {
			out[n.value] = true
		}
	}
	return out
}

// orders finds the orders of the store that drafts without an owner tell of.
func (m *Matcher) orders(ctx context.Context, set []*one, plan *Plan) error {
	var open []*one
	for _, o := range set {
		if o.draft.Type == "ServiceRequest" && !o.found {
			open = append(open, o)
		}
	}
	if len(open) == 0 {
		return nil
	}
	owners, err := m.plainOwners(ctx, open)
	if err != nil {
		return err
	}
	for _, o := range open {
		found, err := m.orderOf(ctx, o, set, owners, plan)
		if err != nil {
			return err
		}
		if found != nil {
			o.id, o.found, o.current = found.ID, true, *found
		}
	}
	return nil
}

// plainOwners asks for the orders that own numbers as the API claims them.
func (m *Matcher) plainOwners(ctx context.Context, open []*one) (map[store.Identity]store.Resource, error) {
	var asked []store.Identity
	for _, o := range open {
		for _, n := range numbersOf(o.draft.Tree) {
			if n.system != "" && n.placer {
				asked = append(asked, plainKey(n))
			}
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	owners, err := m.Records.Identify(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("identify: %w", err)
	}
	return owners, nil
}

func plainKey(n number) store.Identity {
	return store.Identity{Type: "ServiceRequest", Key: fhir.IdentityKey("ServiceRequest", n.system, n.value)}
}

// orderOf finds the order of one draft, nil when there is none: by a number
// with its system, by the id that was sent as placer number, by a bare number.
func (m *Matcher) orderOf(ctx context.Context, o *one, set []*one, owners map[store.Identity]store.Resource, plan *Plan) (*store.Resource, error) {
	numbers := numbersOf(o.draft.Tree)
	patient := patientOf(o.draft.Tree, set)
	for _, n := range numbers {
		if owner, ok := owners[plainKey(n)]; ok && n.placer {
			fits, err := m.fits(ctx, &owner, o, patient, false)
			if fits || err != nil {
				return &owner, err
			}
			plan.Worklist = append(plan.Worklist, store.WorkItem{
				Kind: "ambiguous", Where: o.draft.Name,
				Text: "the number of this order is that of an order for another patient; the two were not joined",
			})
		}
	}
	for _, n := range numbers {
		if !n.placer || n.system != "" || !validID(n.value) {
			continue
		}
		current, err := m.Records.Read(ctx, "ServiceRequest", n.value)
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDeleted):
			continue
		case err != nil:
			return nil, fmt.Errorf("read: %w", err)
		}
		if fits, err := m.fits(ctx, &current, o, patient, true); fits || err != nil {
			return &current, err
		}
	}
	return m.byNumber(ctx, o, numbers, patient, plan)
}

// byNumber finds the one order of a number that does not name one by itself: a
// placer's that came without its system, a filler's, who may give several
// orders the same.
func (m *Matcher) byNumber(ctx context.Context, o *one, numbers []number, patient string, plan *Plan) (*store.Resource, error) {
	param, ok := definitions.FindParam("ServiceRequest", "identifier")
	if !ok {
		return nil, nil
	}
	var wanted []store.Match
	for i := range numbers {
		n := &numbers[i]
		switch {
		case n.system == "":
			wanted = append(wanted, store.Match{Value: &n.value})
		case !n.placer:
			wanted = append(wanted, store.Match{System: &n.system, Value: &n.value})
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	page, err := m.Records.Search(ctx, store.Query{
		Type: "ServiceRequest", Limit: sameNumber, Where: []store.Clause{{Param: param.Row, Shape: store.ShapeToken, Any: wanted}},
	})
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	var found []*store.Resource
	for i := range page.Resources {
		fits, err := m.fits(ctx, &page.Resources[i], o, patient, true)
		if err != nil {
			return nil, err
		}
		if fits {
			found = append(found, &page.Resources[i])
		}
	}
	if len(found) == 1 && page.Next == "" {
		return found[0], nil
	}
	if len(found) > 1 {
		plan.Worklist = append(plan.Worklist, store.WorkItem{
			Kind: "ambiguous", Where: o.draft.Name,
			Text: fmt.Sprintf("the number of this order is that of %d orders; none of them was changed", len(found)),
		})
	}
	return nil, nil
}

// fits reports whether an order of the store may be the one a draft tells of:
// one that was written here, of the same patient where both name one. bare asks
// for the number and the code too, where a number alone does not say enough.
func (m *Matcher) fits(ctx context.Context, r *store.Resource, o *one, patient string, bare bool) (bool, error) {
	ours, err := m.writtenHere(ctx, r)
	if err != nil || !ours {
		return false, err
	}
	tree, err := fhir.Parse(r.Content)
	if err != nil {
		return false, fmt.Errorf("content of ServiceRequest/%s: %w", r.ID, err)
	}
	if bare && (!shares(o.draft.Tree.Get("code"), tree.Get("code")) || !named(tree, r.ID, numbersOf(o.draft.Tree))) {
		return false, nil
	}
	of := text(tree.Get("subject"), "reference")
	if patient == "" || of == "" || patient == of {
		return true, nil
	}
	return m.mergedInto(ctx, of, patient)
}

// named reports whether an order goes by one of the numbers: its id counts as
// placer number only where it has no other.
func named(tree *fhir.Node, id string, numbers []number) bool {
	own := numbersOf(tree)
	placed := false
	for _, have := range own {
		placed = placed || have.placer
		for _, n := range numbers {
			if have.value == n.value && have.placer == n.placer && agree(have.system, n.system) && agree(have.assigner, n.assigner) {
				return true
			}
		}
	}
	for _, n := range numbers {
		if n.placer && n.value == id && !placed {
			return true
		}
	}
	return false
}

// agree reports whether two texts are the same as far as both are said.
func agree(a, b string) bool { return a == "" || b == "" || a == b }

// shares reports whether two concepts have a code in common; one that has none
// says nothing against it.
func shares(a, b *fhir.Node) bool {
	one, other := a.Get("coding"), b.Get("coding")
	if one == nil || other == nil {
		return true
	}
	for _, x := range one.Items {
		for _, y := range other.Items {
			if code := text(x, "code"); code != "" && code == text(y, "code") {
				return true
			}
		}
	}
	return false
}

// patientOf is the place of the patient a draft is about, "" when the message
// names none.
func patientOf(tree *fhir.Node, set []*one) string {
	urn := text(tree.Get("subject"), "reference")
	for _, o := range set {
		if urn != "" && o.draft.URN == urn {
			return o.draft.Type + "/" + o.id
		}
	}
	return urn
}

// mergedInto reports whether a patient was replaced by another, at most
// mostMerges steps away.
func (m *Matcher) mergedInto(ctx context.Context, from, to string) (bool, error) {
	for range mostMerges {
		id, ok := strings.CutPrefix(from, "Patient/")
		if !ok {
			return false, nil
		}
		r, err := m.Records.Read(ctx, "Patient", id)
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDeleted):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("read: %w", err)
		}
		tree, err := fhir.Parse(r.Content)
		if err != nil {
			return false, fmt.Errorf("content of Patient/%s: %w", id, err)
		}
		if from = replacedBy(tree); from == to {
			return true, nil
		}
	}
	return false, nil
}

// writtenHere reports whether a resource began in the API: what a message made
// says so in the meta.source of its first version.
func (m *Matcher) writtenHere(ctx context.Context, r *store.Resource) (bool, error) {
	first := *r
	if r.Version > 1 {
		var err error
		first, err = m.Records.ReadVersion(ctx, r.Type, r.ID, 1)
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDeleted):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("read: %w", err)
		}
	}
	tree, err := fhir.Parse(first.Content)
	if err != nil {
		return false, fmt.Errorf("content of %s/%s: %w", r.Type, r.ID, err)
	}
	return !strings.HasPrefix(text(tree.Get("meta"), "source"), sourceScheme), nil
}

// validID reports whether a text can be the id of a resource (R4, id).
func validID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// ownOrder makes the new content of an order that was written here.
func ownOrder(d *fhir.Draft, base *fhir.Node) *fhir.Node {
	grow := func(name string) bool { return name == "identifier" || name == "note" || name == "specimen" }
	keep := func(name string, value *fhir.Node) bool {
		if name == "status" {
			return unknownStatus(name, value) || stays(text(base, name), value.Text)
		}
		return name != "extension" && !grow(name)
	}
	said := d.Tree
	if exts := base.Get("extension"); exts != nil && said.Get("extension") != nil {
		said = said.Clone()
		said.Set("extension", unite(withoutReason(exts), said.Get("extension")))
	}
	return merge(base, said, grow, keep)
}

// stays reports whether an order keeps its state: one that ended is not opened
// again, and one on hold goes on only when its placer says so.
func stays(had, now string) bool {
	switch had {
	case "entered-in-error":
		return true
	case "revoked", "completed":
		return now != "revoked" && now != "completed"
	case "on-hold":
		return now == "active"
	}
	return false
}

// statusReason is the extension that says why an order stands as it does.
const statusReason = "http://hl7.org/fhir/StructureDefinition/request-statusReason"

// withoutReason are the extensions without an earlier reason.
func withoutReason(list *fhir.Node) *fhir.Node {
	out := &fhir.Node{Kind: fhir.Array}
	for _, e := range list.Items {
		if text(e, "url") != statusReason {
			out.Items = append(out.Items, e)
		}
	}
	return out
}

// performed notes for people an order that was withdrawn and carried out after
// all. It is completed: revoked is what ended before its completion was known
// (R4, request-status), and the patient has the result.
func performed(o *one, plan *Plan) {
	if o.draft.Type != "ServiceRequest" || o.skip != "" || o.base == nil || text(o.base, "status") != "revoked" || text(o.tree, "status") != "completed" {
		return
	}
	plan.Worklist = append(plan.Worklist, store.WorkItem{
		Kind: "performed", Where: "ServiceRequest/" + o.id,
		Text: "the order was revoked and has been carried out; it is completed now",
	})
}

// refused notes for people what a filler could not do.
func refused(o *one, plan *Plan) {
	list := o.draft.Tree.Get("extension")
	if list == nil || o.draft.Type != "ServiceRequest" || o.skip != "" {
		return
	}
	for _, e := range list.Items {
		codings := e.Get("valueCodeableConcept").Get("coding")
		if text(e, "url") != statusReason || codings == nil || len(codings.Items) == 0 {
			continue
		}
		plan.Worklist = append(plan.Worklist, store.WorkItem{
			Kind: "refused", Where: "ServiceRequest/" + o.id, Code: text(codings.Items[0], "code"),
			Text: "the filler could not do what the order asks: " + strings.ToLower(text(codings.Items[0], "display")),
		})
	}
}
