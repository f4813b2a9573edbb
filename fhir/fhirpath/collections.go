package fhirpath

import (
	"slices"
)

// collectionFunctions are those of existence, filtering, subsetting, combining,
// tree navigation and aggregation (FHIRPath N1, 5.1 to 5.4, 5.8, 7).
var collectionFunctions = map[string]function{
	"empty":          {run: func(_ *machine, c *call) ([]Value, error) { return truthValues(len(c.in) == 0, nil) }},
	"exists":         {most: 1, run: exists},
	"all":            {least: 1, most: 1, run: all},
	"allTrue":        {run: func(_ *machine, c *call) ([]Value, error) { return everyTruth(c, true, true) }},
	"allFalse":       {run: func(_ *machine, c *call) ([]Value, error) { return everyTruth(c, false, true) }},
	"anyTrue":        {run: func(_ *machine, c *call) ([]Value, error) { return everyTruth(c, true, false) }},
	"anyFalse":       {run: func(_ *machine, c *call) ([]Value, error) { return everyTruth(c, false, false) }},
	"not":            {run: negation},
	"subsetOf":       {least: 1, most: 1, run: subsetOf},
	"supersetOf":     {least: 1, most: 1, run: supersetOf},
	"count":          {run: func(_ *machine, c *call) ([]Value, error) { return []Value{integer(int64(len(c.in)))}, nil }},
	"distinct":       {run: func(m *machine, c *call) ([]Value, error) { return m.union(c.in, nil, c.n.at) }},
	"isDistinct":     {run: isDistinct},
	"where":          {least: 1, most: 1, run: where},
	"select":         {least: 1, most: 1, run: project},
	"repeat":         {least: 1, most: 1, run: func(m *machine, c *call) ([]Value, error) { return repeat(m, c, true) }},
	"repeatAll":      {least: 1, most: 1, run: func(m *machine, c *call) ([]Value, error) { return repeat(m, c, false) }},
	"ofType":         {typed: true, run: func(m *machine, c *call) ([]Value, error) { return m.kept(c.in, c.n) }},
	"is":             {typed: true, run: func(m *machine, c *call) ([]Value, error) { return m.ofType(c.in, c.n) }},
	"as":             {typed: true, run: func(m *machine, c *call) ([]Value, error) { return m.ofType(c.in, c.n) }},
	"single":         {run: theSingle},
	"first":          {run: func(_ *machine, c *call) ([]Value, error) { return slices.Clip(c.in[:min(1, len(c.in))]), nil }},
	"last":           {run: func(_ *machine, c *call) ([]Value, error) { return c.in[max(0, len(c.in)-1):], nil }},
	"tail":           {run: func(_ *machine, c *call) ([]Value, error) { return c.in[min(1, len(c.in)):], nil }},
	"skip":           {least: 1, most: 1, run: skip},
	"take":           {least: 1, most: 1, run: take},
	"intersect":      {least: 1, most: 1, run: intersect},
	"exclude":        {least: 1, most: 1, run: exclude},
	"union":          {least: 1, most: 1, run: unionWith},
	"combine":        {least: 1, most: 1, run: combine},
	"coalesce":       {least: 1, most: -1, run: coalesce},
	"iif":            {least: 2, most: 3, run: iif},
	"children":       {run: childrenOf},
	"descendants":    {run: descendantsOf},
	"aggregate":      {least: 1, most: 2, run: aggregate},
	"sum":            {run: func(m *machine, c *call) ([]Value, error) { return m.total(c) }},
	"avg":            {run: average},
	"min":            {run: func(m *machine, c *call) ([]Value, error) { return m.extreme(c, opLess) }},
	"max":            {run: func(m *machine, c *call) ([]Value, error) { return m.extreme(c, opGreater) }},
	"sort":           {most: -1, run: sorted},
	"trace":          {least: 1, most: 2, run: trace},
	"defineVariable": {least: 1, most: 2, run: defineVariable},
}

func exists(m *machine, c *call) ([]Value, error) {
	if len(c.n.args) == 0 {
		return truthFrom(len(c.in) > 0).values(), nil
	}
	for i := range c.in {
		if ok, err := m.test(c, i); err != nil || ok {
			return truthValues(ok, err)
		}
	}
	return no.values(), nil
}

