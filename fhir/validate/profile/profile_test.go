package profile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// profiles are what the tests load, by file.
var profiles = map[string]string{
	"patient": definition("Patient", "clinic-patient", "", `
		{"id":"Patient","path":"Patient","constraint":[{"key":"cl-1","severity":"error","human":"a name or an identifier","expression":"name.exists() or identifier.exists()"},{"key":"cl-2","severity":"warning","human":"a birth date","expression":"birthDate.exists()"}]},
		{"id":"Patient.extension:race","path":"Patient.extension","sliceName":"race","max":"1","type":[{"code":"Extension","profile":["http://example.org/fhir/StructureDefinition/race"]}]},
		{"id":"Patient.identifier","path":"Patient.identifier","slicing":{"discriminator":[{"type":"value","path":"system"}],"rules":"open"}},
		{"id":"Patient.identifier:mrn","path":"Patient.identifier","sliceName":"mrn","min":1,"max":"1"},
		{"id":"Patient.identifier:mrn.system","path":"Patient.identifier.system","min":1,"fixedUri":"http://example.org/mrn"},
		{"id":"Patient.identifier:mrn.value","path":"Patient.identifier.value","min":1,"maxLength":6},
		{"id":"Patient.gender","path":"Patient.gender","min":1},
		{"id":"Patient.photo","path":"Patient.photo","max":"0"},
		{"id":"Patient.deceased[x]","path":"Patient.deceased[x]","type":[{"code":"boolean"}]},
		{"id":"Patient.maritalStatus","path":"Patient.maritalStatus","binding":{"strength":"required","valueSet":"http://example.org/fhir/ValueSet/marital|1"}},
		{"id":"Patient.managingOrganization","path":"Patient.managingOrganization","type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Organization"]}]},
		{"id":"Patient.communication.language","path":"Patient.communication.language","patternCodeableConcept":{"coding":[{"system":"urn:ietf:bcp:47"}]}}`),
	"strict": definition("Patient", "strict-patient", "http://example.org/fhir/StructureDefinition/clinic-patient", `
		{"id":"Patient.identifier:mrn.use","path":"Patient.identifier.use","min":1},
		{"id":"Patient.active","path":"Patient.active","min":1,"fixedBoolean":true}`),
	"race": definition("Extension", "race", "", `
		{"id":"Extension.extension:text","path":"Extension.extension","sliceName":"text","min":1,"max":"1"},
		{"id":"Extension.extension:text.url","path":"Extension.extension.url","fixedUri":"text"},
		{"id":"Extension.extension:text.value[x]","path":"Extension.extension.value[x]","min":1,"type":[{"code":"string"}]},
		{"id":"Extension.url","path":"Extension.url","fixedUri":"http://example.org/fhir/StructureDefinition/race"},
		{"id":"Extension.value[x]","path":"Extension.value[x]","max":"0"}`),
	"pressure": definition("Observation", "pressure", "", `
		{"id":"Observation.category","path":"Observation.category","slicing":{"discriminator":[{"type":"pattern","path":"$this"}],"rules":"closed"}},
		{"id":"Observation.category:vs","path":"Observation.category","sliceName":"vs","min":1,"max":"1","patternCodeableConcept":{"coding":[{"system":"urn:cat","code":"vs"}]}},
		{"id":"Observation.value[x]","path":"Observation.value[x]","slicing":{"discriminator":[{"type":"type","path":"$this"}],"rules":"open"}},
		{"id":"Observation.value[x]:valueQuantity","path":"Observation.value[x]","sliceName":"valueQuantity","type":[{"code":"Quantity"}]},
		{"id":"Observation.value[x]:valueQuantity.code","path":"Observation.value[x].code","fixedCode":"mm[Hg]"},
		{"id":"Observation.component","path":"Observation.component","slicing":{"discriminator":[{"type":"pattern","path":"code"}],"rules":"openAtEnd","ordered":true}},
		{"id":"Observation.component:sys","path":"Observation.component","sliceName":"sys","min":1,"max":"1"},
		{"id":"Observation.component:sys.code","path":"Observation.component.code","patternCodeableConcept":{"coding":[{"code":"sys"}]}},
		{"id":"Observation.component:dia","path":"Observation.component","sliceName":"dia","min":0,"max":"1"},
		{"id":"Observation.component:dia.code","path":"Observation.component.code","patternCodeableConcept":{"coding":[{"code":"dia"}]}},
		{"id":"Observation.component:dia.value[x]","path":"Observation.component.value[x]","min":1}`),
	"document": definition("Bundle", "report", "", `
		{"id":"Bundle.entry","path":"Bundle.entry","slicing":{"discriminator":[{"type":"type","path":"resource"}],"rules":"closed"}},
		{"id":"Bundle.entry:patient","path":"Bundle.entry","sliceName":"patient","min":1,"max":"1"},
		{"id":"Bundle.entry:patient.resource","path":"Bundle.entry.resource","min":1,"type":[{"code":"Patient","profile":["http://example.org/fhir/StructureDefinition/clinic-patient"]}]},
		{"id":"Bundle.entry:result","path":"Bundle.entry","sliceName":"result","min":0,"max":"*"},
		{"id":"Bundle.entry:result.resource","path":"Bundle.entry.resource","min":1,"type":[{"code":"Observation"}]}`),
	"named": definition("Patient", "named", "", `
		{"id":"Patient.telecom","path":"Patient.telecom","slicing":{"discriminator":[{"type":"exists","path":"period"}],"rules":"open"}},
		{"id":"Patient.telecom:old","path":"Patient.telecom","sliceName":"old","min":0,"max":"1"},
		{"id":"Patient.telecom:old.period","path":"Patient.telecom.period","min":1},
		{"id":"Patient.telecom:now","path":"Patient.telecom","sliceName":"now","min":1,"max":"*"},
		{"id":"Patient.telecom:now.period","path":"Patient.telecom.period","max":"0"},
		{"id":"Patient.generalPractitioner","path":"Patient.generalPractitioner","slicing":{"discriminator":[{"type":"profile","path":"resolve()"}],"rules":"open"}},
		{"id":"Patient.generalPractitioner:org","path":"Patient.generalPractitioner","sliceName":"org","min":0,"max":"1","type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Organization"]}]}`),
	"marital": `{"resourceType":"ValueSet","url":"http://example.org/fhir/ValueSet/marital","status":"active","compose":{"include":[{"system":"urn:m","concept":[{"code":"M"}]},{"system":"urn:n"},{"valueSet":["http://example.org/fhir/ValueSet/more"]}]}}`,
	"more":    `{"resourceType":"ValueSet","url":"http://example.org/fhir/ValueSet/more","status":"active","expansion":{"timestamp":"2020","contains":[{"abstract":true,"display":"all","contains":[{"system":"urn:o","code":"X"}]}]}}`,
	"system":  `{"resourceType":"CodeSystem","url":"urn:n","status":"active","content":"complete","concept":[{"code":"S","concept":[{"code":"T"}]}]}`,
	"other":   `{"resourceType":"Patient","id":"passed-over"}`,
}

