package fhirpath

import (
	"math/big"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/plexus-health/plexus/fhir/fhirpath/ucum"
)

// calendarUnit is the word of the calendar for one of its words, in the
// singular; "" for others.
func calendarUnit(word string) string {
	switch single := strings.TrimSuffix(word, "s"); single {
	case "year", "month", "week", "day", "hour", "minute", "second", "millisecond":
		return single
	}
	return ""
}

// calendarOf is the calendar's word for a code of UCUM in a Quantity of FHIR
// (FHIR R4, 2.9.2).
func calendarOf(code string) string {
	switch code {
	case "a":
		return "year"
	case "mo":
		return "month"
	case "d":
		return "day"
	case "h":
		return "hour"
	case "min":
		return "minute"
	case "s":
		return "second"
	}
	return ""
}

// ucumOf is the code of UCUM for a word of the calendar.
func ucumOf(word string) string {
	return map[string]string{"year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms"}[word]
}

// unitCode is the unit of a quantity in UCUM.
func (v Value) unitCode() string {
	if v.num == 1 {
		return ucumOf(v.text)
	}
	return v.text
}

// uneven reports whether a unit is a year or month of the calendar, which no
// number of days equals.
func (v Value) uneven() bool { return v.num == 1 && (v.text == "year" || v.text == "month") }

func rat(d *apd.Decimal) *big.Rat {
	r := new(big.Rat).SetInt(d.Coeff.MathBigInt())
	if d.Negative {
		r.Neg(r)
	}
	return r.Mul(r, ucum.PowerOfTen(int(d.Exponent)))
}

// units are the units of two quantities, if they measure the same.
func units(a, b Value) (x, y ucum.Unit, ok bool) {
	x, okX := ucum.Parse(a.unitCode())
	y, okY := ucum.Parse(b.unitCode())
	return x, y, okX && okY && x.Same(y)
}

// compareQuantities orders two quantities; known is false where their units do
// not measure the same, or a year of the calendar meets one of 365.25 days.
func compareQuantities(a, b Value) (order int, known bool) {
	if a.text == b.text && a.num == b.num {
		return a.dec.Cmp(b.dec), true
	}
	if a.uneven() != b.uneven() {
		return 0, false
	}
	if a.uneven() { // year and month
		return monthsOf(a).Cmp(monthsOf(b)), true
	}
	x, y, ok := units(a, b)
	if !ok {
		return 0, false
	}
	return x.Base(rat(a.dec)).Cmp(y.Base(rat(b.dec))), true
}

func monthsOf(v Value) *big.Rat {
	r := rat(v.dec)
	if v.text == "year" {
		r.Mul(r, big.NewRat(12, 1))
	}
	return r
}

// alikeQuantities reports equivalence: in the larger of the two units, to the
// digits of the less precise.
func alikeQuantities(a, b Value) bool {
	x, y, ok := units(a, b)
	if !ok {
		return a.text == b.text && a.num == b.num && alikeDecimals(a.dec, b.dec)
	}
	if y.Larger(x) {
		a, b, x, y = b, a, y, x
	}
	converted, exact := decimalOf(x.Of(y.Base(rat(b.dec))))
	if !exact {
		return alikeDecimals(a.dec, converted)
	}
	// A factor that is a power of ten keeps the digits the value had.
	ratio := x.Of(y.Base(big.NewRat(1, 1)))
	for n := range 30 {
		if ratio.Cmp(ucum.PowerOfTen(-n)) == 0 && !x.Shifted() && !y.Shifted() {
			converted = new(apd.Decimal).Set(b.dec)
			converted.Exponent -= int32(n)
		}
	}
	return alikeDecimals(a.dec, converted)
}

// decimalOf writes a fraction as a decimal, exact where it is one.
func decimalOf(r *big.Rat) (d *apd.Decimal, exact bool) {
	num, den := apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(r.Num()), 0), apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(r.Denom()), 0)
	d = new(apd.Decimal)
	condition, err := quotients.Quo(d, num, den)
	if err != nil {
		return apd.New(0, 0), false
	}
	reduced, _ := new(apd.Decimal).Reduce(d)
	return expanded(reduced), !condition.Inexact()
}

// sameUnit gives b in the unit of a, for addition.
func sameUnit(a, b Value) (*apd.Decimal, bool) {
	if a.text == b.text && a.num == b.num {
		return b.dec, true
	}
	if a.uneven() != b.uneven() {
		return nil, false
	}
	x, y, ok := units(a, b)
	if !ok || x.Shifted() || y.Shifted() {
		return nil, false
	}
	d, _ := decimalOf(x.Of(y.Base(rat(b.dec))))
	return d, true
}

// scaled multiplies or divides two quantities.
func scaled(a, b Value, op operator) (Value, bool) {
	q := Value{kind: Quantity, text: a.unitCode()}
	other, sign := b.unitCode(), "."
	var ok bool
	if op == opMultiply {
		q.dec, ok = multiply(a.dec, b.dec)
	} else {
		sign = "/"
		q.dec, ok = divide(a.dec, b.dec)
	}
	switch {
	case other == "1":
		q.num = a.num
		if a.num == 1 {
			q.text = a.text
		}
	case op == opDivide && q.text == other:
		q.text = "1"
	case op == opMultiply && q.text == "1":
		q.text, q.num = b.text, b.num
	default:
		if strings.ContainsAny(other, "./") {
			other = "(" + other + ")"
		}
		q.text += sign + other
	}
	return q, ok && len(q.text) <= ucum.MaxLength
}

// parseQuantity reads a quantity as toQuantity() does: a number, and a unit in
// quotes or a word of the calendar.
func parseQuantity(s string) (Value, bool) {
	number, unit := s, ""
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && c != '.' && c != '+' && c != '-' {
			number, unit = s[:i], strings.TrimLeft(s[i:], " \t\r\n")
			break
		}
	}
	d, ok := stringDecimal(number)
	if !ok {
		return Value{}, false
	}
	q := Value{kind: Quantity, dec: d, text: "1"}
	if unit == "" {
		return q, number == s
	}
	if word := calendarUnit(unit); word != "" {
		q.text, q.num = word, 1
		return q, true
	}
	if len(unit) < 3 || unit[0] != '\'' || unit[len(unit)-1] != '\'' {
		return Value{}, false
	}
	q.text = unit[1 : len(unit)-1]
	if word := calendarUnit(q.text); word != "" {
		q.text, q.num = word, 1
	}
	return q, !strings.Contains(q.text, "'")
}
