package relational

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// A sqlText is a query being written; values are arguments, never text.
type sqlText struct {
	b       strings.Builder
	args    []any
	alias   int
	dialect Dialect
	// within is the own row of the contained resource that conditions are about,
	// or empty.
	within string
}

func (q *sqlText) add(text string, args ...any) {
	q.b.WriteString(text)
	q.args = append(q.args, args...)
}

// Bounds of a statement: of the arguments SQLite takes 32766, PostgreSQL 65535,
// and the time to bind them grows with their square.
const (
	mostArguments = 16_000
	longestText   = 900_000
)

// fits returns ErrCostly for a statement that no database would take.
func (q *sqlText) fits() error {
	if len(q.args) > mostArguments || q.b.Len() > longestText {
		return store.ErrCostly
	}
	return nil
}

// More reports whether there are more resources of a type than so many.
func (r *Reader) More(ctx context.Context, typ string, than int) (more bool, err error) {
	text := &sqlText{}
	text.add(`SELECT 1 FROM resource r WHERE r.tenant = 0 AND r.deleted = 0`)
	if typ != "*" {
		text.add(` AND r.rtype = ?`, definitions.Number(typ))
	}
	text.add(` LIMIT 1 OFFSET ?`, than)
	err = r.lend(ctx, func(tx Tx) error {
		var some int
		more, err = one(ctx, tx, text.b.String(), text.args, &some)
		return err
	})
	return more, err
}

// Search returns the resources that match a query.
func (r *Reader) Search(ctx context.Context, q store.Query) (store.Page, error) {
	page := store.Page{Total: -1}
	lend := r.lend
	if r.Searching != nil {
		lend = r.Searching
	}
	if r.LookingUp != nil && looksUp(&q) {
		lend = r.LookingUp
	}
	err := lend(ctx, func(tx Tx) error {
		if q.Total || q.Limit == 0 {
			count := &sqlText{dialect: tx.Dialect()}
			count.add(`SELECT COUNT(*) FROM resource r WHERE `)
			if err := count.matches(&q, "r"); err != nil {
				return err
			}
			if err := count.fits(); err != nil {
				return err
			}
			if _, err := one(ctx, tx, count.b.String(), count.args, &page.Total); err != nil {
				return err
			}
		}
		if q.Limit == 0 {
			return nil
		}
		return r.page(ctx, tx, &q, &page)
	})
	return page, err
}

// looksUp reports whether a search asks for one identifier and nothing else: it
// selects few resources whatever its value is.
func looksUp(q *store.Query) bool {
	if len(q.Where) != 1 || len(q.Sort) > 0 || q.Name != nil {
		return false
	}
	c := &q.Where[0]
	p, known := definitions.ParamByID(c.Param)
	return known && p.Code == "identifier" && c.Shape == store.ShapeToken && leads(c) && len(c.Any) == 1 && c.Any[0].Value != nil && !c.Any[0].Below
}

// page reads one page in the order asked for, by keyset: the sort values and
// the rid of the last one stand in the cursor.
func (r *Reader) page(ctx context.Context, tx Tx, q *store.Query, page *store.Page) error {
	text, err := r.pageText(q, tx.Dialect())
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, text.b.String(), text.args...)
	if err != nil {
		return err
	}
	room := roomOf(q.Bytes)
	last := cursor{}
	var rids []int64
	for rows.Next() {
		values := make([]any, len(q.Sort))
		dest := make([]any, len(values))
		for i := range values {
			dest[i] = &values[i]
		}
		rid, res, err := room.scan(rows, dest...)
		if err != nil {
			return errors.Join(err, rows.Close())
		}
		if len(page.Resources) == q.Limit {
			page.Next = r.sealCursor(last)
			break
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = string(b)
			}
		}
		last = cursor{Values: values, RID: rid}
		page.Resources, rids = append(page.Resources, res), append(rids, rid)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || q.Name == nil {
		return err
	}
	return r.name(ctx, tx, q.Name, page, rids)
}

// pageText asks for the resources of a page. They are put in order by what they
// are sorted by alone; the contents are read of those of the page.
func (r *Reader) pageText(q *store.Query, dialect Dialect) (*sqlText, error) {
	text := &sqlText{dialect: dialect}
	text.add(`SELECT ` + resourceColumns)
	for i := range q.Sort {
		text.add(`, q.s` + strconv.Itoa(i))
	}
	text.add(` FROM (SELECT * FROM (SELECT r.rid`)
	for i, s := range q.Sort {
		if err := text.sortValue(s, i); err != nil {
			return nil, err
		}
	}
	text.add(` FROM resource r WHERE `)
	if err := text.matches(q, "r"); err != nil {
		return nil, err
	}
	text.add(`) q`)
	if q.After != "" {
		after, err := r.openCursor(q.After)
		if err != nil {
			return nil, err
		}
		if len(after.Values) != len(q.Sort) {
			return nil, store.ErrCursor
		}
		text.add(` WHERE `)
		text.after(q.Sort, after, 0)
	}
	text.order(q.Sort, "")
	text.add(` LIMIT ?) q JOIN resource r ON r.rid = q.rid`, q.Limit+1)
	text.order(q.Sort, "q.")
	return text, text.fits()
}

