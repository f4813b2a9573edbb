package fhirpath

import (
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/cockroachdb/apd/v3"

	"github.com/plexus-health/plexus/fhir"
)

func (m *machine) binary(n *node, sc *scope) ([]Value, error) {
	left, err := m.apart(n.in, sc)
	if err != nil {
		return nil, err
	}
	if n.code >= opAnd {
		return m.logic(n, left, sc)
	}
	right, err := m.apart(n.right, sc)
	if err != nil {
		return nil, err
	}
	switch n.code {
	case opUnion:
		return m.union(left, right, n.at)
	case opEqual, opNotEqual:
		t, err := m.equalAll(left, right, n.at)
		if n.code == opNotEqual {
			t = t.not()
		}
		return t.values(), err
	case opEquivalent, opNotEquivalent:
		same, err := m.alikeAll(left, right, n.at)
		return truthFrom(same == (n.code == opEquivalent)).values(), err
	case opIn:
		return m.membership(left, right, n.at)
	case opContains:
		return m.membership(right, left, n.at)
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		return ordered(n, left, right)
	}
	out, err := arithmetic(n, left, right)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	return out, m.work(len(out[0].text)/64, n.at)
}

func (t truth) not() truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

// logic is and, or, xor and implies on three truths (FHIRPath N1, 6.5). The
// right side is evaluated only if it counts.
func (m *machine) logic(n *node, left []Value, sc *scope) ([]Value, error) {
	a, err := truthOf(left, n.at)
	if err != nil {
		return nil, err
	}
	switch {
	case n.code == opAnd && a == no:
		return no.values(), nil
	case n.code == opOr && a == yes, n.code == opImplies && a == no:
		return yes.values(), nil
	}
	right, err := m.apart(n.right, sc)
	if err != nil {
		return nil, err
	}
	b, err := truthOf(right, n.at)
	if err != nil {
		return nil, err
	}
	out := unknown
	switch n.code {
	case opAnd:
		if out = min(a, b); b == no {
			out = no
		}
	case opOr, opImplies:
		if n.code == opImplies {
			a = a.not()
		}
		switch {
		case b == yes:
			out = yes
		case a == no && b == no:
			out = no
		}
	case opXor:
		if a != unknown && b != unknown {
			out = truthFrom(a != b)
		}
	}
	return out.values(), nil
}

// equalAll compares two collections item by item; it is not known where one is
// empty, or where two items cannot be told apart (FHIRPath N1, 6.1.1).
func (m *machine) equalAll(a, b []Value, at int) (truth, error) {
	if len(a) == 0 || len(b) == 0 {
		return unknown, nil
	}
	if len(a) != len(b) {
		return no, nil
	}
	out := yes
	for i := range a {
		t, err := m.equal(a[i], b[i], at)
		if err != nil || t == no {
			return no, err
		}
		out = min(out, t) // unknown is the least
	}
	return out, nil
}

// equal compares two items.
func (m *machine) equal(a, b Value, at int) (truth, error) {
	if err := m.work(1, at); err != nil {
		return unknown, err
	}
	x, okX := a.system()
	y, okY := b.system()
	if okX && okY {
		return equalSystem(x, y), m.work(min(len(x.text), len(y.text))/256, at)
	}
	if okX != okY || a.kind != Element || b.kind != Element {
		return no, nil
	}
	same, err := m.equalNodes(a.node, b.node, at)
	if err == nil && same && a.node == nil {
		same, err = m.equalNodes(a.shadow, b.shadow, at)
	}
	return truthFrom(same), err
}

func equalSystem(x, y Value) truth {
	x, y = matched(x, y)
	switch {
	case x.kind != y.kind:
		return no
	case x.kind == Bool, x.kind == Integer:
		return truthFrom(x.num == y.num)
	case x.kind == Decimal:
		return truthFrom(x.dec.Cmp(y.dec) == 0)
	case x.kind == Quantity:
		order, known := compareQuantities(x, y)
		if !known {
			return unknown
		}
		return truthFrom(order == 0)
	case x.kind == Date || x.kind == DateTime || x.kind == Time:
		order, known := x.when.compare(y.when)
		if !known {
			return unknown
		}
		return truthFrom(order == 0)
	}
	return truthFrom(x.text == y.text)
}

