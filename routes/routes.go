// Package routes reads routes.yaml, the one file that interface analysts edit,
// checks it, and says of everything that is wrong where it stands and what
// would be right.
package routes

import (
	"fmt"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
)

// Parts are the kinds of parts this engine has: what the words of the file may
// name.
type Parts struct {
	Connectors []connectors.Kind
	Parsers    []parsers.Kind
	Transforms []transforms.Kind
	// Tables are the code tables that ship with the engine.
	Tables *tables.Set
}

// LoadOptions say what to read.
type LoadOptions struct {
	// File is the name of routes.yaml. Names in it are relative to its folder.
	File string
	// Env is the environment: env/ENV.yaml beside the file sets variables.
	Env string
	// Environ looks up a process variable (PLEXUS_VAR_NAME); nil means none.
	Environ func(string) (string, bool)
	// SecretsFolder holds the mounted secrets, one file each; relative to the
	// working folder.
	SecretsFolder string
	Parts         Parts
	// ReadFile reads a file; nil means os.ReadFile.
	ReadFile func(name string) ([]byte, error)
	// Glob lists the files of an include; nil means filepath.Glob.
	Glob func(pattern string) ([]string, error)
}

// A Config is a checked set of channels. It is not modified after Load.
type Config struct {
	// Version is a short hash of everything that was read, secrets aside.
	Version string
	// Zone is the top's zone; nil when nobody said it.
	Zone *time.Location
	// Channels are in the order of the files.
	Channels []*Channel
	// Files are all files that were read or looked for, to be watched.
	Files []string
}

// Channel returns the channel of a name, nil when there is none.
func (c *Config) Channel(name string) *Channel {
	for _, channel := range c.Channels {
		if channel.Name == name {
			return channel
		}
	}
	return nil
}

// A Place is where something stands in a file; line and column count from 1.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String is file:line:column.
func (p Place) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// A Channel is one channel as the file gives it, with every default filled in.
type Channel struct {
	Name, Was, Title, Note string
	Enabled                bool

	// Source makes the source; SourceKind is its word ("mllp").
	Source     connectors.SourceOptions
	SourceKind string
	// EHR is set when the source is the store; SourceKind is "ehr" then.
	EHR *EHRSource
	// Parser reads the messages; Parse is its word ("hl7v2").
	Parser parsers.Parser
	Parse  string

	Ack Ack
	// Acknowledge is the channel that sends the application acknowledgements;
	// empty where they follow on the connection of the message.
	Acknowledge string
	// Zone is for times without an offset: the channel's, or the top's; nil
	// when nobody said it.
	Zone *time.Location
	// Filter is nil when every message is for the channel.
	Filter  *expression.Program
	Require []Require
	Order   Order
	// Key is asked instead of Order; nil when the file gives none.
	Key *expression.Program
	// Split is the group or loop of which each makes a message; nil for none.
	Split message.Path
	Map   []transforms.Transform
	Check []Check
	// Reply is nil when the sender gets no answer of a route.
	Reply *Reply

	Deliver    Deliver
	Unrouted   Unrouted
	OnError    OnError
	Duplicates Duplicates
	Limits     Limits
	// Keep is how long bytes stay readable after everything about them ended.
	Keep   time.Duration
	Routes []*Route

	// Hash changes when anything changes that the running channel must be
	// told of; title, note and the place in the file are not among it.
	Hash string
	// Work is the same without the source: what becomes of a message.
	Work  string
	Place Place
}

// DefaultKeep is Keep where the file is silent.
const DefaultKeep = 90 * 24 * time.Hour

// Ack is what a positive answer claims.
type Ack string

// What a positive answer may claim.
const (
	AckStored    Ack = "stored"
	AckProcessed Ack = "processed"
	AckDelivered Ack = "delivered"
)

// Order says which messages of a channel wait for each other.
type Order string

// The orders: those of one patient, all, none.
const (
	OrderPatient Order = "patient"
	OrderChannel Order = "channel"
	OrderNone    Order = "none"
)

// Deliver says how many routes get a message.
type Deliver string

// Every route whose `when` holds, or the first.
const (
	DeliverAll   Deliver = "all"
	DeliverFirst Deliver = "first"
)

// Unrouted says what becomes of a message that no route took.
type Unrouted string

// What may become of it.
const (
	UnroutedPark   Unrouted = "park"
	UnroutedFilter Unrouted = "filter"
)

// OnError says what a fault of mapping or of an expression holds up.
type OnError string

// The message alone, or the later ones of its key too.
const (
	OnErrorPark OnError = "park"
	OnErrorStop OnError = "stop"
)

// Duplicates says what becomes of a message that came before.
type Duplicates string

// Answered as before; taken again; refused when its content is another.
const (
	DuplicatesAnswer Duplicates = "answer"
	DuplicatesNew    Duplicates = "new"
	DuplicatesRefuse Duplicates = "refuse"
)

// Else says what becomes of a message that does not fulfil a requirement.
type Else string

// Kept for people, or answered negatively.
const (
	ElsePark   Else = "park"
	ElseRefuse Else = "refuse"
)

// A Require is one condition that a message of the channel has to fulfil.
type Require struct {
	That *expression.Program
	Else Else
	// Say is the reason that people read; empty when the file gives none.
	Say string
}

