package query

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

func oneOf(name, value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return bad(name + " takes " + strings.Join(allowed, ", "))
	}
	return nil
}

// everyone compiles what every resource has: its id and its time.
func everyone(code, modifier, value string) (c store.Clause, err error) {
	c.Shape = store.ShapeID
	if code == "_lastUpdated" {
		c.Shape = store.ShapeLastUpdated
	}
	switch {
	case modifier == "missing":
		lacks := value == "true"
		c.Missing = &lacks
		return c, oneOf(":missing", value, "true", "false")
	case code == "_lastUpdated":
		c.Any, err = dates(value)
		return c, firstError(onlyModifier(modifier), err)
	case modifier == "not":
		c.Not = true
	default:
		err = onlyModifier(modifier)
	}
	for _, one := range list(value) {
		c.Any = append(c.Any, store.Match{Value: &one})
	}
	return c, err
}

// anyType compiles a parameter that all types have, for a search of several.
func (p *Search) anyType(code, modifier, value string) (c store.Clause, known bool, err error) {
	if !slices.Contains([]string{"_tag", "_profile", "_security", "_source"}, code) {
		return c, false, nil
	}
	for _, typ := range definitions.Resources() {
		param, ok := definitions.FindParam(typ, code)
		switch {
		case !ok:
		case c.Param != 0:
			c.Also = append(c.Also, param.Row)
		case modifier == "text" || modifier == "of-type" || modifier == "missing":
			return c, true, bad("a modifier is not supported over several types")
		default:
			if c, err = p.valuesOf(param, modifier, value); err != nil {
				return c, true, err
			}
		}
	}
	return c, true, nil
}

// missing compiles :missing: an element that has a text or an identifier only is
// not missing (search.html#missing).
func missing(param *definitions.Param, value string) (store.Clause, error) {
	c := store.Clause{Not: value == "true"}
	if err := oneOf(":missing", value, "true", "false"); err != nil {
		return c, err
	}
	there := false
	row := func(p fhir.Param, shape store.Shape) {
		c.Or = append(c.Or, []store.Clause{{Param: p, Shape: shape, Missing: &there}})
	}
	switch {
	case param.Combined():
		for _, code := range halves(param.Code) {
			of, ok := definitions.FindParam(param.Type, code)
			if !ok {
				return c, bad(":missing is not supported for this parameter")
			}
			inner, err := missing(of, "false")
			if err != nil {
				return c, err
			}
			c.Or = append(c.Or, []store.Clause{inner})
		}
	case param.Kind == "composite":
		return c, bad(":missing is not supported for composites")
	case param.Part(): // its rows are those of the other one that have its type
		c.Or = [][]store.Clause{{{Param: param.Row, Shape: store.ShapeRef, Any: []store.Match{{Type: param.Targets[0]}}}}}
	case param.Kind == "token":
		row(param.Row, store.ShapeToken)
		row(search.Text(param.Row), store.ShapeString)
	case param.Kind == "reference":
		row(param.Row, store.ShapeRef)
		row(search.Text(param.Row), store.ShapeString)
		row(search.Identifier(param.Row), store.ShapeToken)
	default:
		row(param.Row, shapeOf(param.Kind))
	}
	return c, nil
}

// halves are the parameters that combo-X combines.
func halves(code string) []string {
	half := strings.TrimPrefix(code, "combo-")
	return []string{half, "component-" + half}
}

// combined compiles combo-X: X or component-X.
func (p *Search) combined(typ, code, modifier, value string) (store.Clause, error) {
	c := store.Clause{}
	for _, half := range halves(code) {
		one, known, err := p.clauseOf(typ, half, modifier, value)
		if err != nil {
			return c, err
		}
		if !known {
			return c, bad("a combined parameter is not known")
		}
		c.Not, one.Not = one.Not, false
		c.Or = append(c.Or, []store.Clause{one})
	}
	return c, nil
}

// typed compiles system|code|value of an identifier's type.
func typed(c *store.Clause, value string) error {
	for _, one := range list(value) {
		parts := strings.Split(one, "|")
		if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
			return bad(":of-type takes system|code|value")
		}
		system, code := plain(parts[0]), plain(parts[1])+"|"+plain(parts[2])
		m := store.Match{Value: &code}
		if system != "" {
			m.System = &system
		}
		c.Any = append(c.Any, m)
	}
	return nil
}

// uris compiles uris; :above and :below go by the segments of a URL's path
// (search.html#uri).
func uris(c *store.Clause, modifier, value string) error {
	switch modifier {
	case "", "below", "above":
	default:
		return bad("a modifier is not supported for uris; supported: :above, :below, :missing")
	}
	for _, one := range list(value) {
		one = plain(one)
		scheme, _, _ := strings.Cut(one, ":")
		switch {
		case one == "":
			return bad("a uri is empty")
		case modifier == "":
			c.Any = append(c.Any, store.Match{Value: &one})
			continue
		case strings.EqualFold(scheme, "urn"):
			return bad(":above and :below are for URLs, not for URNs")
		}
		base := strings.TrimRight(one, "/")
		if modifier == "below" {
			c.Any = append(c.Any, store.Match{Value: &base, Below: true})
			continue
		}
		if strings.Count(base, "/") > 64 {
			return costly("a URL has more than 64 segments")
		}
		host := strings.Index(base, "://") + 3
		for len(base) > host || host == 2 && base != "" {
			with := base + "/"
			above := base
			c.Any = append(c.Any, store.Match{Value: &above}, store.Match{Value: &with})
			base = base[:max(strings.LastIndexByte(base, '/'), 0)]
		}
	}
	return nil
}

