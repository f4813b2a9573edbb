package expression

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"

	"github.com/plexus-health/plexus/message"
)

// readers are the functions that read a path of each kind.
var readers = map[message.PathKind]string{message.One: "$text", message.Several: "$texts", message.Places: "$places"}

// compiled are the functions as expr calls them. Those whose name begins with
// $ cannot be written by the user.
func compiled() conf.FunctionsTable {
	f := conf.FunctionsTable{}
	add := func(name string, call func(...any) (any, error), types ...any) {
		list := make([]reflect.Type, 0, len(types))
		for _, t := range types {
			list = append(list, reflect.TypeOf(t))
		}
		f[name] = &builtin.Function{Name: name, Func: call, Types: list}
	}
	add("$text", reading(message.Path.Text), func(any, int) string { return "" }, func(any, int, any) string { return "" })
	add("$texts", reading(message.Path.Texts), func(any, int) []string { return nil }, func(any, int, any) []string { return nil })
	add("$places", reading(message.Path.Nodes), func(any, int) []message.Node { return nil }, func(any, int, any) []message.Node { return nil })
	add("$tick", tick, func(any) bool { return false })
	add("$intable", inTable, func(any, int, string) bool { return false })
	add("$lookup", lookup, func(any, int, string, string) string { return "" }, func(any, int, string, string, string) string { return "" })
	add("valued", valued, func([]any) bool { return false }, func(string) bool { return false }, func([]string) bool { return false }, func([]message.Node) bool { return false }, func(message.Node) bool { return false })
	add("has", has, func([]string, string) bool { return false }, func([]any, string) bool { return false })
	add("number", number, func(any, string, string) float64 { return 0 }, func(any, string, string, float64) float64 { return 0 })
	add("day", day, func(any, string, string) time.Time { return time.Time{} }, func(any, string, time.Time) time.Time { return time.Time{} })
	add("years", years, func(any, string, string) int { return 0 }, func(any, string, time.Time) int { return 0 })
	text := func(change func(string) string) func(...any) (any, error) {
		return func(p ...any) (any, error) { s, _ := p[0].(string); return change(s), nil }
	}
	one := func(string) string { return "" }
	add("upper", text(strings.ToUpper), one)
	add("lower", text(strings.ToLower), one)
	add("trim", text(strings.TrimSpace), one)
	add("digits", text(digits), one)
	add("join", join, func([]string, string) string { return "" }, func([]any, string) string { return "" })
	add("split", split, func(string, string) []string { return nil })
	return f
}

// from is the path to read, where to read it, and where to keep what it gives:
// a path read in a loop, but not from the one in hand, gives the same each time.
func from(p []any) (path message.Path, at message.Node, kept *any) {
	r, _ := p[0].(*run)
	i, _ := p[1].(int)
	at = r.at
	if len(p) > 2 {
		at, _ = p[2].(message.Node)
	}
	if r.program.reads[i].kept {
		if r.kept == nil {
			r.kept = make([]any, len(r.program.reads))
		}
		kept = &r.kept[i]
	}
	return r.program.reads[i].path, at, kept
}

// reading makes the function that reads paths of one kind.
func reading[T any](read func(message.Path, message.Node) T) func(...any) (any, error) {
	return func(p ...any) (any, error) {
		path, at, kept := from(p)
		if kept == nil {
			return read(path, at), nil
		}
		if *kept == nil {
			*kept = read(path, at)
		}
		return *kept, nil
	}
}

// tick counts a turn of an inner loop.
func tick(p ...any) (any, error) {
	r, _ := p[0].(*run)
	if r.steps++; r.steps > maxSteps {
		return nil, fault("the expression takes more than %d steps on this message", maxSteps)
	}
	return true, nil
}

func inTable(p ...any) (any, error) {
	r, _ := p[0].(*run)
	i, _ := p[1].(int)
	code, _ := p[2].(string)
	return code != "" && r.program.tables[i].contains(code), nil
}

func lookup(p ...any) (any, error) {
	r, _ := p[0].(*run)
	i, _ := p[1].(int)
	label, _ := p[2].(string)
	code, _ := p[3].(string)
	if to, ok := r.program.tables[i].lookup(code); ok {
		return to, nil
	}
	if len(p) > 4 {
		return p[4], nil
	}
	return nil, fault("%s is not in table %q", label, r.program.tables[i].name)
}

