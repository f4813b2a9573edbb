package patch

import (
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
)

// same reports whether two values are equal as a test asks: numbers by what
// they are, not by how they are written (RFC 6902, 4.6).
func (w *work) same(a, b *fhir.Node) bool {
	if !w.take(1 + len(a.Members)*len(a.Members)/16) { // names are looked for one by one
		return false
	}
	if a.Kind != b.Kind || len(a.Members) != len(b.Members) || len(a.Items) != len(b.Items) {
		return false
	}
	if a.Kind == fhir.Number {
		return number(a.Text) == number(b.Text)
	}
	if a.Text != b.Text {
		return false
	}
	for i := range a.Items {
		if !w.same(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for i := range a.Members {
		other := b.Get(a.Members[i].Name)
		if other == nil || !w.same(a.Members[i].Value, other) {
			return false
		}
	}
	return true
}

// A decimal is 0.digits times ten to the power of exponent, without zeros around
// the digits.
type decimal struct {
	negative bool
	digits   string
	exponent int64
}

// number reads a JSON number. One whose exponent is beyond all measure stays as
// it is written and is like no other.
func number(text string) decimal {
	rest, negative := strings.CutPrefix(text, "-")
	mantissa, power, _ := strings.Cut(strings.ToLower(rest), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent := int64(0)
	if power != "" {
		var err error
		if exponent, err = strconv.ParseInt(power, 10, 62); err != nil {
			return decimal{digits: text}
		}
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent += int64(len(whole)) - int64(len(whole)+len(fraction)-len(digits))
	if digits = strings.TrimRight(digits, "0"); digits == "" {
		return decimal{} // minus nothing is nothing
	}
	return decimal{negative, digits, exponent}
}