// matched converts one of two values to the type of the other, where FHIRPath
// does that by itself (N1, 5.5).
func matched(x, y Value) (Value, Value) {
	if x.kind == y.kind {
		return x, y
	}
	switch {
	case x.kind == Integer && y.kind == Decimal:
		x = decimal(x.decimal())
	case x.kind == Decimal && y.kind == Integer:
		y = decimal(y.decimal())
	case x.kind == Quantity && (y.kind == Integer || y.kind == Decimal):
		y = Value{kind: Quantity, dec: y.decimal(), text: "1"}
	case y.kind == Quantity && (x.kind == Integer || x.kind == Decimal):
		x = Value{kind: Quantity, dec: x.decimal(), text: "1"}
	case x.kind == Date && y.kind == DateTime:
		x.kind = DateTime
	case x.kind == DateTime && y.kind == Date:
		y.kind = DateTime
	}
	return x, y
}

// equalNodes compares JSON: members in any order, numbers by their value.
func (m *machine) equalNodes(a, b *fhir.Node, at int) (bool, error) {
	if a == nil || b == nil || a == b {
		return a == b, nil
	}
	if err := m.work(1+len(a.Members)+len(a.Items), at); err != nil {
		return false, err
	}
	if a.Kind != b.Kind || len(a.Members) != len(b.Members) || len(a.Items) != len(b.Items) {
		return false, nil
	}
	if a.Kind == fhir.Number {
		x, okX := parseDecimal(a.Text)
		y, okY := parseDecimal(b.Text)
		return a.Text == b.Text || (okX && okY && x.Cmp(y) == 0), nil
	}
	for i := range a.Items {
		if same, err := m.equalNodes(a.Items[i], b.Items[i], at); err != nil || !same {
			return false, err
		}
	}
	for i := range a.Members {
		other := b.Get(a.Members[i].Name)
		if other == nil {
			return false, nil
		}
		if same, err := m.equalNodes(a.Members[i].Value, other, at); err != nil || !same {
			return false, err
		}
	}
	return a.Text == b.Text, nil
}

// alikeAll is equivalence of collections, in which order does not count
// (FHIRPath N1, 6.1.3).
func (m *machine) alikeAll(a, b []Value, at int) (bool, error) {
	if len(a) != len(b) {
		return false, nil
	}
	taken := make([]bool, len(b))
next:
	for _, x := range a {
		for j, y := range b {
			if taken[j] {
				continue
			}
			same, err := m.alike(x, y, at)
			if err != nil {
				return false, err
			}
			if same {
				taken[j] = true
				continue next
			}
		}
		return false, nil
	}
	return true, nil
}

func (m *machine) alike(a, b Value, at int) (bool, error) {
	if err := m.work(1, at); err != nil {
		return false, err
	}
	x, okX := a.system()
	y, okY := b.system()
	if okX && okY {
		return alikeSystem(x, y), m.work((len(x.text)+len(y.text))/16, at)
	}
	if okX != okY || a.kind != Element || b.kind != Element || a.node == nil || b.node == nil {
		t, err := m.equal(a, b, at)
		return t == yes, err
	}
	// What stands in complex elements is compared in the same way.
	c, err := m.children(a, nil, at)
	if err != nil {
		return false, err
	}
	d, err := m.children(b, nil, at)
	if err != nil {
		return false, err
	}
	if m.depth++; m.depth > maxDepth {
		return false, fault(at, "the evaluation is nested more than %d deep", maxDepth)
	}
	defer func() { m.depth-- }()
	same, err := m.alikeAll(c, d, at)
	return same && a.place.name == b.place.name, err
}

