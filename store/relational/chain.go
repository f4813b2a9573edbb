package relational

import (
	"strconv"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

// canonical reports whether references of a parameter may name resources by their
// canonical url.
func canonical(p fhir.Param) bool {
	param, ok := definitions.ParamByID(p)
	return ok && search.Canonical(param)
}

// next names a table of the statement.
func (q *sqlText) next(letter string) string {
	q.alias++
	return letter + strconv.Itoa(q.alias)
}

// chain asks that the reference x of a clause points to what a query finds. lead:
// what it finds is looked up; else it is asked of each reference that is left.
func (q *sqlText) chain(c *store.Clause, inner *store.Query, x string, lead bool) error {
	t := q.next("t")
	within := q.within
	q.within = ""
	q.add(`(`+x+`.ttype = ? AND `, definitions.Number(inner.Type))
	if lead {
		q.add(x + `.tkey IN (SELECT ` + t + `.id FROM resource ` + t + ` WHERE `)
	} else {
		q.add(`EXISTS (SELECT 1 FROM resource ` + t + ` WHERE ` + t + `.id = ` + x + `.tkey AND `)
	}
	if err := q.matches(inner, t); err != nil {
		return err
	}
	q.add(`))`)
	if !lead && canonical(c.Param) && search.Nameable(inner.Type) {
		n, t := q.next("n"), q.next("t")
		q.add(` OR (`+x+`.ttype = 0 AND EXISTS (SELECT 1 FROM ix_ref `+n+` JOIN resource `+t+` ON `+t+`.rid = `+n+`.rid WHERE `+n+`.tkey = `+x+`.tkey AND `+n+`.ttype = 0 AND `+n+`.pid = ? AND `, int(search.Named))
		if err := q.matches(inner, t); err != nil {
			return err
		}
		q.add(`))`)
	}
	q.within = within
	if !lead && containable(inner) {
		q.add(` OR (`+x+`.ttype = ? AND `, definitions.Number(inner.Type))
		if err := q.one(inner, x, x+`.tkey`); err != nil {
			return err
		}
		q.add(`)`)
	}
	return nil
}

// elsewhere adds to what a leading chain finds: resources with a reference to one
// they contain, which matches, or with the canonical url of one that matches.
func (q *sqlText) elsewhere(c *store.Clause) error {
	named := len(c.Chain) > 0 && canonical(c.Param)
	for i := range c.Chain {
		inner := &c.Chain[i]
		if containable(inner) {
			if err := q.toContained(c, inner); err != nil {
				return err
			}
		}
		if !named || !search.Nameable(inner.Type) {
			continue
		}
		x, n, t := q.next("x"), q.next("n"), q.next("t")
		q.add(` UNION ALL SELECT ` + x + `.rid FROM ix_ref ` + x + ` WHERE `)
		q.rows(c, x)
		q.add(` AND `+x+`.ttype = 0 AND `+x+`.tkey IN (SELECT `+n+`.tkey FROM ix_ref `+n+` JOIN resource `+t+` ON `+t+`.rid = `+n+`.rid WHERE `+n+`.pid = ? AND `, int(search.Named))
		if err := q.matches(inner, t); err != nil {
			return err
		}
		q.add(`)`)
	}
	return nil
}

// toContained adds resources with a reference to one they contain, which matches.
func (q *sqlText) toContained(c *store.Clause, inner *store.Query) error {
	x := q.next("x")
	q.add(` UNION ALL SELECT ` + x + `.rid FROM ix_ref ` + x + ` WHERE `)
	if err := q.lookUp(inner, x); err != nil {
		return err
	}
	q.add(` AND `)
	q.rows(c, x)
	q.add(` AND `+x+`.ttype = ? AND `, definitions.Number(inner.Type))
	return q.one(inner, x, x+`.tkey`)
}

// has asks for resources that another one, which matches, points to.
func (q *sqlText) has(c *store.Clause, alias string) error {
	x, t := q.next("x"), q.next("t")
	if c.Not {
		q.add(`NOT `)
	}
	q.add(`(EXISTS (SELECT 1 FROM ix_ref `+x+` JOIN resource `+t+` ON `+t+`.rid = `+x+`.rid WHERE `+x+`.tkey = `+alias+`.id AND `+x+`.ttype = `+alias+`.rtype AND `+x+`.pid = ? AND `, int(c.Param))
	if err := q.matches(c.Has, t); err != nil {
		return err
	}
	q.add(`)`)
	if canonical(c.Param) {
		n, x, t := q.next("n"), q.next("x"), q.next("t")
		q.add(` OR EXISTS (SELECT 1 FROM ix_ref `+n+` JOIN ix_ref `+x+` ON `+x+`.tkey = `+n+`.tkey JOIN resource `+t+` ON `+t+`.rid = `+x+`.rid WHERE `+n+`.rid = `+alias+`.rid AND `+n+`.pid = ? AND `+x+`.ttype = 0 AND `+x+`.pid = ? AND `, int(search.Named), int(c.Param))
		if err := q.matches(c.Has, t); err != nil {
			return err
		}
		q.add(`)`)
	}
	q.add(`)`)
	return nil
}
