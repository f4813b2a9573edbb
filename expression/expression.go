// Package expression compiles the conditions of routes.yaml: the language of
// expr-lang/expr with the paths of the channel's format as literals, checked
// and typed when they are compiled. It knows no format: a parser hands it its
// grammar of paths.
package expression

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/expr-lang/expr/vm"

	"github.com/plexus-health/plexus/message"
)

// Want is the kind of value an expression has to give.
type Want int

// The kinds of value.
const (
	// Bool: true or false, for filter, that and when.
	Bool Want = iota
	// Text: one text, for key and by.
	Text
	// List: several texts.
	List
)

// The bounds of one expression.
const (
	maxText  = 8 << 10   // bytes of one expression
	maxNodes = 2000      // parts of one expression
	maxSteps = 4_000_000 // turns of inner loops in one evaluation
	maxValue = 1 << 20   // bytes of a text and members of a list that a function makes
	memory   = 1_000_000 // expr's memory budget, in members of lists made
)

// Options are what an expression may use.
type Options struct {
	// Grammar finds and compiles the paths. nil: the expression has none.
	Grammar message.Grammar
	// Want is the kind of its value.
	Want Want
	// Tables finds a code table: whether it has a code, and what it gives for
	// one. ok is false when there is no table of that name.
	Tables func(name string) (contains func(code string) bool, lookup func(code string) (string, bool), ok bool)
	// TableNames are the tables there are, for hints.
	TableNames []string
	// Vars are the variables that var.name gives.
	Vars map[string]string
	// Zone is where the day of message.received is taken; nil means UTC.
	Zone *time.Location
}

// An Error says what is wrong with an expression.
type Error struct {
	// Column is the character the fault stands at, counted from 1 in the
	// text as the user wrote it, line ends included.
	Column int
	// Text says what is wrong and, after a colon, what would be right.
	Text string
}

// Error returns the text, without the place.
func (e *Error) Error() string { return e.Text }

// A Program is a compiled expression. It is safe for use from several
// goroutines.
type Program struct {
	text    string
	want    Want
	code    *vm.Program
	reads   []read
	tables  []table
	zone    *time.Location
	clauses []clause
}

// A read is one path in an expression.
type read struct {
	path   message.Path
	inHand bool // read from the place in hand of an any(…)
	kept   bool // read in a loop, the same each time
}

type table struct {
	name     string
	contains func(string) bool
	lookup   func(string) (string, bool)
}

// String is the expression as the user wrote it.
func (p *Program) String() string { return p.text }

// An Env is what one evaluation sees.
type Env struct {
	// Message gives type, sender and the like.
	Message *message.Message
	// Root is the document's root, where paths start that are not relative
	// to the node an evaluation is asked at.
	Root message.Node
}

// Bool evaluates an expression compiled with Want Bool. Paths are read below
// at; nil means the root. The error is a *message.Failure of kind Malformed
// when the message is at fault; its text holds no value.
func (p *Program) Bool(env Env, at message.Node) (bool, error) {
	v, err := p.eval(env, at)
	if err != nil {
		return false, err
	}
	b, _ := v.(bool)
	return b, nil
}

// Text evaluates an expression compiled with Want Text.
func (p *Program) Text(env Env, at message.Node) (string, error) {
	v, err := p.eval(env, at)
	if err != nil {
		return "", err
	}
	s, _ := v.(string)
	return s, nil
}

// List evaluates an expression compiled with Want List.
func (p *Program) List(env Env, at message.Node) ([]string, error) {
	v, err := p.eval(env, at)
	if err != nil {
		return nil, err
	}
	s, _ := v.([]string)
	return s, nil
}

// A run is one evaluation: what the compiled code sees as its environment.
// Its exported fields are the values of the language.
type run struct {
	Type      string   `expr:"type"`
	Structure string   `expr:"structure"`
	Sender    string   `expr:"sender"`
	Receiver  string   `expr:"receiver"`
	Control   string   `expr:"control"`
	Channel   string   `expr:"channel"`
	Peer      string   `expr:"peer"`
	Message   received `expr:"message"`

	program *Program
	at      message.Node
	steps   int
	kept    []any
}

// received is the value called message.
type received struct {
	Received time.Time `expr:"received"`
}

var (
	machines = sync.Pool{New: func() any { return &vm.VM{MemoryBudget: memory} }}
	runs     = sync.Pool{New: func() any { return new(run) }}
)

func (p *Program) eval(env Env, at message.Node) (any, error) {
	if at == nil {
		at = env.Root
	}
	r, ok := runs.Get().(*run)
	if !ok {
		r = &run{}
	}
	defer func() {
		*r = run{}
		runs.Put(r)
	}()
	*r = run{program: p, at: at}
	if m := env.Message; m != nil {
		h := &m.Header
		r.Type, r.Structure, r.Sender, r.Receiver, r.Control = h.Type, h.Structure, h.Sender, h.Receiver, h.Control
		r.Channel, r.Peer, r.Message.Received = m.Channel, m.Peer, m.Received
	}
	machine, ok := machines.Get().(*vm.VM)
	if !ok {
		machine = &vm.VM{}
	}
	defer machines.Put(machine)
	v, err := machine.Run(p.code, r)
	if err == nil {
		return v, nil
	}
	// What expr itself says may hold a value: only our own failures are told.
	if f, ok := errors.AsType[*message.Failure](err); ok {
		return nil, f
	}
	return nil, fault("the expression cannot be worked out on this message")
}

// fault is the failure of a message on which an expression cannot be answered.
func fault(format string, args ...any) error {
	return &message.Failure{Kind: message.Malformed, Err: fmt.Errorf(format, args...)}
}

var (
	listType   = reflect.TypeFor[[]string]()
	placesType = reflect.TypeFor[[]message.Node]()
)
