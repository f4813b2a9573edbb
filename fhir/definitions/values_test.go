package definitions

import "testing"

func TestInvariantsOfR4(t *testing.T) {
	all := 0
	for path, list := range invariants() {
		all += len(list)
		for _, v := range list {
			if v.Key == "" || v.Human == "" || v.Expression == "" {
				t.Errorf("%s: %+v", path, v)
			}
		}
	}
	if all < 240 {
		t.Errorf("%d invariants", all)
	}
	if l := Invariants("Patient.contact"); len(l) != 1 || l[0].Key != "pat-1" || l[0].Warning {
		t.Errorf("Patient.contact: %+v", l)
	}
	if l := Invariants("DomainResource"); len(l) != 5 || l[4].Key != "dom-6" || !l[4].Warning {
		t.Errorf("DomainResource: %+v", l)
	}
}

func TestCodeSystems(t *testing.T) {
	for code, want := range map[[2]string][2]bool{
		{"http://hl7.org/fhir/resource-types", "Patient"}:                     {true, true},
		{"http://hl7.org/fhir/resource-types", "Patent"}:                      {false, true},
		{"http://terminology.hl7.org/CodeSystem/basic-resource-type", "diet"}: {true, true},
		{"http://loinc.org", "718-7"}:                                         {false, false},
		{"http://terminology.hl7.org/CodeSystem/v2-0203", "MR"}:               {false, false},
	} {
		if exists, known := Code(code[0], code[1]); exists != want[0] || known != want[1] {
			t.Errorf("%v: %v %v", code, exists, known)
		}
	}
}

func TestCodes(t *testing.T) {
	gender, ok := Codes("http://hl7.org/fhir/ValueSet/administrative-gender")
	if !ok || !gender.HasCode("female") || gender.HasCode("F") || gender.Open() != "" {
		t.Errorf("administrative-gender: %+v", gender)
	}
	if !gender.Has("http://hl7.org/fhir/administrative-gender", "male") || gender.Has("urn:x", "male") {
		t.Error("administrative-gender does not tell systems apart")
	}
	if mime, ok := Codes("http://hl7.org/fhir/ValueSet/mimetypes"); !ok || mime.Open() != "urn:ietf:bcp:13" {
		t.Errorf("mimetypes: %+v", mime)
	}
	missing := 0
	for _, typ := range load().types {
		for i := range typ.Elements {
			if b := typ.Elements[i].Binding; b != "" && valueSets()[b] == nil {
				missing++
				t.Logf("%s.%s: no codes of %s", typ.Name, typ.Elements[i].Path, b)
			}
		}
	}
	if missing > 4 {
		t.Errorf("%d bindings have no codes", missing)
	}
}
