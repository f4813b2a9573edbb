package folder

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
)

var suffix = regexp.MustCompile(`^\.[A-Za-z0-9_-]{1,20}$`)

// ValidatePut checks the words of the options that every destination of files has.
func ValidatePut(name, temp, exists string, connections int, timeout time.Duration) []connectors.Problem {
	var p connectors.Problems
	_, problem := ParseTemplate(name)
	switch {
	case problem != "":
		p.Add("name", "%s", problem)
	case temp != "" && strings.HasSuffix(name, temp):
		p.Add("name", "%q ends like the temporary names; choose another name or another temp", name)
	}
	if !suffix.MatchString(temp) {
		p.Add("temp", "%q is not the ending of a name, such as .tmp", temp)
	}
	p.Word("exists", exists, ExistsError, ExistsReplace)
	if connections < 1 || connections > 64 {
		p.Add("connections", "%d is not between 1 and 64", connections)
	}
	p.Time("timeout", timeout)
	return p
}

// CheckName checks the name of a folder.
func CheckName(field, name string) []connectors.Problem {
	switch {
	case name == "":
		return []connectors.Problem{{Field: field, Text: "is missing: the folder"}}
	case control.MatchString(name):
		return []connectors.Problem{{Field: field, Text: fmt.Sprintf("%q has a control character in it", name)}}
	}
	return nil
}

var control = regexp.MustCompile(`[\x00-\x1f\x7f]`)

// Words of `exists:`.
const (
	ExistsError   = "error"
	ExistsReplace = "replace"
)

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
	var p connectors.Problems
	if _, err := path.Match(o.Match, ""); err != nil || o.Match == "" || strings.Contains(o.Match, "/") {
		p.Add("match", "%q is not a pattern of names, such as *.hl7", o.Match)
	}
	switch {
	case o.Done == "" || o.Done == Rename:
	case strings.Count(o.Done, "*") != 1 || len(o.Done) < 2 || !Plain(o.Done):
		p.Add("done", `%q is not the name of a marker, such as "*.ok", and not the word rename`, o.Done)
	case strings.HasPrefix(o.Done, "*") && strings.HasSuffix(o.Match, o.Done[1:]):
		p.Add("done", "%q: every file that match takes would be a marker", o.Done)
	}
	switch {
	case o.Stable < 0:
		p.Add("stable", "%s is not a time, such as 5s", o.Stable)
	case o.Stable == 0 && o.Done == "":
		p.Add("stable", `0s would take files that are still being written: give a time such as 5s, or say by done how the sender ends a file: "*.ok" or rename`)
	}
	if o.Every <= 0 {
		p.Add("every", "%s is not a time above zero, such as 1s", o.Every)
	}
	p.Word("then", o.Then, ThenMove, ThenDelete, ThenKeep)
	p.Word("order", o.Order, orderName, orderTime)
	return p
}

// Pickup makes a Pickup of the options.
func (o PickupOptions) Pickup(env connectors.Environment, peer string) *Pickup {
	return &Pickup{
		Match: o.Match, Stable: o.Stable, Every: o.Every, Marker: o.Done, Then: o.Then,
		ByName: o.Order == orderName, Peer: peer, Grace: 5 * time.Second, Env: env.WithDefaults(),
	}
}
