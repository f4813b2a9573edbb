package fhirpath

import (
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/fhirpath/ucum"
)

// Kind is what a value is: an element of FHIR, or one of the types of FHIRPath.
type Kind uint8

// The kinds of value.
const (
	None Kind = iota
	Bool
	Integer
	Decimal
	String
	Date
	DateTime
	Time
	Quantity
	Element
	TypeInfo
)

// systemNames are the names of the kinds in the namespace System.
var systemNames = [...]string{Bool: "Boolean", Integer: "Integer", Decimal: "Decimal", String: "String", Date: "Date", DateTime: "DateTime", Time: "Time", Quantity: "Quantity", TypeInfo: "TypeInfo"}

// A Value is one item of a collection.
type Value struct {
	kind  Kind
	place place // of an Element
	// node is the JSON of an Element, nil where it has only extensions; shadow
	// is what the member with the underscore says.
	node, shadow *fhir.Node
	num          int64  // of an Integer; 1 for true; 1 for a calendar unit
	text         string // of a String; the unit; the name of a type
	dec          *apd.Decimal
	when         *moment
}

// Boolean returns a value of a boolean.
func Boolean(b bool) Value {
	if b {
		return Value{kind: Bool, num: 1}
	}
	return Value{kind: Bool}
}

// Text returns a value of a string.
func Text(s string) Value { return Value{kind: String, text: s} }

// Number returns a value of an integer.
func Number(n int32) Value { return Value{kind: Integer, num: int64(n)} }

// Resource returns a value of a resource.
func Resource(n *fhir.Node) Value { return element(n, nil, placeOf(n, "")) }

func integer(n int64) Value            { return Value{kind: Integer, num: n} }
func decimal(d *apd.Decimal) Value     { return Value{kind: Decimal, dec: d} }
func temporal(k Kind, m *moment) Value { return Value{kind: k, when: m} }

func element(n, shadow *fhir.Node, at place) Value {
	return Value{kind: Element, node: n, shadow: shadow, place: at}
}

// Kind returns what the value is.
func (v Value) Kind() Kind { return v.kind }

// Type returns the name of the type with its namespace: "FHIR.code",
// "System.Boolean".
func (v Value) Type() string {
	if v.kind == Element {
		return "FHIR." + v.place.name
	}
	return "System." + systemNames[v.kind]
}

// Node returns the JSON of an element, nil for values that were computed and
// for primitives that have only extensions.
func (v Value) Node() *fhir.Node { return v.node }

// Beside returns what the member with the underscore says of an element, its id
// and extensions; nil when there is none.
func (v Value) Beside() *fhir.Node { return v.shadow }

// Bool returns the value of a boolean, computed or an element.
func (v Value) Bool() (value, ok bool) {
	s, ok := v.system()
	return s.num == 1, ok && s.kind == Bool
}

// String returns the value as toString() has it; empty for what has no such
// form, a HumanName as an example.
func (v Value) String() string {
	s, ok := v.system()
	if !ok {
		return ""
	}
	text, _ := s.asText()
	return text
}

// asText is the value of a type of FHIRPath as a string.
func (v Value) asText() (string, bool) {
	switch v.kind {
	case Bool:
		return strconv.FormatBool(v.num == 1), true
	case Integer:
		return strconv.FormatInt(v.num, 10), true
	case Decimal:
		return v.dec.Text('f'), true
	case String:
		return v.text, true
	case Date, DateTime, Time:
		return v.when.text(v.kind), true
	case Quantity:
		if v.num == 1 {
			if v.dec.Cmp(one) != 0 {
				return v.dec.Text('f') + " " + v.text + "s", true
			}
			return v.dec.Text('f') + " " + v.text, true
		}
		return v.dec.Text('f') + " '" + v.text + "'", true
	}
	return "", false
}

// decimal is the number of an Integer, Decimal or Quantity.
func (v Value) decimal() *apd.Decimal {
	if v.kind == Integer {
		return apd.New(v.num, 0)
	}
	return v.dec
}

// number is that of a Boolean too.
func (v Value) number() *apd.Decimal {
	if v.kind == Bool {
		return apd.New(v.num, 0)
	}
	return v.decimal()
}

