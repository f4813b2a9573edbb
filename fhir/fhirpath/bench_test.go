package fhirpath

import "testing"

func BenchmarkCompile(b *testing.B) {
	const expression = "name.where(use = 'official' or use = 'usual').given.first().startsWith('A') and birthDate < @2020-01-01"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(expression); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	root := parsed(b, person)
	for name, expression := range map[string]string{
		"path":       "Patient.name.given",
		"choice":     "deceased",
		"where":      "identifier.where(system = 'urn:b').value",
		"invariant":  "contact.all(name.exists() or telecom.exists() or address.exists() or organization.exists())",
		"comparison": "birthDate < @2020-01-01 and extension('urn:x:score').value > 1.0",
		"contained":  "contained.where((('#'+id in (%resource.descendants().reference | %resource.descendants().as(canonical))) or descendants().where(reference = '#').exists()).not()).empty()",
	} {
		e, err := Compile(expression)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			o := Options{AsFilters: true}
			for b.Loop() {
				if _, err := e.Eval(b.Context(), root, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