// order writes the order of a search; what is missing comes last.
func (q *sqlText) order(keys []store.SortKey, of string) {
	q.add(` ORDER BY `)
	for i, s := range keys {
		q.add(of + `s` + strconv.Itoa(i) + direction(s) + ` NULLS LAST, `)
	}
	q.add(of + `rid`)
}

func direction(s store.SortKey) string {
	if s.Desc {
		return " DESC"
	}
	return ""
}

// sortValue adds the value a resource is sorted by.
func (q *sqlText) sortValue(s store.SortKey, i int) error {
	name := ` AS s` + strconv.Itoa(i)
	best := `MIN` // of several values the one that comes first in the order
	if s.Desc {
		best = `MAX`
	}
	switch s.Shape {
	case store.ShapeDate:
		q.add(`, (SELECT `+best+`(x.lo) FROM ix_date x WHERE x.rid = r.rid AND x.pid = ?)`+name, int(s.Param))
	case store.ShapeString:
		q.add(`, (SELECT `+best+`(x.norm) FROM ix_string x WHERE x.rid = r.rid AND x.pid = ?)`+name, int(s.Param))
	case store.ShapeToken:
		// PostgreSQL has no MIN of bytes.
		q.add(`, (SELECT x.val FROM ix_token x WHERE x.rid = r.rid AND x.pid = ? ORDER BY x.val`+direction(s)+` LIMIT 1)`+name, int(s.Param))
	case store.ShapeNumber:
		q.add(`, (SELECT `+best+`(x.val) FROM ix_number x WHERE x.rid = r.rid AND x.pid = ?)`+name, int(s.Param))
	case store.ShapeLastUpdated:
		q.add(`, r.last_updated` + name)
	case store.ShapeID:
		q.add(`, r.id` + name)
	default:
		return fmt.Errorf("no order by shape %d", s.Shape)
	}
	return nil
}

// after adds the condition that a row comes behind a cursor: NULLs are last.
func (q *sqlText) after(keys []store.SortKey, c cursor, i int) {
	if i == len(keys) {
		q.add(`rid > ?`, c.RID)
		return
	}
	name := "s" + strconv.Itoa(i)
	if c.Values[i] == nil {
		q.add(`(` + name + ` IS NULL AND `)
		q.after(keys, c, i+1)
		q.add(`)`)
		return
	}
	op := " > "
	if keys[i].Desc {
		op = " < "
	}
	v := c.Values[i]
	if s, ok := v.(string); ok && keys[i].Shape == store.ShapeToken {
		v = []byte(s)
	}
	q.add(`(`+name+op+`? OR `+name+` IS NULL OR (`+name+` = ? AND `, v, v)
	q.after(keys, c, i+1)
	q.add(`))`)
}

// weight orders clauses: what selects few resources comes first and is looked
// up in its index; the others are asked of each that is left.
func weight(c *store.Clause) int {
	switch {
	case c.Contained != nil || len(c.Either) > 0:
		return 7
	case c.Not || c.Missing != nil || len(c.Or) > 0:
		return 9
	}
	if len(c.Together) > 0 {
		return 8
	}
	switch c.Shape {
	case store.ShapeID:
		return 0
	case store.ShapeRef:
		for i := range c.Chain {
			if !slices.ContainsFunc(c.Chain[i].Where, func(c store.Clause) bool { return weight(&c) <= 1 }) {
				return 2 // by something that several have
			}
		}
		return 1
	case store.ShapeToken:
		if p, ok := definitions.ParamByID(c.Param); ok && p.Code == "identifier" {
			return 1
		}
		return 4
	case store.ShapeString:
		return 3
	case store.ShapeNumber:
		return 5
	case store.ShapeDate:
		return 6
	}
	return 7
}

// matches writes the condition of a query over the resource of an alias.
func (q *sqlText) matches(query *store.Query, alias string) error {
	clauses := make([]*store.Clause, len(query.Where))
	for i := range query.Where {
		clauses[i] = &query.Where[i]
	}
	sort.SliceStable(clauses, func(i, j int) bool { return weight(clauses[i]) < weight(clauses[j]) })
	own := alias
	if q.dialect == SQLite && len(clauses) > 0 && (leads(clauses[0]) || clauses[0].Contained != nil || len(clauses[0].Either) > 0) {
		// SQLite, which counts no rows, would rather go over all resources of
		// the type than over those the clause finds; a sign keeps it from that.
		own = `+` + alias
	}
	q.add(own + `.tenant = 0 AND ` + alias + `.deleted = 0`)
	if query.Type != "*" {
		q.add(` AND `+own+`.rtype = ?`, definitions.Number(query.Type))
	}
	for i, c := range clauses {
		q.add(` AND `)
		if err := q.clause(c, alias, i == 0); err != nil {
			return err
		}
	}
	return nil
}

// tables are the index table of each shape.
var tables = map[store.Shape]string{
	store.ShapeToken: "ix_token", store.ShapeDate: "ix_date", store.ShapeString: "ix_string", store.ShapeRef: "ix_ref", store.ShapeNumber: "ix_number",
}

func (q *sqlText) clause(c *store.Clause, alias string, first bool) error {
	switch {
	case c.Contained != nil:
		return q.inside(c, alias, first)
	case len(c.Either) > 0:
		return q.either(c.Either, alias)
	case len(c.Or) > 0:
		return q.or(c, alias)
	case len(c.Together) > 0:
		return q.together(c, alias)
	case c.Has != nil:
		return q.has(c, alias)
	case c.Shape == store.ShapeNear:
		return q.near(c, alias)
	}
	if c.Shape == store.ShapeID || c.Shape == store.ShapeLastUpdated {
		return q.own(c, alias)
	}
	table, ok := tables[c.Shape]
	if !ok {
		return fmt.Errorf("no search by shape %d", c.Shape)
	}
	q.alias++
	x := "x" + strconv.Itoa(q.alias)
	if c.Missing != nil {
		not := ""
		if *c.Missing {
			not = "NOT "
		}
		q.add(not + `EXISTS (SELECT 1 FROM ` + table + ` ` + x + ` WHERE ` + x + `.rid = ` + alias + `.rid AND `)
		q.rows(c, x)
		q.add(`)`)
		return nil
	}
	if first && leads(c) {
		return q.lead(c, table, alias)
	}
	if c.Not {
		q.add(`NOT `)
	}
	q.add(`EXISTS (SELECT 1 FROM ` + table + ` ` + x + ` WHERE ` + x + `.rid = ` + alias + `.rid AND `)
	q.rows(c, x)
	q.add(` AND (`)
	if err := q.alternatives(c, x, false); err != nil {
		return err
	}
	q.add(`))`)
	return nil
}

func (q *sqlText) alternatives(c *store.Clause, x string, lead bool) error {
	return q.anyOf(0, len(c.Any)+len(c.Chain), func(i int) error {
		if i >= len(c.Any) {
			return q.chain(c, &c.Chain[i-len(c.Any)], x, lead)
		}
		m := &c.Any[i]
		switch c.Shape {
		case store.ShapeToken:
			q.token(m, x)
		case store.ShapeDate:
			q.interval(m, x)
		case store.ShapeString:
			q.text(m, x)
		case store.ShapeRef:
			q.reference(m, x)
		case store.ShapeNumber:
			q.number(m, x)
		}
		return nil
	})
}

// anyOf joins conditions by OR, halves with halves: a database bounds how deep an
// expression goes.
func (q *sqlText) anyOf(from, to int, write func(int) error) error {
	switch {
	case from >= to:
		q.add(`1 = 0`)
		return nil
	case to-from == 1:
		return write(from)
	}
	middle := (from + to) / 2
	q.add(`(`)
	if err := q.anyOf(from, middle, write); err != nil {
		return err
	}
	q.add(` OR `)
	if err := q.anyOf(middle, to, write); err != nil {
		return err
	}
	q.add(`)`)
	return nil
}

func (q *sqlText) token(m *store.Match, x string) {
	q.add(`(1 = 1`)
	if m.Value != nil {
		q.value(m, x)
	}
	if m.System != nil {
		q.add(` AND `+x+`.sys = ?`, systemID(*m.System))
	}
	q.add(`)`)
}

