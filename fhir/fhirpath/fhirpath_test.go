package fhirpath

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/fhir"
)

// person is the resource of the tests.
const person = `{"resourceType":"Patient","id":"p1","active":true,
	"extension":[{"url":"urn:x:age","valueAge":{"value":41,"system":"http://unitsofmeasure.org","code":"a"}},
		{"url":"urn:x:score","valueDecimal":1.50},{"url":"urn:x:note","valueString":"abc"},{"url":"urn:x:when","valueInstant":"2020-02-03T04:05:06.789Z"}],
	"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>text</p></div>"},
	"contained":[{"resourceType":"Organization","id":"o1","name":"Ward"}],
	"identifier":[{"system":"urn:a","value":"1"},{"system":"urn:b","value":"2"}],
	"name":[{"use":"official","family":"Mustermann","given":["Anna","Berta"]},
		{"use":"usual","given":["Anni",null],"_given":[null,{"id":"g2","extension":[{"url":"urn:x:part","valueCode":"BR"}]}]},
		{"use":"maiden","family":"Beispiel","given":["Anna"]}],
	"telecom":[{"system":"phone","value":"555","rank":2},{"system":"email","value":"a@example.org","rank":1}],
	"gender":"female","_birthDate":{"extension":[{"url":"urn:x:time","valueDateTime":"1980-05-17T10:20:30+02:00"}]},"birthDate":"1980-05-17",
	"deceasedDateTime":"2020-01-02","multipleBirthInteger":3,
	"maritalStatus":{"coding":[{"system":"urn:m","code":"M"}]},
	"contact":[{"name":{"family":"Freund"},"period":{"start":"2012"}}],
	"managingOrganization":{"reference":"#o1"},"generalPractitioner":[{"reference":"Practitioner/7"}]}`

