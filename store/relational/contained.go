package relational

import (
	"context"
	"errors"
	"strconv"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

// containable reports whether contained resources have rows for all that a query
// asks for.
func containable(q *store.Query) bool {
	for i := range q.Where {
		c := &q.Where[i]
		if c.Has != nil || len(c.Together) > 0 || c.Contained != nil || len(c.Either) > 0 || c.Shape == store.ShapeNear {
			return false
		}
		for _, list := range c.Or {
			if !containable(&store.Query{Where: list}) {
				return false
			}
		}
	}
	return true
}

// inside asks that the resource contains one that matches. It is looked up by the
// rows that stand for all contained resources, where that helps.
func (q *sqlText) inside(c *store.Clause, alias string, first bool) error {
	if !containable(c.Contained) {
		return errors.New("a contained resource has no rows for the query")
	}
	if c.Not {
		q.add(`NOT `)
	}
	q.add(`(`)
	if first && !c.Not {
		if err := q.lookUp(c.Contained, alias); err != nil {
			return err
		}
		q.add(` AND `)
	}
	err := q.one(c.Contained, alias, "")
	q.add(`)`)
	return err
}

// lookUp asks for the resources of which some contained ones match the clause of a
// query that selects most.
func (q *sqlText) lookUp(inner *store.Query, alias string) error {
	typ := inner.Type
	best := store.Clause{Shape: store.ShapeToken, Any: []store.Match{{Value: &typ}}}
	for i := range inner.Where {
		if c := &inner.Where[i]; leads(c) && len(c.Chain) == 0 && (best.Param == 0 || weight(c) < weight(&best)) {
			best = *c
		}
	}
	best.Also = append([]fhir.Param(nil), best.Also...)
	for i, p := range best.Also {
		best.Also[i] = search.AnyContained(p)
	}
	best.Param = search.AnyContained(best.Param)
	return q.lead(&best, tables[best.Shape], alias)
}

// one asks for one contained resource of a resource that matches a query; named is
// the column its id stands in, or empty.
func (q *sqlText) one(inner *store.Query, alias, named string) error {
	q.alias++
	g := "c" + strconv.Itoa(q.alias)
	q.add(`EXISTS (SELECT 1 FROM ix_ref ` + g + ` WHERE ` + g + `.rid = ` + alias + `.rid AND `)
	if named != "" {
		q.add(g + `.tkey = ` + named + ` AND `)
	}
	err := q.ofOwn(inner, g)
	q.add(`)`)
	return err
}

// ofOwn asks that the own row g of a contained resource is that of one that matches:
// all others have numbers that differ from its by those of the parameters.
func (q *sqlText) ofOwn(inner *store.Query, g string) error {
	q.add(`(`+g+`.pid BETWEEN ? AND ? AND `+g+`.ttype = ?`, int(search.Contained(0, 0)), int(search.Contained(0, search.MostContained-1)), definitions.Number(inner.Type))
	before := q.within
	q.within = g
	for i := range inner.Where {
		q.add(` AND `)
		if err := q.clause(&inner.Where[i], g, false); err != nil {
			return err
		}
	}
	q.within = before
	q.add(`)`)
	return nil
}

// apart is how far the number of a parameter of a contained resource is from that
// of its own row.
func apart(p fhir.Param) string {
	return strconv.Itoa(int(search.Contained(p, 0) - search.Contained(0, 0)))
}

// inner asks for the rows of a clause's parameters of the contained resource in
// hand.
func (q *sqlText) inner(c *store.Clause, x string) {
	q.add(x + `.pid IN (` + q.within + `.pid + ` + apart(c.Param))
	for _, p := range c.Also {
		q.add(`, ` + q.within + `.pid + ` + apart(p))
	}
	q.add(`)`)
}

// name notes which contained resources of a page match.
func (r *Reader) name(ctx context.Context, tx Tx, inner *store.Query, page *store.Page, rids []int64) error {
	for i := range page.Resources {
		text := &sqlText{dialect: tx.Dialect()}
		text.add(`SELECT g.pid FROM ix_ref g JOIN resource r ON r.rid = g.rid WHERE g.rid = ? AND r.version = ? AND `, rids[i], page.Resources[i].Version)
		if err := text.ofOwn(inner, "g"); err != nil {
			return err
		}
		text.add(` ORDER BY g.pid`)
		rows, err := tx.Query(ctx, text.b.String(), text.args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var pid int64
			if err := rows.Scan(&pid); err != nil {
				return errors.Join(err, rows.Close())
			}
			page.Resources[i].Contained = append(page.Resources[i].Contained, search.ContainedPlace(fhir.Param(pid)))
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
	}
	return nil
}

// either asks that one of some queries finds the resource.
func (q *sqlText) either(queries []store.Query, alias string) error {
	q.add(alias + `.rid IN (`)
	for i := range queries {
		if i > 0 {
			q.add(` UNION ALL `)
		}
		q.alias++
		t := "t" + strconv.Itoa(q.alias)
		q.add(`SELECT ` + t + `.rid FROM resource ` + t + ` WHERE `)
		if err := q.matches(&queries[i], t); err != nil {
			return err
		}
	}
	q.add(`)`)
	return nil
}
