package fhirpath

import (
	"math"

	"github.com/cockroachdb/apd/v3"
)

// numberFunctions are those of mathematics (FHIRPath N1, 5.7).
var numberFunctions = map[string]function{
	"abs":      {run: numeric(absolute)},
	"ceiling":  {run: numeric(whole(apd.RoundCeiling))},
	"floor":    {run: numeric(whole(apd.RoundFloor))},
	"truncate": {run: numeric(whole(apd.RoundDown))},
	"exp":      {run: numeric(exponential)},
	"ln":       {run: numeric(logarithm)},
	"sqrt":     {run: numeric(root)},
	"log":      {least: 1, most: 1, run: logOf},
	"power":    {least: 1, most: 1, run: power},
	"round":    {most: 1, run: round},
}

// numeric serves functions of one number.
func numeric(f func(v Value) (Value, bool)) func(*machine, *call) ([]Value, error) {
	return func(m *machine, c *call) ([]Value, error) {
		v, ok, err := m.number(c)
		if err != nil || !ok {
			return nil, err
		}
		if v.kind == Quantity && c.n.name != "abs" {
			return nil, fault(c.n.at, "%s() does not apply to a Quantity", c.n.name)
		}
		out, ok := f(v)
		if !ok {
			return nil, m.work(costOfRoots, c.n.at)
		}
		return []Value{out}, m.work(costOfRoots, c.n.at)
	}
}

// costOfRoots is what a root or logarithm counts for in steps.
const costOfRoots = 20

// number is the one number a function applies to.
func (m *machine) number(c *call) (Value, bool, error) {
	v, ok, err := single(c.in, c.n.at)
	if err != nil || !ok {
		return v, false, err
	}
	if v.kind != Integer && v.kind != Decimal && v.kind != Quantity {
		return v, false, fault(c.n.at, "%s() does not apply to a %s", c.n.name, systemNames[v.kind])
	}
	return v, true, nil
}

func absolute(v Value) (Value, bool) {
	if v.kind == Integer {
		return integer(max(v.num, -v.num)), v.num > math.MinInt32
	}
	v.dec = new(apd.Decimal).Abs(v.dec)
	return v, true
}

// whole rounds to an Integer.
func whole(rounding apd.Rounder) func(v Value) (Value, bool) {
	return func(v Value) (Value, bool) {
		d, ok := rounded(v.decimal(), 0, rounding)
		if !ok {
			return Value{}, false
		}
		n, err := d.Int64()
		return integer(n), err == nil && n >= math.MinInt32 && n <= math.MaxInt32
	}
}

// logs is the context of what has no exact result: a few digits more than are
// given, so that the last is right.
var logs = apd.Context{Precision: 34, MaxExponent: 20_000, MinExponent: -20_000, Traps: apd.DefaultTraps, Rounding: apd.RoundHalfUp}

// given rounds a result of logs to the digits of a quotient.
func given(d *apd.Decimal, err error) (Value, bool) {
	if err != nil {
		return Value{}, false
	}
	out := new(apd.Decimal)
	_, err = quotients.Round(out, d)
	out, ok := tidy(out, err)
	return decimal(out), ok
}

// large is the exponent above which a power is out of range anyway.
var large = apd.New(2000, 0)

func exponential(v Value) (Value, bool) {
	x := v.decimal()
	if new(apd.Decimal).Abs(x).Cmp(large) > 0 {
		return Value{}, false
	}
	d := new(apd.Decimal)
	_, err := logs.Exp(d, shortened(x))
	return given(d, err)
}

// shortened rounds a number to what makes a difference in a root or logarithm.
func shortened(x *apd.Decimal) *apd.Decimal {
	out := new(apd.Decimal)
	if _, err := logs.Round(out, x); err != nil {
		return x
	}
	return out
}

