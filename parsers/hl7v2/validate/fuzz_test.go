package validate

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// FuzzMessage checks any message with everything there is.
func FuzzMessage(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "testdata", "messages", "hl7v2", "*.hl7"))
	if err != nil || len(files) == 0 {
		f.Fatalf("%d samples, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("MSH|^~\\&|A||||||ADT^A01|1|P|2.1\rPID|x|~^&|\"\"\rOBX|1|CE|||a&b^c\rMSH|^~\\&|||||||VXU^V04|2||9\rRXA|"))
	var profiles []*Profile
	for _, name := range ShippedNames() {
		p, err := Shipped(name)
		if err != nil {
			f.Fatal(err)
		}
		p.Types = nil
		profiles = append(profiles, p)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := hl7v2.Parse(raw)
		if err != nil {
			return
		}
		found := Message(m, Profiled, profiles...)
		if len(found) > maxFindings {
			t.Errorf("%d findings", len(found))
		}
		for i, x := range found {
			if x.Offset < 0 || x.Offset > len(raw) || x.Code < 100 || x.Code > 103 || x.Text == "" || x.Rule == "" || i > 0 && x.Offset < found[i-1].Offset {
				t.Errorf("%+v", x)
			}
		}
	})
}

// FuzzProfile reads any profile, and uses what can be read.
func FuzzProfile(f *testing.F) {
	f.Add([]byte(partner))
	f.Add([]byte("rules: [ { at: PID-3.4.2, required: true, when: PID-2 != x y } ]"))
	m, err := hl7v2.Parse([]byte(header + "\rPID|1||7^^^B&1&ISO^MR~8||X\rZPI|1\r"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		if p, err := ReadProfile(text); err == nil {
			Message(m, Profiled, p)
		}
	})
}

// TestHostileMessages: what is too much of everything is parsed, checked and
// answered in bounded time. About a second is meant; the machine may be busy.
func TestHostileMessages(t *testing.T) {
	hostileMessages(t)
}
