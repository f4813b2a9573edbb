package validate

import (
	"strings"
	"testing"
)

// forgiven is the group of rules whose breach refuses no write.
const forgiven = "what no write is refused for"

// A rule of the standard: a resource that breaks it, and where; empty for none.
var rulesOfR4 = map[string]map[string]string{
	"structure": {
		`{"resourceType":"Patient","birthdate":"2020"}`:                                 "Patient structure",
		`{"resourceType":"Patient","name":{"family":"a"}}`:                              "Patient.name structure",
		`{"resourceType":"Patient","gender":["male"]}`:                                  "Patient.gender structure",
		`{"resourceType":"Patient","name":[]}`:                                          "Patient.name structure",
		`{"resourceType":"Patient","name":["a"]}`:                                       "Patient.name[0] structure",
		`{"resourceType":"Patient","name":[{}]}`:                                        "Patient.name[0] structure",
		`{"resourceType":"Patient","name":[null]}`:                                      "Patient.name[0] structure",
		`{"resourceType":"Patient","active":null}`:                                      "Patient.active structure",
		`{"resourceType":"Patient","name":[{"resourceType":"HumanName","family":"a"}]}`: "Patient.name[0] structure",
		`{"resourceType":"Patient","name":[{"given":["a",null]}]}`:                      "Patient.name[0].given[1] structure",
		`{"resourceType":"Patient","_name":[{"id":"a"}]}`:                               "Patient structure",
		`{"resourceType":"Patient","contained":["a"]}`:                                  "Patient.contained[0] structure",
		`{"resourceType":"Patient","contact":[{"id":"a"}]}`:                             "Patient.contact[0] invariant; Patient.contact[0] invariant",
		`{"resourceType":"Nothing"}`:                                                    " structure",
		`{}`:                                                                            " structure",
		`{"resourceType":"Observation","status":"final"}`:                               "Observation required",
		`{"resourceType":"Observation","_status":{"extension":[{"url":"urn:a","valueCode":"a"}]},"code":{"text":"a"}}`: "",
		`{"resourceType":"Observation","status":"final","code":{"text":"a"},"valueString":"a","valueInteger":1}`:       "Observation structure",
		`{"resourceType":"Observation","status":"final","code":{"text":"a"},"value":"a"}`:                              "Observation structure",
		`{"resourceType":"Observation","status":"final","code":{"text":"a"},"valueAddress":{"text":"a"}}`:              "Observation structure",
		`{"resourceType":"Observation","status":"final","code":{"text":"a"},"valueQuantity":{"value":"1"}}`:            "Observation.value.ofType(Quantity).value structure",
		`{"resourceType":"SampledData","period":1}`:                                                                    " structure",
	},
	"what later releases and other servers have": {
		`{"resourceType":"Patient","meta":{"project":"urn:a"}}`:                          "Patient.meta structure",
		`{"resourceType":"Patient","meta":{"account":{"reference":"Patient/a"}}}`:        "Patient.meta structure",
		`{"resourceType":"Binary","contentType":"image/png","url":"http://a.example/b"}`: "Binary structure",
		`{"resourceType":"ResearchStudy","status":"active","label":[{"value":"a"}]}`:     "ResearchStudy structure",
		`{"resourceType":"DetectedIssue","status":"registered"}`:                         "",
		`{"resourceType":"DetectedIssue","status":"mitigated"}`:                          "DetectedIssue.status code-invalid",
		`{"resourceType":"EvidenceVariable","status":"draft","characteristic":[{"definitionCodeableConcept":{"text":"a"},"participantEffectiveDateTime":"2020","groupMeasure":"mean"}]}`: "",
		`{"resourceType":"EvidenceVariable","status":"draft","characteristic":[{"definitionId":"a"}]}`:                                                                                   "EvidenceVariable.characteristic[0] structure; EvidenceVariable.characteristic[0] required",
		bundleOf("batch-response", `{"response":{"status":"200","outcome":{"resourceType":"Basic","code":{"text":"a"}}}}`):                                                               "",
	},
	"extensions of primitives": {
		`{"resourceType":"Patient","birthDate":"2020","_birthDate":{"extension":[{"url":"urn:a","valueDate":"2020"}]}}`: "",
		`{"resourceType":"Patient","_birthDate":{"value":"2020"}}`:                                                      "Patient.birthDate structure",
		`{"resourceType":"Patient","birthDate":"2020","_birthDate":{"id":"a"}}`:                                         "",
		`{"resourceType":"Patient","_birthDate":{"id":"a"}}`:                                                            "Patient.birthDate invariant",
		`{"resourceType":"Patient","_birthDate":{}}`:                                                                    "Patient.birthDate structure",
		`{"resourceType":"Patient","_birthDate":{"extension":[{"url":"urn:a"}]}}`:                                       "Patient.birthDate.extension[0] invariant",
		`{"resourceType":"Patient","name":[{"given":["a",null],"_given":[null,{"id":"b"}]}]}`:                           "Patient.name[0].given[1] invariant",
		`{"resourceType":"Patient","name":[{"given":["a"],"_given":[null,null]}]}`:                                      "Patient.name[0].given structure; Patient.name[0].given[1] structure",
		`{"resourceType":"Patient","name":[{"given":["a"],"_given":{"id":"b"}}]}`:                                       "Patient.name[0].given structure",
	},
	"codes": {
		`{"resourceType":"Patient","gender":"m"}`:                                                                                                     "Patient.gender code-invalid",
		`{"resourceType":"Patient","language":"de-CH"}`:                                                                                               "",
		`{"resourceType":"Patient","language":"in German"}`:                                                                                           "Patient.language code-invalid",
		`{"resourceType":"Patient","photo":[{"contentType":"image/png"}]}`:                                                                            "",
		`{"resourceType":"Patient","photo":[{"contentType":"text/plain; charset=utf-8"}]}`:                                                            "",
		`{"resourceType":"Patient","photo":[{"contentType":"image/"}]}`:                                                                               "Patient.photo[0].contentType code-invalid",
		`{"resourceType":"Basic","code":{"text":"a"},"extension":[{"url":"urn:a","valueMoney":{"currency":"EUR"}}]}`:                                  "",
		`{"resourceType":"Basic","code":{"text":"a"},"extension":[{"url":"urn:a","valueMoney":{"currency":"eur"}}]}`:                                  "Basic.extension[0].value.ofType(Money).currency code-invalid",
		condition(`{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]}`):                               "",
		condition(`{"coding":[{"system":"urn:x","code":"active"}]}`):                                                                                  "Condition.clinicalStatus code-invalid",
		condition(`{"coding":[{"system":"urn:x","code":"b"},{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]}`): "",
		condition(`{"text":"active"}`):                                                                                                                "Condition.clinicalStatus code-invalid",
	},
	"invariants": {
		`{"resourceType":"Patient","contact":[{"gender":"male"}]}`:                                                                                                          "Patient.contact[0] invariant",
		`{"resourceType":"Patient","telecom":[{"value":"1"}]}`:                                                                                                              "Patient.telecom[0] invariant",
		`{"resourceType":"Patient","photo":[{"data":"YQ=="}]}`:                                                                                                              "Patient.photo[0] invariant",
		`{"resourceType":"Patient","name":[{"period":{"start":"2021","end":"2020"}}]}`:                                                                                      "Patient.name[0].period invariant",
		`{"resourceType":"Organization","name":"a","telecom":[{"system":"phone","value":"1","use":"home"}]}`:                                                                "Organization.telecom[0] invariant",
		`{"resourceType":"Organization","active":true}`:                                                                                                                     "Organization invariant",
		`{"resourceType":"Observation","status":"final","code":{"text":"a"},"valueString":"a","dataAbsentReason":{"text":"a"}}`:                                             "Observation invariant",
		`{"resourceType":"RiskAssessment","status":"final","subject":{"display":"a"},"prediction":[{"probabilityDecimal":101}]}`:                                            "RiskAssessment.prediction[0] invariant",
		`{"resourceType":"RiskAssessment","status":"final","subject":{"display":"a"},"prediction":[{"probabilityRange":{"low":{"value":1,"system":"urn:a","code":"kg"}}}]}`: "RiskAssessment.prediction[0].probability.ofType(Range) invariant",
		`{"resourceType":"Parameters","parameter":[{"name":"a"}]}`:                                                                                                          "Parameters.parameter[0] invariant",
	},
	"narratives": {
		`{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns='http://www.w3.org/1999/xhtml'>a</div>"}}`:                  "",
		`{"resourceType":"Patient","text":{"status":"generated","div":"<div>a</div>"}}`:                                                       "",
		`{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns='http://www.w3.org/1999/xhtml'><script>a</script></div>"}}`: "Patient.text.div invariant",
		`{"resourceType":"Patient","text":{"status":"generated","div":"<div>a"}}`:                                                             "Patient.text.div invalid",
		`{"resourceType":"Patient","text":{"status":"generated"}}`:                                                                            "Patient.text required",
	},
	"extensions": {
		patient(`{"url":"urn:a","valueString":"a"}`):                                             "",
		patient(`{"valueString":"a"}`):                                                           "Patient.extension[0] required",
		patient(`{"url":"urn:a"}`):                                                               "Patient.extension[0] invariant",
		patient(`{"url":"a","valueString":"a"}`):                                                 "Patient.extension[0] invalid",
		patient(`{"url":"urn:a|1","valueString":"a"}`):                                           "Patient.extension[0] invalid",
		patient(`{"url":"urn:a","valueString":"a","extension":[{"url":"b","valueString":"a"}]}`): "Patient.extension[0] invariant",
		patient(`{"url":"urn:a","extension":[{"url":"b","valueString":"a"}]}`):                   "",
		patient(`{"url":"urn:a","valueReference":{"reference":"#a"}}`):                           "Patient.extension[0].value.ofType(Reference) invariant",
	},
	"references": {
		subject(`{"reference":"Patient/1"}`):                                     "",
		subject(`{"reference":"Patient/1/_history/2"}`):                          "",
		subject(`{"reference":"http://example.org/fhir/Patient/1"}`):             "",
		subject(`{"reference":"http://example.org/anything"}`):                   "",
		subject(`{"reference":"Patient?identifier=a|b"}`):                        "",
		subject(`{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}`): "",
		subject(`{"reference":"Practitioner/1"}`):                                "Observation.subject structure",
		subject(`{"reference":"http://example.org/fhir/Practitioner/1"}`):        "Observation.subject structure",
		subject(`{"reference":"1"}`):                                             "Observation.subject invalid",
		subject(`{"reference":"Nothing/1"}`):                                     "Observation.subject invalid",
		subject(`{"reference":"Patient/a_b"}`):                                   "Observation.subject invalid",
		subject(`{"reference":"#a"}`):                                            "Observation.subject invariant",
		subject(`{"type":"Practitioner","display":"a"}`):                         "Observation.subject structure",
		subject(`{"type":"Nothing","display":"a"}`):                              "Observation.subject.type invalid",
		subject(`{"type":"Group","reference":"Patient/1"}`):                      "Observation.subject invalid",
	},
	"contained": {
		holder(`{"resourceType":"Patient","id":"a"}`, `#a`):        "",
		holder(`{"resourceType":"Practitioner","id":"a"}`, `#a`):   "Observation.subject structure",
		holder(`{"resourceType":"Patient","id":"a"}`, `Patient/1`): "Observation.contained[0] invariant",
		holder(`{"resourceType":"Provenance","id":"a","recorded":"2020-01-01T00:00:00Z","target":[{"reference":"#"}],"agent":[{"who":{"display":"a"}}]}`, `Patient/1`): "",
		holder(`{"resourceType":"Patient","id":"a","contained":[{"resourceType":"Patient","id":"b","generalPractitioner":[{"reference":"Organization/a"}]}]}`, `#a`):   "Observation.contained[0].contained[0] invariant; Observation.contained[0] invariant",
		holder(`{"resourceType":"Patient","id":"a","meta":{"versionId":"1"}}`, `#a`):                                                                                   "Observation.contained[0] invariant",
		holder(`{"resourceType":"Patient","id":"a","meta":{"security":[{"code":"a"}]}}`, `#a`):                                                                         "Observation.contained[0] invariant",
		holder(`{"resourceType":"Patient","id":"a"},{"resourceType":"Patient","id":"a"}`, `#a`):                                                                        "Observation.contained[1] business-rule",
		holder(`{"resourceType":"Patient"}`, `Patient/1`):                                                                                                              "Observation.contained[0] required",
	},
	"ids": {
		`{"resourceType":"Patient","id":"a b"}`:                                               "Patient.id invalid",
		`{"resourceType":"Patient","id":"` + strings.Repeat("a", 65) + `"}`:                   "Patient.id invalid",
		`{"resourceType":"Patient","id":1}`:                                                   "Patient.id structure",
		`{"resourceType":"Patient","id":"a","name":[{"id":"a","family":"a"}]}`:                "",
		`{"resourceType":"Patient","name":[{"id":"b","family":"a"},{"id":"b","family":"b"}]}`: "Patient.name[1] business-rule",
		`{"resourceType":"Patient","name":[{"id":"b c","family":"a"}]}`:                       "Patient.name[0].id value",
	},
	"definitions": {
		`{"resourceType":"StructureDefinition","url":"urn:a","name":"A","status":"draft","kind":"resource","abstract":false,"type":"Patient","baseDefinition":"urn:b","derivation":"constraint","snapshot":{"element":[` +
			`{"id":"Patient","path":"Patient","definition":"a","min":0,"max":"*","base":{"path":"Patient","min":0,"max":"*"}}]},"differential":{"element":[{"id":"Patient","path":"Patient"}]}}`: "",
	},
	"identifiers and codings": {
		`{"resourceType":"Patient","identifier":[{"system":"urn:ietf:rfc:3986","value":"urn:oid:1.2"}]}`:      "",
		`{"resourceType":"Patient","identifier":[{"system":"urn:ietf:rfc:3986","value":"12"}]}`:               "Patient.identifier[0].value invalid",
		`{"resourceType":"Patient","identifier":[{"system":"urn:ietf:rfc:3986","value":"urn:oid:9"}]}`:        "Patient.identifier[0].value invalid",
		`{"resourceType":"Basic","code":{"coding":[{"system":"http://hl7.org/fhir/ValueSet/a","code":"a"}]}}`: "Basic.code.coding[0].system invalid",
	},
	forgiven: {
		subject(`{"reference":"Practitioner/1"}`):                  "Observation.subject structure",
		subject(`{"reference":"1"}`):                               "Observation.subject invalid",
		`{"resourceType":"Patient","text":{"status":"generated"}}`: "Patient.text required",
		`{"resourceType":"Observation","status":"final","code":{"text":"a"},"effectiveDateTime":"2020-01-01T10:00:00"}`: "Observation.effective.ofType(dateTime) value",
		holding("uri", `"urn:uuid:1"`): "Parameters.parameter[0].value.ofType(uri) value",
		holding("canonical", `"a"`):    "Parameters.parameter[0].value.ofType(canonical) invalid",
		`{"resourceType":"Basic","code":{"coding":[{"system":"http://hl7.org/fhir/resource-types","code":"Patient"}]}}`:                                     "",
		`{"resourceType":"Basic","code":{"coding":[{"system":"http://hl7.org/fhir/resource-types","code":"Patent"}]}}`:                                      "Basic.code.coding[0].code code-invalid",
		`{"resourceType":"Basic","code":{"coding":[{"system":"http://hl7.org/fhir/resource-types","version":"5","code":"Patent"}]}}`:                        "",
		`{"resourceType":"Basic","code":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/basic-resource-type","code":"x"}]}}`:                    "",
		`{"resourceType":"Basic","code":{"coding":[{"system":"local","code":"a"}]}}`:                                                                        "Basic.code.coding[0].system invalid",
		`{"resourceType":"Patient","identifier":[{"system":"local","value":"a"}]}`:                                                                          "Patient.identifier[0].system invalid",
		`{"resourceType":"Patient","photo":[{"contentType":"image/png","data":"YQ==","size":1}]}`:                                                           "",
		`{"resourceType":"Patient","photo":[{"contentType":"image/png","data":"YQ==","size":2}]}`:                                                           "Patient.photo[0].size invalid",
		bundleOf("searchset", `{"fullUrl":"urn:a","resource":{"resourceType":"Patient"},"search":{"mode":"match"}}`):                                        "Bundle.entry[0] required",
		bundleOf("searchset", `{"fullUrl":"urn:a","resource":{"resourceType":"Patient","id":"a"},"search":{"mode":"outcome"}}`):                             "Bundle.entry[0] invalid",
		bundleOf("searchset", `{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"value"}]},"search":{"mode":"outcome"}}`): "",
	},
	"bundles": {
		`{"resourceType":"Bundle","type":"document","identifier":{"system":"urn:a","value":"1"},"timestamp":"2020-01-01T00:00:00Z","entry":[{"fullUrl":"http://a/fhir/Composition/a","resource":` +
			`{"resourceType":"Composition","id":"a","status":"final","type":{"text":"a"},"date":"2020","title":"a","author":[{"display":"a"}],"section":[{"title":"a","text":` +
			`{"status":"generated","div":"<div xmlns='http://www.w3.org/1999/xhtml'>a</div>"}},{"title":"b","section":[{"title":"c","entry":[{"reference":"Patient/none"}]}]}]}}]}`: "Bundle.entry[0].resource.section[1].section[0].entry[0] invalid",
		bundleOf("collection", `{"fullUrl":"http://example.org/Patient/a","resource":{"resourceType":"Patient","id":"a"}}`):                           "",
		bundleOf("collection", `{"fullUrl":"Patient/a","resource":{"resourceType":"Patient","id":"a"}}`):                                              "Bundle.entry[0] invalid",
		bundleOf("collection", `{"fullUrl":"http://example.org/Patient/b","resource":{"resourceType":"Patient","id":"a"}}`):                           "Bundle.entry[0] invalid",
		bundleOf("collection", `{"resource":{"resourceType":"Patient","id":"a"}}`):                                                                    "Bundle.entry[0] required",
		bundleOf("collection", `{"fullUrl":"http://example.org/Patient/a/_history/1","resource":{"resourceType":"Patient","id":"a"}}`):                "Bundle.entry[0] invariant",
		bundleOf("collection", `{"fullUrl":"urn:a","resource":{"resourceType":"Patient"}},{"fullUrl":"urn:a","resource":{"resourceType":"Patient"}}`): "Bundle invariant",
		bundleOf("transaction", `{"resource":{"resourceType":"Patient"}}`):                                                                            "Bundle invariant",
		bundleOf("transaction", `{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}`):                                "",
		bundleOf("collection", `{"fullUrl":"urn:a","resource":{"resourceType":"Patient"},"search":{"mode":"match"}}`):                                 "Bundle invariant",
		`{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self","url":"urn:a"},{"relation":"self","url":"urn:b"}]}`:                   "Bundle.link[1] invalid",
		`{"resourceType":"Bundle","type":"collection","total":1}`:                                                                                     "Bundle invariant",
		bundleOf("message", `{"fullUrl":"urn:a","resource":{"resourceType":"Patient"}}`):                                                              "Bundle invariant",
		bundleOf("message", header+`,{"fullUrl":"http://example.org/Patient/a","resource":{"resourceType":"Patient","id":"a"}}`):                      "",
		bundleOf("message", header): "Bundle.entry[0].resource.focus[0] invalid",
		bundleOf("collection", `{"fullUrl":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520","resource":{"resourceType":"Practitioner"}},{"fullUrl":"urn:b","resource":{"resourceType":"Observation","status":"final","code":{"text":"a"},"subject":{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}}}`): "Bundle.entry[1].resource.subject structure",
	},
	"conformance": {
		parameter(`"type":"string","base":["Patient"],"derivedFrom":"http://hl7.org/fhir/SearchParameter/Organization-name"`): "SearchParameter.base[0] business-rule",
		parameter(`"type":"composite"`): "SearchParameter business-rule",
		parameter(`"type":"token","derivedFrom":"http://hl7.org/fhir/SearchParameter/Organization-name"`):                                                                                                 "SearchParameter business-rule",
		parameter(`"type":"string","derivedFrom":"http://hl7.org/fhir/SearchParameter/Organization-name"`):                                                                                                "",
		parameter(`"type":"string","expression":"a.(","xpathUsage":"normal"`):                                                                                                                             "SearchParameter.expression invalid",
		codesOf(`"content":"complete","count":2,"concept":[{"code":"a"}]`):                                                                                                                                "CodeSystem.count invalid",
		codesOf(`"content":"complete","count":2,"concept":[{"code":"a","concept":[{"code":"b"}]}]`):                                                                                                       "",
		codesOf(`"content":"complete","concept":[{"code":"a"},{"code":"a"}]`):                                                                                                                             "CodeSystem invariant",
		codesOf(`"content":"complete","supplements":"http://loinc.org"`):                                                                                                                                  "CodeSystem.content business-rule",
		codesOf(`"content":"complete","property":[{"code":"p","type":"boolean"}],"concept":[{"code":"a","property":[{"code":"p","valueString":"a"}]}]`):                                                   "CodeSystem.concept[0].property[0] invalid",
		`{"resourceType":"ValueSet","status":"draft","compose":{"include":[{"system":"#a"}]}}`:                                                                                                            "ValueSet.compose.include[0] invalid",
		`{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"a","type":"group"}]}`:                                                                                                        "Questionnaire.item[0] invariant",
		`{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"a","type":"string"},{"linkId":"a","type":"string"}]}`:                                                                        "Questionnaire invariant",
		`{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"a","type":"string","enableWhen":[{"question":"b","operator":"exists","answerBoolean":true}]}]}`:                              "Questionnaire.item[0].enableWhen[0] business-rule",
		`{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"b","type":"string"},{"linkId":"a","type":"string","enableWhen":[{"question":"b","operator":"exists","answerString":"a"}]}]}`: "Questionnaire.item[1].enableWhen[0] invariant",
		`{"resourceType":"Basic","code":{"text":"a"},"extension":[{"url":"urn:a","valueExpression":{"language":"text/fhirpath","expression":"a ++"}}]}`:                                                   "Basic.extension[0].value.ofType(Expression).expression invalid",
	},
}