const home = "http://example.org/fhir/StructureDefinition/"

func definition(typ, name, base, elements string) string {
	if base == "" {
		base = core + typ
	}
	kind := "resource"
	if typ == "Extension" {
		kind = "complex-type"
	}
	return `{"resourceType":"StructureDefinition","url":"` + home + name + `","name":"N","status":"active","kind":"` + kind + `","abstract":false,"type":"` + typ +
		`","baseDefinition":"` + base + `","derivation":"constraint","differential":{"element":[` + strings.TrimSpace(elements) + `]}}`
}

func loaded(t *testing.T) *Set {
	t.Helper()
	folder := t.TempDir()
	for name, content := range profiles {
		if err := os.WriteFile(filepath.Join(folder, name+".json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func patient(rest string) string {
	return `{"resourceType":"Patient","gender":"male","birthDate":"2020","identifier":[{"system":"http://example.org/mrn","value":"1"}]` + rest + `}`
}

func pressure(rest string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"a"},"category":[{"coding":[{"system":"urn:x"},{"system":"urn:cat","code":"vs","display":"a"}]}]` + rest + `}`
}

const sys, dia = `{"code":{"coding":[{"code":"sys"}]}}`, `{"code":{"coding":[{"code":"dia"}]},"valueInteger":1}`

// cases are resources by the profile they are held against, each with the places
// of its errors.
var cases = map[string]map[string]string{
	"clinic-patient": {
		patient(``): "",
		`{"resourceType":"Patient","birthDate":"2020"}`:                                                                                                                                "Patient invariant; Patient required; Patient required",
		`{"resourceType":"Patient","gender":"male","identifier":[{"system":"urn:a","value":"1"}]}`:                                                                                     "Patient invariant (warning); Patient required",
		`{"resourceType":"Patient","birthDate":"2020","gender":"male","identifier":[{"system":"http://example.org/mrn"}]}`:                                                             "Patient.identifier[0] required",
		`{"resourceType":"Patient","birthDate":"2020","gender":"male","identifier":[{"system":"http://example.org/mrn","value":"1234567"}]}`:                                           "Patient.identifier[0].value value",
		`{"resourceType":"Patient","birthDate":"2020","gender":"male","identifier":[{"system":"http://example.org/mrn","value":"1"},{"system":"http://example.org/mrn","value":"2"}]}`: "Patient structure",
		patient(`,"photo":[{"url":"http://a"}]`):                                                            "Patient structure",
		patient(`,"deceasedBoolean":true`):                                                                  "",
		patient(`,"deceasedDateTime":"2020"`):                                                               "Patient.deceased.ofType(dateTime) structure",
		patient(`,"maritalStatus":{"coding":[{"system":"urn:m","code":"M"}]}`):                              "",
		patient(`,"maritalStatus":{"coding":[{"system":"urn:n","code":"T"}]}`):                              "",
		patient(`,"maritalStatus":{"coding":[{"system":"urn:o","code":"X"}]}`):                              "",
		patient(`,"maritalStatus":{"coding":[{"system":"urn:m","code":"Q"}]}`):                              "Patient.maritalStatus code-invalid",
		patient(`,"maritalStatus":{"text":"a"}`):                                                            "Patient.maritalStatus code-invalid",
		patient(`,"managingOrganization":{"reference":"Organization/1"}`):                                   "",
		patient(`,"managingOrganization":{"reference":"Patient/1"}`):                                        "Patient.managingOrganization structure",
		patient(`,"communication":[{"language":{"coding":[{"system":"urn:ietf:bcp:47","code":"en"}]}}]`):    "",
		patient(`,"communication":[{"language":{"text":"en"}}]`):                                            "Patient.communication[0].language value",
		patient(`,"extension":[{"url":"` + home + `race","extension":[{"url":"text","valueString":"a"}]}]`): "",
		patient(`,"extension":[{"url":"` + home + `race","extension":[{"url":"text","valueCode":"a"}]}]`):   "Patient.extension[0].extension[0].value.ofType(code) structure",
		patient(`,"extension":[{"url":"` + home + `race","valueString":"a"}]`):                              "Patient.extension[0] required; Patient.extension[0] structure",
		patient(`,"extension":[{"url":"` + home + `race","extension":[{"url":"text","valueString":"a"}]},{"url":"` + home + `race","extension":[{"url":"text","valueString":"b"}]}]`): "Patient structure",
		`{"resourceType":"Observation","status":"final","code":{"text":"a"}}`: "Observation structure",
	},
	"strict-patient": {
		patient(`,"active":true`): "Patient.identifier[0] required",
		`{"resourceType":"Patient","gender":"male","birthDate":"2020","active":true,"identifier":[{"use":"usual","system":"http://example.org/mrn","value":"1"}]}`:  "",
		`{"resourceType":"Patient","gender":"male","birthDate":"2020","active":false,"identifier":[{"use":"usual","system":"http://example.org/mrn","value":"1"}]}`: "Patient.active value",
	},
	"pressure": {
		pressure(`,"component":[` + sys + `]`):                                   "",
		pressure(`,"component":[` + sys + `,` + dia + `,{"code":{"text":"a"}}]`): "",
		pressure(``): "Observation required",
		pressure(`,"component":[` + dia + `,` + sys + `]`):                                                                        "Observation.component[1] structure",
		pressure(`,"component":[{"code":{"text":"a"}},` + sys + `]`):                                                              "Observation.component[1] structure",
		pressure(`,"component":[` + sys + `,{"code":{"coding":[{"code":"dia"}]}}]`):                                               "Observation.component[1] required",
		pressure(`,"component":[` + sys + `],"valueQuantity":{"value":1,"code":"mm[Hg]"}`):                                        "",
		pressure(`,"component":[` + sys + `],"valueQuantity":{"value":1,"code":"Pa"}`):                                            "Observation.value.ofType(Quantity).code value",
		pressure(`,"component":[` + sys + `],"valueString":"Pa"`):                                                                 "",
		`{"resourceType":"Observation","status":"final","code":{"text":"a"},"category":[{"text":"a"}],"component":[` + sys + `]}`: "Observation.category[0] structure; Observation required",
	},
	"report": {
		`{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + patient(``) + `},{"resource":` + pressure(``) + `}]}`:                                                        "",
		`{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + pressure(``) + `}]}`:                                                                                         "Bundle required",
		`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","birthDate":"2020","identifier":[{"system":"http://example.org/mrn","value":"1"}]}}]}`: "Bundle.entry[0].resource required",
		`{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + patient(``) + `},{"resource":{"resourceType":"Basic","code":{"text":"a"}}}]}`:                                "Bundle.entry[1] structure",
	},
	"named": {
		`{"resourceType":"Patient","telecom":[{"value":"1"},{"value":"2","period":{"end":"2020"}}]}`:                                                 "",
		`{"resourceType":"Patient","telecom":[{"value":"2","period":{"end":"2020"}}]}`:                                                               "Patient required",
		`{"resourceType":"Patient","telecom":[{"value":"1"}],"generalPractitioner":[{"reference":"Organization/1"},{"reference":"Organization/2"}]}`: "Patient structure",
		`{"resourceType":"Patient","telecom":[{"value":"1"}],"generalPractitioner":[{"reference":"Organization/1"},{"reference":"Practitioner/2"}]}`: "",
	},
	"": { // what the resource claims itself
		`{"resourceType":"Patient","meta":{"profile":["` + home + `clinic-patient|1"]},"birthDate":"2020","gender":"male","name":[{"text":"a"}]}`: "Patient required",
		`{"resourceType":"Patient","meta":{"profile":["http://example.org/unknown"]}}`:                                                            "",
		`{"resourceType":"Basic","code":{"text":"a"},"contained":[{"resourceType":"Patient","meta":{"profile":["` + home + `named"]}}]}`:          "Basic.contained[0] required",
		`{"resourceType":"Basic","code":{"text":"a","_text":{"extension":[{"url":"` + home + `race","valueString":"a"}]}}}`:                       "Basic.code.text.extension[0] required; Basic.code.text.extension[0] structure",
	},
}

func TestProfiles(t *testing.T) {
	s := loaded(t)
	for name, list := range cases {
		t.Run(name, func(t *testing.T) {
			for content, want := range list {
				n, err := fhir.Parse([]byte(content))
				if err != nil {
					t.Fatalf("%s: %v", content, err)
				}
				var urls []string
				if name != "" {
					urls = append(urls, home+name)
				}
				var got []string
				for _, f := range s.Check(n, urls...) {
					one := f.Where + " " + f.Code
					if f.Severity != 0 {
						one += " (" + f.Severity.String() + ")"
					}
					got = append(got, one)
				}
				if got := strings.Join(got, "; "); got != want {
					t.Errorf("%s:\n got %s\nwant %s", content, got, want)
				}
			}
		})
	}
}

// TestExtensionsOfR4: what R4 says of its own extensions is told, and refuses
// nothing; its profiles are those of every set.
func TestExtensionsOfR4(t *testing.T) {
	var s *Set
	birth := `"_birthDate":{"extension":[{"url":"` + core + `patient-birthTime","value`
	for content, want := range map[string]string{
		`{"resourceType":"Patient",` + birth + `DateTime":"2020"}]}}`:                                                      "",
		`{"resourceType":"Patient","extension":[{"url":"` + core + `patient-nothing","valueString":"a"}]}`:                 "Patient.extension[0] not-found",
		`{"resourceType":"Patient",` + birth + `String":"2020"}]}}`:                                                        "Patient.birthDate.extension[0].value.ofType(string) structure lax",
		`{"resourceType":"Patient","extension":[{"url":"` + core + `patient-birthTime","valueDateTime":"2020"}]}`:          "Patient.extension[0] structure lax",
		`{"resourceType":"Patient","name":[{"extension":[{"url":"` + core + `iso21090-preferred","valueBoolean":true}]}]}`: "",
		`{"resourceType":"Observation","meta":{"profile":["` + core + `bodytemp"]},"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8310-5"}]},"subject":{"display":"a"},"effectiveDateTime":"2020-01-01",
			"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"valueQuantity":{"value":37,"unit":"C","system":"http://unitsofmeasure.org","code":"Cel"}}`: "",
		`{"resourceType":"Observation","meta":{"profile":["` + core + `bodytemp"]},"status":"final","code":{"text":"a"},"subject":{"display":"a"},"effectiveDateTime":"2020-01-01",
			"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"valueQuantity":{"value":37,"unit":"C","system":"http://unitsofmeasure.org","code":"C"}}`: "Observation.code required; Observation.value.ofType(Quantity).code code-invalid",
	} {
		n, err := fhir.Parse([]byte(content))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range s.Check(n) {
			one := f.Where + " " + f.Code
			if f.Lax {
				one += " lax"
			}
			got = append(got, one)
		}
		if got := strings.Join(got, "; "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", content, got, want)
		}
		if claims := strings.Contains(content, "bodytemp"); s.Claims(n) != claims {
			t.Errorf("%s claims a profile: %v", content, !claims)
		}
	}
	for url := range ofR4() {
		if !s.Has(url) {
			t.Error(url)
		}
	}
	if len(ofR4()) != 437 {
		t.Errorf("%d profiles of R4", len(ofR4()))
	}
}

func TestLoad(t *testing.T) {
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	files := tar.NewWriter(zipped)
	for name, content := range profiles {
		if err := files.WriteHeader(&tar.Header{Name: "package/" + name + ".json", Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "clinic.tgz")
	if err := os.WriteFile(archive, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(archive)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(s.URLs()); got != 6 || !s.Has(home+"race") || !s.Has(core+"Patient") || s.Has(home+"none") {
		t.Errorf("%v", s.URLs())
	}
	var none *Set
	if none.Has(home+"race") || !none.Has(core+"vitalsigns") || len(none.URLs()) != 0 {
		t.Error("nil is not the set of R4")
	}
	for name, content := range map[string]string{
		"no JSON":                    `{`,
		"an expression that is none": definition("Patient", "a", "", `{"id":"Patient","path":"Patient","constraint":[{"key":"a-1","severity":"error","human":"a","expression":"a.("}]}`),
		"a type that is none":        definition("Nothing", "a", "", `{"id":"Nothing","path":"Nothing"}`),
		"elements of another type":   definition("Patient", "a", "", `{"id":"Observation","path":"Observation"}`),
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "a.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(folder); err == nil {
			t.Errorf("%s is loaded", name)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there is loaded")
	}
}

// TestWorkIsBounded: a profile that is its own base and an extension whose
// values are extensions of the same profile end.
func TestWorkIsBounded(t *testing.T) {
	folder := t.TempDir()
	self := definition("Extension", "self", home+"self", `{"id":"Extension.extension:in","path":"Extension.extension","sliceName":"in","type":[{"code":"Extension","profile":["`+home+`self"]}]}`)
	if err := os.WriteFile(filepath.Join(folder, "a.json"), []byte(self), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	text := `{"url":"` + home + `self","valueString":"a"}`
	for range 25 {
		text = `{"url":"` + home + `self","extension":[` + text + `,` + `{"url":"urn:a","valueString":"a"}]}`
	}
	n, err := fhir.Parse([]byte(`{"resourceType":"Basic","code":{"text":"a"},"extension":[` + text + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if found := s.Check(n); len(found) > most {
		t.Errorf("%d faults", len(found))
	}
}
