package rest

import (
	"net/url"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// TestSearchBeyondValues asks for modifiers, composites, special parameters and
// results, on both stores.
func TestSearchBeyondValues(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(*testing.T) *api) {
		a := open(t)
		a.put(
			`{"resourceType":"Patient","id":"p1","meta":{"tag":[{"system":"urn:t","code":"one","display":"Ward One"}],"profile":["http://x.example/p/a"],"security":[{"system":"urn:s","code":"R"}],"source":"urn:from:1"},"name":[{"family":"Ábel","given":["Zoe"]},{"family":"Zulu"}],"gender":"female","birthDate":"1970-01-01","identifier":[{"type":{"coding":[{"system":"urn:v2","code":"MR"}],"text":"Record number"},"system":"urn:mrn","value":"7"}],"telecom":[{"system":"phone","value":"555"}]}`,
			`{"resourceType":"Patient","id":"p2","name":[{"family":"Moss"}],"managingOrganization":{"display":"General Hospital"},"contact":[{"gender":"male","name":{"text":"Moss"}}],"link":[{"other":{"reference":"Patient/p1"},"type":"seealso"}]}`,
			`{"resourceType":"Patient","id":"p3","name":[{"family":"Nord"}],"birthDate":"1980","managingOrganization":{"identifier":{"system":"urn:o","value":"9"}},"identifier":[{"type":{"coding":[{"system":"urn:v2","code":"SS"}]},"value":"7"}]}`,
			`{"resourceType":"Observation","id":"o1","status":"final","code":{"coding":[{"system":"urn:l","code":"bp","display":"Blood pressure"}],"text":"RR"},"subject":{"reference":"Patient/p1","display":"Abel"},"component":[{"code":{"coding":[{"code":"sys"}]},"valueQuantity":{"value":120,"unit":"mm"}},{"code":{"coding":[{"code":"dia"}]},"valueQuantity":{"value":80,"unit":"mm"}}]}`,
			`{"resourceType":"Observation","id":"o2","status":"final","code":{"coding":[{"system":"urn:l","code":"hb"},{"system":"urn:l","code":"hgb"}]},"subject":{"reference":"Group/g"},"valueQuantity":{"value":11.9,"unit":"gram","system":"urn:ucum","code":"g/dL"}}`,
			`{"resourceType":"Observation","id":"o3","status":"amended","code":{"text":"hb by hand"},"subject":{"reference":"Patient/p1"},"valueString":"a,b$c"}`,
			`{"resourceType":"ValueSet","id":"v1","status":"active","url":"http://x.example/vs/a","useContext":[{"code":{"system":"urn:u","code":"age"},"valueRange":{"low":{"value":1}}},{"code":{"system":"urn:u","code":"venue"},"valueCodeableConcept":{"coding":[{"code":"ward"}]}}]}`,
			`{"resourceType":"ValueSet","id":"v2","status":"active","url":"http://x.example/vs/ab"}`,
			`{"resourceType":"ValueSet","id":"v3","status":"active","url":"http://x.example/vs"}`,
			`{"resourceType":"List","id":"l1","status":"current","mode":"working","entry":[{"item":{"reference":"Patient/p2"}},{"item":{"reference":"Patient/p3"}}]}`,
			`{"resourceType":"Encounter","id":"e1","status":"planned","class":{"code":"AMB"},"subject":{"reference":"http://127.0.0.1/fhir/Patient/p1"}}`,
			`{"resourceType":"PlanDefinition","id":"pd1","status":"draft","library":["http://x.example/l|2"]}`,
			`{"resourceType":"Location","id":"bern","position":{"latitude":46.948,"longitude":7.4474}}`,
			`{"resourceType":"Location","id":"zurich","position":{"latitude":47.3769,"longitude":8.5417}}`,
			`{"resourceType":"Location","id":"nowhere"}`,
			`{"resourceType":"Organization","id":"street","name":"Große Straße"}`, `{"resourceType":"Organization","id":"STREET","name":"GROSSE STRASSE"}`,
			`{"resourceType":"DocumentReference","id":"d1","status":"current","content":[{"attachment":{"url":"urn:x"}}],"relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/a"}},{"code":"signs","target":{"reference":"DocumentReference/b"}}]}`,
		)
		for query, want := range map[string]string{
			"Patient?_tag=one": "p1", "Patient?_tag=urn:t|one": "p1", "Patient?_tag=urn:x|one": "", "Patient?_tag:not=one": "p2 p3", "Patient?_tag:text=ward": "p1",
			"Patient?_profile=http://x.example/p/a": "p1", "Patient?_profile:below=http://x.example/p": "p1", "Patient?_security=urn:s|R": "p1", "Patient?_security:missing=true": "p2 p3",
			"Patient?_source=urn:from:1": "p1", "Patient?_source=urn:from:2": "",
			"Organization?name=grosse%20strasse": "STREET street", "Organization?name=GROẞE%20STRAßE": "STREET street", "Organization?name:exact=Große%20Straße": "street", "Organization?name:contains=straß": "STREET street",
			"Patient?_id:not=p1": "p2 p3", "Patient?_id:not=p1,p3": "p2", "Patient?_id:missing=true": "", "Patient?_id:missing=false&gender:missing=true": "p2 p3", "Patient?_id:exact=p1": "invalid",
			"Patient?_lastUpdated:missing=true": "", "Patient?_lastUpdated:missing=false": "p1 p2 p3", "Patient?_lastUpdated:missing=x": "invalid", "Patient?_lastUpdated:not=2020": "invalid", "Observation?patient._id:not=p2": "o1 o3",
			"Patient?birthdate:missing=true": "p2", "Patient?birthdate:missing=false": "p1 p3", "Patient?birthdate:missing=x": "invalid",
			"Patient?organization:missing=true": "p1", "Patient?organization:missing=false": "p2 p3",
			"Patient?identifier:missing=true": "p2", "Observation?patient:missing=true": "o2", "Observation?subject:missing=true": "",
			"Observation?combo-value-quantity:missing=true": "o3", "Observation?combo-value-quantity:missing=false": "o1 o2",
			"Observation?code:missing=true": "", "Observation?code:text=blood": "o1", "Observation?code:text=rr": "o1", "Observation?code:text=HB": "o3", "Observation?code:text=bp": "",
			"Observation?subject:text=abel": "o1", "Patient?organization:text=general": "p2",
			"Patient?organization:identifier=urn:o|9": "p3", "Patient?organization:identifier=9": "p3", "Patient?organization:identifier=urn:x|9": "",
			"Patient?identifier:of-type=urn:v2|MR|7": "p1", "Patient?identifier:of-type=urn:v2|SS|7": "p3", "Patient?identifier:of-type=urn:v2|MR|8": "", "Patient?identifier:of-type=MR|7": "invalid",
			"Patient?identifier:text=record": "p1", "Patient?telecom=555": "p1", "Patient?phone=555": "p1",
			"Observation?code:in=http://x.example/vs/none": "not-found", "Observation?code:not-in=x": "not-found", "Observation?code:below=x": "invalid", "Observation?code:above=x": "invalid", // see TestValueSets
			"Observation?code:exact=x": "invalid", "Patient?name:text=x": "invalid", "Patient?organization:below=x": "",
			"Observation?code:not=bp,hb": "o3", "Observation?code:not=bp&code:not=hb": "o3", "Observation?status:not=final": "o3", "Observation?combo-code:not=sys,hb": "o3",
			"ValueSet?url:below=http://x.example/vs/a": "v1", "ValueSet?url:below=http://x.example/vs": "v1 v2 v3", "ValueSet?url:below=http://x.example/vs/": "v1 v2 v3",
			"ValueSet?url:above=http://x.example/vs/ab/c": "v2 v3", "ValueSet?url:above=http://x.example/vs": "v3", "ValueSet?url:above=urn:oid:1.2": "invalid", "ValueSet?url:exact=x": "invalid",
			"Patient?family:exact=Moss": "p2", "Patient?family:exact=moss": "", "Patient?family:exact=Mos": "", "Patient?family:contains=OS": "p2", "Patient?family:contains=o,zul": "p1 p2 p3",
			"Patient?family:contains=o&family:exact=Nord": "p3", "Patient?name=abel": "p1", "Patient?family:contains=%25": "",
			"Observation?component-code-value-quantity=sys$gt100": "o1", "Observation?component-code-value-quantity=dia$gt100": "", "Observation?component-code-value-quantity=dia$gt100,sys$120": "o1",
			"Observation?component-code-value-quantity=sys$120||mm": "o1", "Observation?component-code-value-quantity=sys": "invalid", "Observation?component-code-value-quantity=sys$x": "invalid",
			"Observation?code-value-quantity=urn:l|hgb$lt12": "o2", "Observation?code-value-quantity=hb$gt12": "", "Observation?code-value-string=hb$a": "", "Observation?combo-code-value-quantity=hb$11.9": "o2", "Observation?combo-code-value-quantity=dia$80": "o1", "Observation?combo-code-value-quantity=bp$80": "",
			"Observation?combo-code=sys": "o1", "Observation?combo-code=hb,sys": "o1 o2", "Observation?combo-value-quantity=gt100": "o1",
			`Observation?value-string=a\,b\$c`:     "o3",
			"ValueSet?context-type-value=age$ward": "", "ValueSet?context-type-value=urn:u|venue$ward": "v1", "ValueSet?context=ward": "v1", "ValueSet?context-type=age": "v1",
			"DocumentReference?relationship=replaces$DocumentReference/a": "d1", "DocumentReference?relationship=replaces$DocumentReference/b": "",
			"Patient?_list=l1": "p2 p3", "Patient?_list=l2": "", "Patient?_list=$current-problems": "invalid", "Patient?_list=l1&family=moss": "p2",
			"Location?near=46.95|7.45": "bern", "Location?near=46.95|7.45|200|km": "bern zurich", "Location?near=46.95|7.45|50|[mi_us]": "bern", "Location?near=46.95|7.45|90000|m": "bern", "Location?near=95|7": "invalid", "Location?near=NaN|7": "invalid", "Location?near=1|2|3|acre": "invalid",
			"Location?near:missing=true": "nowhere",
			"Patient?_filter=x":          "not-supported", "Patient?_content=x": "not-supported", "Patient?_text=x": "not-supported", "Patient?_contained=true": "", "Patient?_contained=false&family=moss": "p2", "Patient?_query=x": "not-supported",
			"Patient?_sort=birthdate": "p1 p3 p2", "Patient?_sort=-birthdate": "p3 p1 p2", "Patient?_sort=family": "p1 p2 p3", "Patient?_sort=-family": "p1 p3 p2", "Observation?_sort=component-code-value-quantity": "invalid",
			"Observation?subject=http://127.0.0.1/fhir/Patient/p1": "o1 o3", "Observation?subject=http://elsewhere.example/fhir/Patient/p1": "", "Encounter?subject=Patient/p1": "e1", "Encounter?subject=http://127.0.0.1/fhir/Patient/p1": "e1",
			"Observation?value-quantity=11.9||g/dL": "o2", "Observation?value-quantity=11.9||gram": "o2", "Observation?value-quantity=11.9|urn:ucum|g/dL": "o2", "Observation?value-quantity=11.9|urn:ucum|gram": "",
			"PlanDefinition?depends-on=http://x.example/l": "pd1", "PlanDefinition?depends-on=http://x.example/l%7C2": "pd1", "PlanDefinition?depends-on=http://x.example/l%7C1": "",
			"Patient?_total=none": "p1 p2 p3", "Patient?_total=roughly": "invalid", "Patient?_summary=some": "invalid",
			"Observation?subject:Patient.family=moss": "", "Observation?patient._tag=one": "o1 o3", "Patient?_has:Observation:patient:code-value-quantity=bp$1": "", "Patient?_has:Observation:patient:component-code-value-quantity=sys$120": "p1",
		} {
			if got := a.found(strings.ReplaceAll(query, "|", "%7C")); got != want {
				t.Errorf("%s found %q, want %q", query, got, want)
			}
		}
	})
}

