package fhirpath

import (
	"math"
	"strconv"
	"strings"
)

// A conversion makes a value of another type of one; ok is false where there
// is none (FHIRPath N1, 5.5).
type conversion = func(v Value) (out Value, ok bool)

// conversionFunctions are toX and convertsToX.
var conversionFunctions = conversionTable(map[string]conversion{
	"Boolean":  toBoolean,
	"Integer":  toInteger,
	"Decimal":  toDecimal,
	"String":   toString,
	"Date":     toDate,
	"DateTime": toDateTime,
	"Time":     toTime,
	"Quantity": toQuantity,
})

func conversionTable(by map[string]conversion) map[string]function {
	table := map[string]function{}
	for name, convert := range by {
		most := 0
		if name == "Quantity" {
			most = 1
		}
		table["to"+name] = function{most: most, run: func(m *machine, c *call) ([]Value, error) {
			out, _, err := m.converted(c, convert)
			return out, err
		}}
		table["convertsTo"+name] = function{most: most, run: func(m *machine, c *call) ([]Value, error) {
			out, asked, err := m.converted(c, convert)
			if err != nil || !asked {
				return nil, err
			}
			return truthFrom(len(out) > 0).values(), nil
		}}
	}
	return table
}

// converted converts the one value there is; asked is false where there is none.
func (m *machine) converted(c *call, convert conversion) (out []Value, asked bool, err error) {
	if len(c.in) > 1 {
		return nil, false, fault(c.n.at, "%s() meets %d values", c.n.name, len(c.in))
	}
	if len(c.in) == 0 {
		return nil, false, nil
	}
	v, ok := c.in[0].system()
	if !ok {
		return nil, c.in[0].node != nil, nil
	}
	result, ok := convert(v)
	if ok && len(c.n.args) == 1 {
		result, ok, err = m.inUnit(c, result)
	}
	if err != nil || !ok {
		return nil, true, err
	}
	return []Value{result}, true, nil
}

// inUnit converts a quantity to the unit that an argument names.
func (m *machine) inUnit(c *call, q Value) (Value, bool, error) {
	arg, ok, err := m.argOf(c, 0, String)
	if err != nil || !ok {
		return q, err == nil, err
	}
	to := Value{kind: Quantity, dec: one, text: arg.text}
	if word := calendarUnit(arg.text); word != "" {
		to.text, to.num = word, 1
	}
	if q.text == to.text && q.num == to.num {
		return q, true, nil
	}
	x, y, same := units(q, to)
	if !same || q.uneven() != to.uneven() {
		return Value{}, false, nil
	}
	to.dec, _ = decimalOf(y.Of(x.Base(rat(q.dec))))
	return to, true, nil
}

func toBoolean(v Value) (Value, bool) {
	switch v.kind {
	case Bool:
		return v, true
	case Integer, Decimal:
		d := v.decimal()
		return Boolean(!d.IsZero()), d.IsZero() || d.Cmp(one) == 0
	case String:
		switch strings.ToLower(v.text) {
		case "true", "t", "yes", "y", "1", "1.0":
			return Boolean(true), true
		case "false", "f", "no", "n", "0", "0.0":
			return Boolean(false), true
		}
	}
	return Value{}, false
}

func toInteger(v Value) (Value, bool) {
	switch v.kind {
	case Integer:
		return v, true
	case Bool:
		return integer(v.num), true
	case String:
		n, err := strconv.ParseInt(v.text, 10, 64)
		return integer(n), err == nil && n >= math.MinInt32 && n <= math.MaxInt32
	}
	return Value{}, false
}

func toDecimal(v Value) (Value, bool) {
	switch v.kind {
	case Decimal:
		return v, true
	case Integer, Bool:
		return decimal(integer(v.num).decimal()), true
	case String:
		d, ok := stringDecimal(v.text)
		return decimal(d), ok
	}
	return Value{}, false
}

func toString(v Value) (Value, bool) {
	s, ok := v.asText()
	return Text(s), ok
}

func toDate(v Value) (Value, bool) {
	switch v.kind {
	case Date:
		return v, true
	case DateTime:
		day := *v.when
		day.known = min(day.known, toDay)
		return temporal(Date, &day), true
	case String:
		m, ok := parseDateTime(v.text)
		if !ok {
			return Value{}, false
		}
		return toDate(temporal(DateTime, m))
	}
	return Value{}, false
}

func toDateTime(v Value) (Value, bool) {
	switch v.kind {
	case Date, DateTime:
		return temporal(DateTime, v.when), true
	case String:
		m, ok := parseDateTime(v.text)
		return temporal(DateTime, m), ok
	}
	return Value{}, false
}

func toTime(v Value) (Value, bool) {
	switch v.kind {
	case Time:
		return v, true
	case String:
		m, ok := parseTime(strings.TrimPrefix(v.text, "T"))
		return temporal(Time, m), ok
	}
	return Value{}, false
}

func toQuantity(v Value) (Value, bool) {
	switch v.kind {
	case Quantity:
		return v, true
	case Integer, Decimal, Bool:
		return Value{kind: Quantity, dec: v.number(), text: "1"}, true
	case String:
		return parseQuantity(v.text)
	}
	return Value{}, false
}
