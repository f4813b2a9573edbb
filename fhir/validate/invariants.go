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
	short    shortcut
}

// elsewhere are the invariants that other code of this package sees to.
var elsewhere = []string{"ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "txt-1", "txt-2", "ref-1", "que-7"}

// A shortcut is when an invariant holds at sight. TestShortcuts holds them
// against the expressions.
type shortcut struct {
	// without lists elements: where one of them is absent, the invariant holds.
	without []string
	// with lists elements: where one of them is there, the invariant holds.
	with []string
}

func without(names ...string) shortcut { return shortcut{without: names} }

// shortcuts are those of what is met often, by key; by key and path where
// several types have the key.
var shortcuts = map[string]shortcut{
	"qty-3": {[]string{"code"}, []string{"system"}}, "cpt-2": {[]string{"value"}, []string{"system"}}, "att-1": {[]string{"data"}, []string{"contentType"}},
	"per-1": without("start", "end"), "rng-2": without("low", "high"), "drt-1": without("code"),
	"tim-1": {[]string{"duration"}, []string{"durationUnit"}}, "tim-2": {[]string{"period"}, []string{"periodUnit"}}, "tim-4": without("duration"),
	"tim-5": without("period"), "tim-6": without("periodMax"), "tim-7": without("durationMax"), "tim-8": without("countMax"),
	"tim-9": without("offset"), "tim-10": without("timeOfDay", "when"),
	"pat-1": {nil, []string{"name", "telecom", "address", "organization"}}, "org-1": {nil, []string{"identifier", "name"}},
	"obs-3": {nil, []string{"low", "high", "text"}}, "obs-7": without("component"),
	"ait-2": without("clinicalStatus"), "con-5": without("clinicalStatus"), "prr-1": {[]string{"orderDetail"}, []string{"code"}},
	"mdd-1": without("whenHandedOver", "whenPrepared"), "spd-1": without("xpath"), "spd-2": without("chain"), "fhs-2": without("estimatedAge"),
	"cpl-3": without("detail", "reference"), "bdl-1": without("total"), "bdl-5": {nil, []string{"resource", "request", "response"}},
	"bdl-8": without("fullUrl"), "ctm-1": without("onBehalfOf"), "sev-1": without("name", "query"), "lst-1": without("emptyReason", "entry"),
	"grp-1": without("member"), "app-4": without("cancelationReason"), "inv-1 Task": without("lastModified", "authoredOn"),
}

// holds reports whether the invariant holds at sight.
func (s *shortcut) holds(n *fhir.Node) bool {
	for _, name := range s.without {
		if n.Get(name) == nil && n.Get("_"+name) == nil {
			return true
		}
	}
	for _, name := range s.with {
		if n.Get(name) != nil {
			return true
		}
	}
	return false
}

// rulesOf makes the rules of a path.
func rulesOf(path string) []*rule {
	var out []*rule
	for _, v := range definitions.Invariants(path) {
		if slices.Contains(elsewhere, v.Key) {
			continue
		}
		r := &rule{Invariant: v}
		for _, key := range []string{v.Key, v.Key + " " + path} {
			if s, ok := shortcuts[key]; ok {
				r.short = s
			}
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
		if (r.Warning && !k.warns) || (n.Kind == fhir.Object && r.short.holds(n)) {
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

// elementID sees to it that ids of elements are unique within their resource;
// those of ElementDefinitions stand in a snapshot and in a differential.
func (k *checker) elementID(o *object) {
	id := text(o.node, "id")
	if id == "" || o.shape.name == "ElementDefinition" || (o.shape.path == "" && o.shape.typ.Kind == "resource") {
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