// Limits bound what a channel takes.
type Limits struct {
	// Size is the largest message, in bytes.
	Size int64
	// Rate is the most messages in a time.
	Rate Rate
	// Connections is the most connections served at once.
	Connections int
}

// A Route is one way out of a channel.
type Route struct {
	Name, Was string
	// When is nil when the route takes every message; Otherwise is true when
	// it takes those that no other route took.
	When      *expression.Program
	Otherwise bool
	// Map are the steps after the channel's; Original says that the bytes as
	// received go out instead.
	Map      []transforms.Transform
	Original bool
	// Kind is the word of `to:`: "ehr", "drop", "mllp".
	Kind string
	// Destination makes the destination; nil for ehr, channel and drop.
	Destination connectors.DestinationOptions
	// Channel is the channel a message becomes one of, for kind channel.
	Channel string
	// Failure: it is the next of another route, and takes only what that one
	// hands over unless it says which messages it wants.
	Failure bool
	// DropReason says why messages are dropped, for kind drop.
	DropReason string
	// Retry says for each class of failure what follows.
	Retry map[string]Retry
	// Order is empty and Key nil where the channel's hold.
	Order Order
	Key   *expression.Program
	// Strict: a failure holds the whole route.
	Strict bool
	// Each is the group or loop of which each makes a delivery; nil for none.
	Each   message.Path
	Batch  *Batch
	Answer *RouteAnswer
	// Hours are the times at which it sends; nil means always.
	Hours *Hours
	Alert Alert
	// Retired: takes no new deliveries, drains the old.
	Retired bool
	// Within is how long after the message was received its answer goes to
	// the sender (`reply:`); 0 for routes whose answer nobody waits for.
	Within time.Duration
	Place  Place
}

// Retry says what follows a failed send of one class.
type Retry struct {
	// Do is retry, park, stop or next.
	Do string
	// First and Max bound the pause; each is Factor times the one before.
	First, Max time.Duration
	Factor     float64
	// Attempts and For end the retries; 0 means never. Then says what follows.
	Attempts int
	For      time.Duration
	Then     string
	// Next is the route that takes over.
	Next string
}

// Alert says when people are told; 0 means never.
type Alert struct {
	Waiting time.Duration
	Depth   int
	Parked  int
}

// A Reply says that the sender gets the answer of a route.
type Reply struct {
	From   string
	Within time.Duration
	// Map makes the answer when the route's does not come; without it the
	// sender is told to send again.
	Map []transforms.Transform
}

// A Check is one rule for what goes out.
type Check struct {
	// Rule is its name; On says what a finding does: hold, warn or block.
	Rule, On string
	// Within is how far apart two orders may be, for duplicate-order.
	Within time.Duration
}

// What a finding of a check does.
const (
	OnHold  = "hold"
	OnWarn  = "warn"
	OnBlock = "block"
)

// Days is a duration as the file writes it, in days where these are whole.
func Days(d time.Duration) string {
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return d.String()
}

// A Batch puts several deliveries into one file.
type Batch struct {
	// Every is the longest a delivery waits for its file; 0: it does not say.
	Every time.Duration
	// Max is how many deliveries one file has at most.
	Max int
	// At is a time of day, "02:00"; empty: it does not say.
	At string
	// By gives what belongs into one file; nil: everything does.
	By *expression.Program
	// Bundler makes the file.
	Bundler parsers.Bundler
}

// mostInFile is how many deliveries one file has at most.
const mostInFile = 10_000

// Closes is when the file of a delivery that was made then is closed at the
// latest, by the clock of a zone; the zero time when only its number closes it.
func (b *Batch) Closes(made time.Time) time.Time {
	var at time.Time
	if b.Every > 0 {
		at = made.Add(b.Every)
	}
	if hours, minutes, said := strings.Cut(b.At, ":"); said {
		minute, _ := minuteOf(hours, minutes) // its form was checked
		for day := range 3 {
			next := time.Date(made.Year(), made.Month(), made.Day()+day, 0, minute, 0, 0, made.Location())
			if next.Hour()*60+next.Minute() < minute {
				next = next.Add(time.Hour) // the clock skips it that day
			}
			if next.After(made) {
				if at.IsZero() || next.Before(at) {
					at = next
				}
				break
			}
		}
	}
	return at
}

// A RouteAnswer says what becomes of the answer of a peer that took a delivery.
type RouteAnswer struct {
	// When is asked of the answer; nil means every answer. Map are the steps
	// it goes through. Parser reads it for both, and is nil without them.
	When   *expression.Program
	Map    []transforms.Transform
	Parser parsers.Parser
	// To is a channel, or worklist.
	To string
}

// A Problem is one thing that is wrong with the files.
type Problem struct {
	Place
	Text string `json:"text"`
}

// Error is place and text in one line.
func (p Problem) Error() string { return p.Place.String() + ": " + p.Text }

// Problems are everything that is wrong, sorted by place.
type Problems []Problem

// Error gives a line for each.
func (p Problems) Error() string {
	text := ""
	for i := range p {
		if i > 0 {
			text += "\n"
		}
		text += p[i].Error()
	}
	return text
}
