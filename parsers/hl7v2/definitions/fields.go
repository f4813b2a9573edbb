package definitions

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:generate bash ../../../scripts/v2definitions.sh

//go:embed fields.tsv
var fieldsText string

//go:embed components.tsv
var componentsText string

//go:embed codes.tsv
var codesText string

// versions are those with definitions of their own, in their order.
var versions = []string{"2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2", "2.9"}

// A Field is what the standard says of a field of a segment or a component of
// a data type. The zero value is one that is not known.
type Field struct {
	Name string
	// Type is the data type: "CX"; "VARIES" where another field says it.
	Type string
	// Length is the most characters the version allows; 0 where it says nothing.
	Length int
	// Optionality is R, RE, O, C, B, W or X as the standard has it.
	Optionality string
	Repeats     bool
	// Table is the number of the table of codes: "0001"; "" without one.
	Table string
}

// Known reports whether there is such a field.
func (f Field) Known() bool { return f.Name != "" || f.Type != "" }

// Required reports whether the field must be valued.
func (f Field) Required() bool { return f.Optionality == "R" }

// A row is a field in the versions from first to last.
type row struct {
	first, last int8
	Field
}

type partKey struct {
	parent string
	number int
}

type parts struct {
	rows map[partKey][]row
	last map[string]int // the highest number of any version
}

var (
	fields     = sync.OnceValue(func() parts { return readParts(fieldsText) })
	components = sync.OnceValue(func() parts { return readParts(componentsText) })
	codes      = sync.OnceValue(func() map[string]map[string]string {
		out := map[string]map[string]string{}
		for line := range strings.Lines(codesText) {
			cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if line[0] == '#' || len(cells) != 3 {
				continue
			}
			if out[cells[0]] == nil {
				out[cells[0]] = map[string]string{}
			}
			out[cells[0]][cells[1]] = cells[2]
		}
		return out
	})
)

func readParts(text string) parts {
	p := parts{rows: map[partKey][]row{}, last: map[string]int{}}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if line[0] == '#' {
			continue
		}
		n, err := strconv.Atoi(cells[1])
		if err != nil || len(cells) != 10 {
			panic("definitions: a row is broken: " + line)
		}
		r := row{first: int8(slices.Index(versions, cells[2])), last: int8(slices.Index(versions, cells[3]))}
		length, _ := strconv.Atoi(cells[5]) // "" is 0
		r.Field = Field{Type: cells[4], Length: length, Optionality: cells[6], Repeats: cells[7] == "*", Table: cells[8], Name: cells[9]}
		key := partKey{cells[0], n}
		p.rows[key] = append(p.rows[key], r)
		p.last[key.parent] = max(p.last[key.parent], n)
	}
	return p
}

// in returns the row of a version. Where that version has none, near allows
// the nearest one: a name helps people even when the version is not so exact.
func (p parts) in(parent string, number int, version string, near bool) Field {
	rows := p.rows[partKey{parent, number}]
	at := int8(slices.Index(versions, Version(version)))
	best, distance := Field{}, int8(len(versions))
	for _, r := range rows {
		d := max(r.first-at, at-r.last, 0)
		if d < distance && (near || d == 0) {
			best, distance = r.Field, d
		}
	}
	return best
}

// Versions lists the versions that have definitions of their own.
func Versions() []string { return slices.Clone(versions) }

// Version returns the version whose definitions serve for what MSH-12 says:
// the same, else the next below; 2.5.1 where it says nothing usable.
func Version(said string) string {
	if slices.Contains(versions, said) {
		return said
	}
	if !strings.HasPrefix(said, "2.") || len(said) < 3 {
		return "2.5.1"
	}
	best := ""
	for _, v := range versions {
		if v <= said {
			best = v
		}
	}
	if best == "" {
		return "2.5.1"
	}
	return best
}

// SegmentName is what the standard calls a segment: "Patient Identification".
func SegmentName(version, segment string) string {
	return fields().in(segment, 0, version, true).Name
}

// FieldOf returns a field of a segment in a version, from 1.
func FieldOf(version, segment string, number int) Field {
	return fields().in(segment, number, version, false)
}

// FieldName is the name of a field: of the version, else of the nearest one
// that has the field.
func FieldName(version, segment string, number int) string {
	return fields().in(segment, number, version, true).Name
}

// FieldCount is the number of the last field that any version has in a segment;
// 0 for a segment without definitions.
func FieldCount(segment string) int { return fields().last[segment] }

// TypeName is what the standard calls a data type: "Extended Person Name".
func TypeName(version, name string) string { return components().in(name, 0, version, true).Name }

// ComponentOf returns a component of a data type in a version, from 1.
func ComponentOf(version, name string, number int) Field {
	return components().in(name, number, version, false)
}

// ComponentCount is the number of the last component that any version has in a
// data type; 0 for a type without components, or one that is not known.
func ComponentCount(name string) int { return components().last[name] }

// Code returns the name of a code of a table. known is false for a table whose
// codes are not at hand: nothing can be said of the code then.
func Code(table, code string) (name string, found, known bool) {
	t := codes()[table]
	name, found = t[code]
	return name, found, len(t) > 0
}