func parsed(t testing.TB, text string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var testOptions = Options{
	Now:       time.Date(2024, 3, 4, 5, 6, 7, 89_000_000, time.FixedZone("", 3600)),
	Variables: map[string][]Value{"given": {Text("x")}},
	Member: func(set, system, code string) (bool, bool) {
		return system != "urn:other" && (code == "M" || code == "female"), set == "urn:vs"
	},
	Resolve: func(reference string) *fhir.Node {
		if reference != "Practitioner/7" {
			return nil
		}
		return &fhir.Node{Kind: fhir.Object, Members: []fhir.Member{{Name: "resourceType", Value: fhir.Text("Practitioner")}}}
	},
}

// shown writes a collection for comparison: "System.Integer 1", and for
// elements without a text their type only. Types of System are left out.
func shown(values []Value) string {
	var parts []string
	for _, v := range values {
		text := v.String()
		if v.Kind() == Element {
			text = strings.TrimSpace(strings.TrimPrefix(v.Type(), "FHIR.") + " " + text)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// expectations run expressions on person: what they give, or "error: " and a
// part of its text.
func expectations(t *testing.T, want map[string]string) {
	t.Helper()
	root := parsed(t, person)
	for expression, wanted := range want {
		var got string
		e, err := Compile(expression)
		if err == nil {
			var values []Value
			values, err = e.Eval(t.Context(), root, testOptions)
			got = shown(values)
		}
		if part, failing := strings.CutPrefix(wanted, "error: "); failing {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s = %s, %v, want the error %q", expression, got, err, part)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v, want %s", expression, err, wanted)
		} else if got != wanted {
			t.Errorf("%s = %s, want %s", expression, got, wanted)
		}
	}
}

func TestPaths(t *testing.T) {
	expectations(t, map[string]string{
		"name.family":                         "string Mustermann, string Beispiel",
		"Patient.name[0].given":               "string Anna, string Berta",
		"Encounter.name":                      "",
		"Resource.id":                         "id p1",
		"DomainResource.text.status":          "code generated",
		"deceased":                            "dateTime 2020-01-02",
		"deceasedDateTime":                    "",
		"multipleBirth":                       "integer 3",
		"contact.name.family":                 "string Freund",
		"contact":                             "BackboneElement",
		"contact.period.start":                "dateTime 2012",
		"name[9]":                             "",
		"name[-1]":                            "",
		"name[{}]":                            "",
		"name['a']":                           "error: an index is a String",
		"`name`.`use`":                        "code official, code usual, code maiden",
		"name.\"use\".first()":                "code official",
		"text.div.exists()":                   "true",
		"nothing.at.all":                      "",
		"contained.name":                      "string Ward",
		"contained.ofType(Organization).name": "string Ward",
		"birthDate.extension.value":           "dateTime 1980-05-17T10:20:30+02:00",
		"name[1].given.id":                    "string g2",
		"name[1].given.extension('urn:x:part').value": "code BR",
		"name[1].given.count()":                       "2",
		"name[1].given.hasValue()":                    "false",
		"name[1].given.first().hasValue()":            "true",
		"name[1].given.where(hasValue())":             "string Anni",
		"name[1].given[1]":                            "string",
		"%context.gender":                             "code female",
		"%resource.gender":                            "code female",
		"%rootResource.gender":                        "code female",
		"name.select(%resource.gender)":               "code female, code female, code female",
		"%given":                                      "x",
		"%'given'":                                    "x",
		"%nobody":                                     "error: byte 0: the variable %nobody is not known",
		"%ucum":                                       "http://unitsofmeasure.org",
		"%sct":                                        "http://snomed.info/sct",
		"%loinc":                                      "http://loinc.org",
		"%`vs-administrative-gender`":                 "http://hl7.org/fhir/ValueSet/administrative-gender",
		"%vs-administrative-gender":                   "http://hl7.org/fhir/ValueSet/administrative-gender",
		"%`ext-patient-birthTime`":                    "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
		"$this.gender":                                "code female",
		"$index":                                      "error: $index stands outside",
		"$total":                                      "",
		"name.select($index)":                         "0, 1, 2",
		"name.given.where($index = 1)":                "string Berta",
		"name.select(given.select($index))":           "0, 1, 0, 1, 0",
		"identifier.where(system = 'urn:b').value":    "string 2",
		"extension('urn:x:age').value.value":          "decimal 41",
		"extension('urn:x:age').value":                "Age 41 years",
	})
}

func TestSyntax(t *testing.T) {
	expectations(t, map[string]string{
		"":                             "error: byte 0: the end stands where a name",
		"1 +":                          "error: byte 3",
		"1 1":                          "error: byte 2: \"1\" stands where the expression should end",
		"name.":                        "error: byte 5",
		"name..use":                    "error: byte 5",
		"(1":                           "error: byte 2: \")\" is expected, not the end",
		"name[1":                       "error: byte 6",
		"name.nope()":                  "error: byte 5: the function \"nope\" is not known",
		"name.where()":                 "error: byte 5: where() has 0 arguments, not 1",
		"name.take(1, 2)":              "error: take() has 2 arguments, not 1",
		"name.exists(1, 2)":            "error: not 0 to 1",
		"coalesce()":                   "error: at least 1",
		"'open":                        "error: byte 0: a text does not end",
		"'open\\":                      "error: byte 0: a text does not end",
		"/* open":                      "error: a comment does not end",
		"@":                            "error: no date or time",
		"@2015-13":                     "error: no date or time",
		"@2015-02-30":                  "error: no date or time",
		"@T25":                         "error: no date or time",
		"@T14:34:28Z":                  "error: byte 10",
		"``":                           "error: byte 0: a name is empty",
		"# 1":                          "error: no word of FHIRPath",
		"$that":                        "error: $that is not known",
		"name.$this":                   "error: at the start of a path",
		"%":                            "error: no name follows %",
		"99999999999":                  "error: out of range",
		"true and":                     "error: byte 8",
		"and":                          "error: \"and\" stands where a value",
		"1 is Nothing":                 "error: byte 5: the type \"Nothing\" is not known",
		"1 is System.Patient":          "false",
		"gender.is(FHIR.Integer)":      "false",
		"1 is 2":                       "error: the name of a type",
		"'\xff'":                       "error: not valid UTF-8",
		"2 + 2 // four":                "4",
		"2 /* x */ + 2":                "4",
		"// first\n2":                  "2",
		"{}":                           "",
		"true":                         "true",
		`'\'\"\` + "`" + `\\\/\p\3'`:   `'"` + "`" + `\/p3`,
		`'\u0041\u00e9'`:               "Aé",
		`'\u005'`:                      "u005",
		`'a\tb\nc\rd\fe'`:              "a\tb\nc\rd\fe",
		"1.50":                         "1.50",
		"-2147483648":                  "-2147483648",
		"1 + 2 * 3":                    "7",
		"(1 + 2) * 3":                  "9",
		"-1 + 2":                       "1",
		"+1":                           "1",
		"--1":                          "1",
		"-(1.5 'mg')":                  "-1.5 'mg'",
		"-'a'":                         "error: has no sign",
		"-1.toString()":                "error: has no sign",
		"(-1).toString()":              "-1",
		"1 | 2 = 1 | 2":                "true",
		"1 > 2 = false":                "true",
		"true or false and false":      "true",
		"false implies false or false": "true",
		"1 in 1 | 2 and true":          "true",
		"name.where(use = 'usual' or use = 'maiden').given[0]": "string Anni",
		"(name | contact.name).family.count()":                 "3",
		"is":                                                   "",
		"contains.as.in":                                       "",
		strings.Repeat("(", 300) + "1" + strings.Repeat(")", 300):                    "error: nested more than 200 deep",
		"1" + strings.Repeat(" + 1", 300):                                            "error: more than 200 operators",
		"a" + strings.Repeat(".a", 300):                                              "error: more than 200 steps",
		"coalesce('a'.matches('a')" + strings.Repeat(", 'a'.matches('a')", 80) + ")": "error: more than 64 regular expressions",
		"-(-2147483648)":            "",
		strings.Repeat(" ", 70_000): "error: longer than",
	})
}

func TestLogic(t *testing.T) {
	words := []string{"true", "false", "{}"}
	want := map[string]string{
		"and": "true false {} / false false false / {} false {}", "or": "true true true / true false {} / true {} {}",
		"xor": "false true {} / true false {} / {} {} {}", "implies": "true false {} / true true true / true {} {}",
	}
	cases := map[string]string{}
	for operator, table := range want {
		for i, row := range strings.Split(table, " / ") {
			for j, result := range strings.Fields(row) {
				cases[words[i]+" "+operator+" "+words[j]] = strings.TrimSuffix(strings.Trim(result, "{}"), " ")
			}
		}
	}
	cases["true.not()"], cases["{}.not()"], cases["false.not()"] = "false", "", "true"
	cases["true and 'text'"] = "true"
	cases["(true | false) and true"] = "error: a condition has 2 values"
	cases["false and (true | false)"] = "false"
	expectations(t, cases)
}

func TestComparison(t *testing.T) {
	expectations(t, map[string]string{
		"1 = 1.0":            "true",
		"1.10 = 1.1":         "true",
		"1 = '1'":            "false",
		"true = true":        "true",
		"{} = {}":            "",
		"{} ~ {}":            "true",
		"1 != {}":            "",
		"'Abc' = 'abc'":      "false",
		"'A  b' ~ 'a b'":     "true",
		"1.237 ~ 1.24":       "true",
		"(1 | 2) = (2 | 1)":  "false",
		"(1 | 2) ~ (2 | 1)":  "true",
		"(1 | 2) !~ (2 | 3)": "true",
		"name[0] = name[0]":  "true",
		"name[0] = name[1]":  "false",
		"name[0] ~ name[0]":  "true",
		"name[0] ~ name[1]":  "false",
		"gender = 'female'":  "true",
		"@2012 = @2012-01":   "",
		"@2012 = @2013-01":   "false",
		"@2012 ~ @2012-01":   "false",
		"@2012-01-01T10:00:00 = @2012-01-01T10:00:00.0": "true",
		"@2012-01-01T10:00:00.5 > @2012-01-01T10:00:00": "true",
		"@2012-01-01T10:00Z = @2012-01-01T12:00+02:00":  "true",
		"@2012-01-01T10:00Z = @2012-01-01T10:00":        "",
		"@2012-01-01T10:00Z < @2012-01-02T10:00":        "true",
		"@2012-01-02T10:00 > @2012-01-01T10:00Z":        "true",
		"@2012-01-01T23:00Z < @2012-01-02T10:00":        "",
		"@T10:00 < @T10:01":                             "true",
		"@T10:00 < @2012":                               "error: \"<\" does not compare a Time with a Date",
		"@2012-01-01 < @2012-01-02T00:00:00":            "true",
		"1 < 'a'":                                       "error: does not compare a Integer with a String",
		"name < 1":                                      "error: 3 values stand where one is expected",
		"name[0] < 1":                                   "error: a HumanName stands where a simple value",
		"'a' < 'b'":                                     "true",
		"1 'm' = 100 'cm'":                              "true",
		"1 'm' > 99 'cm'":                               "true",
		"1 'm' = 1 's'":                                 "",
		"1 'm' < 1 's'":                                 "",
		"1 'kg' ~ 1004 'g'":                             "true",
		"37 'Cel' = 310.15 'K'":                         "true",
		"98.6 '[degF]' = 37 'Cel'":                      "true",
		"1 '[in_i]' = 2.54 'cm'":                        "true",
		"1 'mmol/L' = 1000 'umol/L'":                    "true",
		"5 'mg/dL' = 0.05 'g/L'":                        "true",
		"1 'N' = 1 'kg.m.s-2'":                          "true",
		"10 '10*3/uL' = 10 '10*9/L'":                    "true",
		"50 '%' = 0.5":                                  "true",
		"1 '{tablets}' = 1 '1'":                         "true",
		"60 'mm[Hg]' > 7 'kPa'":                         "true",
		"1 year = 12 months":                            "true",
		"1 year = 1 'a'":                                "",
		"1 day = 1 'd'":                                 "true",
		"1 'nonsense' = 1 'nonsense'":                   "true",
		"1 'nonsense' = 1 'other'":                      "",
		"1 '(m' = 1 'm)'":                               "",
		"extension('urn:x:age').value > 40 years":       "true",
		"extension('urn:x:score').value = 1.5":          "true",
		"2 in (1 | 2)":                                  "true",
		"{} in (1 | 2)":                                 "",
		"1 in {}":                                       "false",
		"(1 | 2) contains 3":                            "false",
		"(1 | 2) in (1 | 2)":                            "error: 2 values",
	})
}

func TestArithmetic(t *testing.T) {
	expectations(t, map[string]string{
		"1 + {}":                                 "",
		"1 + 'a'":                                "error: \"+\" does not take a Integer and a String",
		"'a' - 'b'":                              "error: does not take",
		"'a' + 'b'":                              "ab",
		"'a' & {}":                               "a",
		"1 & 'a'":                                "error: joins strings only",
		"2147483647 + 1":                         "",
		"0.1 + 0.2":                              "0.3",
		"1.20 + 1.3":                             "2.50",
		"123456789012345678901234567890.5 + 0.1": "123456789012345678901234567890.6",
		"1 / 3":                                  "0.3333333333333333333333333333",
		"6 / 2":                                  "3",
		"1 / 0":                                  "",
		"7 div 2":                                "3",
		"-7 div 2":                               "-3",
		"7.5 div 2":                              "3",
		"7 mod 3":                                "1",
		"2.2 mod 1.8":                            "0.4",
		"1.0 mod 0":                              "",
		"2 * 1.50":                               "3.00",
		"1 'm' + 1 'cm'":                         "1.01 'm'",
		"1 'm' - 1 's'":                          "",
		"2 'm' * 3 'm' = 6 'm2'":                 "true",
		"6 'm' / 2 's'":                          "3 'm/s'",
		"6 'g' / 3":                              "2 'g'",
		"1 'm' div 1 'm'":                        "error: does not take quantities",
		"2 years + 1 year":                       "3 years",
		"@2012-02-29 + 1 year":                   "2013-02-28",
		"@2012-01-31 + 1 month":                  "2012-02-29",
		"@2012-03-31 - 1 month":                  "2012-02-29",
		"@2012 + 24 months":                      "2014",
		"@2012 + 30 days":                        "2012",
		"@2012 + 366 days":                       "2013",
		"@2012-01 + 31 days":                     "2012-02",
		"@2012-01-01 + 25 hours":                 "2012-01-02",
		"@2012-01-01T10 + 90 minutes":            "2012-01-01T11",
		"@2012-12-31T23:59:59+01:00 + 1 second":  "2013-01-01T00:00:00+01:00",
		"@2012-01-01T00:00:00 + 0.25 seconds":    "2012-01-01T00:00:00.250",
		"@2012-01-01T00:00:00.0 + 5 milliseconds": "2012-01-01T00:00:00.005",
		"@2012-01-01 - 1 day":                     "2011-12-31",
		"@2012-01-01 + 1 'mo'":                    "error: does not add this unit",
		"@2012-01-01 + 1 'mg'":                    "error: does not add this unit",
		"@2012-01-01 + 1":                         "error: \"+\" does not take a Date and a Integer",
		"@9999-12-31 + 1 day":                     "",
		"@0001-01-01 - 1 day":                     "",
		"@9000 + 5000 years":                      "",
		"@2012 + 2147483647 years":                "",
		"@T23:00 + 2 hours":                       "01:00",
		"@T23:00 + 1 day":                         "",
		"birthDate + 1 week":                      "1980-05-24",
		"10.power(900) * 10.power(900)":           "",
	})
}

func TestErrorsHoldNoValues(t *testing.T) {
	root := parsed(t, person)
	for _, expression := range []string{
		"name.family < 1", "name.family.first() < 1", "name.given.toInteger()", "name.first() + 1", "-name.family.first()", "(name.family | 1).sort()",
		"identifier.value.single()", "name.family.first().round()", "name.family.first().conformsTo(name.family.first())", "iif(name.family.first(), 1)",
		"'x'.matches(extension('urn:x:note').value & '(')", "name.family.first().memberOf(name.family.first())", "defineVariable('given', name.family)",
		"name.family.first().comparable(1 'm')", "birthDate.lowBoundary(name.family.first())",
	} {
		e, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Eval(t.Context(), root, testOptions)
		var fault *Error
		if !errors.As(err, &fault) {
			t.Errorf("%s: %v, want an *Error", expression, err)
			continue
		}
		for _, secret := range []string{"Mustermann", "Beispiel", "abc", "1980", "Anna"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error holds a value: %v", expression, err)
			}
		}
	}
}

func TestWorkIsBounded(t *testing.T) {
	root := parsed(t, person)
	cases := map[string]string{
		"name.repeatAll($this)":                                   "collection has more than",
		"('a' & 'b').select($this & $this).select($this & $this)": "",
		"(0|1|2|3|4|5|6|7|8|9).aggregate($total & 'xxxxxxxxxx'.replace('x','xxxxxxxxxxxxxxxxxxxxxxxxx'), '').replace('', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx').replace('x','xxxxxxxxxx')": "more than 1048576 bytes",
		"descendants().select(%resource.descendants()).select(%resource.descendants())":                                                                                                                     "more than",
		"descendants().where(%resource.descendants().where(%resource.descendants().where(%resource.descendants().exists($this = 'q')).exists()).exists())":                                                  "too many steps",
	}
	for expression, want := range cases {
		e, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Eval(t.Context(), root, Options{MaxSteps: 200_000, MaxItems: 20_000})
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", expression, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e, err := Compile("name")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Eval(ctx, root, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Eval under a context that ended: %v", err)
	}
}

// TestLongListsAreWork: to step to a list is as much work as it is long. For each of
// 2000 names all of them are 4,000,000 steps.
func TestLongListsAreWork(t *testing.T) {
	root := parsed(t, `{"resourceType":"Patient","name":[`+strings.Repeat(`{"family":"a"},`, 1999)+`{"family":"b"}]}`)
	for expression, want := range map[string]string{
		"name.all(%resource.name.first().exists())": "too many steps",
		"name.all(family.exists())":                 "",
	} {
		e, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Eval(t.Context(), root, Options{})
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", expression, err, want)
		}
	}
}

