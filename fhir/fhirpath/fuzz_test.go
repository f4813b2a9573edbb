package fhirpath

import (
	"errors"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// seeds are expressions that touch every part of the grammar.
func seeds() []string {
	out := []string{"", "@2015-02-04T14:34:28.123+10:00 + 1 'd'", "%`vs-a`", "'\\u00e9' & `a`", "-1.5 'mg/dL'", "name.where($this is HumanName).first()", "/* a */ 1 // b", "@T14:34"}
	for _, cases := range functionCases {
		for expression := range cases {
			out = append(out, expression)
		}
	}
	return out
}

// FuzzCompile compiles any bytes: an error has a place within them, and what
// compiles is checked and evaluated without a panic.
func FuzzCompile(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	root := parsed(f, person)
	f.Fuzz(func(t *testing.T, expression string) {
		e, err := Compile(expression)
		var fault *Error
		if err != nil {
			if !errors.As(err, &fault) || fault.Offset < 0 || fault.Offset > len(expression) {
				t.Fatalf("Compile: %v", err)
			}
			return
		}
		if e.String() != expression {
			t.Fatalf("String gives %q", e.String())
		}
		if err := e.Check("Patient"); err != nil && !errors.As(err, &fault) {
			t.Fatalf("Check: %v", err)
		}
		values, err := e.Eval(t.Context(), root, Options{MaxSteps: 20_000, MaxItems: 2_000})
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("Eval: %v", err)
		}
		for _, v := range values {
			_ = v.String() + v.Type()
		}
	})
}

// FuzzEval evaluates expressions on any JSON.
func FuzzEval(f *testing.F) {
	f.Add("descendants().where(hasValue())", person)
	f.Add("descendants().select($this & '') | descendants().select(toQuantity() + 1 'm')", `{"resourceType":"Observation","valueQuantity":{"value":1e900,"system":"http://unitsofmeasure.org","code":"m/(s"}}`)
	f.Add("value.lowBoundary() | value.highBoundary()", `{"resourceType":"Observation","valueDateTime":"0001","_valueDateTime":[{}]}`)
	for _, s := range seeds() {
		f.Add(s, person)
	}
	f.Fuzz(func(t *testing.T, expression, resource string) {
		e, err := Compile(expression)
		if err != nil {
			return
		}
		root, err := fhir.Parse([]byte(resource))
		if err != nil {
			return
		}
		var fault *Error
		values, err := e.Eval(t.Context(), root, Options{MaxSteps: 20_000, MaxItems: 2_000})
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("Eval: %v", err)
		}
		for _, v := range values {
			_ = v.String() + v.Type()
		}
	})
}