func valued(p ...any) (any, error) {
	switch v := p[0].(type) {
	case string:
		return v != "", nil
	case []message.Node:
		return len(v) > 0, nil
	case message.Node:
		return v != nil, nil
	case nil:
		return false, nil
	}
	for _, s := range texts(p[0]) {
		if s != "" {
			return true, nil
		}
	}
	list, _ := p[0].([]any) // of places, by filter
	for _, item := range list {
		if _, isText := item.(string); !isText && item != nil {
			return true, nil
		}
	}
	return false, nil
}

func has(p ...any) (any, error) {
	want, _ := p[1].(string)
	for _, s := range texts(p[0]) {
		if s == want {
			return true, nil
		}
	}
	return false, nil
}

// texts are the texts of a list: expr's filter gives a list of anything.
func texts(v any) []string {
	switch list := v.(type) {
	case []string:
		return list
	case []any:
		out := make([]string, 0, len(list))
		for _, item := range list {
			if s, ok := item.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// number reads a decimal number: a sign, digits, a point. Anything else is a
// fault of the message, or the second argument.
func number(p ...any) (any, error) {
	label, _ := p[1].(string)
	text, _ := p[2].(string)
	if v, ok := decimal(strings.TrimSpace(text)); ok {
		return v, nil
	}
	if len(p) > 3 {
		return p[3], nil
	}
	if text == "" {
		return nil, fault("%s is empty, not a number", label)
	}
	return nil, fault("%s is not a number", label)
}

func decimal(text string) (float64, bool) {
	rest := strings.TrimLeft(text, "+-")
	if rest == "" || len(text)-len(rest) > 1 || len(text) > 64 || strings.Trim(rest, "0123456789.") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && !math.IsInf(v, 0)
}

// day gives the day of a text that begins with YYYYMMDD or YYYY-MM-DD.
func day(p ...any) (any, error) {
	r, _ := p[0].(*run)
	label, _ := p[1].(string)
	d, err := dayOf(r, label, p[2])
	return d, err
}

func dayOf(r *run, label string, v any) (time.Time, error) {
	switch v := v.(type) {
	case time.Time:
		zone := r.program.zone
		if zone == nil {
			zone = time.UTC
		}
		y, m, d := v.In(zone).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC), nil
	case string:
		v = strings.TrimSpace(v)
		if v == "" {
			return time.Time{}, fault("%s is empty, not a day", label)
		}
		layout := "20060102"
		if len(v) >= 10 && v[4] == '-' {
			layout = "2006-01-02"
		}
		if len(v) >= len(layout) {
			if t, err := time.Parse(layout, v[:len(layout)]); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fault("%s is not a day (YYYYMMDD or YYYY-MM-DD)", label)
}

// years gives the full years from a day to the day the message was received.
func years(p ...any) (any, error) {
	r, _ := p[0].(*run)
	label, _ := p[1].(string)
	born, err := dayOf(r, label, p[2])
	if err != nil {
		return nil, err
	}
	to, err := dayOf(r, label, r.Message.Received)
	if err != nil {
		return nil, err
	}
	n := to.Year() - born.Year()
	if to.Month() < born.Month() || to.Month() == born.Month() && to.Day() < born.Day() {
		n--
	}
	return n, nil
}

func digits(s string) string {
	return strings.Map(func(c rune) rune {
		if c > unicode.MaxASCII || !unicode.IsDigit(c) {
			return -1
		}
		return c
	}, s)
}

func join(p ...any) (any, error) {
	list := texts(p[0])
	between, _ := p[1].(string)
	size := 0
	for _, s := range list {
		size += len(s) + len(between)
	}
	if size > maxValue {
		return nil, fault("join makes more than %d bytes", maxValue)
	}
	return strings.Join(list, between), nil
}

func split(p ...any) (any, error) {
	text, _ := p[0].(string)
	between, _ := p[1].(string)
	if between == "" {
		return nil, fault("split wants a text between the parts")
	}
	if strings.Count(text, between) > maxValue/16 {
		return nil, fault("split makes more than %d parts", maxValue/16)
	}
	return strings.Split(text, between), nil
}