func TestExpressionServesManyAtOnce(t *testing.T) {
	root := parsed(t, person)
	e, err := Compile("name.where(given.matches('^A.*')).exists() and (1 'm' = 100 'cm') and name.family.defineVariable('f').select(%f).exists()")
	if err != nil {
		t.Fatal(err)
	}
	e2, err := Compile("name.given.select(matches('^A')).allTrue().not()")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if _, err := e.EvalBool(t.Context(), root, Options{}); err == nil {
					t.Error("a list of given names is matched, want an error")
				}
				if ok, err := e2.EvalBool(t.Context(), root, Options{}); err != nil || !ok {
					t.Errorf("EvalBool = %v, %v, want true", ok, err)
				}
			}
		})
	}
	group.Wait()
}

func TestEvalBool(t *testing.T) {
	root := parsed(t, person)
	for expression, want := range map[string]bool{"{}": false, "active": true, "gender": true, "gender = 'male'": false} {
		e, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.EvalBool(t.Context(), root, Options{}); err != nil || got != want {
			t.Errorf("EvalBool(%s) = %v, %v, want %v", expression, got, err, want)
		}
	}
	e, err := Compile("name")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.EvalBool(t.Context(), root, Options{}); err == nil {
		t.Error("three values are a condition, want an error")
	}
}

