package validate

import (
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// checksOf lists the rules of a place that are no FHIRPath.
func checksOf(name string, t *definitions.Type, path string) []check {
	all := map[string]check{
		"Reference": reference, "Extension": extension, "Coding": coding, "Identifier": identifier, "Expression": expression, "Attachment": attachment,
		"Bundle": bundleRules, "Bundle.entry": entryRules,
		"SearchParameter": searchParameter, "CodeSystem": codeSystem,
		"ValueSet.compose.include": included, "ElementDefinition.constraint": constraint, "Questionnaire": questionnaire,
		"Questionnaire.item.enableWhen": enableWhen,
	}
	var out []check
	if path == "" && t.Kind == "resource" && t.Name != "Bundle" && t.Name != "Binary" && t.Name != "Parameters" {
		out = append(out, containedRules)
	}
	if c := all[name]; c != nil {
		out = append(out, c)
	}
	return out
}

// reference checks what a Reference names: a place that FHIR knows, of a type
// that the element may point to (references.html).
func reference(k *checker, o *object) {
	ref := text(o.node, "reference")
	typ := ""
	if ref != "" {
		if id, local := strings.CutPrefix(ref, "#"); local {
			typ = k.local(id)
		} else if typ = k.target(ref); typ == "" {
			return
		}
	}
	said := text(o.node, "type")
	switch {
	case said != "" && !absolute(said) && definitions.Number(said) == 0:
		k.below("type", "invalid", "is no type of R4")
		return
	case said != "" && typ != "" && !absolute(said) && said != typ:
		k.fault("invalid", "the type is another one than that of the reference")
	case typ == "":
		typ = said
	}
	if typ == "" || absolute(typ) || len(k.path) == 0 {
		return
	}
	if targets := k.path[len(k.path)-1].field.element.Targets; len(targets) > 0 && !slices.Contains(targets, "Resource") && !slices.Contains(targets, typ) {
		k.lax("structure", "refers to another type than "+strings.Join(targets, ", "))
	}
}

// local is the type of a contained resource (ref-1).
func (k *checker) local(id string) string {
	if id == "" {
		return text(k.frame.root, "resourceType")
	}
	container := k.frame
	for container.above != nil {
		container = container.above
	}
	if container.contained == nil {
		container.contained = map[string]*fhir.Node{}
		if list := container.node.Get("contained"); list != nil {
			for _, c := range list.Items {
				container.contained[text(c, "id")] = c
			}
		}
	}
	if c := container.contained[id]; c != nil {
		return text(c, "resourceType")
	}
	k.fault("invariant", "ref-1: SHALL have a contained resource if a local reference is provided")
	return ""
}

// target is the type a reference names by its form, or by the Bundle around it;
// empty where it does not.
func (k *checker) target(ref string) string {
	if strings.HasPrefix(ref, "urn:") {
		if fault := badURI(ref, uriType); fault != "" {
			k.warn("invalid", "the reference "+fault)
		}
		if k.bundle != nil {
			return text(k.bundle.find(ref), "resourceType")
		}
		return ""
	}
	if badURI(ref, uriType) != "" {
		k.fault("invalid", "the reference has white space in it")
		return ""
	}
	typ, id, query := named(ref)
	switch {
	case absolute(ref):
		return typ // of another server, whose paths are its own
	case query && typ != "":
		return typ // a conditional reference of a transaction
	case typ == "":
		k.lax("invalid", "the reference does not begin with a resource type")
	case !ID(id):
		k.lax("invalid", "the reference does not name an id after its type")
	}
	return typ
}

// named reads the type and the id a reference ends with.
func named(ref string) (typ, id string, query bool) {
	path, _, _ := strings.Cut(ref, "#")
	path, _, query = strings.Cut(path, "?")
	if before, _, versioned := strings.Cut(path, "/_history/"); versioned {
		path = before
	}
	parts := strings.Split(path, "/")
	if query {
		parts = append(parts, "")
	}
	if len(parts) < 2 || (!absolute(ref) && len(parts) > 2) {
		return "", "", query
	}
	typ, id = parts[len(parts)-2], parts[len(parts)-1]
	if _, known := definitions.Resource(typ); !known {
		return "", id, query
	}
	return typ, id, query
}

// extension checks ext-1 and the url (extensibility.html).
func extension(k *checker, o *object) {
	nested, value := o.node.Get("extension") != nil, false
	for i := range o.node.Members {
		name := strings.TrimPrefix(o.node.Members[i].Name, "_")
		if f := o.shape.fields[name]; f != nil && f.choice {
			value = true
		}
	}
	if nested == value {
		k.fault("invariant", "ext-1: Must have either extensions or value[x], not both")
	}
	url := text(o.node, "url")
	switch {
	case url == "":
	case strings.Contains(url, "|"):
		k.fault("invalid", "the url of an extension must not have a version")
	case !absolute(url) && !k.within("Extension"):
		k.fault("invalid", "the url of an extension must be absolute")
	}
}

// within reports whether the object around the one in hand is of a type.
func (k *checker) within(typ string) bool {
	return len(k.path) > 1 && k.path[len(k.path)-2].field.typ == typ
}

func coding(k *checker, o *object) {
	system := text(o.node, "system")
	switch {
	case system == "":
	case strings.HasPrefix(system, "http://hl7.org/fhir/ValueSet/"):
		k.below("system", "invalid", "names a value set, and no code system")
	case !absolute(system):
		k.report(Fault{Where: k.where() + ".system", Code: "invalid", Text: "must be absolute", Lax: true})
	default:
		k.coded(o, system)
	}
}

// coded holds a code against its system where R4 defines it: those of
// terminology.hl7.org have gone on since, so of them it is a warning.
func (k *checker) coded(o *object, system string) {
	code := text(o.node, "code")
	exists, known := definitions.Code(system, code)
	if !known || exists || code == "" || o.node.Get("version") != nil {
		return
	}
	f := Fault{Where: k.where() + ".code", Code: "code-invalid", Text: "is no code of " + system}
	if f.Lax = strings.HasPrefix(system, "http://hl7.org/fhir/"); !f.Lax {
		f.Severity = Warning
	}
	if f.Lax || k.warns {
		k.report(f)
	}
}

// identifier: with the system of URIs the value is one (datatypes.html#Identifier).
func identifier(k *checker, o *object) {
	system, value := text(o.node, "system"), text(o.node, "value")
	switch {
	case system == "":
	case system == "urn:ietf:rfc:3986" && value != "" && !absolute(value):
		k.report(Fault{Where: k.where() + ".value", Code: "invalid", Text: "is no whole URI, as its system says", Lax: true})
	case system == "urn:ietf:rfc:3986" && value != "":
		if fault := badURI(value, uriType); fault != "" {
			k.report(Fault{Where: k.where() + ".value", Code: "invalid", Text: fault, Lax: true})
		}
	case !absolute(system):
		k.report(Fault{Where: k.where() + ".system", Code: "invalid", Text: "must be absolute", Lax: true})
	}
}

// A bundle is a Bundle around the place.
type bundle struct {
	node *fhir.Node
	// urls are the resources by their full URL.
	urls map[string]*fhir.Node
}

func indexed(n *fhir.Node) *bundle {
	b := &bundle{node: n, urls: map[string]*fhir.Node{}}
	if list := n.Get("entry"); list != nil {
		for _, e := range list.Items {
			if url, r := text(e, "fullUrl"), e.Get("resource"); url != "" && r != nil {
				b.urls[url] = r
			}
		}
	}
	return b
}

// find is the resource of a full URL.
func (b *bundle) find(reference string) *fhir.Node {
	reference, _, _ = strings.Cut(reference, "/_history/")
	return b.urls[reference]
}