func all(m *machine, c *call) ([]Value, error) {
	for i := range c.in {
		if ok, err := m.test(c, i); err != nil || !ok {
			return truthValues(ok, err)
		}
	}
	return yes.values(), nil
}

// everyTruth answers allTrue and its kin: whether every item, or any, is want.
func everyTruth(c *call, want, every bool) ([]Value, error) {
	for _, v := range c.in {
		s, ok := v.system()
		if !ok {
			continue
		}
		if s.kind != Bool {
			return nil, fault(c.n.at, "%s() meets a %s, not a Boolean", c.n.name, systemNames[s.kind])
		}
		if ((s.num == 1) == want) != every {
			return truthFrom(!every).values(), nil
		}
	}
	return truthFrom(every).values(), nil
}

func negation(_ *machine, c *call) ([]Value, error) {
	t, err := truthOf(c.in, c.n.at)
	return t.not().values(), err
}

func subsetOf(m *machine, c *call) ([]Value, error) {
	other, err := m.arg(c, 0)
	if err != nil {
		return nil, err
	}
	return truthValues(m.within(c.in, other, c.n.at))
}

func supersetOf(m *machine, c *call) ([]Value, error) {
	other, err := m.arg(c, 0)
	if err != nil {
		return nil, err
	}
	return truthValues(m.within(other, c.in, c.n.at))
}

func (m *machine) within(items, list []Value, at int) (bool, error) {
	for _, v := range items {
		if ok, err := m.has(list, v, at); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func isDistinct(m *machine, c *call) ([]Value, error) {
	out, err := m.union(c.in, nil, c.n.at)
	return truthValues(len(out) == len(c.in), err)
}

// A set holds values that differ from each other. Strings, which are most, are
// found by a map.
type set struct {
	m     *machine
	at    int
	texts map[string]struct{}
	rest  []Value
}

// add reports whether the value was not there yet.
func (s *set) add(v Value) (bool, error) {
	if err := s.m.work(1, s.at); err != nil {
		return false, err
	}
	if sys, ok := v.system(); ok && sys.kind == String {
		if s.texts == nil {
			s.texts = map[string]struct{}{}
		}
		_, known := s.texts[sys.text]
		s.texts[sys.text] = struct{}{}
		return !known, nil
	}
	known, err := s.m.has(s.rest, v, s.at)
	if !known && err == nil {
		s.rest = append(s.rest, v)
	}
	return !known, err
}

// union joins two collections without duplicates.
func (m *machine) union(a, b []Value, at int) ([]Value, error) {
	s := set{m: m, at: at}
	out := make([]Value, 0, len(a)+len(b))
	for _, list := range [...][]Value{a, b} {
		for _, v := range list {
			fresh, err := s.add(v)
			if err != nil {
				return nil, err
			}
			if fresh {
				out = append(out, v)
			}
		}
	}
	return out, m.size(len(out), at)
}

func where(m *machine, c *call) ([]Value, error) {
	var out []Value
	for i := range c.in {
		ok, err := m.test(c, i)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, c.in[i])
		}
	}
	return out, nil
}