const header = `{"fullUrl":"http://example.org/MessageHeader/h","resource":{"resourceType":"MessageHeader","id":"h","eventUri":"urn:a","source":{"endpoint":"urn:a"},"focus":[{"reference":"Patient/a"}]}}`

func condition(status string) string {
	return `{"resourceType":"Condition","subject":{"display":"a"},"clinicalStatus":` + status + `}`
}

func patient(extension string) string {
	return `{"resourceType":"Patient","extension":[` + extension + `]}`
}

func subject(reference string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"a"},"subject":` + reference + `}`
}

func holder(contained, reference string) string {
	return `{"resourceType":"Observation","contained":[` + contained + `],"status":"final","code":{"text":"a"},"subject":{"reference":"` + reference + `"}}`
}

func bundleOf(kind, entries string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + entries + `]}`
}

func parameter(rest string) string {
	return `{"resourceType":"SearchParameter","url":"urn:a","name":"A","status":"draft","description":"a","code":"a",` + base(rest) + rest + `}`
}

func base(rest string) string {
	if strings.Contains(rest, `"base"`) {
		return ""
	}
	return `"base":["Organization"],`
}

func codesOf(rest string) string {
	return `{"resourceType":"CodeSystem","status":"draft",` + rest + `}`
}

func TestRules(t *testing.T) {
	for group, cases := range rulesOfR4 {
		t.Run(group, func(t *testing.T) {
			for text, want := range cases {
				var got []string
				for _, f := range errorsOf(parsed(t, text)) {
					got = append(got, f.Where+" "+f.Code)
					if group == forgiven && !f.Lax {
						t.Errorf("%s: a write is refused for it", text)
					}
				}
				if got := strings.Join(got, "; "); got != want {
					t.Errorf("%s:\n got %s\nwant %s", text, got, want)
				}
			}
		})
	}
}
