package query

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/store"
)

// Seed is a text of clauses that is the same for all that select the same by the
// same values, in whatever order and spelling these were written.
func Seed(clauses []store.Clause) string {
	list := make([]string, 0, len(clauses))
	for i := range clauses {
		list = append(list, seedOf(clauses[i]))
	}
	return joined(list)
}

func seedOf(c store.Clause) string {
	var values, or, inner []string
	for _, m := range c.Any {
		if m.Prefix == "eq" {
			m.Prefix = ""
		}
		values = append(values, textOf(m))
	}
	for _, one := range c.Or {
		or = append(or, Seed(one))
	}
	for _, list := range [][]store.Query{c.Chain, c.Either, pointed(c.Has), pointed(c.Contained)} {
		var queries []string
		for i := range list {
			queries = append(queries, list[i].Type+"?"+Seed(list[i].Where))
		}
		inner = append(inner, joined(queries))
	}
	for i := range c.Together { // in their order
		inner = append(inner, seedOf(c.Together[i]))
	}
	c.Any, c.Or, c.Chain, c.Either, c.Has, c.Contained, c.Together = nil, nil, nil, nil, nil, nil, nil
	return textOf(c) + joined(values) + joined(or) + textOf(inner)
}

func pointed(q *store.Query) []store.Query {
	if q == nil {
		return nil
	}
	return []store.Query{*q}
}

// joined is the text of a set of texts.
func joined(list []string) string {
	slices.Sort(list)
	return "[" + strings.Join(slices.Compact(list), " ") + "]"
}

func textOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("a clause has no text: " + err.Error()) // it has texts and finite numbers
	}
	return string(text)
}