// interval compares [lo, hi] of the resource with the one searched for.
func (q *sqlText) interval(m *store.Match, x string) {
	switch m.Prefix {
	case "ne":
		q.add(`NOT (`+x+`.lo >= ? AND `+x+`.hi <= ?)`, m.Lo, m.Hi)
	case "lt":
		q.add(x+`.lo < ?`, m.Lo)
	case "gt":
		q.add(x+`.hi > ?`, m.Hi)
	case "le":
		q.add(x+`.lo <= ?`, m.Hi)
	case "ge":
		q.add(x+`.hi >= ?`, m.Lo)
	case "sa":
		q.add(x+`.lo > ?`, m.Hi)
	case "eb":
		q.add(x+`.hi < ?`, m.Lo)
	case "ap":
		q.add(`(`+x+`.lo <= ? AND `+x+`.hi >= ?)`, m.Hi, m.Lo)
	default:
		q.add(`(`+x+`.lo >= ? AND `+x+`.hi <= ?)`, m.Lo, m.Hi)
	}
}

func (q *sqlText) text(m *store.Match, x string) {
	switch {
	case m.Exact:
		q.add(x+`.val = ?`, []byte(limit(m.Text)))
	case m.Contains:
		escaped := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(noNUL(m.Text))
		q.add(x+`.norm LIKE ? ESCAPE '\'`, "%"+escaped+"%")
	default:
		q.add(`(`+x+`.norm >= ? AND `+x+`.norm < ?)`, noNUL(m.Text), noNUL(m.Text)+"\U0010FFFF")
	}
}

func (q *sqlText) reference(m *store.Match, x string) {
	key := noNUL(limit(m.ID))
	if m.ID == "" {
		q.add(x+`.ttype = ?`, definitions.Number(m.Type))
		return
	}
	if m.Type == "*" {
		q.add(`(`+x+`.tkey = ? AND `+x+`.ttype <> 0)`, key)
		return
	}
	q.add(`(`+x+`.tkey = ? AND `+x+`.ttype = ?)`, key, definitions.Number(m.Type))
}

func (q *sqlText) number(m *store.Match, x string) {
	q.add(`(`)
	switch m.Prefix {
	case "ne":
		q.add(`NOT (`+x+`.val >= ? AND `+x+`.val < ?)`, m.Low, m.High)
	case "lt", "eb":
		q.add(x+`.val < ?`, m.Low)
	case "gt", "sa":
		q.add(x+`.val > ?`, m.High)
	case "le":
		q.add(x+`.val <= ?`, m.High)
	case "ge":
		q.add(x+`.val >= ?`, m.Low)
	default:
		q.add(x+`.val >= ? AND `+x+`.val < ?`, m.Low, m.High)
	}
	if m.System != nil {
		q.add(` AND `+x+`.sys = ?`, systemID(*m.System))
	}
	if m.Unit != "" {
		q.add(` AND `+x+`.unit = ?`, noNUL(limit(m.Unit)))
	}
	q.add(`)`)
}

// own asks for _id and _lastUpdated.
func (q *sqlText) own(c *store.Clause, alias string) error {
	if c.Missing != nil {
		if *c.Missing {
			q.add(`1 = 0`)
		} else {
			q.add(`1 = 1`)
		}
		return nil
	}
	if c.Not {
		q.add(`NOT `)
	}
	return q.anyOf(0, len(c.Any), func(i int) error {
		m := &c.Any[i]
		switch {
		case c.Shape != store.ShapeID && q.within != "": // it is as old as the resource it stands in
			q.add(`EXISTS (SELECT 1 FROM resource o WHERE o.rid = ` + q.within + `.rid AND `)
			q.lastUpdated(m, "o")
			q.add(`)`)
			return nil
		case c.Shape != store.ShapeID:
			q.add(`(`)
			q.lastUpdated(m, alias)
			q.add(`)`)
			return nil
		case q.within != "":
			q.add(q.within+`.tkey = ?`, "#"+noNUL(*m.Value))
			return nil
		}
		value := ""
		if m.Value != nil {
			value = *m.Value
		}
		q.add(`(`+alias+`.id = ?`, noNUL(value))
		if m.Type != "" {
			q.add(` AND `+alias+`.rtype = ?`, definitions.Number(m.Type))
		}
		q.add(`)`)
		return nil
	})
}

func (q *sqlText) lastUpdated(m *store.Match, alias string) {
	at := alias + `.last_updated`
	switch m.Prefix {
	case "ne":
		q.add(`NOT (`+at+` BETWEEN ? AND ?)`, m.Lo, m.Hi)
	case "lt", "eb":
		q.add(at+` < ?`, m.Lo)
	case "gt", "sa":
		q.add(at+` > ?`, m.Hi)
	case "le":
		q.add(at+` <= ?`, m.Hi)
	case "ge":
		q.add(at+` >= ?`, m.Lo)
	default:
		q.add(`(`+at+` BETWEEN ? AND ?)`, m.Lo, m.Hi)
	}
}
