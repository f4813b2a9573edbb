package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// underivable are the types of elements at which a search parameter ends and for
// which no value can be made that its kind knows: a text is no date and a document
// no reference.
var underivable = map[string]string{
	"CarePlan activity-date string": "date", "Immunization date string": "date", "Procedure date string": "date", "Procedure date Age": "date", "Procedure date Range": "date",
	"Consent source-reference Attachment": "reference",
}

// A sample is one way to reach a value of a parameter.
type sample struct {
	param *definitions.Param
	// path are the members to it, with the types of choices; end is its type.
	path []string
	end  string
	// key and value are those of a condition on the last.
	key, value string
}

// samples reads the expressions of a parameter again, without the compiler that
// is tested.
func samples(p *definitions.Param) []sample {
	var out []sample
	for one := range strings.SplitSeq(p.Expression, " | ") {
		one = strings.NewReplacer("(", " ", ")", " ", "[0]", "").Replace(one)
		only, s := "", sample{param: p}
		if before, target, ok := strings.Cut(one, ".where resolve   is "); ok {
			one, s.value = before, strings.TrimSpace(target)
		} else if before, condition, ok := strings.Cut(one, ".where "); ok {
			condition, after, _ := strings.Cut(condition, " ")
			key, value, _ := strings.Cut(condition, "=")
			s.key, s.value = key, strings.Trim(value, "'")
			one = before + after
		}
		if before, typ, ok := strings.Cut(one, ".as "); ok {
			one, only = before, strings.TrimSpace(typ)
		}
		if before, typ, ok := strings.Cut(one, " as "); ok {
			typ, after, _ := strings.Cut(typ, " ")
			one, only = before+strings.TrimSpace(after), typ
		}
		out = append(out, reach(s, p.Type, "", strings.Split(strings.TrimSpace(one), ".")[1:], only)...)
	}
	return out
}

// reach follows the names below a path of a type; a choice gives a sample for
// each of its types.
func reach(s sample, typ, path string, names []string, only string) []sample {
	if len(names) == 0 {
		s.end = typ
		return []sample{s}
	}
	t, ok := definitions.Lookup(typ)
	if !ok {
		return nil
	}
	full := strings.TrimPrefix(path+"."+names[0], ".")
	var out []sample
	for i := range t.Elements {
		e := &t.Elements[i]
		if strings.TrimSuffix(e.Path, "[x]") != full {
			continue
		}
		for _, of := range e.Types {
			next, member, choice := s, names[0], e.Path != full
			if only != "" && choice && !strings.EqualFold(of, only) {
				continue
			}
			if choice {
				member += strings.ToUpper(of[:1]) + of[1:]
			}
			if e.Repeats() {
				member += "*"
			}
			next.path = append(slices.Clone(s.path), member)
			rest := names[1:]
			whole, elsewhere := strings.CutPrefix(of, "#"+t.Name+".")
			switch {
			case elsewhere:
				out = append(out, reach(next, typ, whole, rest, only)...)
			case len(t.Children(e.Path)) > 0 && len(rest) > 0:
				out = append(out, reach(next, typ, e.Path, rest, only)...)
			default:
				out = append(out, reach(next, of, "", rest, only)...)
			}
		}
	}
	return out
}

