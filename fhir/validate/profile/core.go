package profile

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/plexus-health/plexus/fhir"
)

//go:embed core.ndjson
var coreText string

// ofR4 are the profiles and extensions that R4 itself defines: vital signs, and
// the extensions of hl7.org. They are part of every set.
var ofR4 = sync.OnceValue(func() map[string]*profile {
	s := empty()
	for line := range strings.Lines(coreText) {
		n, err := fhir.Parse([]byte(line))
		if err == nil {
			err = s.take("core", n)
		}
		if err != nil {
			panic("profiles of R4: " + err.Error()) // generated; the tests load them
		}
	}
	for _, p := range s.profiles {
		s.make(p, 0)
		p.core = true
	}
	return s.profiles
})

func empty() *Set {
	return &Set{profiles: map[string]*profile{}, values: map[string]*fhir.Node{}, systems: map[string]*fhir.Node{}, expanded: map[string]*expansion{}}
}

// Claims reports whether a resource, or one in it, claims a profile that is
// known, or has an extension that the operator's profiles define. It is what
// Check has to be asked for before a write.
func (s *Set) Claims(n *fhir.Node) bool {
	if n == nil {
		return false
	}
	for i := range n.Members {
		m := &n.Members[i]
		switch {
		case m.Value.Kind < fhir.Array:
			continue
		case m.Name == "meta":
			for _, url := range texts(m.Value, "profile") {
				if s.find(url) != nil {
					return true
				}
			}
		case m.Name == "extension" || m.Name == "modifierExtension":
			for _, x := range m.Value.Items {
				if p := s.find(text(x, "url")); p != nil && !p.core {
					return true
				}
			}
		}
		if s.Claims(m.Value) {
			return true
		}
	}
	for _, item := range n.Items {
		if item.Kind >= fhir.Array && s.Claims(item) {
			return true
		}
	}
	return false
}

// placed reports whether an extension may stand at an element
// (defining-extensions.html#context).
func (p *profile) placed(at item) bool {
	if len(p.contexts) == 0 {
		return true
	}
	for _, c := range p.contexts {
		if c == "Element" || c == at.full || c == at.at || c == at.name() {
			return true
		}
		for code := at.code; code != ""; code = above(code, at) {
			if c == code {
				return true
			}
		}
	}
	return false
}

// above is the type that a type is made of.
func above(code string, at item) string {
	switch code {
	case "code", "id", "markdown":
		return "string"
	case "url", "canonical", "oid", "uuid":
		return "uri"
	case "unsignedInt", "positiveInt":
		return "integer"
	case "Age", "Count", "Distance", "Duration":
		return "Quantity"
	case "Bundle", "Binary", "Parameters", "DomainResource":
		return "Resource"
	case "Resource":
		return ""
	}
	if at.typ != nil && at.typ.Kind == "resource" && at.path == "" {
		return "DomainResource"
	}
	return ""
}
