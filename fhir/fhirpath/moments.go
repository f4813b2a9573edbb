package fhirpath

import (
	"time"

	"github.com/cockroachdb/apd/v3"
)

// momentFunctions are those of the clock, of the parts of dates and times, and
// of precision (FHIRPath N1, 5.9, and the functions that 3.0 adds for trial).
var momentFunctions = map[string]function{
	"now":              {run: func(m *machine, _ *call) ([]Value, error) { return []Value{temporal(DateTime, m.clock())}, nil }},
	"today":            {run: today},
	"timeOfDay":        {run: timeOfDay},
	"lowBoundary":      {most: 1, run: func(m *machine, c *call) ([]Value, error) { return boundary(m, c, false) }},
	"highBoundary":     {most: 1, run: func(m *machine, c *call) ([]Value, error) { return boundary(m, c, true) }},
	"precision":        {run: precisionOf},
	"comparable":       {least: 1, most: 1, run: comparableWith},
	"yearOf":           {run: part(toYear, func(m *moment) int { return m.year })},
	"monthOf":          {run: part(toMonth, func(m *moment) int { return m.month })},
	"dayOf":            {run: part(toDay, func(m *moment) int { return m.day })},
	"hourOf":           {run: part(toHour, func(m *moment) int { return m.hour })},
	"minuteOf":         {run: part(toMinute, func(m *moment) int { return m.minute })},
	"secondOf":         {run: part(toSecond, func(m *moment) int { return m.second })},
	"millisecondOf":    {run: part(toSecond, func(m *moment) int { return m.nano / 1_000_000 })},
	"timezoneOffsetOf": {run: offsetOf},
	"dateOf":           {run: dateOf},
	"timeOf":           {run: timeOf},
}

// clock is the time of the evaluation, which stands still.
func (m *machine) clock() *moment {
	if m.now.IsZero() {
		m.now = time.Now()
	}
	return momentOf(m.now)
}

func today(m *machine, _ *call) ([]Value, error) {
	d := m.clock()
	return []Value{temporal(Date, &moment{year: d.year, month: d.month, day: d.day, known: toDay})}, nil
}

func timeOfDay(m *machine, _ *call) ([]Value, error) {
	return []Value{clockOf(m.clock())}, nil
}

// clockOf is the time of day of a dateTime.
func clockOf(d *moment) Value {
	return temporal(Time, &moment{year: 1, month: 1, day: 1, hour: d.hour, minute: d.minute, second: d.second, nano: d.nano, known: d.known, digits: d.digits})
}

// when is the date, dateTime or time a function applies to.
func (m *machine) when(c *call) (Value, bool, error) {
	v, ok, err := single(c.in, c.n.at)
	if err != nil || !ok {
		return v, false, err
	}
	if v.kind != Date && v.kind != DateTime && v.kind != Time {
		return v, false, fault(c.n.at, "%s() does not apply to a %s", c.n.name, systemNames[v.kind])
	}
	return v, true, nil
}

// part serves functions of one part of a date or time, where it is known.
func part(least precision, f func(m *moment) int) func(*machine, *call) ([]Value, error) {
	return func(m *machine, c *call) ([]Value, error) {
		v, ok, err := m.when(c)
		if err != nil || !ok || v.when.known < least || (v.kind == Time && least < toHour) || (c.n.name == "millisecondOf" && v.when.digits == 0) {
			return nil, err
		}
		return []Value{integer(int64(f(v.when)))}, nil
	}
}

func offsetOf(m *machine, c *call) ([]Value, error) {
	v, ok, err := m.when(c)
	if err != nil || !ok || !v.when.zoned {
		return nil, err
	}
	hours, ok := divide(apd.New(int64(v.when.offset), 0), apd.New(60, 0))
	if !ok {
		return nil, nil
	}
	return []Value{decimal(hours)}, nil
}

func dateOf(m *machine, c *call) ([]Value, error) {
	v, ok, err := m.when(c)
	if err != nil || !ok || v.kind == Time {
		return nil, err
	}
	d, _ := toDate(v)
	return []Value{d}, nil
}

func timeOf(m *machine, c *call) ([]Value, error) {
	v, ok, err := m.when(c)
	if err != nil || !ok || v.kind == Date || v.when.known < toHour {
		return nil, err
	}
	return []Value{clockOf(v.when)}, nil
}

// places are the precisions as numbers of digits: 4 is a year, 8 a day, 17
// milliseconds; of a time they begin with the hour.
var places = [...]struct {
	digits int64
	known  precision
}{{4, toYear}, {6, toMonth}, {8, toDay}, {10, toHour}, {12, toMinute}, {14, toSecond}}

const dateDigits = 8

