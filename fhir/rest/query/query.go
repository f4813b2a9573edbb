// Package query reads the search parameters of a FHIR request (search.html of
// R4) and compiles them to a query of the store.
package query

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/fhir/terms"
	"github.com/plexus-health/plexus/store"
)

// An Error says what is wrong with a search. It holds no value of it.
type Error struct {
	Code string // issue-type
	Text string
	// Param is the parameter that is wrong, where that is one that is known.
	Param string
}

// Error gives the reason.
func (e *Error) Error() string { return e.Text }

// A Search is a search as it was understood.
type Search struct {
	store.Query
	// Used are the parameters understood, for the self link.
	Used     url.Values
	Includes []Include
	// View is what of a match is shown: _summary and _elements.
	View View
	// contained is _contained: false, true or both; Alone is true where of what
	// matches the contained resource is shown, not its container.
	contained string
	Alone     bool
	*shared
}

const (
	defaultPage = 50
	largestPage = 1000
	deepest     = 3 // chained parameters and _has
)

// Bounds of one search.
const (
	mostParameters   = 64
	mostAlternatives = 2500 // what is bound to a statement costs more than its number
	mostQueries      = 500  // of chains: one for each type a reference may point to
	mostIncludes     = 32
	mostPlaces       = 100 // and lists
	mostKeys         = 4   // of _sort
)

// What is shared with the queries of chains: what a search may still ask for, and
// what is known of codes.
type shared struct {
	alternatives, queries int
	terms                 Terms
}

// Terms tell what :in, :not-in, :below and :above of tokens and references mean. Errors of type
// *terms.Error are answered as those of the search.
type Terms interface {
	// In lists the codes of a value set, by its canonical URL or a reference to
	// it: a Concept without a code stands for all of its system.
	In(valueSet string) ([]terms.Concept, error)
	// System is a code system with all its codes.
	System(url string) (*terms.System, error)
	// Parts lists the ids of a resource and of those that are part of it, or above,
	// that it is part of.
	Parts(typ, id string, above bool) ([]string, error)
}

func costly(text string) error { return &Error{Code: "too-costly", Text: text} }

// PageSize is the number of a page's entries that _count asks for, or what is the
// rule where it does not. The error is an *Error.
func PageSize(values url.Values) (int, error) {
	text := values.Get("_count")
	if text == "" {
		return defaultPage, nil
	}
	if strings.Trim(text, "0123456789") != "" {
		return 0, badOf("_count", "_count is no number from 0")
	}
	n, err := strconv.Atoi(text)
	if err != nil { // more than a number holds
		return largestPage, nil //nolint:nilerr // it asks for the largest
	}
	return min(n, largestPage), nil
}

// Values reads the text of a query. What is malformed in it is refused, not left
// out: a parameter that is lost would find too much. The error is an *Error.
func Values(text string) (url.Values, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, bad("the query is malformed: it is written name=value&name=value, with % before two hexadecimal digits and %3B for a semicolon")
	}
	return values, readable(values)
}

// readable refuses what is no text that a store can hold.
func readable(values url.Values) error {
	for name, list := range values {
		for _, one := range append([]string{name}, list...) {
			if !utf8.ValidString(one) || strings.IndexByte(one, 0) >= 0 {
				return bad("the query is not valid UTF-8, or has a NUL")
			}
		}
	}
	return nil
}

func bad(text string) error { return badOf("", text) }

func badOf(param, text string) error { return &Error{Code: "invalid", Text: text, Param: param} }

// Parse reads search parameters (search.html). strict refuses what is not known;
// else it is left out, also of the self link. The error is an *Error, or one that
// reading the codes of a value set met.
func Parse(typ string, values url.Values, strict bool, known Terms) (*Search, error) {
	if err := readable(values); err != nil {
		return nil, err
	}
	size, err := PageSize(values)
	if err != nil {
		return nil, err
	}
	p := &Search{
		Query: store.Query{Type: typ, Limit: size}, Used: url.Values{},
		shared: &shared{mostAlternatives, mostQueries, known},
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range values[name] {
			known, err := p.parameter(name, value, 0)
			if err != nil {
				return nil, of(typ, name, err)
			}
			switch {
			case known:
				p.Used.Add(name, value)
			case strict:
				return nil, bad("a search parameter is not known for " + typ)
			}
		}
	}
	switch {
	case len(p.Where) > mostParameters:
		return nil, costly("a search has more than 64 parameters")
	case len(p.Includes) > mostIncludes:
		return nil, costly("a search has more than 32 includes")
	case p.View.Summary == "count":
		p.Limit = 0
	}
	return p, p.contain()
}

