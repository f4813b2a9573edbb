package profile

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/validate"
	"github.com/plexus-health/plexus/internal/corpus"
)

// TestExamplesKeepTheProfilesOfR4: the examples of the specification and of US
// Core have no error by the profiles and extensions that R4 defines.
func TestExamplesKeepTheProfilesOfR4(t *testing.T) {
	var s *Set
	claims, files := 0, 0
	for _, folder := range []string{"valid", "uscore"} {
		err := filepath.WalkDir(corpus.Dir(t, "fhir", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			n, err := fhir.Parse(data)
			if err != nil {
				return err
			}
			if files++; s.Claims(n) {
				claims++
			}
			for _, f := range s.Check(n) {
				if f.Severity == validate.Error {
					t.Errorf("%s: %s: %s: %s", d.Name(), f.Where, f.Code, f.Text)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d examples, %d claim a profile of R4", files, claims)
	if claims < 10 {
		t.Error("too few claim one")
	}
}

func BenchmarkClaims(b *testing.B) {
	data, err := os.ReadFile("../testdata/patient.json")
	if err != nil {
		b.Fatal(err)
	}
	n, err := fhir.Parse(data)
	if err != nil {
		b.Fatal(err)
	}
	var s *Set
	b.Run("no claim", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if s.Claims(n) {
				b.Fatal("claims")
			}
		}
	})
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Check(n)
		}
	})
}

// FuzzCheck: no resource makes the check panic or find more than it may.
func FuzzCheck(f *testing.F) {
	for _, list := range cases {
		for content := range list {
			f.Add([]byte(content))
		}
	}
	folder := f.TempDir()
	for name, content := range profiles {
		if err := os.WriteFile(filepath.Join(folder, name+".json"), []byte(content), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	s, err := Load(folder)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := fhir.Parse(data)
		if err != nil {
			return
		}
		s.Claims(n)
		if found := s.Check(n, s.URLs()...); len(found) > most {
			t.Errorf("%d faults", len(found))
		}
	})
}
