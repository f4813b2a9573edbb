// Package connectors holds what brings messages in and carries deliveries out:
// the interfaces of sources and destinations and of the options that make them.
package connectors

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/plexus-health/plexus/message"
)

// A Handler takes charge of one received message. When it returns a nil error
// what the channel's ack claims is committed and synced, and the sender gets the
// reply, which may be a refusal. When it returns an error nothing may be claimed
// and the sender must be made to send the message again.
type Handler func(context.Context, *message.Message) (message.Reply, error)

// A Source receives messages.
type Source interface {
	// Run receives until ctx ends, passing every message to handle, and
	// returns after the last call of handle has returned. Messages of one
	// peer are handed over in the order they came. It returns nil when ctx
	// ended, an error when it cannot receive (the address is taken); it may
	// be called again after that.
	Run(ctx context.Context, handle Handler) error
}

// A Destination sends deliveries. Send may be called from as many goroutines
// as the destination has connections.
type Destination interface {
	// Send sends the payload as it stands, under the delivery's control id,
	// and returns what the peer answered, also beside an error if it answered
	// at all. No error: accepted. Otherwise the error is a *message.Failure
	// whose kind is the class of delivery.md §7; Down only if no byte left. A
	// repeat of a delivery is sent under the same id with the same bytes.
	Send(context.Context, *message.Delivery) (message.Reply, error)
	Close() error
}

// A Counter is a Destination that may number what it sends, so that the receiver
// says how far it has counted.
type Counter interface {
	// Counts reports whether messages are numbered; only then SendCounted is
	// called, in place of Send.
	Counts() bool
	// SendCounted is Send of a delivery that had a number in an attempt before
	// of which it is not known whether it arrived; 0: it had none, or another
	// delivery has had that number since. It passes keep the number that the
	// delivery gets before a byte of it leaves; after an error of keep none
	// does. keep(0) says that the attempt under the number was answered.
	SendCounted(ctx context.Context, delivery *message.Delivery, had int64, keep func(context.Context, int64) error) (message.Reply, error)
}

// An Environment is what the engine lends to a part it opens.
type Environment struct {
	// Log is quiet when all is well and never gets a value of a message.
	Log *slog.Logger
	// Count counts an event of the part, such as a tolerated framing fault,
	// under a stable word. Never nil.
	Count func(event string, n int)
	// Receiving is called by a source each time it has become able to receive
	// (its address is bound); nil when nobody asks.
	Receiving func()
	// Split yields the messages of a file or body that may hold several, at
	// most Size bytes each, and stops at take's first error; nil when the
	// channel's format has no such files: the whole is one message.
	Split func(r io.Reader, take func(raw []byte) error) error
	// Folder is the folder of the configuration file: relative file names in
	// options start there.
	Folder string
	// Size is the largest message the channel takes, in bytes.
	Size int64
	// Whole is the largest message handed over in Raw, in bytes; a larger
	// one is handed over as Stream.
	Whole int64
	// Connections is the most connections a source serves at once.
	Connections int
	// Now tells the time.
	Now func() time.Time
}

// WithDefaults fills what the caller left out.
func (env Environment) WithDefaults() Environment {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Count == nil {
		env.Count = func(string, int) {}
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Size <= 0 {
		env.Size = 8 << 20
	}
	if env.Whole <= 0 || env.Whole > env.Size {
		env.Whole = env.Size
	}
	if env.Connections <= 0 {
		env.Connections = 100
	}
	return env
}

// SourceOptions are the options of one kind of source as routes.yaml gives
// them: a pointer to a struct with `yaml` tags, filled with its defaults.
type SourceOptions interface {
	// Validate checks words only: no network, no files, no time.
	Validate() []Problem
	// Open makes the source. It does not receive yet and holds no resource
	// before Run.
	Open(Environment) (Source, error)
}

// DestinationOptions are the options of one kind of destination.
type DestinationOptions interface {
	Validate() []Problem
	// Open makes the destination. It connects when it is first used.
	Open(Environment) (Destination, error)
	// Limits bound its sends.
	Limits() SendLimits
}

// SendLimits bound the sends of a destination.
type SendLimits struct {
	// Connections is how many calls of Send go on at once.
	Connections int
	// Timeout is how long one call may take, its connecting included. Send
	// holds to it; a new owner of the route waits as long before it repeats
	// a send that another engine may still be at.
	Timeout time.Duration
}

// A Problem is what is wrong with an option.
type Problem struct {
	// Field is the option as the file writes it, with dots: "tls.cert". Empty: the whole.
	Field string
	// Text is the offending word, then what would be right.
	Text string
}

// Problems collects what is wrong with options.
type Problems []Problem

// Add adds a problem of a field.
func (p *Problems) Add(field, format string, args ...any) {
	*p = append(*p, Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}

// Time adds a problem when value is no time above zero.
func (p *Problems) Time(field string, value time.Duration) {
	if value <= 0 {
		p.Add(field, "%s is not a time above zero, such as 30s", value)
	}
}

// A Kind is one kind of connector as `source:` and `to:` name it. A nil
// function means that the kind does not go that way.
type Kind struct {
	Name        string
	Source      func() SourceOptions
	Destination func() DestinationOptions
}

// A Secret is a credential. It prints as stars; the loader fills it from
// `secret: name`, never from a literal.
type Secret struct{ value string }

// NewSecret returns a secret of value.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal returns the credential, for the one place that uses it.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether no secret was given.
func (s Secret) IsZero() bool { return s.value == "" }

// String returns stars.
func (s Secret) String() string { return "***" }

// GoString returns stars.
func (s Secret) GoString() string { return "***" }

// MarshalText returns stars.
func (s Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }
