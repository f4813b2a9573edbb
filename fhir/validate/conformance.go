package validate

import (
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/fhirpath"
)

// compiles checks an expression of FHIRPath at a member of an object.
func (k *checker) compiles(o *object, name string) {
	if x := text(o.node, name); x != "" {
		if _, err := fhirpath.Compile(x); err != nil {
			k.below(name, "invalid", "is no expression of FHIRPath")
		}
	}
}

func expression(k *checker, o *object) {
	if text(o.node, "language") == "text/fhirpath" {
		k.compiles(o, "expression")
	}
}

func constraint(k *checker, o *object) { k.compiles(o, "expression") }

// searchParameter: a composite has parts, and what is derived is of the type of
// what it is derived from (searchparameter.html).
func searchParameter(k *checker, o *object) {
	k.compiles(o, "expression")
	kind := text(o.node, "type")
	parts := o.node.Get("component")
	if kind == "composite" && (parts == nil || len(parts.Items) < 2) {
		k.fault("business-rule", "a composite has two components or more")
	}
	url, _, _ := strings.Cut(text(o.node, "derivedFrom"), "|")
	id, official := strings.CutPrefix(url, "http://hl7.org/fhir/SearchParameter/")
	typ, code, ok := strings.Cut(id, "-")
	if !official || !ok {
		return
	}
	from, known := definitions.FindParam(typ, code)
	if known && from.Kind != kind {
		k.fault("business-rule", "the type is not that of the parameter it is derived from")
	}
	if list := o.node.Get("base"); known && list != nil && list.Kind == fhir.Array {
		for i, base := range list.Items {
			if base.Text != typ {
				k.push(o.shape.fields["base"], "base", i)
				k.fault("business-rule", "the parameter it is derived from is not one of this type")
				k.pop()
			}
		}
	}
}

// attachment: size is that of the data (datatypes.html#Attachment).
func attachment(k *checker, o *object) {
	data, size := text(o.node, "data"), o.node.Get("size")
	if data == "" || size == nil || badBase64(data) != "" {
		return
	}
	count := 0
	for i := range len(data) {
		if base64Char(data[i]) {
			count++
		}
	}
	if n, err := strconv.Atoi(size.Text); err == nil && n != count*3/4 {
		k.report(Fault{Where: k.where() + ".size", Code: "invalid", Text: "is not the number of bytes of the data", Lax: true})
	}
}

// codeSystem: count and supplements (codesystem.html).
func codeSystem(k *checker, o *object) {
	content := text(o.node, "content")
	if count := o.node.Get("count"); count != nil && content == "complete" && o.node.Get("concept") != nil {
		if n, err := strconv.Atoi(count.Text); err == nil && n != concepts(o.node, 0) {
			k.below("count", "invalid", "is not the number of concepts, which are said to be complete")
		}
	}
	if supplements := o.node.Get("supplements") != nil; supplements != (content == "supplement") && content != "" {
		k.below("content", "business-rule", "is supplement exactly where it is said what is supplemented")
	}
	declared := map[string]string{}
	if list := o.node.Get("property"); list != nil {
		for _, p := range list.Items {
			declared[text(p, "code")] = text(p, "type")
		}
	}
	k.properties(o.node, k.shapes["CodeSystem"], declared, 0)
}

func concepts(n *fhir.Node, depth int) int {
	list, count := n.Get("concept"), 0
	if list == nil || depth > maxDepth {
		return 0
	}
	for _, c := range list.Items {
		count += 1 + concepts(c, depth+1)
	}
	return count
}

// properties: values are of the types the code system declares.
func (k *checker) properties(n *fhir.Node, s *shape, declared map[string]string, depth int) {
	list, f := n.Get("concept"), s.fields["concept"]
	if list == nil || list.Kind != fhir.Array || depth > maxDepth || len(declared) == 0 {
		return
	}
	for i, c := range list.Items {
		k.push(f, "concept", i)
		if props := c.Get("property"); props != nil && props.Kind == fhir.Array {
			for j, p := range props.Items {
				typ, known := declared[text(p, "code")]
				if !known || typ == "" {
					continue
				}
				if p.Get("value"+strings.ToUpper(typ[:1])+typ[1:]) == nil && p.Get("_value"+strings.ToUpper(typ[:1])+typ[1:]) == nil {
					k.push(f.shape.fields["property"], "property", j)
					k.fault("invalid", "the value is not of the type that is declared for the property")
					k.pop()
				}
			}
		}
		k.properties(c, f.shape, declared, depth+1)
		k.pop()
	}
}

// included checks a part of a value set: its system is absolute
// (valueset.html).
func included(k *checker, o *object) {
	system := text(o.node, "system")
	switch {
	case system == "":
	case !absolute(system):
		k.lax("invalid", "the system must be absolute")
	case strings.HasPrefix(system, "http://hl7.org/fhir/ValueSet/"):
		k.fault("invalid", "the system names a value set, and no code system")
	}
}

// questionnaire: conditions name questions that there are (questionnaire.html).
func questionnaire(k *checker, o *object) {
	ids := map[string]bool{}
	linked(o.node, ids, 0)
	k.conditions(o.node, o.shape, ids, 0)
}

func linked(n *fhir.Node, ids map[string]bool, depth int) {
	list := n.Get("item")
	if list == nil || depth > maxDepth {
		return
	}
	for _, item := range list.Items {
		ids[text(item, "linkId")] = true
		linked(item, ids, depth+1)
	}
}

func (k *checker) conditions(n *fhir.Node, s *shape, ids map[string]bool, depth int) {
	list, f := n.Get("item"), s.fields["item"]
	if list == nil || list.Kind != fhir.Array || f == nil || f.shape == nil || depth > maxDepth {
		return
	}
	for i, item := range list.Items {
		k.push(f, "item", i)
		if when := item.Get("enableWhen"); when != nil && when.Kind == fhir.Array {
			for j, w := range when.Items {
				if q := text(w, "question"); q != "" && !ids[q] {
					k.push(f.shape.fields["enableWhen"], "enableWhen", j)
					k.fault("business-rule", "the question is none of the questionnaire")
					k.pop()
				}
			}
		}
		k.conditions(item, f.shape, ids, depth+1)
		k.pop()
	}
}

// enableWhen: que-7, whose expression asks for a type that no element has.
func enableWhen(k *checker, o *object) {
	if text(o.node, "operator") == "exists" && o.node.Get("answerBoolean") == nil && o.node.Get("_answerBoolean") == nil {
		k.fault("invariant", "que-7: If the operator is 'exists', the value must be a boolean")
	}
}