func alikeSystem(x, y Value) bool {
	x, y = matched(x, y)
	switch {
	case x.kind != y.kind:
		return false
	case x.kind == Decimal:
		return alikeDecimals(x.dec, y.dec)
	case x.kind == Quantity:
		return alikeQuantities(x, y)
	case x.kind == String:
		return plain(x.text) == plain(y.text)
	}
	return equalSystem(x, y) == yes
}

// plain is a string without what does not count in equivalence: case, and what
// kind of white space stands where.
func plain(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), unicode.IsSpace), " ")
}

// membership is in and contains: whether an item equals one of a collection.
func (m *machine) membership(item, list []Value, at int) ([]Value, error) {
	if len(item) == 0 {
		return nil, nil
	}
	if len(item) > 1 {
		return nil, fault(at, "%d values stand where one is expected", len(item))
	}
	found, err := m.has(list, item[0], at)
	return truthFrom(found).values(), err
}

func (m *machine) has(list []Value, v Value, at int) (bool, error) {
	for _, other := range list {
		t, err := m.equal(v, other, at)
		if err != nil || t == yes {
			return t == yes, err
		}
	}
	return false, nil
}

// ordered is <, <=, > and >=.
func ordered(n *node, left, right []Value) ([]Value, error) {
	x, okX, err := single(left, n.at)
	if err != nil {
		return nil, err
	}
	y, okY, err := single(right, n.at)
	if err != nil || !okX || !okY {
		return nil, err
	}
	order, known, ok := compareSystem(x, y)
	if !ok {
		return nil, fault(n.at, "%q does not compare a %s with a %s", n.name, systemNames[x.kind], systemNames[y.kind])
	}
	if !known {
		return nil, nil
	}
	holds := false
	switch n.code {
	case opLess:
		holds = order < 0
	case opLessEqual:
		holds = order <= 0
	case opGreater:
		holds = order > 0
	case opGreaterEqual:
		holds = order >= 0
	}
	return truthFrom(holds).values(), nil
}

// compareSystem orders two values; ok is false where their types have no order.
func compareSystem(x, y Value) (order int, known, ok bool) {
	x, y = matched(x, y)
	if x.kind != y.kind {
		return 0, false, false
	}
	switch x.kind {
	case Integer:
		return sign(int(x.num - y.num)), true, true
	case Decimal:
		return x.dec.Cmp(y.dec), true, true
	case String:
		return strings.Compare(x.text, y.text), true, true
	case Quantity:
		order, known = compareQuantities(x, y)
		return order, known, true
	case Date, DateTime, Time:
		order, known = x.when.compare(y.when)
		return order, known, true
	}
	return 0, false, false
}

// negated is the number with the other sign; zero has none.
func negated(v Value) *apd.Decimal {
	d := new(apd.Decimal).Set(v.decimal())
	d.Negative = !d.Negative && !d.IsZero()
	return d
}

// arithmetic is + - * / div mod and &. What has no result is empty: a division
// by zero, a number out of range (FHIRPath N1, 6.6).
func arithmetic(n *node, left, right []Value) ([]Value, error) {
	x, okX, err := single(left, n.at)
	if err != nil {
		return nil, err
	}
	y, okY, err := single(right, n.at)
	if err != nil {
		return nil, err
	}
	if n.code == opConcat {
		if (okX && x.kind != String) || (okY && y.kind != String) {
			return nil, fault(n.at, `"&" joins strings only`)
		}
		return joined(x.text+y.text, n.at)
	}
	if !okX || !okY {
		return nil, nil
	}
	if (x.kind == Date || x.kind == DateTime || x.kind == Time) && y.kind == Quantity && (n.code == opAdd || n.code == opSubtract) {
		return shifted(n, x, y)
	}
	if x.kind == String && y.kind == String && n.code == opAdd {
		return joined(x.text+y.text, n.at)
	}
	x, y = matched(x, y)
	if x.kind != y.kind || (x.kind != Integer && x.kind != Decimal && x.kind != Quantity) {
		return nil, fault(n.at, "%q does not take a %s and a %s", n.name, systemNames[x.kind], systemNames[y.kind])
	}
	var v Value
	var ok bool
	switch x.kind {
	case Integer:
		v, ok = integers(n.code, x.num, y.num)
	case Decimal:
		v, ok = decimals(n.code, x.dec, y.dec)
	default:
		if n.code == opDiv || n.code == opMod {
			return nil, fault(n.at, "%q does not take quantities", n.name)
		}
		v, ok = quantitiesOf(n.code, x, y)
	}
	if !ok {
		return nil, nil
	}
	return []Value{v}, nil
}