func logarithm(v Value) (Value, bool) {
	x := v.decimal()
	if x.Sign() <= 0 {
		return Value{}, false
	}
	d := new(apd.Decimal)
	_, err := logs.Ln(d, shortened(x))
	return given(d, err)
}

func root(v Value) (Value, bool) {
	x := v.decimal()
	if x.Sign() < 0 {
		return Value{}, false
	}
	d := new(apd.Decimal)
	_, err := logs.Sqrt(d, shortened(x))
	return given(d, err)
}

func logOf(m *machine, c *call) ([]Value, error) {
	v, ok, err := m.number(c)
	if err != nil {
		return nil, err
	}
	base, given, err := m.argOf(c, 0, Decimal)
	if err != nil || !ok || !given {
		return nil, err
	}
	x, okX := logarithm(v)
	y, okY := logarithm(base)
	if !okX || !okY {
		return nil, m.work(costOfRoots, c.n.at)
	}
	d, ok := divide(x.dec, y.dec)
	if !ok {
		return nil, m.work(costOfRoots, c.n.at)
	}
	// The last digits are those of the two logarithms: 125.log(5) is 3.
	short, ok := rounded(d, 24, apd.RoundHalfUp)
	if ok {
		d, ok = tidy(short, nil)
	}
	if !ok {
		return nil, nil
	}
	return []Value{decimal(d)}, m.work(costOfRoots, c.n.at)
}

// power is exact for whole exponents as long as the digits last.
func power(m *machine, c *call) ([]Value, error) {
	v, ok, err := m.number(c)
	if err != nil {
		return nil, err
	}
	values, err := m.arg(c, 0)
	if err != nil {
		return nil, err
	}
	by, given, err := oneOf(values, Decimal, c.n.at, "an argument of power()")
	if err != nil || !ok || !given {
		return nil, err
	}
	if v.kind == Quantity {
		return nil, fault(c.n.at, "power() does not apply to a Quantity")
	}
	out, ok := raised(v.decimal(), by.dec)
	if !ok {
		return nil, m.work(costOfRoots, c.n.at)
	}
	if v.kind == Integer && placesOf(out) == 0 {
		if n, err := out.Int64(); err == nil && n >= math.MinInt32 && n <= math.MaxInt32 {
			return []Value{integer(n)}, m.work(costOfRoots, c.n.at)
		}
	}
	return []Value{decimal(out)}, m.work(costOfRoots, c.n.at)
}

func raised(base, exponent *apd.Decimal) (*apd.Decimal, bool) {
	switch {
	case exponent.IsZero():
		return one, true
	case base.IsZero():
		return base, exponent.Sign() > 0
	}
	// The result has about this many digits before or behind its point.
	digits, err := base.Float64()
	power, err2 := exponent.Float64()
	if err != nil || err2 != nil || math.Abs(math.Log10(math.Abs(digits))*power) > maxExponent || math.Abs(power) > 10_000 {
		return nil, false
	}
	d := new(apd.Decimal)
	if _, err := logs.Pow(d, shortened(base), shortened(exponent)); err != nil {
		return nil, false
	}
	v, ok := given(d, nil)
	return v.dec, ok
}

func round(m *machine, c *call) ([]Value, error) {
	v, ok, err := m.number(c)
	if err != nil {
		return nil, err
	}
	places := Value{kind: Integer}
	if len(c.n.args) == 1 {
		var given bool
		if places, given, err = m.argOf(c, 0, Integer); err != nil || !given {
			return nil, err
		}
		if places.num < 0 || places.num > maxDigits {
			return nil, fault(c.n.at, "round() takes 0 to %d digits", maxDigits)
		}
	}
	if !ok {
		return nil, nil
	}
	d, ok := rounded(v.decimal(), int(places.num), apd.RoundHalfUp)
	if !ok {
		return nil, nil
	}
	v.dec = d
	if v.kind == Integer {
		v.kind, v.num = Decimal, 0
	}
	return []Value{v}, nil
}