func precisionOf(_ *machine, c *call) ([]Value, error) {
	v, ok, err := single(c.in, c.n.at)
	if err != nil || !ok {
		return nil, err
	}
	switch v.kind {
	case Integer, Decimal:
		return []Value{integer(int64(placesOf(v.decimal())))}, nil
	case Date, DateTime, Time:
		digits := places[v.when.known].digits
		if v.when.digits > 0 {
			digits += int64(min(3, v.when.digits))
		}
		if v.kind == Time {
			digits -= dateDigits
		}
		return []Value{integer(digits)}, nil
	}
	return nil, fault(c.n.at, "precision() does not apply to a %s", systemNames[v.kind])
}

// comparableWith reports whether two quantities measure the same.
func comparableWith(m *machine, c *call) ([]Value, error) {
	v, ok, err := oneOf(c.in, Quantity, c.n.at, "what comparable() applies to")
	if err != nil {
		return nil, err
	}
	other, given, err := m.argOf(c, 0, Quantity)
	if err != nil || !ok || !given {
		return nil, err
	}
	_, _, same := units(v, other)
	return truthFrom(same || v.text == other.text).values(), nil
}

// maxPlaces is the most digits of a boundary.
const maxPlaces = 28

// boundary is the least or the greatest value that a value may stand for, to a
// number of digits; empty where that cannot be written.
func boundary(m *machine, c *call, high bool) ([]Value, error) {
	v, ok, err := single(c.in, c.n.at)
	if err != nil || !ok {
		return nil, err
	}
	digits := int64(-1)
	if len(c.n.args) == 1 {
		arg, given, err := m.argOf(c, 0, Integer)
		if err != nil || !given || arg.num < 0 {
			return nil, err
		}
		digits = arg.num
	}
	switch v.kind {
	case Integer, Decimal, Quantity:
		v.dec, ok = edge(v.decimal(), digits, high)
		if v.kind == Integer {
			v.kind, v.num = Decimal, 0
		}
	case Date, DateTime, Time:
		v, ok = v.edge(digits, high)
	default:
		return nil, fault(c.n.at, "%s() does not apply to a %s", c.n.name, systemNames[v.kind])
	}
	if !ok {
		return nil, nil
	}
	return []Value{v}, nil
}

// edge is half a unit of the last digit away. The official tests cut the lower
// bound of the magnitude and round the upper.
func edge(d *apd.Decimal, digits int64, high bool) (*apd.Decimal, bool) {
	if digits < 0 {
		digits = 8
	}
	if digits > maxPlaces {
		return nil, false
	}
	outward := high != d.Negative
	if d.IsZero() {
		outward = true
	}
	size := new(apd.Decimal).Abs(d)
	half := apd.New(5, min(0, d.Exponent)-1)
	var ok bool
	if outward {
		if size, ok = sum(size, half); ok {
			size, ok = rounded(size, int(digits), apd.RoundHalfUp)
		}
	} else if size, ok = difference(size, half); ok {
		size, ok = rounded(size, int(digits), apd.RoundDown)
	}
	if !ok {
		return nil, false
	}
	size.Negative = (d.Negative || (d.IsZero() && !high)) && !size.IsZero()
	return size, true
}

// edge is the first or last instant of a date or time. Without an offset the
// first is that of the places furthest in the east.
func (v Value) edge(digits int64, high bool) (Value, bool) {
	most, shift := int64(17), int64(0)
	switch v.kind {
	case Date:
		most = dateDigits
	case Time:
		most, shift = 9, dateDigits
	}
	if digits < 0 {
		digits = most
	}
	if digits > most {
		return Value{}, false
	}
	out := *v.when
	out.fill(high)
	if digits+shift == 17 {
		out.known, out.digits = toSecond, max(3, out.digits)
	} else {
		found := false
		for _, p := range places {
			if p.digits == digits+shift {
				out.known, out.digits, found = p.known, 0, true
			}
		}
		if !found {
			return Value{}, false
		}
	}
	if v.kind == DateTime && out.known >= toHour && !out.zoned {
		out.zoned, out.offset = true, mostEast
		if high {
			out.offset = mostWest
		}
	}
	return temporal(v.kind, &out), true
}

// fill gives what is not known its first or last value. An hour without its
// minutes is one of FHIRPath only; the official tests read it as the full hour.
func (m *moment) fill(high bool) {
	if !high {
		return // what is not known has its least value already
	}
	if m.known < toMonth {
		m.month = 12
	}
	if m.known < toDay {
		m.day = daysIn(m.year, m.month)
	}
	if m.known < toHour {
		m.hour, m.minute = 23, 59
	}
	if m.known < toSecond {
		m.second = 59
	}
	missing := 1_000_000_000
	for range m.digits {
		missing /= 10
	}
	m.nano += (missing - 1) / 1_000_000 * 1_000_000
}
