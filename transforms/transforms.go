// Package transforms holds what turns one message into others: the interface of
// a step of `map:` and what a step can tell of its output.
package transforms

import (
	"context"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
)

// A Transform is one step of `map:`, compiled. It is safe for use from several
// goroutines and has no effects: the same message gives the same result.
type Transform interface {
	// Apply returns the messages m becomes: none filters it, several split
	// it. Each result has a Doc of its own and shares the rest with m, which
	// is not modified. A *message.Failure of kind Malformed parks the message
	// with its reason; other kinds leave it stored to be tried again.
	Apply(ctx context.Context, m *message.Message) ([]*message.Message, error)
}

// A Reader is a Transform that knows the formats it goes between, as words of
// `parse:`.
type Reader interface {
	// Reads is the format of what it takes; Makes that of its results.
	Reads() string
	Makes() string
}

// A Drafter is a Document made of FHIR resources that were not yet matched
// with what the store holds: the output of a map to FHIR.
type Drafter interface {
	Drafts() []fhir.Draft
}

// A ScopedDrafter is a Document of FHIR resources whose ids are its sender's:
// scope tells them from those of other senders. A *message.Failure of kind
// Malformed is a fault of the message.
type ScopedDrafter interface {
	DraftsOf(scope string) ([]fhir.Draft, error)
}

// A Stamper is a Document that was made here and leaves under an identity of
// ours: the control id and time of its header (MSH-10 and MSH-7) are set when
// its delivery is made, before it is encoded. What passes through as it was
// received is no Stamper and keeps its sender's.
type Stamper interface {
	Stamp(control string, at time.Time)
}

// An Outbound is a Document that leaves the engine in another form than the one
// in which it goes on within it.
type Outbound interface {
	// Departing appends what is sent. It is the same each time, so that a
	// receiver that got it before can tell.
	Departing(dst []byte) []byte
}

// Records are the resources of the core store, for maps that gather what a
// message refers to. Nothing outside of the store is ever asked.
type Records interface {
	// Resource returns a resource, nil when there is none. An error is a fault
	// of ours: the message stays stored.
	Resource(ctx context.Context, typ, id string) (*fhir.Node, error)
	// Referring lists the resources of a type whose reference parameter leads
	// to ref ("Patient/123"), the newest first, a hundred at most.
	Referring(ctx context.Context, typ, param, ref string) ([]*fhir.Node, error)
	// Version returns one version of a resource, nil when there is none.
	Version(ctx context.Context, typ, id string, version int) (*fhir.Node, error)
}

// An Explainer is a Document that knows where its parts came from.
type Explainer interface {
	// Provenance lists every value of the output in its order.
	Provenance() []Origin
	// Unmapped lists the places of the input that reached nothing.
	Unmapped() []string
	// Findings are the warnings of the rows: tables without an entry,
	// conversions that did not fit.
	Findings() []Finding
}

// An Origin says which bytes of the input made one value, by which row.
type Origin struct {
	// Target is the element: "Patient[0].birthDate".
	Target string `json:"target"`
	// Source is the path read ("PID-7"), or empty for a constant.
	Source string `json:"source,omitempty"`
	// Start and End are the span in the input; both 0 when there is none.
	Start int `json:"start"`
	End   int `json:"end"`
	// Map, File and Line name the row.
	Map  string `json:"map"`
	File string `json:"file"`
	Line int    `json:"line"`
}

// A Finding is a warning of a row. It holds no value of the message except the
// code a table lacks, which goes to the work list and nowhere else.
type Finding struct {
	// Kind is a stable word: "unmapped", "conversion", "merged", "grouping".
	Kind  string `json:"kind"`
	Where string `json:"where"`
	// Table is the table that lacks Code, if the finding is of that kind.
	Table string `json:"table,omitempty"`
	Code  string `json:"-"`
	Text  string `json:"text"`
}

// A Step is one step of `map:` as the file gives it.
type Step struct {
	// Use is the name of a map, or a file.
	Use string
	// With are files that override rows, in order.
	With []string
	// Tables replaces tables by name: the value is a table's name or a file.
	Tables map[string]string
	// Set gives parameters.
	Set map[string]string
	// Zone is the channel's zone for times without an offset; nil when nobody said it.
	Zone *time.Location
	// Format is the channel's word of `parse:`.
	Format string
	// Folder is where relative file names start.
	Folder string
}

// A Kind makes the steps of one sort: maps, scripts.
type Kind struct {
	Name string
	// Takes reports whether a step with this `use:` is of this kind.
	Takes func(use string) bool
	// Names are the names that can be taken, for who has written another one; nil
	// where there are none.
	Names func() []string
	// Make compiles a step, or says everything that is wrong with it. Files
	// lists the files it read, so that a change of them reloads the channel.
	Make func(Step) (step Transform, files []string, problems []Problem)
}

// A Problem is something wrong with a step. File and Line are set when the
// place is in a map or table rather than in the step itself; Field is then empty.
type Problem struct {
	Field        string // "use", "with", "tables.x"
	File         string
	Line, Column int
	Text         string
}
