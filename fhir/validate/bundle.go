package validate

import (
	"strings"

	"github.com/plexus-health/plexus/fhir"
)

// bundleRules are those of a Bundle as a whole (bundle.html).
func bundleRules(k *checker, o *object) {
	k.links(o)
	switch text(o.node, "type") {
	case "document":
		k.complete(o, "Composition", []string{
			"subject", "encounter", "author", "attester.party", "custodian", "event.detail",
			"section.author", "section.focus", "section.entry",
		})
	case "message":
		k.complete(o, "MessageHeader", []string{"focus"})
	}
}

// links: a relation such as self stands once.
func (k *checker) links(o *object) {
	list := o.node.Get("link")
	if list == nil || list.Kind != fhir.Array {
		return
	}
	seen := map[string]bool{}
	for i, l := range list.Items {
		relation := text(l, "relation")
		switch relation {
		case "self", "first", "previous", "prev", "next", "last":
			if seen[relation] {
				k.push(o.shape.fields["link"], "link", i)
				k.fault("invalid", "the relation "+relation+" can only occur once")
				k.pop()
			}
			seen[relation] = true
		}
	}
}

// complete sees to it that what the first entry refers to is in the Bundle
// (documents.html, messaging.html).
func (k *checker) complete(o *object, first string, paths []string) {
	list := o.node.Get("entry")
	if list == nil || list.Kind != fhir.Array || len(list.Items) == 0 || k.bundle == nil {
		return
	}
	entry := list.Items[0]
	head := entry.Get("resource")
	if text(head, "resourceType") != first {
		return
	}
	base := text(entry, "fullUrl")
	k.push(o.shape.fields["entry"], "entry", 0)
	k.push(k.shapes["Bundle.entry"].fields["resource"], "resource", -1)
	for _, path := range paths {
		k.included(head, k.shapes[first], strings.Split(path, "."), base)
	}
	k.pop()
	k.pop()
}

// included follows a path to its references.
func (k *checker) included(n *fhir.Node, s *shape, path []string, base string) {
	v, f := n.Get(path[0]), s.fields[path[0]]
	if v == nil || f == nil || f.shape == nil {
		return
	}
	items, index := []*fhir.Node{v}, -1
	if v.Kind == fhir.Array {
		items, index = v.Items, 0
	}
	for i, item := range items {
		if index >= 0 {
			index = i
		}
		k.push(f, path[0], index)
		if len(path) > 1 {
			k.included(item, f.shape, path[1:], base)
		} else if ref := text(item, "reference"); ref != "" && !strings.HasPrefix(ref, "#") && k.bundle.find(joined(base, ref)) == nil {
			k.lax("invalid", "refers to nothing in the Bundle")
		}
		k.pop()
	}
	if path[0] == "section" && f.name == "section" { // sections of sections
		for i, item := range items {
			if item.Get("section") != nil {
				if index >= 0 {
					index = i
				}
				k.push(f, "section", index)
				k.included(item, f.shape, append([]string{"section"}, path[1:]...), base)
				k.pop()
			}
		}
	}
}

// joined makes a relative reference absolute by the full URL of its entry.
func joined(base, ref string) string {
	if absolute(ref) {
		return ref
	}
	typ, id, _ := named(base)
	if root, ok := strings.CutSuffix(base, typ+"/"+id); ok && typ != "" {
		return root + ref
	}
	return ref
}

// entryRules are those of one entry.
func entryRules(k *checker, o *object) {
	url, r := text(o.node, "fullUrl"), o.node.Get("resource")
	kind := ""
	if k.bundle != nil {
		kind = text(k.bundle.node, "type")
	}
	if kind == "searchset" {
		k.hit(o, r)
	}
	if url == "" {
		switch kind {
		case "document", "message", "searchset", "history", "collection":
			if r != nil && text(r, "resourceType") != "OperationOutcome" && o.node.Get("_fullUrl") == nil {
				k.lax("required", "an entry of this type of Bundle needs a fullUrl")
			}
		}
		return
	}
	if !absolute(url) {
		k.fault("invalid", "the fullUrl must be absolute")
		return
	}
	typ, id, _ := named(url)
	own := text(r, "id")
	if typ == "" || own == "" || strings.HasPrefix(url, "urn:") {
		return
	}
	if id != own || typ != text(r, "resourceType") {
		k.lax("invalid", "the fullUrl names another type or id than the resource has")
	}
}

// hit: what a search finds has an id, and an outcome says that it is one
// (bundle.html#searchset).
func (k *checker) hit(o *object, r *fhir.Node) {
	typ, mode := text(r, "resourceType"), text(o.node.Get("search"), "mode")
	switch {
	case r == nil:
	case (typ == "OperationOutcome") != (mode == "outcome") && mode != "":
		k.lax("invalid", "the search mode outcome is that of an OperationOutcome")
	case mode != "outcome" && typ != "OperationOutcome" && text(r, "id") == "":
		k.lax("required", "what a search finds has an id")
	}
}