// made is a value of the sample's type as JSON, and what to search for; which
// tells hits from misses.
func (s *sample) made(which int) (value, query string) {
	word := fmt.Sprintf("%s%d", strings.Trim(strings.ReplaceAll(s.param.Code, "-", ""), "_"), which)
	day := fmt.Sprintf("2020-01-0%d", which)
	switch s.param.Kind + " " + s.end {
	case "token code", "token id", "token string", "token uri", "uri uri", "uri url", "uri canonical", "uri oid", "string string", "string markdown", "token markdown", "token canonical":
		return `"` + word + `"`, word
	case "token boolean":
		return fmt.Sprint(which == 1), fmt.Sprint(which == 1)
	case "token Coding":
		return `{"system":"urn:s","code":"` + word + `"}`, "urn:s|" + word
	case "token CodeableConcept":
		return `{"coding":[{"code":"other"},{"system":"urn:s","code":"` + word + `"}]}`, "urn:s|" + word
	case "token Identifier":
		return `{"system":"urn:s","value":"` + word + `"}`, "urn:s|" + word
	case "token ContactPoint":
		system := s.value
		if system == "" {
			system = "phone"
		}
		return `{"system":"` + system + `","value":"` + word + `"}`, word
	case "string HumanName":
		return `{"family":"` + word + `"}`, word
	case "string Address":
		return `{"city":"` + word + `"}`, word
	case "date date", "date dateTime":
		return `"` + day + `"`, day
	case "date instant":
		return `"` + day + `T10:00:00Z"`, day
	case "date Period":
		return `{"start":"` + day + `T01:00:00Z","end":"` + day + `T02:00:00Z"}`, day
	case "date Timing":
		return `{"event":["` + day + `"]}`, day
	case "number decimal", "number integer", "number positiveInt", "number unsignedInt":
		return fmt.Sprint(which), fmt.Sprint(which)
	case "quantity Quantity", "quantity Age", "quantity Duration", "quantity SimpleQuantity":
		return fmt.Sprintf(`{"value":%d,"system":"urn:u","code":"u"}`, which), fmt.Sprintf("%d|urn:u|u", which)
	case "quantity Money":
		return fmt.Sprintf(`{"value":%d,"currency":"CHF"}`, which), fmt.Sprintf("%d||CHF", which)
	case "quantity Range", "number Range":
		return fmt.Sprintf(`{"low":{"value":%d},"high":{"value":%d}}`, which, which), fmt.Sprint(which)
	case "quantity SampledData":
		return fmt.Sprintf(`{"origin":{"value":0.5},"period":1,"dimensions":1,"factor":2,"data":"3 E %d"}`, which), fmt.Sprintf("%d.5", 2*which)
	case "reference Resource":
		return `{"resourceType":"` + s.param.Targets[0] + `","id":"` + word + `"}`, s.param.Targets[0] + "/" + word
	case "reference Reference":
		target := "Patient"
		if s.value != "" && s.key == "" {
			target = s.value
		} else if len(s.param.Targets) > 0 {
			target = s.param.Targets[0]
		}
		return `{"reference":"` + target + `/` + word + `"}`, target + "/" + word
	case "reference canonical", "reference uri":
		return `"http://x.example/` + word + `"`, "http://x.example/" + word
	}
	return "", ""
}

// members wraps a value into the members that lead to it.
func (s *sample) members(value string) string {
	for i, name := range slices.Backward(s.path) {
		name, list := strings.CutSuffix(name, "*")
		if i == len(s.path)-1 && s.key != "" && strings.HasPrefix(value, "{") && !strings.Contains(value, `"`+s.key+`"`) {
			value = `{"` + s.key + `":"` + s.value + `",` + value[1:]
		}
		if list {
			value = "[" + value + "]"
		}
		// The condition stands on the element above what is taken of it.
		extra := ""
		if s.key == "type" && i == len(s.path)-1 && name == "resource" {
			extra = `"type":"` + s.value + `",`
		}
		value = `{` + extra + `"` + name + `":` + value + `}`
	}
	return value[1 : len(value)-1]
}

// An inquiry is a search with one resource that it finds and one that it nearly
// finds, as JSON without type and id.
type inquiry struct {
	param            *definitions.Param
	query, hit, miss string
}

// written are the questions that no expression gives.
func written(p *definitions.Param) []inquiry {
	switch p.Type + " " + p.Code {
	case "Patient deceased": // its expression is a condition
		return []inquiry{
			{p, "true", `"deceasedBoolean":true`, `"deceasedBoolean":false`},
			{p, "true", `"deceasedDateTime":"2020-01-01"`, `"active":true`},
			{p, "false", `"deceasedBoolean":false`, `"deceasedDateTime":"2020-01-01"`},
			{p, "false", `"active":true`, `"deceasedBoolean":true`},
		}
	case "Location near":
		return []inquiry{{p, "46.948|7.4474|9|km", `"position":{"latitude":46.95,"longitude":7.55}`, `"position":{"latitude":46.95,"longitude":7.57}`}}
	}
	return nil
}

// inquiries are those of a parameter, one for each type its value may have; cannot
// takes the types for which there is none.
func inquiries(p *definitions.Param, cannot map[string]string) []inquiry {
	if p.Kind == "composite" {
		return compositeQuestions(p)
	}
	out := written(p)
	if len(out) > 0 {
		return out
	}
	for _, s := range samples(p) {
		hit, query := s.made(1)
		miss, _ := s.made(2)
		if hit == "" {
			cannot[p.Type+" "+p.Code+" "+s.end] = p.Kind
			continue
		}
		out = append(out, inquiry{p, query, s.members(hit), s.members(miss)})
	}
	return out
}