func TestElements(t *testing.T) {
	root := parsed(t, `{"resourceType":"Observation","status":"final","component":[
		{"valueQuantity":{"value":1.0,"unit":"drops","system":"urn:x","code":"d"}},{"valueQuantity":{"value":1.00,"code":"d","unit":"drops","system":"urn:x"}},
		{"valueQuantity":{"value":2,"unit":"drops","system":"urn:x","code":"d"}},{"valueQuantity":{"value":2,"unit":"mg"}},{"valueQuantity":{"unit":"mg"}},
		{"valueQuantity":{"value":2,"system":"http://unitsofmeasure.org","code":"min"}},{"valueQuantity":{"value":120,"system":"http://unitsofmeasure.org","code":"s"}},
		{"valueQuantity":{"value":3,"system":"http://unitsofmeasure.org","code":"mo"}},{"valueQuantity":{"value":2,"system":"http://unitsofmeasure.org","code":"h"}},
		{"valueQuantity":{"value":1,"system":"http://unitsofmeasure.org","code":"d"}},{"valueQuantity":{"value":1e900,"system":"http://unitsofmeasure.org","code":"kg"}},
		{"valueQuantity":{"value":1e9999,"system":"http://unitsofmeasure.org","code":"kg"}},
		{"valueSampledData":{"origin":{"value":0},"period":1.5,"dimensions":1}},{"valueTime":"10:30:00"},{"valueRange":{"low":{"value":1}}},{"_valueString":{"id":"s"}}],
		"effectiveDateTime":"not a date","issued":"2020-01-01T00:00:00.123456Z","identifier":[{"value":"a","period":{"start":"2020"}},{"value":"a","period":{"start":"2020"}},{"value":"a","period":{"start":"2021"}}],
		"valueInteger":3000000000,"note":["wrong"],"focus":{"reference":"#"},"nothing":{"x":[1,2.5,"c",true,null,{"y":1}]}}`)
	for expression, want := range map[string]string{
		"component[0].value = component[1].value":    "true",
		"component[0].value ~ component[1].value":    "true",
		"component[0].value = component[2].value":    "false",
		"component[0].value < component[2].value":    "error: a Quantity stands where a simple value",
		"component[3].value > 1 'mg'":                "true",
		"component[4].value.exists()":                "true",
		"component[5].value = component[6].value":    "true",
		"component[5].value = 2 minutes":             "true",
		"component[7].value = 3 months":              "true",
		"component[8].value = 2 hours":               "true",
		"component[9].value + 1 day":                 "2 days",
		"component[10].value > 1 'g'":                "true",
		"component[11].value > 1 'g'":                "error: a Quantity stands",
		"component[12].value.period = 1.5":           "true",
		"component.value.ofType(time)":               "time 10:30:00",
		"component[15].value.id":                     "string s",
		"component[15].value = 'a'":                  "false",
		"component[15].value & 'a'":                  "a",
		"component.value.count()":                    "16",
		"effective & '!'":                            "not a date!",
		"effective < now()":                          "error: does not compare a String with a DateTime",
		"issued.toString()":                          "2020-01-01T00:00:00.123456Z",
		"issued < @2020-01-01T00:00:00.124Z":         "true",
		"identifier[0] = identifier[1]":              "true",
		"identifier[0] ~ identifier[1]":              "true",
		"identifier[1] = identifier[2]":              "false",
		"identifier.distinct().count()":              "2",
		"identifier.period.start.distinct().count()": "2",
		"value":                            "integer 3000000000",
		"note.text":                        "",
		"focus.resolve().status":           "code final",
		"nothing.x":                        "",
		"component[12].children().count()": "1",
	} {
		e, err := Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		values, err := e.Eval(t.Context(), root, Options{})
		got := shown(values)
		if part, failing := strings.CutPrefix(want, "error: "); failing {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s = %s, %v, want the error %q", expression, got, err, part)
			}
		} else if err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", expression, got, err, want)
		}
	}
	loose := &fhir.Node{Kind: fhir.Object, Members: []fhir.Member{{Name: "a", Value: root.Get("nothing").Get("x")}}}
	e, err := Compile("a.y | a.where($this is FHIR.Element).count() | descendants().count()")
	if err != nil {
		t.Fatal(err)
	}
	values, err := e.Eval(t.Context(), loose, Options{})
	if got := shown(values); err != nil || !strings.HasSuffix(got, "0, 6") {
		t.Errorf("without a type: %s, %v", got, err)
	}
}
