package relational

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

// mostTold bounds the alternatives of a leading clause that are looked up one by
// one.
const mostTold = 64

// leads reports whether a clause can be asked first: its rows are looked up in
// their index, and the resources by their rows.
func leads(c *store.Clause) bool {
	_, indexed := tables[c.Shape]
	return indexed && !c.Not && c.Missing == nil && c.Has == nil && len(c.Or) == 0 && len(c.Together) == 0 && c.Contained == nil && len(c.Either) == 0
}

// lead asks for the resources that a clause finds in its index. Alternatives
// are looked up one by one: with OR between them the index is read from end to
// end on SQLite.
func (q *sqlText) lead(c *store.Clause, table, alias string) error {
	if q.dialect == SQLite && q.listed(c, table, alias) {
		return nil
	}
	parts := []store.Clause{*c}
	if n := len(c.Any) + len(c.Chain); n > 1 && n <= mostTold && c.Shape != store.ShapeRef {
		parts = parts[:0]
		for i := range n {
			part := *c
			if part.Any, part.Chain = nil, nil; i < len(c.Any) {
				part.Any = c.Any[i : i+1]
			} else {
				part.Chain = c.Chain[i-len(c.Any) : i-len(c.Any)+1]
			}
			parts = append(parts, part)
		}
	}
	q.add(alias + `.rid IN (`)
	for i := range parts {
		if i > 0 {
			q.add(` UNION ALL `)
		}
		q.alias++
		x := "x" + strconv.Itoa(q.alias)
		q.add(`SELECT ` + x + `.rid FROM ` + table + ` ` + x + ` WHERE `)
		q.rows(&parts[i], x)
		q.valueAmong(&parts[i], x)
		q.add(` AND (`)
		if err := q.alternatives(&parts[i], x, true); err != nil {
			return err
		}
		q.add(`)`)
	}
	if err := q.elsewhere(c); err != nil {
		return err
	}
	q.add(`)`)
	return nil
}

// listed asks for many alternatives of one form as one argument, a JSON array,
// and reports whether it could. SQLite compares each argument of a statement
// with all before it.
func (q *sqlText) listed(c *store.Clause, table, alias string) bool {
	if len(c.Any) <= mostTold || len(c.Chain) > 0 {
		return false
	}
	var list []any
	form := ""
	for i := range c.Any {
		value, of := listable(&c.Any[i], c.Shape)
		if of == "" || (form != "" && of != form) {
			return false
		}
		list, form = append(list, value), of
	}
	text, err := json.Marshal(list)
	if err != nil {
		return false // texts and numbers always marshal
	}
	q.alias++
	x, j := "x"+strconv.Itoa(q.alias), "j"+strconv.Itoa(q.alias)
	q.add(alias+`.rid IN (SELECT `+x+`.rid FROM json_each(?) `+j+` CROSS JOIN `+table+` `+x+` WHERE `, string(text))
	q.rows(c, x)
	q.add(strings.NewReplacer("x.", x+".", "j.", j+".").Replace(form) + `)`)
	return true
}

// listable is an alternative as an element of a JSON array, and the condition that
// compares a row x with the element j; empty where there is none.
func listable(m *store.Match, shape store.Shape) (element any, form string) {
	switch {
	case shape == store.ShapeToken && m.Value != nil && !m.Below && m.System != nil:
		return []any{hex.EncodeToString([]byte(limit(*m.Value))), systemID(*m.System)}, ` AND x.val = unhex(j.value ->> 0) AND x.sys = j.value ->> 1`
	case shape == store.ShapeToken && m.Value != nil && !m.Below:
		return []any{hex.EncodeToString([]byte(limit(*m.Value)))}, ` AND x.val = unhex(j.value ->> 0)`
	case shape == store.ShapeString && !m.Exact && !m.Contains && utf8.ValidString(m.Text):
		return noNUL(m.Text), ` AND x.norm >= j.value AND x.norm < j.value || char(1114111)`
	}
	return nil, ""
}

// valueAmong names the values of many alternatives at once, for the index.
func (q *sqlText) valueAmong(c *store.Clause, x string) {
	if c.Shape != store.ShapeToken || len(c.Any) < 2 || len(c.Chain) > 0 {
		return
	}
	for i := range c.Any {
		if c.Any[i].Value == nil || c.Any[i].Below {
			return
		}
	}
	q.add(` AND ` + x + `.val IN (`)
	for i := range c.Any {
		comma := `, ?`
		if i == 0 {
			comma = `?`
		}
		q.add(comma, []byte(limit(*c.Any[i].Value)))
	}
	q.add(`)`)
}

