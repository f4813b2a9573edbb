package rest

import (
	"time"

	"github.com/plexus-health/plexus/fhir/search"
)

// goodDate checks date, dateTime and instant (datatypes.html#primitive): a time
// has seconds and an offset.
func goodDate(s, typ string) bool {
	switch len(s) {
	case 4, 7, 10:
		if typ == "instant" {
			return false
		}
		_, _, ok := search.Interval(s)
		return ok
	}
	if typ == "date" {
		return false
	}
	_, err := time.Parse("2006-01-02T15:04:05Z07:00", s)
	return err == nil
}
