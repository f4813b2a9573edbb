package validate

import (
	"time"

	"github.com/plexus-health/plexus/fhir/search"
)

// goodDate checks date, dateTime and instant (datatypes.html#primitive). A
// dateTime without an offset is taken: senders write it, and searches read it
// as UTC.
func goodDate(s, typ string) bool {
	_, _, ok := search.Interval(s)
	switch typ {
	case "date":
		return ok && len(s) <= len("2006-01-02")
	case "instant":
		_, err := time.Parse("2006-01-02T15:04:05Z07:00", s)
		return err == nil
	}
	return ok
}
