package profile

import (
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/validate"
)

// An expansion is the codes of a value set.
type expansion struct {
	codes map[[2]string]bool // system and code
	any   map[string]bool    // codes of any system, for elements that say none
	core  *definitions.ValueSet
}

// maxCodes bounds the codes of one value set.
const maxCodes = 500_000

// expand lists the codes of the value sets that are loaded, as far as they can
// be told without a server of terminologies.
func (s *Set) expand() {
	for _, url := range sorted(s.values) {
		x := &expansion{codes: map[[2]string]bool{}, any: map[string]bool{}}
		if s.fill(x, s.values[url], 0) {
			s.expanded[url] = x
		}
	}
	s.values, s.systems = nil, nil
}

// expansion finds the codes of a value set; known is false where they cannot be
// told.
func (s *Set) expansion(url string) (*expansion, bool) {
	url, _, _ = strings.Cut(url, "|")
	if s != nil && s.expanded[url] != nil {
		return s.expanded[url], true
	}
	if core, ok := definitions.Codes(url); ok && core.Open() == "" {
		return &expansion{core: core}, true
	}
	return nil, false
}

func (x *expansion) has(system, code string) bool {
	if x.core != nil {
		return x.core.Has(system, code)
	}
	return x.codes[[2]string{system, code}]
}

func (x *expansion) hasCode(code string) bool {
	if x.core != nil {
		return x.core.HasCode(code)
	}
	return x.any[code]
}

// fill adds the codes of a value set; false where they cannot all be told.
func (s *Set) fill(x *expansion, set *fhir.Node, depth int) bool {
	if depth > 20 {
		return false
	}
	if list := set.Get("expansion").Get("contains"); list != nil {
		return x.contain(list, 0)
	}
	compose := set.Get("compose")
	include := compose.Get("include")
	if include == nil || compose.Get("exclude") != nil {
		return false
	}
	for _, i := range include.Items {
		if !s.include(x, i, depth) {
			return false
		}
	}
	return true
}

func (x *expansion) contain(list *fhir.Node, depth int) bool {
	if depth > maxDepth {
		return false
	}
	for _, c := range list.Items {
		if !x.add(text(c, "system"), text(c, "code")) {
			return false
		}
		if below := c.Get("contains"); below != nil && !x.contain(below, depth+1) {
			return false
		}
	}
	return true
}

func (x *expansion) add(system, code string) bool {
	if code == "" {
		return true // a heading
	}
	x.codes[[2]string{system, code}], x.any[code] = true, true
	return len(x.codes) <= maxCodes
}

func (s *Set) include(x *expansion, i *fhir.Node, depth int) bool {
	system := text(i, "system")
	imports := texts(i, "valueSet")
	switch {
	case i.Get("filter") != nil || (system != "" && len(imports) > 0) || len(imports) > 1:
		return false // a filter or an intersection: for a server of terminologies
	case len(imports) == 1:
		url, _, _ := strings.Cut(imports[0], "|")
		other := s.values[url]
		return other != nil && s.fill(x, other, depth+1)
	case i.Get("concept") != nil:
		for _, c := range i.Get("concept").Items {
			if !x.add(system, text(c, "code")) {
				return false
			}
		}
		return true
	}
	whole := s.systems[system]
	return whole != nil && text(whole, "content") == "complete" && x.concepts(system, whole, 0)
}

func (x *expansion) concepts(system string, n *fhir.Node, depth int) bool {
	list := n.Get("concept")
	if list == nil || depth > maxDepth {
		return depth <= maxDepth
	}
	for _, c := range list.Items {
		if !x.add(system, text(c, "code")) || !x.concepts(system, c, depth+1) {
			return false
		}
	}
	return true
}

// member answers memberOf() of invariants.
func (s *Set) member(set, system, code string) (member, known bool) {
	x, known := s.expansion(set)
	if !known {
		return false, false
	}
	if system == "" {
		return x.hasCode(code), true
	}
	return x.has(system, code), true
}

// bound holds a coded value against the value set of the profile.
func (k *checker) bound(p *profile, e *element, it item) {
	x, known := k.set.expansion(e.valueSet)
	if !known {
		return
	}
	good := true
	switch it.code {
	case "code", "uri", "string", "url", "canonical":
		good = x.hasCode(it.node.Text)
	case "Coding", "Quantity":
		good = x.has(text(it.node, "system"), text(it.node, "code")) || it.node.Get("code") == nil
	case "CodeableConcept":
		list := it.node.Get("coding")
		good = list != nil && anyOf(list.Items, func(c *fhir.Node) bool { return x.has(text(c, "system"), text(c, "code")) })
		if list == nil && e.strength == "extensible" {
			good = true // a text stands for what has no code
		}
	}
	if good {
		return
	}
	url, _, _ := strings.Cut(e.valueSet, "|")
	if e.strength == "required" && !k.lax { // extensions of R4 are used with codes of later releases
		k.fault(it.where, "code-invalid", "is no code of "+url+", which the profile "+p.url+" requires")
		return
	}
	k.report(validate.Warning, it.where, "code-invalid", "is no code of "+url+", which the profile "+p.url+" asks for where it has one")
}