// TestManyAlternatives asks for as many values as a page has resources.
func TestManyAlternatives(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(*testing.T) *api) {
		a := open(t)
		a.put(`{"resourceType":"Patient","id":"p1","identifier":[{"value":"v1"}],"name":[{"family":"f1"}]}`, `{"resourceType":"Patient","id":"p2"}`)
		for _, code := range []string{"_id=p1", "identifier=v1", "family=f1"} {
			if got := a.found("Patient?" + code + strings.Repeat(",x", 1500)); got != "p1" {
				t.Errorf("%s and 1500 others found %q, want p1", code, got)
			}
		}
		a.put(`{"resourceType":"Patient","id":"p3","identifier":[{"system":"urn:a","value":"w\"<é>"}],"name":[{"family":"Öster & \"Söhne\""}]}`)
		for list, want := range map[string]string{
			"identifier=" + url.QueryEscape(`urn:a|w"<é>`) + strings.Repeat(",urn:a%7Cx", 100): "p3",
			"identifier=" + url.QueryEscape(`urn:b|w"<é>`) + strings.Repeat(",urn:a%7Cx", 100): "",
			"identifier=" + url.QueryEscape(`w"<é>`) + strings.Repeat(",urn:a%7Cx", 100):       "p3",
			"family=" + url.QueryEscape(`öster & "s`) + strings.Repeat(",x", 100):              "p3",
			"family=" + url.QueryEscape(`oster & "sz`) + strings.Repeat(",x", 100):             "",
			"family:exact=" + url.QueryEscape(`Öster & "Söhne"`) + strings.Repeat(",x", 100):   "p3",
		} {
			if got := a.found("Patient?" + list); got != want {
				t.Errorf("%s found %q, want %q", list, got, want)
			}
		}
		if got := a.found("ValueSet?url:above=http://x" + strings.Repeat("/a", 5000)); got != "too-costly" {
			t.Errorf("a URL of 5000 segments: %q", got)
		}
	})
}

