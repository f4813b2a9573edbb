package spelling

import "testing"

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		word  string
		known []string
		want  string
	}{
		{"chanels", []string{"channels", "zone"}, "channels"},
		{"PatientId", []string{"patient", "patientid"}, "patientid"},
		{"mlp", []string{"mllp", "http"}, "mllp"},
		{"idel", []string{"frame", "idle", "listen"}, "idle"}, // two in the wrong order
		{"idel", []string{"elid"}, ""},
		{"cat", []string{"hat", "bat"}, "bat"}, // the first in the alphabet
		{"cat", []string{"dog"}, ""},           // nothing is near
		{"ab", []string{"cd"}, ""},             // two of two letters
		{"", []string{"a", "bc"}, ""},          // nothing was written
		{"observatons", []string{}, ""},        // nothing is known
		{"ORDER_OBSERVATIONX", []string{"ORDER_OBSERVATION", "ORDER"}, "ORDER_OBSERVATION"},
		{"productCode", []string{"programCode"}, ""},     // four
		{"Größe", []string{"Grösse", "Menge"}, "Grösse"}, // bytes, not letters
	} {
		if got := Nearest(c.word, c.known); got != c.want {
			t.Errorf("Nearest(%q, %q) = %q, want %q", c.word, c.known, got, c.want)
		}
	}
}

func TestUnknown(t *testing.T) {
	for word, want := range map[string]string{
		"tolerent": `"tolerent" is not known; known: tolerant, strict; did you mean "tolerant"?`,
		"loose":    `"loose" is not known; known: tolerant, strict`,
	} {
		if got := Unknown(word, "tolerant", "strict"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
