package folder

import (
	"fmt"
	"log/slog"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
)

var suffix = regexp.MustCompile(`^\.[A-Za-z0-9_-]{1,20}$`)

// ValidatePut checks the words of the options that every destination of files has.
func ValidatePut(name, temp, exists string, connections int, timeout time.Duration) []connectors.Problem {
	var problems []connectors.Problem
	add := func(field, format string, args ...any) {
		problems = append(problems, connectors.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
	}
	_, problem := ParseTemplate(name)
	switch {
	case problem != "":
		add("name", "%s", problem)
	case temp != "" && strings.HasSuffix(name, temp):
		add("name", "%q ends like the temporary names; choose another name or another temp", name)
	}
	if !suffix.MatchString(temp) {
		add("temp", "%q is not the ending of a name, such as .tmp", temp)
	}
	if exists != "error" && exists != "replace" {
		add("exists", "%q is not known; known: error, replace", exists)
	}
	if connections < 1 || connections > 64 {
		add("connections", "%d is not between 1 and 64", connections)
	}
	if timeout <= 0 {
		add("timeout", "%s is not a time above zero, such as 30s", timeout)
	}
	return problems
}

// PickupOptions are the options that every source of files has.
type PickupOptions struct {
	Match, Done, Then, Order string
	Stable, Every            time.Duration
}

// Words of `order:`.
const (
	orderName = "name"
	orderTime = "time"
)

// Validate checks the words of the options.
func (o PickupOptions) Validate() []connectors.Problem {
	var problems []connectors.Problem
	add := func(field, format string, args ...any) {
		problems = append(problems, connectors.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
	}
	if _, err := path.Match(o.Match, ""); err != nil || o.Match == "" || strings.Contains(o.Match, "/") {
		add("match", "%q is not a pattern of names, such as *.hl7", o.Match)
	}
	switch {
	case o.Done == "" || o.Done == Rename:
	case strings.Count(o.Done, "*") != 1 || len(o.Done) < 2 || !Plain(o.Done):
		add("done", `%q is not the name of a marker, such as "*.ok", and not the word rename`, o.Done)
	case strings.HasPrefix(o.Done, "*") && strings.HasSuffix(o.Match, o.Done[1:]):
		add("done", "%q: every file that match takes would be a marker", o.Done)
	}
	switch {
	case o.Stable < 0:
		add("stable", "%s is not a time, such as 5s", o.Stable)
	case o.Stable == 0 && o.Done == "":
		add("stable", `0s would take files that are still being written: give a time such as 5s, or say by done how the sender ends a file: "*.ok" or rename`)
	}
	if o.Every <= 0 {
		add("every", "%s is not a time above zero, such as 1s", o.Every)
	}
	if o.Then != ThenMove && o.Then != ThenDelete && o.Then != ThenKeep {
		add("then", "%q is not known; known: move, delete, keep", o.Then)
	}
	if o.Order != orderName && o.Order != orderTime {
		add("order", "%q is not known; known: name, time", o.Order)
	}
	return problems
}

// Pickup makes a Pickup of the options.
func (o PickupOptions) Pickup(env connectors.Environment, peer string) *Pickup {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Count == nil {
		env.Count = func(string, int) {}
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Size <= 0 {
		env.Size = 8 << 20
	}
	if env.Whole <= 0 || env.Whole > env.Size {
		env.Whole = env.Size
	}
	return &Pickup{
		Match: o.Match, Stable: o.Stable, Every: o.Every, Marker: o.Done, Then: o.Then,
		ByName: o.Order == orderName, Peer: peer, Grace: 5 * time.Second, Env: env,
	}
}