// TestViews asks for parts of resources.
func TestViews(t *testing.T) { eachStore(t, views) }

func views(t *testing.T, a *api) {
	a.put(`{"resourceType":"Observation","id":"o1","meta":{"tag":[{"code":"t"}]},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},"status":"final","_status":{"id":"s"},"code":{"text":"c"},"valueString":"v","note":[{"text":"n"}],"referenceRange":[{"text":"r"}],"component":[{"code":{"text":"c1"},"valueString":"v1","interpretation":[{"text":"i"}]}]}`)
	for query, want := range map[string]string{
		"_elements=note":              "resourceType id meta status _status code note",
		"_elements=Observation.value": "resourceType id meta status _status code valueString",
		"_summary=true":               "resourceType id meta status _status code valueString component",
		"_summary=text":               "resourceType id meta text status _status code",
		"_summary=data":               "resourceType id meta status _status code valueString note referenceRange component",
		"_summary=false":              "resourceType id meta text status _status code valueString note referenceRange component",
	} {
		_, n := a.want(200, "GET", "/Observation?"+query, "")
		_, one := a.want(200, "GET", "/Observation/o1?"+query, "")
		_, version := a.want(200, "GET", "/Observation/o1/_history/1?"+query, "")
		for i, r := range []*fhir.Node{n.Get("entry").Items[0].Get("resource"), one, version} {
			var names []string
			for _, m := range r.Members {
				names = append(names, m.Name)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("%s shows %s, want %s (%d)", query, got, want, i)
			}
			tags := r.Get("meta").Get("tag").Items
			if marked := text(tags[len(tags)-1], "code") == "SUBSETTED"; marked != (query != "_summary=false") || text(tags[0], "code") != "t" {
				t.Errorf("%s: %d tags", query, len(tags))
			}
			if c := r.Get("component"); query == "_summary=true" && c.Items[0].Get("interpretation") != nil {
				t.Error("a summary has what is none of it")
			}
		}
	}
	for _, path := range []string{"/Observation/o1?_summary=count", "/Observation/o1?_summary=most", "/Observation?_count=abc", "/Observation?_count=-1", "/Observation/_history?_count=abc", "/_history?_count=-1"} {
		a.want(400, "GET", path, "")
	}
	a.want(200, "GET", "/Observation/o1/_history?_count=1", "")
	for query, want := range map[string]string{"_summary=count": "1", "_count=0": "1", "_total=accurate": "1", "_total=estimate": "1", "_total=none": "", "_id=o1": ""} {
		_, n := a.want(200, "GET", "/Observation?"+query, "")
		got := ""
		if total := n.Get("total"); total != nil {
			got = total.Text
		}
		if entries := n.Get("entry") != nil; got != want || entries == (query == "_summary=count" || query == "_count=0") {
			t.Errorf("%s: total %q, want %q; entries %v", query, got, want, entries)
		}
	}
}
