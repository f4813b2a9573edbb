package fhir

import (
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/message"
)

// npi knows one system by a short name.
func npi(name string) string {
	if name == "npi" {
		return "http://hl7.org/fhir/sid/us-npi"
	}
	return ""
}

func compile(t testing.TB, text string) message.Path {
	t.Helper()
	p, err := Grammar{Systems: npi}.Compile(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		file, path string
		kind       message.PathKind
		want       string // values, or places as JSON, with | between
	}{
		{"service_request_two_codes.json", "ServiceRequest.status", message.One, "active"},
		{"service_request_two_codes.json", "ServiceRequest.category.coding.code", message.Several, "108252007|laboratory"},
		{"service_request_two_codes.json", "ServiceRequest.category[0].coding[0].code", message.One, "108252007"},
		{"service_request_two_codes.json", "ServiceRequest.category[0].coding[2].code", message.One, ""},
		{"service_request_two_codes.json", "ServiceRequest.category[1].coding.code", message.Several, ""},
		{"service_request_two_codes.json", "ServiceRequest.category[0].coding[system=http://snomed.info/sct].code", message.One, "108252007"},
		{"service_request_two_codes.json", "ServiceRequest.category[coding.code=laboratory].coding.display", message.Several, "Laboratory procedure"},
		{"service_request_two_codes.json", "ServiceRequest.identifier[type=PLAC].value", message.One, "PL-4711"},
		{"service_request_two_codes.json", "ServiceRequest.identifier[type=FILL].value", message.One, "FI-88"},
		{"service_request_two_codes.json", "ServiceRequest.identifier[type=MR].value", message.One, ""},
		{"service_request_two_codes.json", `ServiceRequest.identifier[value="FI-88"].system`, message.One, "https://lab.acme.example.org"},
		{"service_request_two_codes.json", "ServiceRequest.subject.reference", message.One, "Patient/p-100"},
		{"service_request_two_codes.json", "ServiceRequest.subject", message.Places, `{"reference":"Patient/p-100","display":"Example, Ada"}`},
		{"service_request_two_codes.json", "ServiceRequest.note.text", message.Several, "Fasting since 20:00.\nCall with results."},
		{"service_request_two_codes.json", "Patient.name.family", message.Several, ""}, // another type
		{"service_request_two_codes.json", "Patient.name", message.Places, ""},
		{"patient.json", "Patient.name[0].family", message.One, "Exämple"},
		{"patient.json", "Patient.name.given", message.Several, "Ada|M.|Addie"},
		{"patient.json", "Patient.name[use=nickname].given[0]", message.One, "Addie"},
		{"patient.json", "Patient.name[1].given.extension[heard].valueBoolean", message.Several, "true"},
		{"patient.json", "Patient.birthDate.extension[patient-birthTime].valueDateTime", message.One, "1980-02-29T06:15:00-05:00"},
		{"patient.json", "Patient.extension[patient-birthPlace].valueAddress.city", message.One, "Rivertown"},
		{"patient.json", "Patient.extension[http://hl7.org/fhir/StructureDefinition/patient-birthPlace].value.city", message.One, "Rivertown"},
		{"patient.json", "Patient.extension[birthPlace].value.city", message.One, "Rivertown"},
		{"patient.json", "Patient.extension[lace].value.city", message.One, ""},
		{"patient.json", "Patient.deceased", message.One, "false"},
		{"patient.json", "Patient.active", message.One, "true"},
		{"patient.json", "Patient.resourceType", message.One, "Patient"},
		{"patient.json", "Patient.identifier[system=us-ssn].value", message.One, "000-12-3456"},
		{"practitioner_two_ids.json", "Practitioner.identifier[system=npi].value", message.One, "1999999984"},
		{"practitioner_two_ids.json", "Practitioner.identifier[*].value", message.Several, "1999999984|AB1234563"},
		{"practitioner_two_ids.json", "Practitioner.identifier[type=DEA][*].value", message.Several, "AB1234563"},
		{"coverage.json", "Coverage.class[type=group].value", message.One, "GRP-9"},
		{"medication_request_capsules.json", "MedicationRequest.medication.text", message.One, "Amoxicillin 250 mg capsule"},
		{"medication_request_capsules.json", "MedicationRequest.medication[x].coding[system=ndc].code", message.One, "00093226401"},
		{"medication_request_capsules.json", "MedicationRequest.dispenseRequest.quantity.value", message.One, "30.0"},
		{"claim_details.json", "Claim.insurance[focal=true].coverage.reference", message.One, "Coverage/cov-1"},
		{"claim_details.json", "Claim.insurance[focal=true].coverage", message.Places, `{"reference":"Coverage/cov-1"}`},
		{"claim_details.json", "Claim.item.detail.quantity.value", message.Several, "5"},
		{"bundle_order.json", "Bundle.entry.resource[Patient].name.family", message.Several, "Muster"},
		{"bundle_order.json", "Bundle.entry[1].resource[Patient].name[0].family", message.One, "Muster"},
		{"bundle_order.json", "Bundle.entry.resource[resourceType=ServiceRequest].status", message.Several, "active"},
		{"bundle_order.json", "Patient.name.family", message.Several, "Muster"}, // the first Patient
		{"bundle_order.json", "Bundle.entry.resource.status", message.Several, "active"},
		{"service_request_lab.json", "ServiceRequest.code.coding[system=loinc.org].code", message.One, "24323-8"},
		{"patient_merged.json", "Patient.multipleBirth", message.One, "2"},
		{"bundle_transaction.json", "Observation.value.value", message.One, "7.20"},
		{"bundle_transaction.json", "Observation.value", message.Places, `{"value":7.20,"unit":"mmol/L"}`},
		{"bundle_order.json", "Bundle.entry.resource.resourceType", message.Several, "ServiceRequest|Patient"},
	} {
		p := compile(t, c.path)
		if p.Kind() != c.kind {
			t.Errorf("%s: kind %v, want %v", c.path, p.Kind(), c.kind)
		}
		root := parse(t, sample(t, c.file)).Root()
		got := p.Texts(root)
		switch p.Kind() {
		case message.One:
			if one := p.Text(root); one != strings.Join(got, "|") {
				t.Errorf("%s: Text gives %q, Texts %q", c.path, one, got)
			}
		case message.Places:
			for _, n := range p.Nodes(root) {
				got = append(got, string(n.(*Place).Node().AppendJSON(nil)))
			}
		case message.Several:
		}
		if text := strings.Join(got, "|"); text != c.want {
			t.Errorf("%s: %s gives %q, want %q", c.file, c.path, text, c.want)
		}
	}
}