// TestEveryParameter writes, for each search parameter of R4 and each type its
// value may have, one resource that it finds and one that it nearly finds.
func TestEveryParameter(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(*testing.T) *api) {
		a := open(t)
		records := a.handler.(*server).Records
		cannot := map[string]string{}
		tried := 0
		for _, typ := range definitions.Resources() {
			var writes []store.Write
			var asked []inquiry
			for _, p := range definitions.Params(typ) {
				list := inquiries(p, cannot)
				if len(list) == 0 {
					t.Errorf("%s?%s: nothing is asked", typ, p.Code)
				}
				asked = append(asked, list...)
				tried++
			}
			for i, q := range asked {
				for name, members := range map[string]string{"h": q.hit, "m": q.miss} {
					id := fmt.Sprint(name, i)
					n, err := fhir.Parse([]byte(`{"resourceType":"` + typ + `","id":"` + id + `",` + members + `}`))
					if err != nil {
						t.Fatalf("%s %s: %v", typ, q.param.Code, err)
					}
					writes = append(writes, write(typ, id, n, 0))
				}
			}
			if _, err := records.Write(t.Context(), writes, store.Author{Actor: "test"}); err != nil {
				t.Fatal(err)
			}
			for i, q := range asked {
				hit, miss := fmt.Sprint("h", i), fmt.Sprint("m", i)
				found := strings.Fields(a.found(typ + "?_count=1000&" + q.param.Code + "=" + url.QueryEscape(q.query)))
				if !slices.Contains(found, hit) || slices.Contains(found, miss) {
					t.Errorf("%s?%s=%s found %v, want {%s} and not {%s}", typ, q.param.Code, q.query, found, q.hit, q.miss)
				}
			}
		}
		if !maps.Equal(cannot, underivable) {
			t.Errorf("no value can be derived for %v", cannot)
		}
		t.Logf("%d parameters tried", tried)
	})
}

// compositeQuestions ask for all parts of a composite in one element. What is
// nearly found has each of them, but not all in one element where there may be
// several.
func compositeQuestions(p *definitions.Param) (out []inquiry) {
	for element := range strings.SplitSeq(p.Expression, " | ") {
		ways := [][]sample{nil}
		for _, c := range p.Components {
			of, _ := definitions.FindParam(p.Type, c.Code)
			var longer [][]sample
			for one := range strings.SplitSeq(c.Expression, " | ") {
				part := *of
				part.Expression = element + "." + one
				if rest, whole := strings.CutPrefix(one, "%resource."); whole {
					part.Expression = p.Type + "." + rest
				}
				for _, s := range samples(&part) {
					if hit, _ := s.made(1); hit == "" {
						continue // no value of its kind: see the parameter itself
					}
					for _, way := range ways {
						longer = append(longer, append(slices.Clone(way), s))
					}
				}
			}
			ways = longer
		}
		for _, way := range ways {
			out = append(out, compositeQuestion(p, strings.Count(element, "."), way))
		}
	}
	return out
}

// compositeQuestion asks for parts below an element that is some names deep.
func compositeQuestion(p *definitions.Param, deep int, parts []sample) inquiry {
	q := inquiry{param: p}
	var queries []string
	hit, miss := map[string]any{}, map[string]any{}
	first, second := map[string]any{}, map[string]any{}
	var above []string
	for i, s := range parts {
		one, query := s.made(1)
		other, _ := s.made(2)
		queries = append(queries, query)
		if strings.HasPrefix(p.Components[i].Expression, "%resource.") { // both have it
			put(hit, s.path, one)
			put(miss, s.path, one)
			continue
		}
		if len(first) == 0 { // the others have its other value
			put(first, s.path[deep:], one)
			put(second, s.path[deep:], other)
		} else {
			put(first, s.path[deep:], other)
			put(second, s.path[deep:], one)
		}
		above = s.path[:deep]
		put(hit, s.path, one)
	}
	switch {
	case deep == 0:
		maps.Copy(miss, first)
	case strings.HasSuffix(above[deep-1], "*"):
		put(miss, append(slices.Clone(above[:deep-1]), strings.TrimSuffix(above[deep-1], "*")), []any{first, second})
	default:
		put(miss, above, first)
	}
	q.query, q.hit, q.miss = strings.Join(queries, "$"), membersOf(hit), membersOf(miss)
	return q
}

// put sets a value below names; a name with a star is a list of one.
func put(at map[string]any, path []string, value any) {
	if text, ok := value.(string); ok {
		value = json.RawMessage(text)
	}
	name, list := strings.CutSuffix(path[0], "*")
	if len(path) == 1 {
		if list {
			value = []any{value}
		}
		at[name] = value
		return
	}
	below, _ := at[name].(map[string]any)
	if items, ok := at[name].([]any); ok {
		below, _ = items[0].(map[string]any)
	}
	if below == nil {
		below = map[string]any{}
		at[name] = below
		if list {
			at[name] = []any{below}
		}
	}
	put(below, path[1:], value)
}

func membersOf(m map[string]any) string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // maps of texts
	}
	return string(text[1 : len(text)-1])
}