// of says which parameter an error is of: its name without modifiers, since these
// may be any text.
func of(typ, name string, err error) error {
	e, ours := errors.AsType[*Error](err)
	if !ours {
		return err
	}
	end := strings.IndexAny(name, ":.")
	if end < 0 {
		end = len(name)
	}
	if _, known := definitions.FindParam(typ, name[:end]); known || slices.Contains(named, name[:end]) {
		return &Error{Code: e.Code, Text: e.Text, Param: name[:end]}
	}
	return err
}

// named are the parameters that no table of R4 lists for each type.
var named = []string{
	"_id", "_lastUpdated", "_list", "_count", "_total", "_sort", "_summary", "_elements", "_contained", "_containedType", "_include", "_revinclude",
	"_filter", "_query", "_text", "_content", "_tag", "_profile", "_security", "_source", "_page", "_type", "_has",
}

// parameter takes one parameter with its value.
func (p *Search) parameter(name, value string, depth int) (known bool, err error) {
	switch name {
	case "_count", "_format", "_pretty":
		return true, nil
	case "_type": // of a compartment: see inside
		return p.Type == "*", nil
	case "_page":
		p.After = value
		return true, nil
	case "_total":
		p.Total = value != "none"
		return true, oneOf(name, value, "none", "estimate", "accurate")
	case "_summary", "_elements":
		return true, p.View.take(p.Type, name, value)
	case "_contained":
		p.contained = value
		return true, oneOf(name, value, "false", "true", "both")
	case "_containedType":
		p.Alone = value == "contained"
		return true, oneOf(name, value, "container", "contained")
	case "_sort":
		return true, p.sort(value)
	case "_filter", "_query", "_text", "_content":
		return true, &Error{Code: "not-supported", Text: name + " is not supported"}
	case "_list":
		if strings.Count(value, ",") >= mostPlaces {
			return true, costly("_list takes at most 100 lists")
		}
		return true, p.list(value)
	case "_include", "_revinclude", "_include:iterate", "_revinclude:iterate", "_include:recurse", "_revinclude:recurse":
		return p.include(name, value)
	}
	if rest, ok := strings.CutPrefix(name, "_has:"); ok {
		return true, p.has(rest, value, depth)
	}
	code, rest, chained := strings.Cut(name, ".")
	code, modifier, _ := strings.Cut(code, ":")
	if chained {
		return p.chain(code, modifier, rest, value, depth)
	}
	if p.alternatives -= 1 + strings.Count(value, ","); p.alternatives < 0 {
		return true, costly("a search has more than 2500 values")
	}
	clause, known, err := p.clauseOf(p.Type, code, modifier, value)
	if err != nil || !known {
		return known, err
	}
	p.Where = append(p.Where, clause)
	return true, nil
}

// clauseOf compiles code:modifier=value.
func (p *Search) clauseOf(typ, code, modifier, value string) (c store.Clause, known bool, err error) {
	if code == "_id" || code == "_lastUpdated" {
		c, err = everyone(code, modifier, value)
		return c, true, err
	}
	if typ == "*" {
		return p.anyType(code, modifier, value)
	}
	param, ok := definitions.FindParam(typ, code)
	if !ok {
		return c, false, nil
	}
	if modifier == "missing" {
		c, err = missing(param, value)
		return c, true, err
	}
	if param.Combined() {
		c, err = p.combined(typ, code, modifier, value)
		return c, true, err
	}
	c, err = p.valuesOf(param, modifier, value)
	return c, true, err
}

