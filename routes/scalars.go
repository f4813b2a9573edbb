package routes

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones have to be known on machines without a zone database, as in containers

	"github.com/plexus-health/plexus/internal/spelling"
)

var (
	nameForm   = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	numberForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	spanForm   = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)$`)
	sizeForm   = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(KB|MB|GB)$`)
	rateForm   = regexp.MustCompile(`^([0-9]+)/(s|m|h)$`)
	clockForm  = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
)

// A wordError says what is wrong with the text of a scalar.
type wordError string

func (e wordError) Error() string { return string(e) }

func wrong(format string, args ...any) error { return wordError(fmt.Sprintf(format, args...)) }

var units = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// parseDuration reads ms, s, m, h, d; one number with one unit.
func parseDuration(text string) (time.Duration, error) {
	m := spanForm.FindStringSubmatch(text)
	if m == nil {
		if numberForm.MatchString(text) {
			return 0, wrong("%s has no unit: write %sms, %ss, %sm, %sh or %sd", text, text, text, text, text, text)
		}
		return 0, wrong("%q is not a duration: write one as 500ms, 30s, 15m, 8h or 7d", text)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	d := n * float64(units[m[2]])
	if err != nil || d > float64(1<<62) {
		return 0, wrong("%s is too long", text)
	}
	return time.Duration(d), nil
}

// parseSize reads KB, MB, GB of 1024.
func parseSize(text string) (int64, error) {
	m := sizeForm.FindStringSubmatch(text)
	if m == nil {
		if numberForm.MatchString(text) {
			return 0, wrong("%s has no unit: write %sKB, %sMB or %sGB", text, text, text, text)
		}
		return 0, wrong("%q is not a size: write one as 64KB, 8MB or 1GB", text)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	n *= map[string]float64{"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[m[2]]
	if err != nil || n > 1<<50 {
		return 0, wrong("%s is too large", text)
	}
	return int64(n), nil
}

// A Rate is a number of messages in a time. The zero value is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

func parseRate(text string) (Rate, error) {
	m := rateForm.FindStringSubmatch(text)
	if m == nil {
		if numberForm.MatchString(text) {
			return Rate{}, wrong("%s has no unit: write %s/s, %s/m or %s/h", text, text, text, text)
		}
		return Rate{}, wrong("%q is not a rate: write one as 50/s", text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n == 0 {
		return Rate{}, wrong("%s is not a rate above zero", text)
	}
	return Rate{Count: n, Per: units[m[2]]}, nil
}

func parseZone(text string) (*time.Location, error) {
	if text != "" && text != "Local" {
		if zone, err := time.LoadLocation(text); err == nil {
			return zone, nil
		}
	}
	return nil, wrong("%q is not a time zone: write an IANA name such as America/New_York", text)
}

func parseWhole(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || strings.HasPrefix(text, "+") || len(text) > 1 && text[0] == '0' {
		return 0, wrong("%q is not a whole number", text)
	}
	return n, nil
}

func parseBoolean(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, wrong("%q is not true or false", text)
}

// near says which of the known words was probably meant, or nothing.
func near(word string, known []string) string {
	if found := spelling.Nearest(word, known); found != "" {
		return fmt.Sprintf(", did you mean %q?", found)
	}
	return ""
}

// unknown is the text of a word that is none of the known ones.
func unknown(word string, known []string) string {
	hint := near(word, known)
	if hint == "" {
		hint = "; known: " + strings.Join(known, ", ")
	}
	return hint
}
