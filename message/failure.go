package message

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

// Kind says what a failure leads to. It decides; no text is parsed, ever.
type Kind string

// The kinds. Of a send: Down to Unreadable, the classes of delivery.md §7. Of a
// message: Malformed refuses it in T1 and parks it in T2. Of ours: Unavailable
// leaves it stored to be tried again, Internal also alarms.
const (
	Down        Kind = "down"        // no byte left
	Unknown     Kind = "unknown"     // bytes written, no or broken answer
	Busy        Kind = "busy"        // try again later
	RefusedSend Kind = "refused"     // the peer will never take it
	Unreadable  Kind = "unreadable"  // an answer that cannot be parsed
	Malformed   Kind = "malformed"   // the message is wrong
	Unavailable Kind = "unavailable" // something of ours is away for now
	Internal    Kind = "internal"    // a fault of ours
)

// A Failure is an error that says what to do next, where to look and what is
// wrong. Its text never holds a value from a message.
type Failure struct {
	Kind Kind
	// Where is a path of the format ("OBX[3]-5"), or empty.
	Where string
	// Offset is the byte offset in the message plus 1; 0 when not known. People
	// see it as all bytes are counted, from 0.
	Offset int
	// Code is the HL7 table 0357 code that fits; 0 when none was chosen.
	Code int
	// After is how long the peer asked to wait before the next try; 0 when it
	// did not say.
	After time.Duration
	Err   error
}

// Error gives place and reason. Bytes are counted from 0.
func (f *Failure) Error() string {
	text := "no reason given"
	if f.Err != nil {
		text = f.Err.Error()
	}
	switch {
	case f.Where != "":
		return f.Where + ": " + text
	case f.Offset > 0:
		return "byte " + strconv.Itoa(f.Offset-1) + ": " + text
	}
	return text
}

// Unwrap returns the reason.
func (f *Failure) Unwrap() error { return f.Err }

// A Partial is the error of a message, one of several, that could not be handed
// over whole: it is too long, or its end did not come. Its text holds nothing of
// the message.
type Partial struct {
	// Beginning is what came of the message, 64 KB of it at most.
	Beginning []byte
	Err       error
}

// PartialOf returns the error of a message of which held came.
func PartialOf(held []byte, err error) *Partial {
	return &Partial{Beginning: bytes.Clone(held[:min(len(held), 64<<10)]), Err: err}
}

// Error gives the reason.
func (p *Partial) Error() string { return p.Err.Error() }

// Unwrap returns the reason.
func (p *Partial) Unwrap() error { return p.Err }

// KindOf returns the kind of the first Failure in err's chain, Internal when
// there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Kind
	}
	return Internal
}

// Explain returns what a peer may be told of err: nothing of our insides, no
// value of a message.
func Explain(err error) Problem {
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		return Problem{Code: 207, Text: "internal error, send again later"}
	}
	switch f.Kind {
	case Malformed:
		code := f.Code
		if code == 0 {
			code = 102 // nothing better is known: what came is not what it should be
		}
		text := "not readable"
		if f.Err != nil {
			text = f.Err.Error()
		}
		return Problem{Where: f.Where, Code: code, Text: text}
	case Unavailable:
		return Problem{Code: 207, Text: "not available now, send again later"}
	}
	return Problem{Code: 207, Text: "internal error, send again later"}
}