func joined(s string, at int) ([]Value, error) {
	if len(s) > maxString {
		return nil, fault(at, "a string has more than %d bytes", maxString)
	}
	return []Value{Text(s)}, nil
}

func integers(code operator, a, b int64) (Value, bool) {
	var out int64
	switch code {
	case opAdd:
		out = a + b
	case opSubtract:
		out = a - b
	case opMultiply:
		out = a * b
	case opDivide:
		d, ok := divide(apd.New(a, 0), apd.New(b, 0))
		return decimal(d), ok
	default:
		if b == 0 {
			return Value{}, false
		}
		if out = a / b; code == opMod {
			out = a % b
		}
	}
	return integer(out), out >= math.MinInt32 && out <= math.MaxInt32
}

func decimals(code operator, a, b *apd.Decimal) (Value, bool) {
	var d *apd.Decimal
	var ok bool
	switch code {
	case opAdd:
		d, ok = sum(a, b)
	case opSubtract:
		d, ok = difference(a, b)
	case opMultiply:
		d, ok = multiply(a, b)
	case opDivide:
		d, ok = divide(a, b)
	default:
		if b.IsZero() {
			return Value{}, false
		}
		d = new(apd.Decimal)
		if code == opMod {
			_, err := exacts.Rem(d, a, b)
			d, ok = done(d, err)
			break
		}
		if _, err := exacts.QuoInteger(d, a, b); err != nil {
			return Value{}, false
		}
		i, err := expanded(d).Int64()
		return integer(i), err == nil && i >= math.MinInt32 && i <= math.MaxInt32
	}
	return decimal(d), ok
}

func quantitiesOf(code operator, a, b Value) (Value, bool) {
	if code == opMultiply || code == opDivide {
		return scaled(a, b, code)
	}
	other, ok := sameUnit(a, b)
	if !ok {
		return Value{}, false
	}
	if code == opAdd {
		a.dec, ok = sum(a.dec, other)
	} else {
		a.dec, ok = difference(a.dec, other)
	}
	return a, ok
}

// shifted adds a quantity of time to a date or time. Of UCUM's units those of a
// fixed length are taken; its year and month are none of the calendar.
func shifted(n *node, x, y Value) ([]Value, error) {
	unit := y.text
	if y.num == 0 {
		if calendarUnit(unit) != "" {
			unit = calendarUnit(unit)
		} else {
			unit = map[string]string{"wk": "week", "d": "day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond"}[unit]
		}
	}
	if unit == "" {
		return nil, fault(n.at, "%q does not add this unit to a %s", n.name, systemNames[x.kind])
	}
	by := y.dec
	if n.code == opSubtract {
		by = negated(y)
	}
	whole, ok := rounded(by, 0, apd.RoundDown)
	if !ok {
		return nil, nil
	}
	count, err := whole.Int64()
	if err != nil {
		return nil, nil // out of range is empty
	}
	var rest time.Duration
	if y.num == 1 && unit == "second" { // the calendar's seconds have a fraction
		if part, ok := difference(by, whole); ok {
			f, _ := part.Float64() // below one
			rest = time.Duration(math.Round(f * 1e9))
		}
	}
	moved, ok := x.when.add(count, unit, rest, x.kind)
	if !ok {
		return nil, nil
	}
	return []Value{temporal(x.kind, moved)}, nil
}
