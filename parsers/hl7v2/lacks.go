package hl7v2

import (
	"fmt"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// Lacks says which group of a path the structure of the message does not have,
// so that the path leads to nothing in any message of this kind. nil: none.
func (m *Message) Lacks(p message.Path) error {
	own, ok := p.(*path)
	if !ok || len(own.groups) == 0 {
		return nil
	}
	name := m.Header().Structure
	structure := definitions.Structure(name)
	if structure == nil {
		return fmt.Errorf("%s: the structure that MSH-9 names is not known, so that the message has no groups", own.text)
	}
	names := groupNames(structure, nil)
	for _, step := range own.groups {
		switch {
		case slices.Contains(names, step.name):
		case len(names) == 0:
			return fmt.Errorf("%s: the structure %s has no groups", own.text, name)
		default:
			return fmt.Errorf("%s: the structure %s has no group %s; it has %s", own.text, name, step.name, strings.Join(names, ", "))
		}
	}
	return nil
}

// groupNames are the names of the groups in a group, each once, in their order.
func groupNames(e *definitions.Element, names []string) []string {
	for _, inner := range e.Elements {
		if !inner.Group {
			continue
		}
		if !slices.Contains(names, inner.Name) {
			names = append(names, inner.Name)
		}
		names = groupNames(inner, names)
	}
	return names
}
