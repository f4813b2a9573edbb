package fhirpath

import (
	"github.com/cockroachdb/apd/v3"
)

// exacts is the context of addition and multiplication, which are exact:
// operands have at most 2*maxDigits digits. Quotients and roots have 28 digits,
// as FHIRPath N1 asks for at least.
var (
	exacts    = apd.Context{Precision: 4*maxDigits + 4*maxExponent, MaxExponent: 20_000, MinExponent: -20_000, Traps: apd.DefaultTraps, Rounding: apd.RoundHalfUp}
	quotients = apd.Context{Precision: 28, MaxExponent: 20_000, MinExponent: -20_000, Traps: apd.DefaultTraps, Rounding: apd.RoundHalfUp}
	one       = apd.New(1, 0)
)

// done is a result, if the operation came to one that is worked with.
func done(d *apd.Decimal, err error) (*apd.Decimal, bool) {
	if err != nil || !bounded(d) {
		return nil, false
	}
	return d, true
}

func sum(a, b *apd.Decimal) (*apd.Decimal, bool) {
	d := new(apd.Decimal)
	_, err := exacts.Add(d, a, b)
	return done(d, err)
}

func difference(a, b *apd.Decimal) (*apd.Decimal, bool) {
	d := new(apd.Decimal)
	_, err := exacts.Sub(d, a, b)
	return done(d, err)
}

func multiply(a, b *apd.Decimal) (*apd.Decimal, bool) {
	d := new(apd.Decimal)
	_, err := exacts.Mul(d, a, b)
	return done(d, err)
}

// divide gives the quotient without needless zeros; none by zero.
func divide(a, b *apd.Decimal) (*apd.Decimal, bool) {
	if b.IsZero() {
		return nil, false
	}
	d := new(apd.Decimal)
	_, err := quotients.Quo(d, a, b)
	return tidy(d, err)
}

// tidy drops needless zeros of a result.
func tidy(d *apd.Decimal, err error) (*apd.Decimal, bool) {
	if err != nil {
		return nil, false
	}
	d.Reduce(d)
	return done(expanded(d), nil)
}

// expanded writes a number without an exponent above zero.
func expanded(d *apd.Decimal) *apd.Decimal {
	if d.Exponent <= 0 || d.Exponent > maxExponent {
		return d
	}
	out := new(apd.Decimal)
	if _, err := exacts.Quantize(out, d, 0); err != nil {
		return d
	}
	return out
}

// rounded has places digits behind the point.
func rounded(d *apd.Decimal, places int, rounding apd.Rounder) (*apd.Decimal, bool) {
	c := exacts
	c.Rounding = rounding
	out := new(apd.Decimal)
	_, err := c.Quantize(out, d, int32(-places))
	return done(out, err)
}

// placesOf is how many digits stand behind the point.
func placesOf(d *apd.Decimal) int { return int(max(0, -d.Exponent)) }

// alikeDecimals compares to the digits of the less precise of two numbers;
// zeros at the end do not count (FHIRPath N1, 6.1.2).
func alikeDecimals(a, b *apd.Decimal) bool {
	x, _ := new(apd.Decimal).Reduce(a)
	y, _ := new(apd.Decimal).Reduce(b)
	places := min(placesOf(x), placesOf(y))
	x, okX := rounded(x, places, apd.RoundHalfUp)
	y, okY := rounded(y, places, apd.RoundHalfUp)
	return okX && okY && x.Cmp(y) == 0
}

// stringDecimal reads a number as a string of FHIRPath has it: sign, digits,
// point, digits.
func stringDecimal(s string) (*apd.Decimal, bool) {
	digits, points := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			digits++
		case c == '.' && points == 0 && digits > 0 && i+1 < len(s):
			points++
		case (c == '+' || c == '-') && i == 0:
		default:
			return nil, false
		}
	}
	if digits == 0 {
		return nil, false
	}
	return parseDecimal(s)
}
