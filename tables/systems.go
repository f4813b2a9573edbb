package tables

import "strings"

// A System is one code system under the names the formats call it by.
type System struct {
	// Name is the short name maps use ("v2-0203", "loinc").
	Name string
	// URI is its FHIR name.
	URI string
	// OID is its object identifier in dots, empty when it has none.
	OID string
	// V2 are its names in HL7 v2 coding system fields ("LN", "HL70203").
	V2 []string
}

// Systems are the known code systems.
type Systems struct {
	byName, byURI, byOID, byV2 map[string]*System
}

// Name returns the system that maps call name, nil when there is none.
func (s *Systems) Name(name string) *System { return s.byName[name] }

// URI returns the system with that URI, nil when there is none.
func (s *Systems) URI(uri string) *System { return s.byURI[uri] }

// V2 returns the system a v2 field names: a name of table 0396 in any case, an
// OID, a URI, or a short name; nil when it is not known.
func (s *Systems) V2(text string) *System {
	if found := s.byV2[text]; found != nil {
		return found
	}
	if found := s.byV2[strings.ToUpper(text)]; found != nil {
		return found
	}
	oid := strings.TrimPrefix(text, "urn:oid:")
	if found := s.byOID[oid]; found != nil {
		return found
	}
	if found := s.byURI[text]; found != nil {
		return found
	}
	return s.byName[text]
}

// Names lists the short names.
func (s *Systems) Names() []string {
	names := make([]string, 0, len(s.byName))
	for name := range s.byName {
		names = append(names, name)
	}
	return names
}

func (s *Systems) add(sys *System) (clash string) {
	if s.byName == nil {
		s.byName, s.byURI = map[string]*System{}, map[string]*System{}
		s.byOID, s.byV2 = map[string]*System{}, map[string]*System{}
	}
	if s.byName[sys.Name] != nil {
		return "system " + quote(sys.Name) + " stands twice"
	}
	s.byName[sys.Name] = sys
	if s.byURI[sys.URI] == nil {
		s.byURI[sys.URI] = sys
	}
	if sys.OID != "" && s.byOID[sys.OID] == nil {
		s.byOID[sys.OID] = sys
	}
	for _, v2 := range sys.V2 {
		key := strings.ToUpper(v2)
		if s.byV2[key] != nil {
			return "system " + quote(sys.Name) + ": the v2 name " + quote(v2) + " is also that of " + quote(s.byV2[key].Name)
		}
		s.byV2[key] = sys
	}
	return ""
}

func quote(s string) string { return `"` + s + `"` }
