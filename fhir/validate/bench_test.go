package validate

import (
	"os"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// BenchmarkResource validates a patient and a result as the maps make them.
func BenchmarkResource(b *testing.B) {
	for name, file := range map[string]string{"Patient": "testdata/patient.json", "Observation": "testdata/observation.json"} {
		data, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		n, err := fhir.Parse(data)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if found := Resource(n, Options{ErrorsOnly: true}); len(found) > 0 {
					b.Fatal(found)
				}
			}
		})
	}
}
