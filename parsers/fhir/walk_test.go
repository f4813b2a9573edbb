package fhir

import (
	"slices"
	"strings"
	"testing"
)

func TestWalk(t *testing.T) {
	for _, c := range []struct {
		types, text string
		want        string // values at the patient of the samples
		types2      string
		primitive   bool
		repeats     bool
	}{
		{"Patient", ".name.family", "Exämple", "", true, true},
		{"Patient", ".name[0].given[1]", "M.", "", true, false},
		{"Patient", ".name[use=nickname].given", "Addie", "", true, true},
		{"Patient", ".birthDate", "1980-02-29", "", true, false},
		{"Patient", ".name", "", "HumanName", false, true},
		{"Patient", ".contact[0].name", "", "HumanName", false, false},
		{"Patient", ".contact", "", "", false, true},
		{"Patient Practitioner", ".name[0].family", "Exämple", "", true, false},
		{"Practitioner Patient", ".identifier[system=us-ssn].value", "000-12-3456", "", true, false},
		{"", ".name.family", "Exämple", "", false, true},
		{"", ".identifier[type=MR].value", "MRN-100200", "", false, true},
		{"", ".identifier[0].value", "MRN-100200", "", false, true},
	} {
		var types []string
		if c.types != "" {
			types = strings.Split(c.types, " ")
		}
		w, err := Below(types, c.text)
		if err != nil {
			t.Errorf("%s%s: %v", c.types, c.text, err)
			continue
		}
		var got []string
		for _, n := range w.Nodes(parse(t, sample(t, "patient.json")).Tree()) {
			if n.Text != "" {
				got = append(got, n.Text)
			}
		}
		if text := strings.Join(got, "|"); text != c.want || strings.Join(w.Types, " ") != c.types2 || w.Primitive != c.primitive || w.Repeats != c.repeats {
			t.Errorf("%s%s: %q, %+v", c.types, c.text, text, w)
		}
	}
	if w, err := Below([]string{"Patient"}, ""); err != nil || !slices.Equal(w.Types, []string{"Patient"}) || len(w.Nodes(nil)) != 0 {
		t.Errorf("%+v %v", w, err)
	}
	for text, want := range map[string]string{
		".nameX":      `"nameX" is not an element of Patient; did you mean "name"?`,
		".name.famly": `"famly" is not an element of HumanName; did you mean "family"?`,
		"name":        `"name": an element is wanted there, as in Patient.id`,
	} {
		if _, err := Below([]string{"Patient"}, text); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTargets(t *testing.T) {
	for path, want := range map[string]string{
		"ServiceRequest.encounter": "Encounter", "ServiceRequest.requester": "Device Organization Patient Practitioner PractitionerRole RelatedPerson", "Claim.insurance[focal=true].coverage": "Coverage",
		"MedicationRequest.medication": "Medication", "MedicationRequest.medicationReference": "Medication", "ServiceRequest.status": "", "Pet.owner": "", "ServiceRequest.nothing": "", "ServiceRequest": "",
	} {
		got := slices.Sorted(slices.Values(Targets(path)))
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
