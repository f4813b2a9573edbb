package ehr

import (
	"strings"

	"github.com/plexus-health/plexus/fhir"
)

// merged are the resource types of which a message tells a part: what it does
// not say stays. The others are snapshots: the message says all there is.
var merged = map[string]bool{
	"Patient": true, "Encounter": true, "Practitioner": true, "PractitionerRole": true,
	"Organization": true, "Location": true, "RelatedPerson": true, "Coverage": true, "ServiceRequest": true,
}

// united are the lists that grow instead of being replaced: an identifier or a
// result that an earlier message named is not taken back by a later one that
// does not name it.
var united = map[string]map[string]bool{
	"":                 {"identifier": true},
	"Patient":          {"link": true},
	"DiagnosticReport": {"result": true, "specimen": true, "basedOn": true},
}

// combine makes the new content of a resource the store holds.
func combine(d *fhir.Draft, base *fhir.Node, from Origin) *fhir.Node {
	grow := func(name string) bool { return united[""][name] || united[d.Type][name] }
	if merged[d.Type] {
		keep := func(name string, value *fhir.Node) bool { return false }
		switch d.Type {
		case "Encounter":
			// Only an admission message moves a stay; a result merely names it.
			if !strings.HasPrefix(from.Type, "ADT^") {
				keep = func(name string, _ *fhir.Node) bool {
					return name == "status" || name == "class" || name == "period" || name == "hospitalization"
				}
				break
			}
			keep = unknownStatus
		case "ServiceRequest":
			keep = unknownStatus
		}
		out := merge(base, d.Tree, grow, keep)
		for _, name := range d.Deletes {
			out.Delete(name)
		}
		return out
	}
	out := &fhir.Node{Kind: fhir.Object}
	for _, m := range d.Tree.Members {
		if had := base.Get(m.Name); had != nil && grow(m.Name) {
			m.Value = unite(had, m.Value)
		}
		out.Members = append(out.Members, m)
	}
	for _, m := range base.Members {
		if grow(m.Name) && out.Get(m.Name) == nil {
			out.Members = append(out.Members, m)
		}
	}
	return out
}

// unknownStatus keeps a status that is known when the message does not know it.
func unknownStatus(name string, value *fhir.Node) bool {
	return name == "status" && value.Kind == fhir.String && value.Text == "unknown"
}

// merge lays what the message says over base. keep names what base does not
// give up once it has it; grow the lists that are united. Both may be nil.
func merge(base, said *fhir.Node, grow func(string) bool, keep func(string, *fhir.Node) bool) *fhir.Node {
	out := &fhir.Node{Kind: fhir.Object, Members: append([]fhir.Member(nil), base.Members...)}
	for _, m := range said.Members {
		had := out.Get(m.Name)
		switch {
		case had == nil:
			dropChoice(out, m.Name)
			out.Members = append(out.Members, m)
		case keep != nil && keep(m.Name, m.Value):
		case had.Kind == fhir.Array && m.Value.Kind == fhir.Array && (grow == nil || grow(m.Name)):
			out.Set(m.Name, unite(had, m.Value))
		default:
			out.Set(m.Name, m.Value)
		}
	}
	return out
}

// choices are the elements with several types that merged resources have: a
// value of one type takes the place of a value of another.
var choices = []string{"deceased", "multipleBirth", "occurrence", "quantity", "asNeeded"}

func dropChoice(n *fhir.Node, name string) {
	for _, stem := range choices {
		if !strings.HasPrefix(name, stem) {
			continue
		}
		for _, m := range n.Members {
			if m.Name != name && strings.HasPrefix(m.Name, stem) {
				n.Delete(m.Name)
				return
			}
		}
	}
}

// unite adds to a list what it does not hold yet. Identifiers of one system
// and value are one: the new form takes the place of the old.
func unite(had, said *fhir.Node) *fhir.Node {
	out := &fhir.Node{Kind: fhir.Array, Items: append([]*fhir.Node(nil), had.Items...)}
next:
	for _, item := range said.Items {
		for i, old := range out.Items {
			if item.Equal(old) {
				continue next
			}
			if sameIdentifier(item, old) {
				out.Items[i] = item
				continue next
			}
		}
		out.Items = append(out.Items, item)
	}
	return out
}

func sameIdentifier(a, b *fhir.Node) bool {
	value := text(a, "value")
	if value == "" || value != text(b, "value") || text(a, "system") != text(b, "system") {
		return false
	}
	return kindOf(a) == kindOf(b) || kindOf(a) == "" || kindOf(b) == ""
}

// kindOf is the code of an identifier's type.
func kindOf(n *fhir.Node) string {
	codings := n.Get("type").Get("coding")
	if codings == nil || len(codings.Items) == 0 {
		return ""
	}
	return text(codings.Items[0], "code")
}

func text(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil {
		return v.Text
	}
	return ""
}

// same reports whether two states differ in nothing but where they come from.
func same(a, b *fhir.Node) bool {
	return count(a) == count(b) && within(a, b)
}

func count(n *fhir.Node) int {
	c := 0
	for _, m := range n.Members {
		if !ours(m.Name) {
			c++
		}
	}
	return c
}

func within(a, b *fhir.Node) bool {
	for _, m := range a.Members {
		if !ours(m.Name) && !m.Value.Equal(b.Get(m.Name)) {
			return false
		}
	}
	return true
}

// ours are the members that the store keeps itself.
func ours(name string) bool { return name == "resourceType" || name == "id" || name == "meta" }

// rank orders the states of a result: it only moves forward (preliminary,
// final, corrected).
var rank = map[string]int{
	"registered": 0, "unknown": 0, "partial": 1, "preliminary": 1,
	"final": 2, "amended": 3, "corrected": 3, "appended": 3, "entered-in-error": 4,
}

// backward says why a result must not take the place of the one the store
// holds, or "".
func backward(typ string, base, said *fhir.Node) string {
	if typ != "Observation" && typ != "DiagnosticReport" {
		return ""
	}
	had, now := text(base, "status"), text(said, "status")
	if now == "cancelled" {
		if rank[had] >= rank["final"] {
			return "a cancelled result does not overwrite a " + had + " one"
		}
		return ""
	}
	if had != "cancelled" && rank[now] < rank[had] {
		return "a " + now + " result does not overwrite a " + had + " one"
	}
	return ""
}
