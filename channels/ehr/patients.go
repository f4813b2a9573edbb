package ehr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// An owner is the resource that a key leads to. After a merge that is the
// survivor, and the key stays that of the patient who was replaced.
type owner struct {
	store.Resource
	former bool
}

// claim adds a key that the owner may claim again.
func (o owner) claim(keys []string, key string) []string {
	if o.former {
		return keys
	}
	return append(keys, key)
}

// mostMerges bounds how many replacements are followed from one patient.
const mostMerges = 8

// owners finds who owns keys; of a patient who was replaced, who took his place.
func (m *Matcher) owners(ctx context.Context, asked []store.Identity) (map[store.Identity]owner, error) {
	out := make(map[store.Identity]owner, len(asked))
	if len(asked) == 0 {
		return out, nil
	}
	found, err := m.Records.Identify(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("identify: %w", err)
	}
	survivors := map[string]store.Resource{} // of those replaced, by id
	for key, r := range found {
		if r.Type != "Patient" || !bytes.Contains(r.Content, []byte(`"replaced-by"`)) {
			out[key] = owner{Resource: r}
			continue
		}
		last, known := survivors[r.ID]
		if !known {
			if last, err = m.survivor(ctx, r); err != nil {
				return nil, err
			}
			survivors[r.ID] = last
		}
		out[key] = owner{Resource: last, former: last.ID != r.ID}
	}
	return out, nil
}

// survivor follows the links of a patient who was replaced to the one who
// stands; a link that leads nowhere leaves him standing himself.
func (m *Matcher) survivor(ctx context.Context, r store.Resource) (store.Resource, error) {
	for range mostMerges {
		tree, err := fhir.Parse(r.Content)
		if err != nil {
			return r, fmt.Errorf("content of Patient/%s: %w", r.ID, err)
		}
		id, ok := strings.CutPrefix(replacedBy(tree), "Patient/")
		if !ok {
			return r, nil
		}
		next, err := m.Records.Read(ctx, "Patient", id)
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDeleted):
			return r, nil
		case err != nil:
			return r, fmt.Errorf("read: %w", err)
		}
		r = next
	}
	return r, nil
}

// replacedBy is the reference to who took a patient's place, "" when nobody did.
func replacedBy(tree *fhir.Node) string { return linked(tree, "replaced-by") }

func linked(tree *fhir.Node, kind string) string {
	list := tree.Get("link")
	if list == nil {
		return ""
	}
	for _, l := range list.Items {
		if text(l, "type") == kind {
			return text(l.Get("other"), "reference")
		}
	}
	return ""
}

// moves are the messages that give what one patient has to another (HL7 v2.5.1,
// 3.3.41 to 3.3.45); all others name a patient to say whose record they mean.
var moves = map[string]bool{"ADT^A41": true, "ADT^A42": true, "ADT^A43": true, "ADT^A44": true, "ADT^A45": true, "ADT^A50": true, "ADT^A51": true}

// samePatient holds a draft against the record it was found to be. A number of
// a filler, a specimen or a visit that comes again for another patient does not
// move that record: the message is parked until people have seen it, unless the
// one patient was merged into the other.
func (m *Matcher) samePatient(ctx context.Context, o *one, from Origin) error {
	if moves[from.Type] || !ofOther(o.tree, o.base) {
		return nil
	}
	merged, err := m.mergedInto(ctx, patientIn(o.base), patientIn(o.tree))
	if err != nil || merged {
		return err
	}
	return errPatient(o.draft)
}

func errPatient(d *fhir.Draft) error {
	return &message.Failure{
		Kind: message.Malformed, Where: d.Name, Code: 204,
		Err: errors.New("the number of this " + d.Type + " is that of a record of another patient, and neither patient was merged into the other"),
	}
}

// ofOther reports whether two resources name two patients.
func ofOther(a, b *fhir.Node) bool {
	one, other := patientIn(a), patientIn(b)
	return one != "" && other != "" && one != other
}

// patientIn is the place of the patient a resource is about, "" when it names
// none by a place.
func patientIn(tree *fhir.Node) string {
	for _, name := range []string{"subject", "patient", "beneficiary"} {
		if place := text(tree.Get(name), "reference"); strings.HasPrefix(place, "Patient/") {
			return place
		}
	}
	return ""
}

// mergePatients joins the patients of a merge (HL7 v2.5.1, 3.3.40): a draft that
// says it is replaced by another. The one the store holds is linked both ways;
// the numbers of one it does not hold become the survivor's, so that what comes
// late under them finds him.
func mergePatients(set []*one) {
	for _, former := range set {
		urn := replacedBy(former.draft.Tree)
		if former.draft.Type != "Patient" || urn == "" {
			continue
		}
		var survivor *one
		for _, o := range set {
			if o.draft.URN == urn && o != former {
				survivor = o
			}
		}
		switch {
		case survivor == nil:
		case !former.found || former.current.Deleted:
			survivor.keys = append(survivor.keys, former.keys...)
			survivor.unowned = survivor.unowned || former.unowned
			former.gone = true
		case former.id == survivor.id:
			former.gone = true // joined before
		default:
			link := object("other", object("reference", fhir.Text(former.draft.URN)), "type", fhir.Text("replaces"))
			links := &fhir.Node{Kind: fhir.Array}
			if had := survivor.draft.Tree.Get("link"); had != nil {
				links.Items = append(links.Items, had.Items...)
			}
			links.Items = append(links.Items, link)
			survivor.draft.Tree.Set("link", links)
		}
	}
}
