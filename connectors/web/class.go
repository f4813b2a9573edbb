package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/message"
)

// A Range is statuses that count as success, both ends included.
type Range struct{ From, To int }

// ParseRange reads one status or two with a hyphen: 200, 200-299.
func ParseRange(text string) (Range, error) {
	from, to, some := strings.Cut(text, "-")
	var (
		r   Range
		err error
	)
	if r.From, err = strconv.Atoi(from); err == nil {
		r.To = r.From
		if some {
			r.To, err = strconv.Atoi(to)
		}
	}
	if err != nil || r.From < 200 || r.To > 599 || r.From > r.To {
		return Range{}, errors.New("not a status from 200 to 599, or two of them with a hyphen, such as 200-299")
	}
	return r, nil
}

// Classify is the class of a status by delivery.md §7; nil: accepted.
func Classify(r *Response, accept []Range, now time.Time) *message.Failure {
	for _, a := range accept {
		if r.Status >= a.From && r.Status <= a.To {
			return nil
		}
	}
	f := &message.Failure{Kind: message.RefusedSend, Err: fmt.Errorf("answered %d", r.Status)}
	switch {
	case r.Status == http.StatusTooManyRequests, r.Status >= 500 && r.Status <= 599:
		f.Kind, f.After = message.Busy, retryIn(r.Header.Get("Retry-After"), now)
	case r.Status >= 300 && r.Status < 400:
		f.Err = fmt.Errorf("answered %d, which points to another address; it is not followed: correct the address", r.Status)
	case r.Status < 200 || r.Status > 599:
		f.Kind = message.Unreadable
	case r.Status < 300:
		f.Err = fmt.Errorf("answered %d, which is not in accept", r.Status)
	}
	return f
}

// longest is the longest time a server is believed to ask for.
const longest = 24 * time.Hour

// retryIn reads Retry-After: seconds or a date (RFC 9110, 10.2.3); 0 when it
// says nothing of use.
func retryIn(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), longest)
}

// HeaderText is text as a header can carry it: printable ASCII, the rest
// written as %XX.
func HeaderText(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
