// Package fhirpath evaluates FHIRPath expressions (Normative Release 1, 2.0.0,
// with the additions of FHIR R4) on FHIR trees. It reads nothing but the trees
// it is given, and every evaluation is bounded.
package fhirpath

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/plexus-health/plexus/fhir"
)

// An Error says what is wrong with an expression, or with what it met. It holds
// words of the expression, and no value of a resource.
type Error struct {
	Offset int // bytes from the start of the expression
	Text   string
}

// Error gives place and reason.
func (e *Error) Error() string { return fmt.Sprintf("fhirpath: byte %d: %s", e.Offset, e.Text) }

func fault(at int, format string, args ...any) error {
	return &Error{Offset: at, Text: fmt.Sprintf(format, args...)}
}

// An Expression is compiled once and may be evaluated by several goroutines at
// the same time.
type Expression struct {
	text string
	root *node
}

// String returns the expression as it was written.
func (e *Expression) String() string { return e.text }

// Options of one evaluation. The zero value will do.
type Options struct {
	// Type is the type of the root where it does not say it itself by its
	// resourceType: "HumanName", "Patient.contact".
	Type string
	// Resource is %resource, the resource the root is a part of, and
	// RootResource %rootResource, the one that contains that. Default: the
	// root itself.
	Resource, RootResource *fhir.Node
	// Variables are further %variables.
	Variables map[string][]Value
	// Now is what now(), today() and timeOfDay() say. Default: the time when
	// the evaluation first asks for it.
	Now time.Time
	// Resolve finds the resource a reference names, for resolve(), where it is
	// neither contained in the resource nor an entry of the Bundle. It must
	// not wait for anything. Nil, and a nil answer: there is none.
	Resolve func(reference string) *fhir.Node
	// Member says whether a code is in a value set, and whether the value set
	// is known, for memberOf(). Nil: no value set is known.
	Member func(valueSet, system, code string) (member, known bool)
	// Trace is told what trace() meets. Nil: nobody is.
	Trace func(name string, values []Value)
	// AsFilters makes `as` keep every item of the type, as the search
	// parameters of R4 have it, where FHIRPath takes more than one for an error.
	AsFilters bool
	// MaxSteps bounds the work of one evaluation. Default 1,000,000.
	MaxSteps int
	// Budget, if not nil, is how many steps several evaluations may take
	// together; each takes what it needs from it.
	Budget *int
	// MaxItems bounds the size of every collection. Default 100,000.
	MaxItems int
}

// Bounds that no option changes.
const (
	maxSource = 64 << 10 // bytes of an expression
	maxNested = 200      // depth of an expression
	maxDepth  = 300      // depth of an evaluation
	maxString = 1 << 20  // bytes of a string that is made
)

// Compile reads an expression. The error is an *Error and says where.
func Compile(expression string) (*Expression, error) {
	if len(expression) > maxSource {
		return nil, fault(maxSource, "the expression is longer than %d bytes", maxSource)
	}
	p := &parser{lexer: lexer{src: expression}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	root, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, fault(p.tok.at, "%s stands where the expression should end", p.tok.shown())
	}
	return &Expression{text: expression, root: root}, nil
}

// CompileFor reads an expression that is meant for a type of FHIR, and holds
// its paths against the definitions (Check).
func CompileFor(typ, expression string) (*Expression, error) {
	e, err := Compile(expression)
	if err != nil {
		return nil, err
	}
	if err := e.Check(typ); err != nil {
		return nil, err
	}
	return e, nil
}

// Eval evaluates the expression on root. A path that leads nowhere is empty,
// no error (Check finds those). The error is an *Error, or that of ctx. The
// values refer to the tree and must not
// outlive a change of it.
func (e *Expression) Eval(ctx context.Context, root *fhir.Node, options Options) ([]Value, error) {
	m := &machine{ctx: ctx, opt: &options, now: options.Now, left: options.MaxSteps, most: options.MaxItems}
	if m.left <= 0 {
		m.left = 1_000_000
	}
	if options.Budget != nil {
		most := min(m.left, *options.Budget)
		m.left = most
		defer func() { *options.Budget -= most - m.left }()
	}
	if m.most <= 0 {
		m.most = 100_000
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sc := scope{}
	if root != nil {
		m.root = element(root, nil, placeOf(root, options.Type))
		sc.this = []Value{m.root}
	}
	m.context = sc.this
	values, err := m.eval(e.root, &sc)
	if err != nil {
		return nil, err
	}
	return slices.Clone(values), nil // may be a literal of the expression
}

// EvalBool evaluates the expression as a condition. Empty is false, one value
// that is no boolean is true (singleton evaluation), several are an error.
func (e *Expression) EvalBool(ctx context.Context, root *fhir.Node, options Options) (bool, error) {
	values, err := e.Eval(ctx, root, options)
	if err != nil {
		return false, err
	}
	truth, err := truthOf(values, 0)
	return truth == yes, err
}