func texts(c *store.Clause, modifier, value string) error {
	for _, one := range list(value) {
		one = plain(one)
		m := store.Match{Text: search.Fold(one)}
		switch modifier {
		case "":
		case "exact":
			m.Text, m.Exact = one, true
		case "contains":
			m.Contains = true
		default:
			return bad("a modifier is not supported for strings; supported: :exact, :contains, :missing")
		}
		if m.Text == "" {
			return bad("a string parameter has no letter, digit or sign to look for")
		}
		c.Any = append(c.Any, m)
	}
	return nil
}

// composites compiles a$b: both of one element. Where the element is the
// resource itself its parts are parameters of their own.
func (p *Search) composites(param *definitions.Param, value string) (store.Clause, error) {
	c := store.Clause{Param: param.ID}
	for _, one := range list(value) {
		parts := strings.Split(one, "$")
		if len(parts) != len(param.Components) {
			return c, bad("a composite takes " + strconv.Itoa(len(param.Components)) + " values, separated by $")
		}
		var all []store.Clause
		for i, part := range parts {
			of, ok := definitions.FindParam(param.Type, param.Components[i].Code)
			if !ok {
				return c, bad("a component of the parameter is not known")
			}
			clause, err := p.valuesOf(of, "", again(part))
			if err != nil {
				return c, err
			}
			all = append(all, clause)
		}
		if param.Expression == param.Type {
			c.Or = append(c.Or, all)
			continue
		}
		// The first part alone is looked up in its index.
		c.Or = append(c.Or, []store.Clause{all[0], {Param: param.ID, Together: all}})
	}
	return c, nil
}

// again escapes a part for being read once more.
func again(part string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, "\x00", `\|`, "\x01", `\$`).Replace(part)
}

// nearby is the distance in kilometers where none is said.
const nearby = 10

// near compiles latitude|longitude|distance|unit (location.html#positional).
func near(c *store.Clause, value string) error {
	if strings.Count(value, ",") >= mostPlaces {
		return costly("near takes at most 100 places")
	}
	for _, one := range list(value) {
		parts := strings.Split(one, "|")
		if len(parts) < 2 || len(parts) > 4 {
			return bad("near takes latitude|longitude|distance|unit")
		}
		km := 1.0
		if len(parts) == 4 {
			units := map[string]float64{"": 1, "km": 1, "m": 0.001, "[mi_us]": 1.609347, "[mi_i]": 1.609344, "mi": 1.609344}
			factor, known := units[parts[3]]
			if !known {
				return bad("near takes km, m, [mi_i] or [mi_us] as unit")
			}
			km = factor
		}
		distance := nearby / km
		var numbers [3]float64
		for i, part := range parts[:min(len(parts), 3)] {
			if i == 2 && part == "" {
				continue
			}
			n, err := strconv.ParseFloat(part, 64)
			if err != nil || n != n || i == 2 && n < 0 || i == 0 && (n < -90 || n > 90) || i == 1 && (n < -180 || n > 180) {
				return bad("near takes latitude from -90 to 90, longitude from -180 to 180 and a distance")
			}
			numbers[i] = n
			if i == 2 {
				distance = n
			}
		}
		c.Any = append(c.Any, store.Match{Point: search.Place(numbers[0], numbers[1]), Chord: search.Chord(distance * km)})
	}
	return nil
}

var goodID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// list compiles _list: the resources that stand in one of some Lists.
func (p *Search) list(value string) error {
	item, ok := definitions.FindParam("List", "item")
	if !ok {
		return bad("_list is not supported")
	}
	ids := store.Clause{Shape: store.ShapeID}
	for _, one := range list(value) {
		one = strings.TrimPrefix(plain(one), "List/")
		if !goodID.MatchString(one) {
			return bad("_list takes ids of Lists; lists that are computed ($current-…) are not supported")
		}
		ids.Any = append(ids.Any, store.Match{Value: &one})
	}
	p.Where = append(p.Where, store.Clause{Param: item.Row, Shape: store.ShapeRef, Has: &store.Query{Type: "List", Where: []store.Clause{ids}}})
	return nil
}

// Here lets a reference that is written with the address of this server and one
// without it find the same (search.html#reference).
func Here(base string, clauses []store.Clause) {
	for i := range clauses {
		c := &clauses[i]
		for _, list := range c.Or {
			Here(base, list)
		}
		Here(base, c.Together)
		for k := range c.Chain {
			Here(base, c.Chain[k].Where)
		}
		for k := range c.Either {
			Here(base, c.Either[k].Where)
		}
		if c.Has != nil {
			Here(base, c.Has.Where)
		}
		if c.Contained != nil {
			Here(base, c.Contained.Where)
		}
		if c.Shape != store.ShapeRef {
			continue
		}
		for _, m := range c.Any {
			switch rest, ours := strings.CutPrefix(m.ID, base+"/"); {
			case m.Type == "" && ours:
				if typ, id, ok := localReference(rest); ok {
					c.Any = append(c.Any, store.Match{Type: typ, ID: id})
				}
			case m.Type != "" && m.Type != "*" && m.ID != "":
				c.Any = append(c.Any, store.Match{ID: base + "/" + m.Type + "/" + m.ID})
			}
		}
	}
}
