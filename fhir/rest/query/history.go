package query

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

// History reads the parameters of a history (http.html#history); used are those
// that were understood. strict refuses what is not known.
func History(typ, id string, values url.Values, strict bool) (q store.HistoryQuery, used url.Values, err error) {
	q = store.HistoryQuery{Type: typ, ID: id}
	if q.Limit, err = PageSize(values); err != nil {
		return q, nil, err
	}
	used = url.Values{}
	for name, list := range values {
		value := strings.ReplaceAll(list[0], " ", "+") // a + that was not escaped
		known := true
		switch name {
		case "_since":
			q.Since, _, known = search.Interval(value)
		case "_at":
			q.At = new([2]int64)
			q.At[0], q.At[1], known = search.Interval(value)
		case "_page":
			q.Before, err = strconv.ParseInt(value, 10, 64)
			known = err == nil && q.Before > 0
		case "_count", "_format", "_pretty":
		default:
			if strict {
				return q, nil, bad("a parameter is not known for a history; known: _since, _at, _count")
			}
			continue
		}
		if !known && name == "_page" {
			return q, nil, badOf(name, "the page is not one of this server")
		}
		if !known {
			return q, nil, badOf(name, name+" is no date or time")
		}
		used[name] = list
	}
	return q, used, nil
}
