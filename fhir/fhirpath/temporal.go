package fhirpath

import (
	"fmt"
	"strings"
	"time"
)

// A precision is how far a date or time is known.
type precision uint8

const (
	toYear precision = iota
	toMonth
	toDay
	toHour
	toMinute
	toSecond
)

// A moment is a date, dateTime or time as far as it is known. Of a time the
// date is the first of January of year 1.
type moment struct {
	year, month, day, hour, minute, second, nano int
	known                                        precision
	digits                                       int // of the fraction of a second
	zoned, utc                                   bool
	offset                                       int // minutes east of UTC
}

// digitsAt reads n digits.
func digitsAt(s string, n int) (int, bool) {
	if len(s) < n {
		return 0, false
	}
	v := 0
	for i := range n {
		if !isDigit(s[i]) {
			return 0, false
		}
		v = v*10 + int(s[i]-'0')
	}
	return v, true
}

// after reads n digits behind a separator.
func after(s string, separator byte, n int) (int, bool) {
	if s == "" || s[0] != separator {
		return 0, false
	}
	return digitsAt(s[1:], n)
}

// scanDate reads the longest date or dateTime that s begins with.
func scanDate(s string) (Value, int, bool) {
	m := &moment{month: 1, day: 1}
	var ok bool
	if m.year, ok = digitsAt(s, 4); !ok || m.year == 0 {
		return Value{}, 0, false
	}
	at := 4
	if v, ok := after(s[at:], '-', 2); ok {
		m.month, m.known, at = v, toMonth, at+3
		if v, ok := after(s[at:], '-', 2); ok {
			m.day, m.known, at = v, toDay, at+3
		}
	}
	if m.month < 1 || m.month > 12 || m.day < 1 || m.day > daysIn(m.year, m.month) {
		return Value{}, 0, false
	}
	if at == len(s) || s[at] != 'T' {
		return temporal(Date, m), at, true
	}
	at++
	if m.known == toDay {
		used, ok := m.clock(s[at:])
		if !ok {
			return Value{}, 0, false
		}
		at += used
		if used > 0 {
			at += m.zone(s[at:])
		}
	}
	return temporal(DateTime, m), at, true
}

// scanTime reads the longest time that s begins with.
func scanTime(s string) (Value, int, bool) {
	m := &moment{year: 1, month: 1, day: 1}
	used, ok := m.clock(s)
	return temporal(Time, m), used, ok && used > 0
}

// clock reads hh:mm:ss.fff as far as it goes.
func (m *moment) clock(s string) (int, bool) {
	v, ok := digitsAt(s, 2)
	if !ok {
		return 0, true
	}
	at := 2
	m.hour, m.known = v, toHour
	if v, ok := after(s[at:], ':', 2); ok {
		m.minute, m.known, at = v, toMinute, at+3
		if v, ok := after(s[at:], ':', 2); ok {
			m.second, m.known, at = v, toSecond, at+3
			if len(s) > at+1 && s[at] == '.' && isDigit(s[at+1]) {
				at += m.fraction(s[at+1:]) + 1
			}
		}
	}
	return at, m.hour < 24 && m.minute < 60 && m.second < 60
}

// fraction reads digits; those beyond the ninth count for nothing.
func (m *moment) fraction(s string) int {
	at := 0
	for scale := 100_000_000; at < len(s) && isDigit(s[at]); at++ {
		m.nano += int(s[at]-'0') * scale
		scale /= 10
	}
	m.digits = min(at, 9)
	return at
}

// zone reads Z or an offset.
func (m *moment) zone(s string) int {
	if strings.HasPrefix(s, "Z") {
		m.zoned, m.utc = true, true
		return 1
	}
	if s == "" || (s[0] != '+' && s[0] != '-') {
		return 0
	}
	h, ok := digitsAt(s[1:], 2)
	if !ok {
		return 0
	}
	minutes, ok := after(s[3:], ':', 2)
	if !ok || h > 14 || minutes > 59 {
		return 0
	}
	m.zoned, m.offset = true, h*60+minutes
	if s[0] == '-' {
		m.offset = -m.offset
	}
	return 6
}

// parseDate reads a whole text as a date.
func parseDate(s string) (*moment, bool) {
	v, used, ok := scanDate(s)
	return v.when, ok && used == len(s) && v.kind == Date
}

// parseDateTime reads a whole text as a dateTime, which may be a date only.
func parseDateTime(s string) (*moment, bool) {
	v, used, ok := scanDate(s)
	return v.when, ok && used == len(s)
}

