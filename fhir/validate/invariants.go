package validate

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/fhirpath"
)

// A rule is an invariant of R4, compiled when it is first needed.
type rule struct {
	definitions.Invariant
	compiled func() *fhirpath.Expression
	// unless names an element without which the invariant holds, or is empty.
	unless string
}

// elsewhere are the invariants that other code of this package sees to.
var elsewhere = []string{"ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "txt-1", "txt-2", "ref-1", "que-7"}

// unless names, by key, an element without which an invariant holds, whatever
// else there is. TestUnless holds it true.
var unless = map[string]string{
	"qty-3": "code", "cpt-2": "value", "att-1": "data", "per-1": "start", "rng-2": "low", "tim-1": "duration", "tim-2": "period", "tim-4": "duration",
	"tim-5": "period", "tim-6": "periodMax", "tim-7": "durationMax", "tim-8": "countMax", "tim-9": "offset", "tim-10": "timeOfDay", "drt-1": "code",
	"obs-6": "dataAbsentReason", "obs-7": "component", "ait-2": "clinicalStatus", "con-5": "clinicalStatus", "prr-1": "orderDetail",
	"mdd-1": "whenHandedOver", "spd-1": "xpath", "spd-2": "chain", "fhs-1": "age", "fhs-2": "estimatedAge", "cpl-3": "detail", "bdl-1": "total",
	"ctm-1": "onBehalfOf", "sev-1": "name", "lst-1": "emptyReason", "grp-1": "member", "app-4": "cancelationReason", "inv-1 Task": "lastModified",
}

// rulesOf makes the rules of a path.
func rulesOf(path string) []*rule {
	var out []*rule
	for _, v := range definitions.Invariants(path) {
		if slices.Contains(elsewhere, v.Key) {
			continue
		}
		r := &rule{Invariant: v, unless: unless[v.Key]}
		if r.unless == "" {
			r.unless = unless[v.Key+" "+path]
		}
		r.compiled = sync.OnceValue(func() *fhirpath.Expression {
			e, err := fhirpath.Compile(v.Expression)
			if err != nil {
				panic("invariant " + v.Key + ": " + err.Error()) // the tests compile every one
			}
			return e
		})
		out = append(out, r)
	}
	return out
}

// rules evaluates invariants on an element of a type, or a path of one. Empty
// is no breach: R4 asks "fullUrl.contains(…).not()" of entries that have none.
func (k *checker) rules(list []*rule, n *fhir.Node, typ string) {
	for _, r := range list {
		if (r.Warning && !k.warns) || (r.unless != "" && n.Get(r.unless) == nil && n.Get("_"+r.unless) == nil) {
			continue
		}
		holds, known := k.holds(r.compiled(), n, typ)
		switch {
		case !known:
			k.warn("too-costly", r.Key+" was not checked: its evaluation did not end well")
		case holds:
		case r.Warning:
			k.warn("invariant", r.Key+": "+r.Human)
		default:
			k.fault("invariant", r.Key+": "+r.Human)
		}
	}
}

// holds evaluates one condition; known is false when it cannot be told.
func (k *checker) holds(e *fhirpath.Expression, n *fhir.Node, typ string) (holds, known bool) {
	if k.steps <= 0 {
		return false, false
	}
	o := fhirpath.Options{Type: typ, Resource: k.frame.node, RootResource: k.frame.root, AsFilters: true, Budget: &k.steps}
	if k.bundle != nil {
		o.Resolve = k.bundle.find
	}
	values, err := e.Eval(context.Background(), n, o)
	if err != nil || len(values) > 1 {
		return false, false
	}
	if len(values) == 0 {
		return true, true
	}
	b, ok := values[0].Bool()
	return b || !ok, true
}

// refers notes a reference to what is contained.
func (k *checker) refers(id string) {
	for f := k.frame; f != nil; f = f.above {
		if f.hashes == nil {
			f.hashes = map[string]bool{}
		}
		f.hashes[id] = true
	}
}

// elementID sees to it that ids of elements are unique within their resource.
func (k *checker) elementID(o *object) {
	id := text(o.node, "id")
	if id == "" || (o.shape.path == "" && o.shape.typ.Kind == "resource") {
		return
	}
	if k.frame.ids == nil {
		k.frame.ids = map[string]bool{}
	}
	if k.frame.ids[id] {
		k.fault("business-rule", "another element of the resource has the same id")
	}
	k.frame.ids[id] = true
}

// containedRules are dom-2 to dom-6.
func containedRules(k *checker, o *object) {
	if k.warns && o.node.Get("text").Get("div") == nil {
		k.warn("invariant", "dom-6: A resource should have narrative for robust management")
	}
	list := o.node.Get("contained")
	if list == nil || list.Kind != fhir.Array {
		return
	}
	seen := map[string]bool{}
	f := o.shape.fields["contained"]
	for i, c := range list.Items {
		k.push(f, "contained", i)
		id := text(c, "id")
		if c.Get("contained") != nil {
			k.fault("invariant", "dom-2: If the resource is contained in another resource, it SHALL NOT contain nested Resources")
		}
		meta := c.Get("meta")
		if meta.Get("versionId") != nil || meta.Get("lastUpdated") != nil {
			k.fault("invariant", "dom-4: If a resource is contained in another resource, it SHALL NOT have a meta.versionId or a meta.lastUpdated")
		}
		if meta.Get("security") != nil {
			k.fault("invariant", "dom-5: If a resource is contained in another resource, it SHALL NOT have a security label")
		}
		if id != "" && seen[id] {
			k.fault("business-rule", "another contained resource has the same id")
		}
		seen[id] = true
		if id != "" && !k.frame.hashes[id] && !backward(c, 0) {
			k.fault("invariant", "dom-3: If the resource is contained in another resource, it SHALL be referred to from elsewhere in the resource or SHALL refer to the containing resource")
		}
		k.pop()
	}
}

// backward reports whether something in a contained resource refers to its
// container.
func backward(n *fhir.Node, depth int) bool {
	if n == nil || depth > maxDepth {
		return false
	}
	for i := range n.Members {
		v := n.Members[i].Value
		if v.Kind == fhir.String && v.Text == "#" || backward(v, depth+1) {
			return true
		}
	}
	for _, v := range n.Items {
		if backward(v, depth+1) {
			return true
		}
	}
	return false
}

func text(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil && v.Kind == fhir.String {
		return v.Text
	}
	return ""
}

// absolute reports whether a URI begins with a scheme.
func absolute(uri string) bool {
	i := strings.IndexByte(uri, ':')
	if i < 1 {
		return false
	}
	for j := range i {
		c := uri[j]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (j == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return true
}
