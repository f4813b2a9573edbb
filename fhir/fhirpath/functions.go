package fhirpath

// A function is one of FHIRPath: how many arguments it has, and what it does.
type function struct {
	least, most int // arguments; most is -1 for any number
	typed       bool
	pattern     bool // the first argument is a regular expression
	run         func(m *machine, c *call) ([]Value, error)
}

// A call is one use of a function.
type call struct {
	n  *node
	in []Value
	sc *scope
}

func (m *machine) call(n *node, sc *scope) ([]Value, error) {
	in, err := m.input(n, sc)
	if err != nil {
		return nil, err
	}
	return n.fn.run(m, &call{n, in, sc})
}

// arg evaluates an argument that does not go over items: its $this is that of
// the call.
func (m *machine) arg(c *call, i int) ([]Value, error) {
	if i >= len(c.n.args) {
		return nil, nil
	}
	return m.apart(c.n.args[i], c.sc)
}

// argOf evaluates an argument that is one value of a kind.
func (m *machine) argOf(c *call, i int, k Kind) (Value, bool, error) {
	values, err := m.arg(c, i)
	if err != nil {
		return Value{}, false, err
	}
	return oneOf(values, k, c.n.at, "an argument of "+c.n.name+"()")
}

// each evaluates an argument with one item as $this.
func (m *machine) each(c *call, arg, index int) ([]Value, error) {
	sc := c.sc.item(c.in[index:index+1:index+1], index)
	return m.eval(c.n.args[arg], &sc)
}

// test evaluates a criterion with one item as $this.
func (m *machine) test(c *call, index int) (bool, error) {
	values, err := m.each(c, 0, index)
	if err != nil {
		return false, err
	}
	t, err := truthOf(values, c.n.at)
	return t == yes, err
}

func truthValues(b bool, err error) ([]Value, error) {
	if err != nil {
		return nil, err
	}
	return truthFrom(b).values(), nil
}

// functions are all functions there are, by name.
var functions = merged(collectionFunctions, textFunctions, conversionFunctions, numberFunctions, momentFunctions, fhirFunctions)

func merged(tables ...map[string]function) map[string]function {
	all := map[string]function{}
	for _, t := range tables {
		for name, f := range t {
			all[name] = f
		}
	}
	return all
}