// rows asks for the rows of a clause's parameters.
func (q *sqlText) rows(c *store.Clause, x string) {
	if q.within != "" {
		q.inner(c, x)
		return
	}
	if len(c.Also) == 0 {
		q.add(x+`.pid = ?`, int(c.Param))
		return
	}
	q.add(x+`.pid IN (?`, int(c.Param))
	for _, p := range c.Also {
		q.add(`, ?`, int(p))
	}
	q.add(`)`)
}

// or asks that one list of clauses holds whole.
func (q *sqlText) or(c *store.Clause, alias string) error {
	if c.Not {
		q.add(`NOT `)
	}
	q.add(`(`)
	err := q.anyOf(0, len(c.Or), func(i int) error {
		q.add(`(1 = 1`)
		for k := range c.Or[i] {
			q.add(` AND `)
			if err := q.clause(&c.Or[i][k], alias, k == 0 && q.within == ""); err != nil {
				return err
			}
		}
		q.add(`)`)
		return nil
	})
	q.add(`)`)
	return err
}

// together asks that one element has a row for each of some clauses: the rows
// of an element stand under numbers that differ by the part only.
func (q *sqlText) together(c *store.Clause, alias string) error {
	q.alias++
	name := func(k int) string { return "g" + strconv.Itoa(q.alias) + "_" + strconv.Itoa(k) }
	if c.Not {
		q.add(`NOT `)
	}
	first := name(0)
	names := make([]string, len(c.Together))
	q.add(`EXISTS (SELECT 1 FROM `)
	for k := range c.Together {
		names[k] = name(k)
		table, ok := tables[c.Together[k].Shape]
		if !ok {
			return fmt.Errorf("no search by shape %d in an element", c.Together[k].Shape)
		}
		if k == 0 {
			q.add(table + ` ` + first)
			continue
		}
		apart := int(search.Part(c.Param, k, 0) - search.Part(c.Param, 0, 0))
		q.add(` JOIN ` + table + ` ` + names[k] + ` ON ` + names[k] + `.rid = ` + first + `.rid AND ` + names[k] + `.pid = ` + first + `.pid + ` + strconv.Itoa(apart))
	}
	from := search.Part(c.Param, 0, 0)
	q.add(` WHERE `+first+`.rid = `+alias+`.rid AND `+first+`.pid BETWEEN ? AND ?`, int(from), int(from)+search.MostElements-1)
	for k := range c.Together {
		q.add(` AND (`)
		if err := q.alternatives(&c.Together[k], names[k], false); err != nil {
			return err
		}
		q.add(`)`)
	}
	q.add(`)`)
	return nil
}

// near asks for a place within a distance: the coordinates are the parts of an
// element, and the chord between two points of a sphere grows with the distance.
func (q *sqlText) near(c *store.Clause, alias string) error {
	q.alias++
	x, y, z := "nx"+strconv.Itoa(q.alias), "ny"+strconv.Itoa(q.alias), "nz"+strconv.Itoa(q.alias)
	if c.Not {
		q.add(`NOT `)
	}
	q.add(`EXISTS (SELECT 1 FROM ix_number `+x+` JOIN ix_number `+y+` ON `+y+`.rid = `+x+`.rid AND `+y+`.pid = ? JOIN ix_number `+z+` ON `+z+`.rid = `+x+`.rid AND `+z+`.pid = ? WHERE `+x+`.rid = `+alias+`.rid AND `+x+`.pid = ?`,
		int(search.Part(c.Param, 1, 0)), int(search.Part(c.Param, 2, 0)), int(search.Part(c.Param, 0, 0)))
	if c.Missing == nil {
		q.add(` AND (`)
		err := q.anyOf(0, len(c.Any), func(i int) error {
			m := &c.Any[i]
			q.add(`(`)
			for k, name := range []string{x, y, z} {
				if k > 0 {
					q.add(` + `)
				}
				q.add(`(`+name+`.val - ?) * (`+name+`.val - ?)`, m.Point[k], m.Point[k])
			}
			q.add(` <= ?)`, m.Chord)
			return nil
		})
		if err != nil {
			return err
		}
		q.add(`)`)
	}
	q.add(`)`)
	return nil
}

// value compares the value of a token or uri.
func (q *sqlText) value(m *store.Match, x string) {
	if !m.Below {
		q.add(` AND `+x+`.val = ?`, []byte(limit(*m.Value)))
		return
	}
	text := *m.Value
	q.add(` AND (`+x+`.val = ?`, []byte(limit(text)))
	for _, next := range []byte{'/', '|'} {
		q.add(` OR (`+x+`.val >= ? AND `+x+`.val < ?)`, []byte(text+string(next)), []byte(text+string(next+1)))
	}
	q.add(`)`)
}
