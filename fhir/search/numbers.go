package search

import (
	"math"
	"strconv"
	"strings"
)

// Bounds of the numbers that searches compare. FHIR sets none to the exponent of a
// decimal, the columns of databases do.
const (
	// MostDigits is how many places before or behind the point a number has.
	MostDigits = 300
	// significant is how many digits of one are kept that is written long.
	significant = 100
)

// bounded is a decimal as searches compare it: one of more than 300 places before
// the point counts as 1e300 with its sign, one that begins more than 300 places
// behind it as 0. What the resource says itself is not touched.
func bounded(text string) string {
	if len(text) <= significant && !strings.ContainsAny(text, "eE") {
		return text
	}
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
		n, err := strconv.Atoi(text[i+1:])
		switch {
		case err == nil:
			exponent = max(min(n, math.MaxInt32), math.MinInt32)
		case strings.HasPrefix(text[i+1:], "-"):
			exponent = math.MinInt32
		default:
			exponent = math.MaxInt32
		}
	}
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	// The number is 0.digits × 10^places.
	places := len(whole) + exponent - (len(whole) + len(fraction) - len(digits))
	digits = strings.TrimRight(digits[:min(len(digits), significant)], "0")
	sign := ""
	if negative {
		sign = "-"
	}
	switch {
	case digits == "" || places < -MostDigits:
		return "0"
	case places > MostDigits:
		return sign + "1e" + strconv.Itoa(MostDigits)
	}
	return sign + "0." + digits + "e" + strconv.Itoa(places)
}
