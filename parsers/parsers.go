// Package parsers holds what turns bytes into documents: the interface of a
// format's parser and the extra powers a parser may have.
package parsers

import (
	"io"

	"github.com/plexus-health/plexus/message"
)

// A Parser reads one format. It is safe for use from several goroutines.
type Parser interface {
	// Parse returns the document of raw, which it may keep but never
	// modifies. The error is a *message.Failure of kind Malformed that says
	// where; no bytes cause a panic. Oddities that do not stop it are the
	// document's warnings.
	Parse(raw []byte) (message.Document, error)
	// Grammar is the path syntax of the format.
	Grammar() message.Grammar
}

// A Keyer finds by a cheap scan what intake needs, without building a document.
type Keyer interface {
	// Scan reads the header, receive keys and hash of raw. A *message.Failure
	// of kind Malformed says why there is no usable header; the Header then
	// holds what was found all the same. head is the beginning of the
	// content, all of it or at least the first megabyte of a large one; rest,
	// if it is not nil, delivers what follows and is read to its end.
	Scan(head []byte, rest io.Reader) (message.Header, error)
}

// A Replier builds the bytes that tell a peer what became of its message.
type Replier interface {
	// Reply answers the message that begins with head (all of it, or the
	// beginning of a large or unreadable one). It returns no bytes when the
	// protocol asks for none, or when the message is itself an answer.
	Reply(head []byte, answer message.Answer, made Stamp) []byte
}

// A LateReplier builds a further answer, which some senders ask for behind that
// of Reply: what became of their message once it was processed.
type LateReplier interface {
	// Awaits reports whether the sender of the message that begins with head
	// gets another answer behind the positive one.
	Awaits(head []byte) bool
	// Applied builds it: no bytes when the sender does not want to hear of this
	// outcome.
	Applied(head []byte, answer message.Answer, made Stamp) []byte
}

// An ApartReplier builds the two answers of a sender who gets the second one over
// another connection, as a message of its own.
type ApartReplier interface {
	// ReplyAccept answers where the message came: that it was taken, where the
	// sender wants to hear that, and nothing of what becomes of it.
	ReplyAccept(head []byte, answer message.Answer, made Stamp) []byte
	// ReplyApart builds what goes another way, once the message was processed: no
	// bytes when the sender does not want to hear of this outcome.
	ReplyApart(head []byte, answer message.Answer, made Stamp) []byte
}

// A Batcher takes the messages of a batch that arrives as one content, and
// answers them as one.
type Batcher interface {
	// Batch reports whether content that begins with head is a batch.
	Batch(head []byte) bool
	// AnswerBatch reads a batch and hands over each message, at most limit
	// bytes, to take, which returns its answer and whether it was accepted. It
	// stops at take's first error and returns it; else the answer to the batch.
	AnswerBatch(r io.Reader, limit int64, stamp func() Stamp, take func(raw []byte) (reply []byte, accepted bool, err error)) ([]byte, error)
}

// A Joiner knows messages that were sent in parts.
type Joiner interface {
	// Part reads the marks of a part: the name by which the next part finds it
	// (empty when nothing follows), and that of the part before it (empty for
	// the first). alone reports whether the content can be a message by itself.
	Part(raw []byte) (name, before string, alone bool)
	// Join makes one message of the parts, in their order. The error is a
	// *message.Failure of kind Malformed.
	Join(parts [][]byte) ([]byte, error)
}

// A Sequencer reads the number of a message where sender and receiver agreed to
// count them.
type Sequencer interface {
	// Sequence returns the number; counted is false where the options do not
	// ask for it, or the message has none. empty reports whether the message
	// has no content: it is about the numbers alone.
	Sequence(head []byte) (n int64, empty, counted bool)
}

// A Stamp is what a reply carries of the moment it was made.
type Stamp struct {
	// Time is a timestamp in the form of the format, without punctuation:
	// 20260105133700.123+0000.
	Time string
	// Control is the reply's own control id.
	Control string
	// Channel is the name of the channel that replies.
	Channel string
}

// A Relayer passes an answer on to the sender of a message that a peer answered
// in our place.
type Relayer interface {
	// Relay returns the answer to what was made of the message that begins
	// with head as one to that message: it names it by its own control id.
	// What is no answer of the format stays as it is.
	Relay(head, answer []byte) []byte
}

// A Splitter yields the messages of a batch or file.
type Splitter interface {
	// Split reads r and calls take with each message in turn, at most limit
	// bytes each. It stops at take's first error and returns it. A message
	// above limit, or one in which r fails, ends it with a *message.Partial.
	Split(r io.Reader, limit int64, take func(raw []byte) error) error
}

// A Bundler makes one file of several messages, for `batch:`.
type Bundler interface {
	// Bundle returns the file that holds messages in their order; made is the
	// file's own time and control id. The same arguments give the same bytes.
	Bundle(messages [][]byte, made Stamp) ([]byte, error)
}

// A Divider takes documents apart, for `split:` and `each:`.
type Divider interface {
	// Divide calls take with a document for each of the places that by (of
	// kind Places) leads to in doc, in their order: that place, with all that
	// stands outside of all of them. A document that holds one place and needs
	// no other bytes is handed on itself; one without a place makes no part.
	// It stops at take's first error and returns it.
	Divide(doc message.Document, by message.Path, take func(part message.Document) error) error
	// Rename returns a part under a control id of its own, where the format
	// has one: its receiver must not take it for a copy of another part.
	Rename(part message.Document, control string) (message.Document, error)
}

// A Checker says what is not as it should be in a document that could be read.
type Checker interface {
	// Check returns the findings in the order of the document; none where the
	// options ask for no check. doc was made by this parser.
	Check(doc message.Document) []Finding
}

// A Finding is one thing that a check found. It holds no value of the message.
type Finding struct {
	// Problem is what the sender is told of it.
	Problem message.Problem
	// Rule is a stable word: "required".
	Rule string
	// Severe findings keep a message from being processed.
	Severe bool
}

// A Kind is one word of `parse:`.
type Kind struct {
	Name string
	// Options returns a pointer to a struct with yaml tags and defaults.
	Options func() Options
}

// Options are the options of a parser as `parse: {word: {…}}` gives them.
type Options interface {
	// Validate checks words only.
	Validate() []Problem
	// Open makes the parser.
	Open() (Parser, error)
}

// FileOptions are options that name files.
type FileOptions interface {
	Options
	// Files are the names of the files, as the options give them.
	Files() []string
	// OpenWith is Open with the content of these files, by name.
	OpenWith(files map[string][]byte) (Parser, error)
}

// A Problem is what is wrong with an option.
type Problem struct{ Field, Text string }