// parseNumber reads an integer or decimal of an expression.
func parseNumber(s string) (Value, bool) {
	if !strings.Contains(s, ".") {
		n, err := strconv.ParseInt(s, 10, 64)
		return integer(n), err == nil && n <= 1<<31 // the most that a sign can make an Integer of
	}
	d, ok := parseDecimal(s)
	return decimal(d), ok
}

// Bounds of decimals: digits, and powers of ten.
const (
	maxDigits   = 400
	maxExponent = 1000
)

// parseDecimal reads a number as JSON writes it.
func parseDecimal(s string) (*apd.Decimal, bool) {
	if len(s) > maxDigits {
		return nil, false
	}
	d, _, err := apd.NewFromString(s)
	if err != nil || d.Form != apd.Finite || !bounded(d) {
		return nil, false
	}
	return d, true
}

// bounded reports whether a number is one that is worked with.
func bounded(d *apd.Decimal) bool {
	return d.Form == apd.Finite && d.Exponent < maxExponent && d.Exponent > -maxExponent && d.NumDigits() <= 2*maxDigits
}

// system is the value in the types of FHIRPath; primitives and quantities of
// FHIR are converted (FHIR R4, 2.9.2). ok is false where there is none.
func (v Value) system() (Value, bool) {
	if v.kind != Element {
		return v, v.kind != None
	}
	if v.node == nil {
		return Value{}, false
	}
	switch v.node.Kind {
	case fhir.Object:
		if isQuantity(v.place.name) {
			return v.quantity()
		}
		return Value{}, false
	case fhir.Array, fhir.Null:
		return Value{}, false
	}
	return primitive(v.place.name, v.node)
}

// primitive converts a JSON value. What does not have the form of its type is
// a string.
func primitive(typ string, n *fhir.Node) (Value, bool) {
	switch n.Kind {
	case fhir.Bool:
		return Boolean(n.Text == "true"), true
	case fhir.Number:
		if typ != "decimal" {
			if i, err := strconv.ParseInt(n.Text, 10, 32); err == nil {
				return integer(i), true
			}
		}
		d, ok := parseDecimal(n.Text)
		return decimal(d), ok
	}
	switch typ {
	case "date":
		if m, ok := parseDate(n.Text); ok {
			return temporal(Date, m), true
		}
	case "dateTime", "instant":
		if m, ok := parseDateTime(n.Text); ok {
			return temporal(DateTime, m), true
		}
	case "time":
		if m, ok := parseTime(n.Text); ok {
			return temporal(Time, m), true
		}
	}
	return Text(n.Text), true
}

// quantity converts a Quantity of FHIR, which must be of UCUM or have no
// system; its units of time are those of the calendar (FHIR R4, 2.9.2).
func (v Value) quantity() (Value, bool) {
	number, code, system := v.node.Get("value"), v.node.Get("code"), v.node.Get("system")
	if number == nil || number.Kind != fhir.Number {
		return Value{}, false
	}
	d, ok := parseDecimal(number.Text)
	if !ok {
		return Value{}, false
	}
	q := Value{kind: Quantity, dec: d, text: "1"}
	if system == nil && code == nil {
		if unit := v.node.Get("unit"); unit != nil {
			q.text = unit.Text
		}
		return q, true
	}
	if system == nil || code == nil || system.Text != ucum.System {
		return Value{}, false
	}
	q.text = code.Text
	if word := calendarOf(code.Text); word != "" {
		q.text, q.num = word, 1
	}
	return q, true
}

// A truth is one of three.
type truth uint8

const (
	unknown truth = iota
	no
	yes
)

func truthFrom(b bool) truth {
	if b {
		return yes
	}
	return no
}

// values is the truth as a collection; unknown is empty.
func (t truth) values() []Value {
	switch t {
	case yes:
		return truths[1:2:2]
	case no:
		return truths[0:1:1]
	}
	return nil
}

var truths = [...]Value{{kind: Bool}, {kind: Bool, num: 1}}

// truthOf reads a collection as a condition (FHIRPath N1, 4.5: singleton
// evaluation of collections).
func truthOf(values []Value, at int) (truth, error) {
	switch len(values) {
	case 0:
		return unknown, nil
	case 1:
		s, ok := values[0].system()
		if ok && s.kind == Bool {
			return truthFrom(s.num == 1), nil
		}
		if values[0].kind == Element && values[0].place.name == "boolean" {
			return unknown, nil // only extensions
		}
		return yes, nil
	}
	return unknown, fault(at, "a condition has %d values", len(values))
}
