package folder

import (
	"fmt"
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
