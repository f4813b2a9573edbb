package ucum

import (
	"math/big"
	"strings"
	"testing"
)

// TestParse holds that every unit of the table can be read.
func TestParse(t *testing.T) {
	all := table()
	if len(all) < 150 {
		t.Errorf("%d units, want them all", len(all))
	}
	for code := range all {
		if _, ok := Parse(code); !ok {
			t.Errorf("the unit %q is not read", code)
		}
	}
	for _, code := range []string{"mg/dL", "10*3/uL", "mmol/L", "/min", "{beats}/min", "mL/min/{1.73_m2}", "kg/m2", "m[Hg]", "mm[Hg]", "ug/kg/h", "[iU]/L", "k[iU]/L", "10*-6", "mg/(24.h)", "%", "[degF]", "dag", "1/4.m"} {
		if _, ok := Parse(code); !ok {
			t.Errorf("the unit %q is not read", code)
		}
	}
	for _, code := range []string{"", "/", "m/", "(m", "m)", "{", "m2{", "mg dL", "k[lb_av]", "m999", "0.m", "m+", "((((((((((m))))))))))", strings.Repeat("m.", 60) + "m"} {
		if _, ok := Parse(code); ok {
			t.Errorf("%q is read as a unit", code)
		}
	}
}

func TestConversion(t *testing.T) {
	for _, c := range []struct{ from, to, number, want string }{
		{"m", "cm", "1", "100"},
		{"[in_i]", "cm", "1", "2.54"},
		{"[degF]", "Cel", "212", "100"},
		{"Cel", "K", "-273.15", "0"},
		{"mmol/L", "umol/mL", "5", "5"},
		{"mg/dL", "g/L", "100", "1"},
		{"wk", "d", "1", "7"},
		{"a", "d", "1", "365.25"},
		{"[lb_av]", "g", "1", "453.59237"},
		{"mm[Hg]", "Pa", "1", "133.322387415"},
		{"10*3/uL", "10*9/L", "4.5", "4.5"},
		{"/min", "Hz", "60", "1"},
		{"kW.h", "MJ", "1", "3.6"},
		{"%", "1", "50", "0.5"},
	} {
		from, okFrom := Parse(c.from)
		to, okTo := Parse(c.to)
		if !okFrom || !okTo || !from.Same(to) {
			t.Errorf("%s and %s do not measure the same", c.from, c.to)
			continue
		}
		n, _ := new(big.Rat).SetString(c.number)
		want, _ := new(big.Rat).SetString(c.want)
		if got := to.Of(from.Base(n)); got.Cmp(want) != 0 {
			t.Errorf("%s %s = %s %s, want %s", c.number, c.from, got.FloatString(8), c.to, c.want)
		}
	}
	metre, _ := Parse("m")
	second, _ := Parse("s")
	if metre.Same(second) {
		t.Error("a metre measures what a second does")
	}
}

// FuzzParse reads any text without a panic, and what it reads can be used.
func FuzzParse(f *testing.F) {
	for code := range table() {
		f.Add(code)
	}
	f.Add("mL/min/{1.73_m2}")
	f.Add("((m.s)/(kg2.10*-3))")
	f.Fuzz(func(t *testing.T, code string) {
		u, ok := Parse(code)
		if !ok {
			return
		}
		if back := u.Of(u.Base(big.NewRat(3, 2))); back.Cmp(big.NewRat(3, 2)) != 0 {
			t.Fatalf("%q: 3/2 comes back as %s", code, back)
		}
	})
}