func project(m *machine, c *call) ([]Value, error) {
	var out []Value
	for i := range c.in {
		values, err := m.each(c, 0, i)
		if err != nil {
			return nil, err
		}
		out = append(out, values...)
		if err := m.size(len(out), c.n.at); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// repeat applies the projection to its own results until nothing new comes.
func repeat(m *machine, c *call, unique bool) ([]Value, error) {
	var out []Value
	s := set{m: m, at: c.n.at}
	queue := c.in
	for len(queue) > 0 {
		found, err := project(m, &call{c.n, queue, c.sc})
		if err != nil {
			return nil, err
		}
		queue = nil
		for _, v := range found {
			fresh := true
			if unique {
				if fresh, err = s.add(v); err != nil {
					return nil, err
				}
			}
			if fresh {
				queue = append(queue, v)
			}
		}
		out = append(out, queue...)
		if err := m.size(len(out), c.n.at); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func theSingle(_ *machine, c *call) ([]Value, error) {
	if len(c.in) > 1 {
		return nil, fault(c.n.at, "single() meets %d values", len(c.in))
	}
	return c.in, nil
}

func skip(m *machine, c *call) ([]Value, error) {
	v, ok, err := m.argOf(c, 0, Integer)
	if err != nil || !ok {
		return nil, err
	}
	return c.in[min(max(0, v.num), int64(len(c.in))):], nil
}

func take(m *machine, c *call) ([]Value, error) {
	v, ok, err := m.argOf(c, 0, Integer)
	if err != nil || !ok {
		return nil, err
	}
	return slices.Clip(c.in[:min(max(0, v.num), int64(len(c.in)))]), nil
}

func intersect(m *machine, c *call) ([]Value, error) {
	other, err := m.arg(c, 0)
	if err != nil {
		return nil, err
	}
	var both []Value
	for _, v := range c.in {
		ok, err := m.has(other, v, c.n.at)
		if err != nil {
			return nil, err
		}
		if ok {
			both = append(both, v)
		}
	}
	return m.union(both, nil, c.n.at)
}

func exclude(m *machine, c *call) ([]Value, error) {
	other, err := m.arg(c, 0)
	if err != nil {
		return nil, err
	}
	var out []Value
	for _, v := range c.in {
		ok, err := m.has(other, v, c.n.at)
		if err != nil {
			return nil, err
		}
		if !ok {
			out = append(out, v)
		}
	}
	return out, nil
}

func unionWith(m *machine, c *call) ([]Value, error) {
	other, err := m.arg(c, 0)
	if err != nil {
		return nil, err
	}
	return m.union(c.in, other, c.n.at)
}

func combine(m *machine, c *call) ([]Value, error) {
	other, err := m.arg(c, 0)
	if err != nil {
		return nil, err
	}
	return append(slices.Clip(c.in), other...), m.size(len(c.in)+len(other), c.n.at)
}

// coalesce is the first argument that is not empty.
func coalesce(m *machine, c *call) ([]Value, error) {
	for i := range c.n.args {
		if values, err := m.arg(c, i); err != nil || len(values) > 0 {
			return values, err
		}
	}
	return nil, nil
}

// iif evaluates the branch that its criterion says, and only that one.
func iif(m *machine, c *call) ([]Value, error) {
	sc := *c.sc
	if c.n.in != nil {
		if len(c.in) > 1 {
			return nil, fault(c.n.at, "iif() meets %d values", len(c.in))
		}
		sc.this = c.in
	}
	values, err := m.apart(c.n.args[0], &sc)
	if err != nil {
		return nil, err
	}
	v, ok, err := oneOf(values, Bool, c.n.at, "the criterion of iif()")
	switch {
	case err != nil:
		return nil, err
	case ok && v.num == 1:
		return m.apart(c.n.args[1], &sc)
	case len(c.n.args) == 3:
		return m.apart(c.n.args[2], &sc)
	}
	return nil, nil
}

func childrenOf(m *machine, c *call) ([]Value, error) {
	var out []Value
	var err error
	for _, v := range c.in {
		if out, err = m.children(v, out, c.n.at); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func descendantsOf(m *machine, c *call) ([]Value, error) {
	var out []Value
	for level := c.in; len(level) > 0; {
		below, err := childrenOf(m, &call{c.n, level, c.sc})
		if err != nil {
			return nil, err
		}
		out, level = append(out, below...), below
		if err := m.size(len(out), c.n.at); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func aggregate(m *machine, c *call) ([]Value, error) {
	total, err := m.arg(c, 1)
	if err != nil {
		return nil, err
	}
	for i := range c.in {
		sc := c.sc.item(c.in[i:i+1:i+1], i)
		sc.total = total
		if total, err = m.eval(c.n.args[0], &sc); err != nil {
			return nil, err
		}
	}
	return total, nil
}

// total adds all items up.
func (m *machine) total(c *call) ([]Value, error) {
	if len(c.in) == 0 {
		return nil, nil
	}
	plus := &node{at: c.n.at, name: "+", code: opAdd}
	out := c.in[:1:1]
	for i := 1; i < len(c.in) && len(out) > 0; i++ {
		if err := m.work(1, c.n.at); err != nil {
			return nil, err
		}
		var err error
		if out, err = arithmetic(plus, out, c.in[i:i+1]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func average(m *machine, c *call) ([]Value, error) {
	sum, err := m.total(c)
	if err != nil || len(sum) == 0 {
		return nil, err
	}
	return arithmetic(&node{at: c.n.at, name: "/", code: opDivide}, sum, []Value{integer(int64(len(c.in)))})
}

// extreme is the least or greatest item.
func (m *machine) extreme(c *call, code operator) ([]Value, error) {
	var out []Value
	than := &node{at: c.n.at, name: c.n.name, code: code}
	for i := range c.in {
		if err := m.work(1, c.n.at); err != nil {
			return nil, err
		}
		better := yes.values()
		if len(out) > 0 {
			var err error
			if better, err = ordered(than, c.in[i:i+1], out); err != nil {
				return nil, err
			}
		}
		if len(better) == 1 && better[0].num == 1 {
			out = c.in[i : i+1 : i+1]
		}
	}
	return out, nil
}

// A sortRow is an item with its keys; a key is None where there is none.
type sortRow struct {
	item Value
	keys []Value
}

func (a sortRow) compare(b sortRow, descends []bool, at int) (int, error) {
	for k, x := range a.keys {
		y := b.keys[k]
		if x.kind == None || y.kind == None {
			if x.kind != y.kind {
				return sign(int(x.kind) - int(y.kind)), nil
			}
			continue
		}
		order, _, ok := compareSystem(x, y)
		if !ok {
			return 0, fault(at, "sort() does not compare a %s with a %s", systemNames[x.kind], systemNames[y.kind])
		}
		if descends[k] {
			order = -order
		}
		if order != 0 {
			return order, nil
		}
	}
	return 0, nil
}

// sorted orders by keys; a sign before a key turns its order around. Items
// without a key come first.
func sorted(m *machine, c *call) ([]Value, error) {
	rows := make([]sortRow, len(c.in))
	descends := make([]bool, max(1, len(c.n.args)))
	for i := range c.in {
		rows[i].item = c.in[i]
		for k := range descends {
			key := c.in[i : i+1]
			if k < len(c.n.args) {
				arg := c.n.args[k]
				if descends[k] = arg.op == opSign && arg.name == "-"; descends[k] {
					arg = arg.in
				}
				sc := c.sc.item(c.in[i:i+1:i+1], i)
				var err error
				if key, err = m.eval(arg, &sc); err != nil {
					return nil, err
				}
			}
			v, _, err := single(key, c.n.at)
			if err != nil {
				return nil, err
			}
			rows[i].keys = append(rows[i].keys, v)
		}
	}
	var failed error
	slices.SortStableFunc(rows, func(a, b sortRow) int {
		if err := m.work(1, c.n.at); err != nil {
			failed = err
		}
		order, err := a.compare(b, descends, c.n.at)
		if err != nil {
			failed = err
		}
		return order
	})
	out := make([]Value, len(rows))
	for i := range rows {
		out[i] = rows[i].item
	}
	return out, failed
}

func trace(m *machine, c *call) ([]Value, error) {
	name, _, err := m.argOf(c, 0, String)
	if err != nil || m.opt.Trace == nil {
		return c.in, err
	}
	told := c.in
	if len(c.n.args) == 2 {
		if told, err = project(m, &call{&node{at: c.n.at, args: c.n.args[1:]}, c.in, c.sc}); err != nil {
			return nil, err
		}
	}
	m.opt.Trace(name.text, told)
	return c.in, nil
}

// defineVariable names a collection for what follows in the same path.
func defineVariable(m *machine, c *call) ([]Value, error) {
	name, ok, err := m.argOf(c, 0, String)
	if err != nil || !ok {
		return nil, err
	}
	_, twice := c.sc.find(name.text)
	if _, given := m.opt.Variables[name.text]; twice || given || slices.Contains(systemVariables, name.text) {
		return nil, fault(c.n.at, "defineVariable() names a variable that there is")
	}
	values := c.in
	if len(c.n.args) == 2 {
		sc := *c.sc
		sc.this = c.in
		if values, err = m.eval(c.n.args[1], &sc); err != nil {
			return nil, err
		}
	}
	c.sc.names = &named{name.text, values, c.sc.names}
	return c.in, nil
}

// systemVariables are those that there always are.
var systemVariables = []string{"context", "resource", "rootResource", "ucum", "sct", "loinc"}
