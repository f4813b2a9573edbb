package terms

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/plexus-health/plexus/fhir"
)

//go:embed systems.tsv
var systemsText string

//go:embed valuesets.tsv
var valueSetsText string

// A Table is a Source of definitions that are in memory. The zero value is an
// empty one.
type Table struct {
	sets    map[string]*ValueSet
	systems map[string]*System
}

var _ Source = (*Table)(nil)

// ValueSet returns a value set that the table has.
func (t *Table) ValueSet(url, version string) (*ValueSet, error) {
	if t == nil {
		return nil, nil
	}
	set := t.sets[url]
	if set == nil || (version != "" && version != set.Version) {
		return nil, nil
	}
	return set, nil
}

// System returns a code system that the table has.
func (t *Table) System(url string) (*System, error) {
	if t == nil {
		return nil, nil
	}
	return t.systems[url], nil
}

// Add takes a ValueSet or a CodeSystem into the table.
func (t *Table) Add(n *fhir.Node) {
	if t.sets == nil {
		t.sets, t.systems = map[string]*ValueSet{}, map[string]*System{}
	}
	switch url := text(n, "url"); {
	case url == "":
	case text(n, "resourceType") == "ValueSet":
		t.sets[url] = ValueSetOf(n)
	case text(n, "resourceType") == "CodeSystem" && text(n, "content") != "supplement":
		t.systems[url] = SystemOf(n)
	}
}

// R4 are the value sets and the complete code systems of R4. A line is a system
// with its codes, each behind the depth it stands at; or a part of a value set:
// its address and version, + or -, a system, and a word for each of what the part
// names: =code, <code for what is below, ^address of another value set, ? for a
// filter that is not supported; none for all of the system.
var R4 = sync.OnceValue(func() *Table {
	t := &Table{sets: map[string]*ValueSet{}, systems: map[string]*System{}}
	for line := range strings.Lines(systemsText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		s := newSystem(f[0], true)
		above := make([]string, 1, 36)
		for _, word := range f[1:] {
			depth := int(word[0] - 'A')
			above = append(above[:depth+1], word[1:])
			s.add(word[1:], above[depth])
		}
		t.systems[f[0]] = s
	}
	for line := range strings.Lines(valueSetsText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		set := t.sets[f[0]]
		if set == nil {
			set = &ValueSet{URL: f[0], Version: f[1]}
			t.sets[f[0]] = set
		}
		c := component{system: f[3]}
		for _, word := range f[4:] {
			c.word(word)
		}
		if f[2] == "+" {
			set.include = append(set.include, c)
		} else {
			set.exclude = append(set.exclude, c)
		}
	}
	return t
})

func (c *component) word(word string) {
	switch rest := word[1:]; word[0] {
	case '=':
		c.codes, c.listed = append(c.codes, rest), true
	case '<':
		c.filters = append(c.filters, filter{"concept", "is-a", rest})
	case '>':
		c.filters = append(c.filters, filter{"concept", "descendent-of", rest})
	case '^':
		c.sets = append(c.sets, rest)
	default:
		c.filters = append(c.filters, filter{op: word})
	}
}
