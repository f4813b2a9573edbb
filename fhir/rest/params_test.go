package rest

import (
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

// resource wraps a value into the members that lead to it.
func (s *sample) resource(id, value string) string {
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
	return `{"resourceType":"` + s.param.Type + `","id":"` + id + `",` + value[1:]
}

// TestEveryParameter writes, for each search parameter of R4 and each type its
// value may have, one resource that it finds and one that it nearly finds.
func TestEveryParameter(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(*testing.T) *api) {
		a := open(t)
		records := a.handler.(*server).Records
		tried, cannot := map[fhir.Param]bool{}, map[string]string{}
		for _, typ := range definitions.Resources() {
			var writes []store.Write
			type question struct{ code, query, hit, miss string }
			var asked []question
			for _, p := range definitions.Params(typ) {
				if p.Kind == "composite" || p.Kind == "special" || strings.Contains(p.Expression, "exists()") {
					continue // see TestSearchBeyondValues
				}
				for _, s := range samples(p) {
					hit, query := s.made(1)
					miss, _ := s.made(2)
					if hit == "" {
						cannot[p.Type+" "+p.Code+" "+s.end] = p.Kind
						continue
					}
					tried[p.ID] = true
					q := question{p.Code, query, fmt.Sprintf("h%d", len(asked)), fmt.Sprintf("m%d", len(asked))}
					asked = append(asked, q)
					for id, value := range map[string]string{q.hit: hit, q.miss: miss} {
						n, err := fhir.Parse([]byte(s.resource(id, value)))
						if err != nil {
							t.Fatalf("%s %s: %v", typ, p.Code, err)
						}
						writes = append(writes, write(typ, id, n, 0))
					}
				}
			}
			if _, err := records.Write(t.Context(), writes, store.Author{Actor: "test"}); err != nil {
				t.Fatal(err)
			}
			for _, q := range asked {
				found := strings.Fields(a.found(typ + "?_count=1000&" + q.code + "=" + url.QueryEscape(q.query)))
				if !slices.Contains(found, q.hit) || slices.Contains(found, q.miss) {
					t.Errorf("%s?%s=%s found %v, want %s and not %s", typ, q.code, q.query, found, q.hit, q.miss)
				}
			}
		}
		for _, typ := range definitions.Resources() {
			for _, p := range definitions.Params(typ) {
				if p.Kind != "composite" && p.Kind != "special" && !tried[p.ID] && !strings.Contains(p.Expression, "exists()") {
					cannot[typ+" "+p.Code] = "nothing reached"
				}
			}
		}
		if !maps.Equal(cannot, underivable) {
			t.Errorf("no value can be derived for %v", cannot)
		}
		t.Logf("%d parameters tried", len(tried))
	})
}