func TestFaultsOfPaths(t *testing.T) {
	for path, want := range map[string]string{
		"Patiemt.name":                       `"Patiemt" is no resource type of R4; did you mean "Patient"?`,
		"HumanName.family":                   `"HumanName" is no resource type of R4`,
		"Patient.birthdate":                  `"birthdate" is not an element of Patient; did you mean "birthDate"?`,
		"Patient.name.famly":                 `"famly" is not an element of HumanName; did you mean "family"?`,
		"Patient.contact.nameX":              `"nameX" is not an element of Patient.contact; did you mean "name"?`,
		"Claim.item.productCode":             `"productCode" is not an element of Claim.item`,
		"MedicationRequest.medication.txt":   `"txt" is not an element of CodeableConcept or Reference; did you mean "text"?`,
		"Observation.valuee":                 `"valuee" is not an element of Observation; did you mean "value"?`,
		"Patient.birthDate.year":             `birthDate is a value without elements: ".year" cannot follow`,
		"Patient.birthDate[0]":               "birthDate does not repeat: [0] has no meaning",
		"Patient.name[x].family":             "[x] is not an index of name: a number from 0, *, or [element=value]",
		"Patient.name.where(use='official')": `"where" is not an element of HumanName: functions of FHIRPath are not part of a path, [element=value] chooses`,
		"Patient.name[0].":                   `".": an element is wanted there, as in name.id`,
		"Patient.name[0":                     `"]" is missing`,
		"Patient.name[0][1]":                 "[1]: an index or * is the last of the brackets",
		"Patient.name[used=official]":        `"used" is not an element of HumanName; did you mean "use"?`,
		"Claim.item[net=x]":                  "[net=x]: net is an object: name an element of it",
		"Bundle.entry.resource.nickname":     `"nickname" is not an element of any resource type`,
		"Bundle.entry.resource[Patiemt]":     `"Patiemt" is no resource type of R4; did you mean "Patient"?`,
	} {
		if _, err := (Grammar{}).Compile(path); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}

func TestScanOfPaths(t *testing.T) {
	for text, want := range map[string]int{
		"Patient.name == 1": 12, "Patient.name[0].given[1], x": 24, "Patient": 7, "Patient == 1": 7, "Patient[0]": 0, "Patients": 0, "Patient(1)": 0, "type": 0, "message.received": 0, "var.name": 0, "Patient.": 7, "Patient.name)": 12, "Patiemt.name": 12,
		`Patient.name[text="a ] b"].use in`: 30, "Patient.name[0": 12, "Patient.name.": 12, "Patient.name.where(x)": 18, "1Patient.name": 0, "Claim.item.productOrService": 27, "Patient.0": 7, "Päd.x": 0, "Patient.name[0]é": 0,
	} {
		if got := (Grammar{}).Scan(0, text); got != want {
			t.Errorf("Scan(%s) = %d, want %d", text, got, want)
		}
	}
	for _, before := range []byte{'x', '_', '0', '.', '"', 0xc3} {
		if got := (Grammar{}).Scan(before, "Patient.name"); got != 0 {
			t.Errorf("after %q Scan gives %d", before, got)
		}
	}
}

// tables is a finder of two tables.
func tables(name string) (func(string) bool, func(string) (string, bool), bool) {
	codes := map[string][]string{"genetics-tests": {"BRCA"}, "acme-tests": {"CBC", "GLU"}}[name]
	return func(code string) bool { return slices.Contains(codes, code) }, func(string) (string, bool) { return "", false }, codes != nil
}

func condition(t *testing.T, text string) (*expression.Program, error) {
	t.Helper()
	return expression.Compile(text, expression.Options{Grammar: Grammar{Systems: npi}, Tables: tables, TableNames: []string{"genetics-tests", "acme-tests"}})
}

// TestExpressions compiles conditions as sites write them and asks them of the
// samples.
func TestExpressions(t *testing.T) {
	for _, c := range []struct {
		text, file string
		want       bool
	}{
		{`ServiceRequest.status == "active"`, "service_request_two_codes.json", true},
		{`has(ServiceRequest.category.coding.code, "laboratory")`, "service_request_two_codes.json", true},
		{`has(ServiceRequest.category.coding.code, "imaging")`, "service_request_two_codes.json", false},
		{`any(ServiceRequest.code.coding.code, # in table("acme-tests"))`, "service_request_two_codes.json", true},
		{`any(ServiceRequest.code.coding.code, # in table("genetics-tests"))`, "service_request_two_codes.json", false},
		{`any(ServiceRequest.code.coding, # in table("acme-tests"))`, "service_request_two_codes.json", true},
		{`any(ServiceRequest.code.coding, # in table("genetics-tests"))`, "service_request_two_codes.json", false},
		{`any(ServiceRequest.code.coding, # == "CBC" and ServiceRequest.code.coding.system endsWith "/tests")`, "service_request_two_codes.json", true},
		{`any(ServiceRequest.code.coding, # == "CBC" and ServiceRequest.code.coding.system == "http://loinc.org")`, "service_request_two_codes.json", false},
		{`type == "ServiceRequest" and valued(ServiceRequest.specimen) and not valued(ServiceRequest.bodySite)`, "service_request_two_codes.json", true},
		{`ServiceRequest.authoredOn startsWith "2026-01-05" and day(ServiceRequest.authoredOn) == day("2026-01-05")`, "service_request_two_codes.json", true},
		{`Claim.status == "active"`, "claim_details.json", true},
		{`Claim.status == "active"`, "service_request_two_codes.json", false}, // of another type there is nothing
		{`any(Claim.item, Claim.item.productOrService.coding.code == "99213")`, "claim_details.json", true},
		{`any(Claim.item, Claim.item.productOrService.coding.code == "99213" and Claim.item.sequence == "2")`, "claim_details.json", false},
		{`any(Claim.item, "85025" == Claim.item.productOrService.coding.code and number(Claim.item.quantity.value) > 1)`, "claim_details.json", true},
		{`any(Claim.item, Claim.item.sequence == "1" and number(Claim.item.net.value) == 120)`, "claim_details.json", true},
		{`any(Claim.item, any(Claim.item.detail, Claim.item.detail.quantity.value == "5" and Claim.item.sequence == "2"))`, "claim_details.json", true},
		{`any(Claim.item.detail, Claim.item.sequence == "1")`, "claim_details.json", false},
		{`any(Claim.item.detail, Claim.item.sequence == "2")`, "claim_details.json", true},
		{`any(Claim.item, any(Claim.diagnosis, Claim.diagnosis.sequence == Claim.item.sequence))`, "claim_details.json", true},
		{`any(Claim.item, Claim.item[0].sequence == "1" and Claim.item.sequence == "2")`, "claim_details.json", true},
		{`all(Claim.item, valued(Claim.item.net.value)) and len(Claim.item) == 2 and count(Claim.item, Claim.status == "active") == 2`, "claim_details.json", true},
		{`len(filter(Claim.item, Claim.item.sequence == "2")) == 1`, "claim_details.json", true},
		{`number(Claim.total.value) > 150.4`, "claim_details.json", true},
		{`MedicationRequest.status == "active" and any(MedicationRequest.medication.coding, # == "308182")`, "medication_request_capsules.json", true},
		{`any(Bundle.entry.resource, ServiceRequest.status == "active")`, "bundle_order.json", true},
		{`any(Bundle.entry.resource, Patient.name[0].family == "Muster")`, "bundle_order.json", true},
		{`any(Bundle.entry, Bundle.entry.request.method != "POST")`, "bundle_order.json", false},
		{`any(Bundle.entry, Bundle.entry.request.url == "Patient" and Bundle.entry.resource.resourceType == "Patient")`, "bundle_order.json", true},
		{`valued(Patient)`, "patient.json", true},
		{`valued(Patient)`, "claim_details.json", false},
		{`any(Patient, Patient.gender == "female")`, "patient.json", true},
		{`valued(path("Patient.name[0].family")) and has(paths("Patient.name.given"), "Ada")`, "patient.json", true},
	} {
		p, err := condition(t, c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		d := parse(t, sample(t, c.file))
		got, err := p.Bool(expression.Env{Message: &message.Message{Header: d.Header()}, Root: d.Root()}, nil)
		if err != nil || got != c.want {
			t.Errorf("%s: got %v, %v", c.text, got, err)
		}
	}
}

func TestFaultsOfExpressions(t *testing.T) {
	for text, want := range map[string]string{
		`ServiceRequest.category.coding.code == "x"`:                      `ServiceRequest.category.coding.code has several values: write has(ServiceRequest.category.coding.code, "x")`,
		`Claim.total.value > 5`:                                           "Claim.total.value is text: write number(Claim.total.value) > 5",
		`ServiceRequest.subject == "Patient/1"`:                           "ServiceRequest.subject is a place in the message, not a value: name a field of it, or write valued(ServiceRequest.subject)",
		`any(Claim.item, Claim.item.productOrService.coding.code != "1")`: `Claim.item.productOrService.coding.code has several values: write not has(Claim.item.productOrService.coding.code, "1")`,
		`any(Claim.item, Claim.diagnosis.sequence == "1")`:                `Claim.diagnosis.sequence has several values: write has(Claim.diagnosis.sequence, "1")`,
		`ServiceRequest.stats == "x"`:                                     `"stats" is not an element of ServiceRequest; did you mean "status"?`,
		`ServiceReqest.status == "x"`:                                     `"ServiceReqest" is no resource type of R4; did you mean "ServiceRequest"?`,
		`Patient.name.exists()`:                                           `"exists" is not an element of HumanName: functions of FHIRPath are not part of a path, write valued(…)`,
	} {
		if _, err := condition(t, text); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// TestKeysOfChannels: an expression that gives a text, read at a place.
func TestKeysOfChannels(t *testing.T) {
	p, err := expression.Compile(`ServiceRequest.subject.reference`, expression.Options{Grammar: Grammar{}, Want: expression.Text})
	if err != nil {
		t.Fatal(err)
	}
	d := parse(t, sample(t, "bundle_message.json"))
	places := compile(t, "Bundle.entry.resource").Nodes(d.Root())
	if len(places) != 2 {
		t.Fatalf("%d places", len(places))
	}
	for i, want := range []string{"", "Patient/p-101"} {
		if got, err := p.Text(expression.Env{Root: d.Root()}, places[i]); got != want || err != nil {
			t.Errorf("at entry %d: %q, %v, want %q", i, got, err, want)
		}
	}
}
