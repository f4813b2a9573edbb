package mapping

import (
	"time"
)

// A stamp is an HL7 v2 TS, DTM, DT or FHIR text taken apart as far as written.
type stamp struct {
	digits    int // 4 year, 6 month, 8 day, 10 hour, 12 minute, 14 second
	year, day int
	month     time.Month
	hour      int
	minute    int
	second    int
	fraction  string // digits after the point, as written
	offset    string // "+0100"; empty when none was written
}

// parseStamp reads YYYY[MM[DD[HH[MM[SS[.S…]]]]]][+/-ZZZZ] (HL7 v2.5.1, 2A.22).
// It refuses days that no calendar has. Trailing zeros for unknown parts, as
// some senders write them ("20260100"), are no date.
func parseStamp(text string) (stamp, bool) {
	var s stamp
	body := text
	for i := range len(text) {
		if text[i] == '+' || text[i] == '-' {
			body, s.offset = text[:i], text[i:]
			break
		}
	}
	for i := range len(body) {
		if body[i] == '.' {
			body, s.fraction = body[:i], body[i+1:]
			break
		}
	}
	if !allDigits(body) || !allDigits(s.fraction) || len(s.fraction) > 9 {
		return stamp{}, false
	}
	s.digits = len(body)
	switch s.digits {
	case 4, 6, 8, 10, 12, 14:
	default:
		return stamp{}, false
	}
	if s.fraction != "" && s.digits != 14 || !goodOffset(s.offset) || s.offset != "" && s.digits < 10 {
		if s.digits >= 10 || !goodOffset(s.offset) || s.fraction != "" {
			return stamp{}, false
		}
		s.offset = "" // a day has no offset in FHIR
	}
	part := func(from, to, low, high int) (int, bool) {
		if s.digits < to {
			return low, true
		}
		n := 0
		for _, c := range []byte(body[from:to]) {
			n = n*10 + int(c-'0')
		}
		return n, n >= low && n <= high
	}
	var month int
	ok := [6]bool{}
	s.year, ok[0] = part(0, 4, 1, 9999)
	month, ok[1] = part(4, 6, 1, 12)
	s.day, ok[2] = part(6, 8, 1, 31)
	s.hour, ok[3] = part(8, 10, 0, 23)
	s.minute, ok[4] = part(10, 12, 0, 59)
	s.second, ok[5] = part(12, 14, 0, 60)
	s.month = time.Month(month)
	if ok != [6]bool{true, true, true, true, true, true} || s.day > daysIn(s.year, s.month) {
		return stamp{}, false
	}
	if s.digits < 10 {
		s.hour, s.minute = 0, 0
	}
	return s, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func goodOffset(s string) bool {
	if s == "" {
		return true
	}
	if len(s) != 5 || !allDigits(s[1:]) {
		return false
	}
	hours, minutes := int(s[1]-'0')*10+int(s[2]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	return hours <= 14 && minutes <= 59
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// date writes the stamp to the day, or as far as it goes.
func (s *stamp) date() string {
	b := make([]byte, 0, 10)
	b = digits(b, s.year, 4)
	if s.digits >= 6 {
		b = digits(append(b, '-'), int(s.month), 2)
	}
	if s.digits >= 8 {
		b = digits(append(b, '-'), s.day, 2)
	}
	return string(b)
}

// dateTime writes the stamp with its precision: up to a day without a time,
// else with seconds and an offset, the stamp's own or that of zone at that
// moment.
func (s *stamp) dateTime(zone *time.Location) string {
	if s.digits < 10 {
		return s.date()
	}
	b := make([]byte, 0, 35)
	b = append(b, s.date()...)
	b = digits(append(b, 'T'), s.hour, 2)
	b = digits(append(b, ':'), s.minute, 2)
	b = digits(append(b, ':'), s.second, 2)
	if s.fraction != "" {
		b = append(append(b, '.'), s.fraction...)
	}
	offset := s.offset
	if offset == "" {
		_, seconds := s.time(zone).Zone()
		return string(appendOffset(b, seconds))
	}
	return string(append(append(append(b, offset[:3]...), ':'), offset[3:]...))
}

func appendOffset(b []byte, seconds int) []byte {
	sign := byte('+')
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	b = digits(append(b, sign), seconds/3600, 2)
	return digits(append(b, ':'), seconds/60%60, 2)
}

// digits appends n with leading zeros.
func digits(b []byte, n, width int) []byte {
	for unit := pow10(width - 1); unit > 0; unit /= 10 {
		b = append(b, byte('0'+n/unit%10))
	}
	return b
}

func pow10(n int) int {
	out := 1
	for range n {
		out *= 10
	}
	return out
}

// time is the moment the stamp begins.
func (s *stamp) time(zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	if s.offset != "" {
		seconds := (int(s.offset[1]-'0')*10+int(s.offset[2]-'0'))*3600 + (int(s.offset[3]-'0')*10+int(s.offset[4]-'0'))*60
		if s.offset[0] == '-' {
			seconds = -seconds
		}
		zone = time.FixedZone("", seconds)
	}
	nanos := 0
	for i := range 9 {
		nanos *= 10
		if i < len(s.fraction) {
			nanos += int(s.fraction[i] - '0')
		}
	}
	return time.Date(s.year, s.month, s.day, s.hour, s.minute, s.second, nanos, zone)
}

// clock reads an HL7 TM as a FHIR time: HHMM[SS[.S]], whose offset FHIR has no
// place for.
func clock(text string) (string, bool) {
	for i := range len(text) {
		if text[i] == '+' || text[i] == '-' {
			if !goodOffset(text[i:]) {
				return "", false
			}
			text = text[:i]
			break
		}
	}
	if len(text) < 4 {
		return "", false
	}
	s, ok := parseStamp("20000101" + text)
	if !ok {
		return "", false
	}
	full := s.dateTime(time.UTC)
	return full[len("2000-01-01T") : len(full)-len("+00:00")], true
}
