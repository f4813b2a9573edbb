package maps_test

import (
	"encoding/json"
	"strings"
)

// A fact is one thing an instance says: an element and its value, both in the
// plain form of the corpus (lower case, telephone digits, days).
type fact [2]string

// An instance is a resource as its facts.
type instance struct {
	Type  string `json:"type"`
	Facts []fact `json:"facts"`
}

// portable is what any converter must find in a message.
type portable struct {
	Message   string         `json:"message"`
	Counts    map[string]int `json:"counts"`
	Instances []instance     `json:"instances"`
}

type object = map[string]any

// bundleFacts turns the resources of a Bundle into facts.
func bundleFacts(data []byte) (portable, error) {
	var bundle struct {
		Entry []struct {
			FullURL  string `json:"fullUrl"`
			Resource object `json:"resource"`
		} `json:"entry"`
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&bundle); err != nil {
		return portable{}, err
	}
	b := facts{byRef: map[string]object{}}
	var all []object
	for _, e := range bundle.Entry {
		if e.Resource == nil {
			continue
		}
		all = append(all, e.Resource)
		b.byRef[e.FullURL] = e.Resource
		if id, _ := e.Resource["id"].(string); id != "" {
			b.byRef[str(e.Resource, "resourceType")+"/"+id] = e.Resource
		}
	}
	out := portable{Counts: map[string]int{}}
	for _, res := range all {
		b.seen, b.list, b.contained = map[fact]bool{}, nil, contained(res)
		typ := str(res, "resourceType")
		out.Counts[typ]++
		b.resource(typ, res)
		out.Instances = append(out.Instances, instance{typ, b.list})
	}
	return out, nil
}

func contained(res object) map[string]object {
	out := map[string]object{}
	for _, c := range objects(res, "contained") {
		out["#"+str(c, "id")] = c
	}
	return out
}

type facts struct {
	byRef     map[string]object
	contained map[string]object
	seen      map[fact]bool
	list      []fact
}

// walk lists the values at a dotted path, through lists.
func walk(v any, path string) []any {
	if path != "" {
		head, rest, _ := strings.Cut(path, ".")
		switch v := v.(type) {
		case object:
			if next, ok := v[head]; ok {
				return walk(next, rest)
			}
			return nil
		case []any:
			var out []any
			for _, item := range v {
				out = append(out, walk(item, path)...)
			}
			return out
		}
		return nil
	}
	if list, ok := v.([]any); ok {
		var out []any
		for _, item := range list {
			out = append(out, walk(item, "")...)
		}
		return out
	}
	return []any{v}
}