// valuesOf compiles the values of a parameter.
func (p *Search) valuesOf(param *definitions.Param, modifier, value string) (c store.Clause, err error) {
	c.Param, c.Shape = param.Row, shapeOf(param.Kind)
	switch param.Kind {
	case "token":
		err = p.tokens(&c, param, modifier, value)
	case "uri":
		err = uris(&c, modifier, value)
	case "string":
		err = texts(&c, modifier, value)
	case "date":
		c.Any, err = dates(value)
		err = firstError(err, onlyModifier(modifier))
	case "reference":
		if modifier == "below" || modifier == "above" {
			return c, p.hierarchy(&c, param, modifier, value)
		}
		err = references(&c, param, modifier, value)
	case "composite":
		c, err = p.composites(param, value)
		err = firstError(err, onlyModifier(modifier))
	case "special":
		err = firstError(near(&c, value), onlyModifier(modifier))
	default:
		err = numbers(&c, value)
		err = firstError(err, onlyModifier(modifier))
	}
	return c, err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func onlyModifier(modifier string) error {
	if modifier != "" {
		return bad("a modifier is not known for this parameter")
	}
	return nil
}

func shapeOf(kind string) store.Shape {
	switch kind {
	case "date":
		return store.ShapeDate
	case "string":
		return store.ShapeString
	case "reference":
		return store.ShapeRef
	case "number", "quantity":
		return store.ShapeNumber
	case "special":
		return store.ShapeNear
	}
	return store.ShapeToken
}

// list cuts alternatives at commas that are not escaped (search.html#escaping).
func list(value string) []string {
	var out []string
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && i+1 < len(value) && strings.IndexByte(`,$|\\`, value[i+1]) >= 0:
			i++
			switch value[i] {
			case '|':
				b.WriteString("\x00") // not the separator of system and code
			case '$':
				b.WriteString("\x01") // not the separator of components
			default:
				b.WriteByte(value[i])
			}
		case c == ',':
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	return append(out, b.String())
}

// plain puts back what was escaped.
func plain(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\x00", "|"), "\x01", "$")
}

// prefixes of ordered values (search.html#prefix).
func prefix(s string) (string, string) {
	if len(s) > 2 {
		switch s[:2] {
		case "eq", "ne", "lt", "gt", "le", "ge", "sa", "eb", "ap":
			return s[:2], s[2:]
		}
	}
	return "", s
}

func dates(value string) ([]store.Match, error) {
	var out []store.Match
	for _, one := range list(value) {
		p, rest := prefix(one)
		lo, hi, ok := search.Interval(strings.ReplaceAll(rest, " ", "+")) // a + that was not escaped
		if !ok {
			return nil, bad("a date is not written as YYYY, YYYY-MM, YYYY-MM-DD or with a time")
		}
		out = append(out, store.Match{Prefix: p, Lo: lo, Hi: hi})
	}
	return out, nil
}

func references(c *store.Clause, param *definitions.Param, modifier, value string) error {
	target := ""
	switch {
	case modifier == "identifier":
		c.Param, c.Shape = search.Identifier(param.Row), store.ShapeToken
		return codes(c, nil, value)
	case modifier == "text":
		c.Param, c.Shape = search.Text(param.Row), store.ShapeString
		return texts(c, "", value)
	case modifier == "in", modifier == "not-in":
		return bad("a modifier is not supported for references; supported: :Type, :identifier, :text, :above, :below, :missing")
	case modifier != "":
		if _, known := definitions.Resource(modifier); !known {
			return bad("a modifier of a reference is no resource type")
		}
		target = modifier
	}
	for _, one := range list(value) {
		one = plain(one)
		if one == "" {
			return bad("a reference is empty")
		}
		typ, id, ok := localReference(one)
		switch {
		case ok && param.Part() && typ != param.Targets[0]:
			// Found by the other parameter only: nothing matches here.
		case ok:
			c.Any = append(c.Any, store.Match{Type: typ, ID: id})
		case strings.ContainsAny(one, "/:"):
			c.Any = append(c.Any, store.Match{ID: one})
		case target != "":
			c.Any = append(c.Any, store.Match{Type: target, ID: one})
		case len(param.Targets) == 1:
			c.Any = append(c.Any, store.Match{Type: param.Targets[0], ID: one})
		default:
			c.Any = append(c.Any, store.Match{Type: "*", ID: one})
		}
	}
	return nil
}

// localReference reads Type/id, or an address of it under any base.
func localReference(s string) (typ, id string, ok bool) {
	parts := strings.Split(s, "/")
	if len(parts) > 2 && parts[len(parts)-2] == "_history" {
		parts = parts[:len(parts)-2]
	}
	if len(parts) < 2 {
		return "", "", false
	}
	typ, id = parts[len(parts)-2], parts[len(parts)-1]
	if _, known := definitions.Resource(typ); !known || len(parts) > 2 {
		return "", "", false
	}
	return typ, id, true
}

// numbers compiles numbers and quantities; a number means the interval of its
// precision: 5.4 is [5.35, 5.45) (search.html#number).
func numbers(c *store.Clause, value string) error {
	for _, one := range list(value) {
		p, rest := prefix(one)
		parts := strings.Split(rest, "|")
		d, _, err := apd.NewFromString(parts[0])
		if err != nil || d.Form != apd.Finite || d.Exponent < -100 || d.Exponent > 100 {
			return bad("a number is not written as a decimal")
		}
		if d.NumDigits()+int64(d.Exponent) > search.MostDigits {
			return bad("a number is out of range")
		}
		half := apd.New(5, d.Exponent-1)
		low, high := new(apd.Decimal), new(apd.Decimal)
		ctx := apd.BaseContext.WithPrecision(100)
		if _, err := ctx.Sub(low, d, half); err != nil {
			return bad("a number is out of range")
		}
		if _, err := ctx.Add(high, d, half); err != nil {
			return bad("a number is out of range")
		}
		m := store.Match{Prefix: p, Low: low.Text('f'), High: high.Text('f')}
		switch p {
		case "lt", "le", "gt", "ge", "sa", "eb": // the number itself, not its precision
			m.Low, m.High = d.Text('f'), d.Text('f')
		case "ap": // within a tenth of it
			tenth := apd.New(0, 0).Abs(d)
			tenth.Exponent--
			if _, err := ctx.Sub(low, d, tenth); err != nil {
				return bad("a number is out of range")
			}
			if _, err := ctx.Add(high, d, tenth); err != nil {
				return bad("a number is out of range")
			}
			m.Prefix, m.Low, m.High = "", low.Text('f'), high.Text('f')
		}
		if len(parts) > 3 {
			return bad("a quantity is number|system|code")
		}
		if len(parts) > 1 && parts[1] != "" {
			system := plain(parts[1])
			m.System = &system
		}
		if len(parts) > 2 {
			m.Unit = plain(parts[2])
		}
		c.Any = append(c.Any, m)
	}
	return nil
}

// chain compiles subject:Patient.name=… and patient.identifier=….
func (p *Search) chain(code, target, rest, value string, depth int) (bool, error) {
	param, ok := definitions.FindParam(p.Type, code)
	if !ok {
		return false, nil
	}
	if param.Kind != "reference" {
		return true, bad("a chain goes through a parameter that is no reference")
	}
	if depth >= deepest {
		return true, costly("a chain has more than 3 steps")
	}
	targets := param.Targets
	if target != "" {
		if _, known := definitions.Resource(target); !known {
			return true, bad("a chain names no resource type")
		}
		targets = []string{target}
	}
	c := store.Clause{Param: param.Row, Shape: store.ShapeRef}
	for _, t := range targets {
		if p.queries--; p.queries < 0 {
			return true, costly("a chain goes through references to too many types: name one, as in subject:Patient.name")
		}
		inner := &Search{Query: store.Query{Type: t}, Used: url.Values{}, shared: p.shared}
		known, err := inner.parameter(rest, value, depth+1)
		if err != nil {
			return true, err
		}
		if known && len(inner.Where) > 0 {
			c.Chain = append(c.Chain, inner.Query)
		}
	}
	if len(c.Chain) == 0 {
		return false, nil
	}
	p.Where = append(p.Where, c)
	return true, nil
}

// has compiles _has:Observation:patient:code=….
func (p *Search) has(name, value string, depth int) error {
	parts := strings.SplitN(name, ":", 3)
	if len(parts) != 3 {
		return bad("_has is written _has:Type:reference:parameter")
	}
	if depth >= deepest {
		return costly("_has is more than 3 deep")
	}
	param, ok := definitions.FindParam(parts[0], parts[1])
	if !ok || param.Kind != "reference" {
		return bad("_has names no reference parameter")
	}
	inner := &Search{Query: store.Query{Type: parts[0]}, Used: url.Values{}, shared: p.shared}
	known, err := inner.parameter(parts[2], value, depth+1)
	if err != nil {
		return err
	}
	if !known {
		return bad("_has names no parameter of its type")
	}
	p.Where = append(p.Where, store.Clause{Param: param.Row, Shape: store.ShapeRef, Has: &inner.Query})
	return nil
}

func (p *Search) sort(value string) error {
	if strings.Count(value, ",") >= mostKeys {
		return costly("_sort has more than 4 keys")
	}
	for key := range strings.SplitSeq(value, ",") {
		code, desc := strings.CutPrefix(key, "-")
		s := store.SortKey{Desc: desc}
		switch code {
		case "_id":
			s.Shape = store.ShapeID
		case "_lastUpdated":
			s.Shape = store.ShapeLastUpdated
		default:
			param, ok := definitions.FindParam(p.Type, code)
			if !ok || param.Kind == "reference" || param.Kind == "composite" || param.Kind == "special" || param.Combined() {
				return bad("_sort names no parameter that gives an order")
			}
			s.Param, s.Shape = param.Row, shapeOf(param.Kind)
		}
		p.Sort = append(p.Sort, s)
	}
	if len(p.Sort) > mostKeys { // of several _sort
		return costly("_sort has more than 4 keys")
	}
	return nil
}
