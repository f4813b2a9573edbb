package routes

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Hours are days and times of a week in a zone that the channel says.
type Hours struct {
	spans []weekSpan
	text  string
}

// A weekSpan is from one minute of some days to another of the same days; an
// end that is not after the start is on the day after.
type weekSpan struct {
	days     [7]bool // from Sunday on
	from, to int     // minutes of the day
}

var (
	weekdays  = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
	hoursForm = regexp.MustCompile(`^(?:([A-Z][a-z]{2}(?:-[A-Z][a-z]{2})?(?:/[A-Z][a-z]{2}(?:-[A-Z][a-z]{2})?)*) )?([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})$`)
)

// parseHours reads "Mon-Fri 06:00-22:00, Sat/Sun 08:00-12:00".
func parseHours(text string) (*Hours, error) {
	h := &Hours{text: text}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		m := hoursForm.FindStringSubmatch(part)
		if m == nil {
			return nil, wrong("%q is no days and times: write them as \"Mon-Fri 06:00-22:00, Sat 08:00-12:00\"", part)
		}
		var s weekSpan
		if err := s.readDays(m[1]); err != nil {
			return nil, err
		}
		var ok [2]bool
		s.from, ok[0] = minuteOf(m[2], m[3])
		s.to, ok[1] = minuteOf(m[4], m[5])
		if !ok[0] || !ok[1] || s.from == s.to {
			return nil, wrong("%q is no time from 00:00 to 24:00", part)
		}
		h.spans = append(h.spans, s)
	}
	return h, nil
}

func minuteOf(hours, minutes string) (int, bool) {
	h, errH := strconv.Atoi(hours)
	m, errM := strconv.Atoi(minutes)
	at := h*60 + m
	return at, errH == nil && errM == nil && m < 60 && at <= 24*60
}

func (s *weekSpan) readDays(text string) error {
	if text == "" {
		s.days = [7]bool{true, true, true, true, true, true, true}
		return nil
	}
	for part := range strings.SplitSeq(text, "/") {
		first, last, ranged := strings.Cut(part, "-")
		from, to := weekday(first), weekday(last)
		if !ranged {
			to = from
		}
		if from < 0 || to < 0 {
			return wrong("%q is no day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun", part)
		}
		for d := from; ; d = (d + 1) % 7 {
			s.days[d] = true
			if d == to {
				break
			}
		}
	}
	return nil
}

func weekday(text string) int {
	for i, d := range weekdays {
		if d == text {
			return i
		}
	}
	return -1
}

// String is the text as it was written.
func (h *Hours) String() string { return h.text }

// Open reports whether t is in the hours, and if not when they begin again. A
// nil Hours is always open.
func (h *Hours) Open(t time.Time) (open bool, next time.Time) {
	if h == nil {
		return true, t
	}
	for day := -1; day <= 8; day++ {
		midnight := time.Date(t.Year(), t.Month(), t.Day()+day, 0, 0, 0, 0, t.Location())
		for _, s := range h.spans {
			if !s.days[int(midnight.Weekday())] {
				continue
			}
			from, to := s.at(midnight, s.from), s.at(midnight, s.to)
			if s.to <= s.from {
				to = s.at(midnight.AddDate(0, 0, 1), s.to)
			}
			switch {
			case !t.Before(from) && t.Before(to):
				return true, t
			case from.After(t) && (next.IsZero() || from.Before(next)):
				next = from
			}
		}
	}
	return false, next
}

// at is a time of a day by the clock on the wall, also where it is changed.
func (s weekSpan) at(midnight time.Time, minute int) time.Time {
	return time.Date(midnight.Year(), midnight.Month(), midnight.Day(), minute/60, minute%60, 0, 0, midnight.Location())
}