// parseTime reads a whole text as a time of day.
func parseTime(s string) (*moment, bool) {
	v, used, ok := scanTime(s)
	return v.when, ok && used == len(s)
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// momentOf is a time with milliseconds.
func momentOf(t time.Time) *moment {
	_, offset := t.Zone()
	return &moment{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond() / 1_000_000 * 1_000_000, toSecond, 3, true, false, offset / 60}
}

// text writes the moment as far as it is known, without @.
func (m *moment) text(k Kind) string {
	var b strings.Builder
	if k != Time {
		fmt.Fprintf(&b, "%04d", m.year)
		if m.known >= toMonth {
			fmt.Fprintf(&b, "-%02d", m.month)
		}
		if m.known >= toDay {
			fmt.Fprintf(&b, "-%02d", m.day)
		}
	}
	if m.known < toHour || k == Date {
		return b.String()
	}
	if k != Time {
		b.WriteByte('T')
	}
	fmt.Fprintf(&b, "%02d", m.hour)
	if m.known >= toMinute {
		fmt.Fprintf(&b, ":%02d", m.minute)
	}
	if m.known >= toSecond {
		fmt.Fprintf(&b, ":%02d", m.second)
		if m.digits > 0 {
			b.WriteString("." + fmt.Sprintf("%09d", m.nano)[:m.digits])
		}
	}
	switch {
	case m.utc:
		b.WriteByte('Z')
	case m.zoned && m.offset < 0:
		fmt.Fprintf(&b, "-%02d:%02d", -m.offset/60, -m.offset%60)
	case m.zoned:
		fmt.Fprintf(&b, "+%02d:%02d", m.offset/60, m.offset%60)
	}
	return b.String()
}

// time is the moment with its unknown parts at their least; without an offset
// it is read as UTC.
func (m *moment) time() time.Time {
	return time.Date(m.year, time.Month(m.month), m.day, m.hour, m.minute-m.offset, m.second, m.nano, time.UTC)
}

// put takes over the parts of a time that was made of the moment's own.
func (m *moment) put(t time.Time) {
	t = t.Add(time.Duration(m.offset) * time.Minute)
	m.year, m.month, m.day = t.Year(), int(t.Month()), t.Day()
	m.hour, m.minute, m.second, m.nano = t.Hour(), t.Minute(), t.Second(), t.Nanosecond()
}

func (m *moment) parts() [6]int {
	return [6]int{m.year, m.month, m.day, m.hour, m.minute, m.second}
}

// The offsets there are, in minutes.
const (
	mostEast = 14 * 60
	mostWest = -12 * 60
)

// compare orders two moments; known is false where it depends on what they do
// not say (FHIRPath N1, 6.2.1). Seconds and their fraction are one precision.
func (m *moment) compare(o *moment) (order int, known bool) {
	a, b := m, o
	if a.known >= toHour && b.known >= toHour && (a.zoned || b.zoned) {
		if a.zoned != b.zoned {
			return a.compareOpen(b)
		}
		if a.offset != b.offset {
			x, y := *a, *b
			x.offset, y.offset = 0, 0
			x.put(a.time())
			y.put(b.time())
			a, b = &x, &y
		}
	}
	least := min(a.known, b.known)
	p, q := a.parts(), b.parts()
	for i := range int(least) + 1 {
		if p[i] != q[i] {
			return sign(p[i] - q[i]), true
		}
	}
	if a.known != b.known {
		return 0, false
	}
	if least == toSecond {
		return sign(a.nano - b.nano), true
	}
	return 0, true
}

// compareOpen compares two of which one says no offset: what holds for every
// offset there is is known.
func (m *moment) compareOpen(o *moment) (int, bool) {
	apart := m.time().Sub(o.time())
	least, most := -time.Duration(mostEast)*time.Minute, -time.Duration(mostWest)*time.Minute // of m, when it is the open one
	if m.zoned {
		least, most = -most, -least
	}
	switch {
	case apart+least > 0:
		return 1, true
	case apart+most < 0:
		return -1, true
	}
	return 0, false
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// add adds a quantity of time; ok is false where the result is out of range.
func (m *moment) add(count int64, unit string, nanos time.Duration, k Kind) (*moment, bool) {
	out := *m
	if count > 10_000_000_000_000 || count < -10_000_000_000_000 {
		return nil, false
	}
	switch unit {
	case "year":
		return out.months(count * 12)
	case "month":
		return out.months(count)
	case "week":
		count, unit = count*7, "day"
	}
	if k == Time {
		if unit == "day" {
			return nil, false
		}
	} else if m.known < toDay {
		return out.coarse(count, unit)
	}
	span, ok := spanOf(count, unit)
	if !ok {
		return nil, false
	}
	span += int64(nanos / time.Millisecond)
	if limit := stepOf(m.known); limit > 0 {
		span = span / limit * limit // what is finer than the moment is left out
	}
	if span > 400_000_000_000_000 || span < -400_000_000_000_000 {
		return nil, false
	}
	t := out.time().Add(time.Duration(0)).AddDate(0, 0, int(span/86_400_000)).Add(time.Duration(span%86_400_000) * time.Millisecond)
	out.put(t)
	if span%1000 != 0 && out.known == toSecond {
		out.digits = max(out.digits, 3)
	}
	if k == Time {
		out.year, out.month, out.day = 1, 1, 1
		return &out, true
	}
	return &out, out.year >= 1 && out.year <= 9999
}

// spanOf is a count of units in milliseconds.
func spanOf(count int64, unit string) (int64, bool) {
	scale := map[string]int64{"day": 86_400_000, "hour": 3_600_000, "minute": 60_000, "second": 1000, "millisecond": 1}[unit]
	span := count * scale
	return span, scale > 0 && span/scale == count
}

// stepOf is the precision in milliseconds; 0 for the finest.
func stepOf(p precision) int64 {
	switch p {
	case toDay:
		return 86_400_000
	case toHour:
		return 3_600_000
	case toMinute:
		return 60_000
	}
	return 0
}

// months adds months; a day the month does not have becomes its last.
func (m *moment) months(count int64) (*moment, bool) {
	if count > 120_000 || count < -120_000 {
		return nil, false
	}
	if m.known == toYear {
		count = count / 12 * 12
	}
	total := int64(m.year)*12 + int64(m.month) - 1 + count
	m.year, m.month = int(total/12), int(total%12)+1
	if total < 12 || m.year > 9999 {
		return nil, false
	}
	m.day = min(m.day, daysIn(m.year, m.month))
	return m, true
}

// coarse adds days and less to a year or month: 30 days are a month, 365 a year.
func (m *moment) coarse(count int64, unit string) (*moment, bool) {
	span, ok := spanOf(count, unit)
	if !ok {
		return nil, false
	}
	days := span / 86_400_000
	if m.known == toYear {
		return m.months(days / 365 * 12)
	}
	return m.months(days / 30)
}