func objects(v any, path string) []object {
	var out []object
	for _, item := range walk(v, path) {
		if o, ok := item.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

func texts(v any, path string) []string {
	var out []string
	for _, item := range walk(v, path) {
		switch item := item.(type) {
		case string:
			out = append(out, item)
		case json.Number:
			out = append(out, item.String())
		case bool:
			out = append(out, map[bool]string{true: "true", false: "false"}[item])
		}
	}
	return out
}

func str(v any, path string) string {
	if list := texts(v, path); len(list) > 0 {
		return list[0]
	}
	return ""
}

func plain(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

func day(s string) string {
	if len(s) > 10 {
		s = s[:10]
	}
	return s
}

func digits(s string) string {
	if strings.ContainsAny(s, "@/") {
		return plain(s)
	}
	out := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, s)
	switch {
	case out == "":
		return plain(s)
	case len(out) == 11 && out[0] == '1': // North America with its country code
		return out[1:]
	}
	return out
}

func (b *facts) add(path, value string) {
	f := fact{path, plain(value)}
	if value != "" && !b.seen[f] {
		b.seen[f] = true
		b.list = append(b.list, f)
	}
}

func (b *facts) texts(path string, v any, at string) {
	for _, s := range texts(v, at) {
		b.add(path, s)
	}
}

func (b *facts) days(path string, v any, at string) {
	for _, s := range texts(v, at) {
		b.add(path+"#t", day(s))
	}
}

// system is the corpus' name of a code system that everyone shares.
func system(uri string) string {
	for name, part := range map[string]string{
		"loinc": "loinc.org", "sct": "snomed.info/sct", "cpt": "ama-assn.org/go/cpt", "ndc": "sid/ndc", "i10": "icd-10", "i9": "icd-9",
	} {
		if strings.Contains(strings.ToLower(uri), part) {
			return name
		}
	}
	return ""
}

// concept takes CodeableConcepts, Codings and codes.
func (b *facts) concept(path string, v any, at string) {
	for _, item := range walk(v, at) {
		switch item := item.(type) {
		case string:
			b.add(path+".code", item)
		case object:
			codings := objects(item, "coding")
			if _, coding := item["code"]; coding {
				codings = append(codings, item)
			}
			for _, c := range codings {
				b.add(path+".code", str(c, "code"))
				if name := system(str(c, "system")); name != "" {
					b.add(path+".system", name+"|"+str(c, "code"))
				}
			}
			b.texts(path+".text", item, "text")
		}
	}
}

func (b *facts) identifiers(path string, v any, at string) {
	for _, id := range objects(v, at) {
		value := strings.TrimPrefix(strings.TrimPrefix(str(id, "value"), "urn:oid:"), "urn:uuid:")
		b.add(path, value)
		for _, code := range texts(id, "type.coding.code") {
			b.add(path+".type", code+"|"+value)
		}
	}
}

func (b *facts) names(path string, v any, at string) {
	for _, n := range objects(v, at) {
		b.texts(path+".family", n, "family")
		for _, given := range texts(n, "given") {
			for _, word := range strings.Fields(given) {
				b.add(path+".given", word)
			}
		}
	}
}

func (b *facts) addresses(path string, v any, at string) {
	for _, a := range objects(v, at) {
		for _, part := range []string{"line", "city", "district", "state", "postalCode", "country"} {
			b.texts(path+"."+part, a, part)
		}
	}
}

func (b *facts) telecoms(path string, v any, at string) {
	for _, s := range texts(v, at+".value") {
		b.add(path, digits(s))
	}
}

func (b *facts) period(path string, v any, at string) {
	b.days(path+".start", v, at+".start")
	b.days(path+".end", v, at+".end")
}

func (b *facts) when(path string, v any, name string) {
	b.days(path, v, name+"DateTime")
	b.days(path, v, name+"Date")
	b.period(path, v, name+"Period")
}

func (b *facts) quantity(path string, v any, at string) {
	for _, q := range objects(v, at) {
		for _, number := range texts(q, "value") {
			if strings.Contains(number, ".") {
				number = strings.TrimSuffix(strings.TrimRight(number, "0"), ".")
			}
			b.add(path, number)
		}
		b.texts(path+".unit", q, "unit")
		if str(q, "unit") == "" {
			b.texts(path+".unit", q, "code")
		}
	}
}

// values takes an element value[x].
func (b *facts) values(path string, v object) {
	for key, item := range v {
		switch key {
		case "valueString", "valueInteger", "valueTime", "valueBoolean", "valueDecimal":
			b.texts(path, item, "")
		case "valueDateTime":
			b.days(path, item, "")
		case "valueCodeableConcept":
			b.concept(path, item, "")
		case "valueQuantity":
			b.quantity(path, item, "")
		case "valueRange":
			b.quantity(path+".low", item, "low")
			b.quantity(path+".high", item, "high")
		case "valuePeriod":
			b.period(path, v, key)
		case "valueRatio":
			b.quantity(path+".numerator", item, "numerator")
			b.quantity(path+".denominator", item, "denominator")
		}
	}
}

// refs follows references to what names their targets.
func (b *facts) refs(path string, v any, at string) {
	for _, ref := range objects(v, at) {
		b.target(path, b.resolve(str(ref, "reference")))
	}
}

func (b *facts) resolve(ref string) object {
	if to := b.contained[ref]; to != nil {
		return to
	}
	return b.byRef[ref]
}

func (b *facts) target(path string, to object) {
	switch str(to, "resourceType") {
	case "Organization":
		b.texts(path+"->Organization", to, "name")
	case "Location":
		b.texts(path+"->Location", to, "name")
		if str(to, "name") == "" {
			b.texts(path+"->Location", to, "identifier.value")
		}
	case "Practitioner":
		b.names(path+"->Practitioner", to, "name")
	case "PractitionerRole":
		b.refs(path, to, "practitioner")
		b.refs(path, to, "organization")
	case "Observation":
		b.texts(path+"->Observation.code", to, "code.coding.code")
	case "Specimen":
		b.texts(path+"->Specimen.code", to, "type.coding.code")
	}
}
