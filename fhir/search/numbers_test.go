package search

import (
	"strings"
	"testing"
)

func TestBounded(t *testing.T) {
	nines := strings.Repeat("9", 400)
	for text, want := range map[string]string{
		"5.40": "5.40", "-0.1": "-0.1", "1e2": "0.1e3", "-12.5E-1": "-0.125e1", "0e999999999": "0",
		"1e999999999": "1e300", "-1e99999999999999999999": "-1e300", "1e-99999999999999999999": "0", "1e-20000": "0", "-1e-302": "0",
		nines: "1e300", "0." + strings.Repeat("0", 350) + "1": "0", "0." + nines: "0." + nines[:100] + "e0",
		"0." + strings.Repeat("0", 200) + "1": "0.1e-200", nines + "e-399": "0." + nines[:100] + "e1", "1e300": "1e300",
	} {
		if got := bounded(text); got != want {
			t.Errorf("%.20s: %s, want %s", text, got, want)
		}
	}
}
