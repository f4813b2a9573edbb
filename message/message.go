// Package message holds what every part of the engine speaks of: a received
// message and its states, the deliveries made from it, documents and the paths
// into them, replies and failures. Every other package may import it; it
// imports nothing of ours.
package message

import (
	"context"
	"io"
	"time"
)

// A Message is one message received by a channel: its bytes, never modified,
// and what the engine has found out about it.
type Message struct {
	// ID names the message for people and in links: unique over all engines,
	// sortable by time, without patient data. Empty until recorded.
	ID string
	// Seq is messages.seq, the received order. 0 until recorded.
	Seq int64
	// Channel is the name of the channel that received the message.
	Channel string
	// Peer says where it came from: a network address or a folder. It holds
	// no patient data.
	Peer string
	// Senders are those for whom the peer may speak, as its certificate says: the
	// second part of Header.Sender, or both. nil: anyone.
	Senders []string
	// Received is when the last byte of the message was read.
	Received time.Time

	// Header is what the parser's cheap scan found; the zero value where the
	// content has no usable header.
	Header Header
	// MadeKey and MadeKey2 are the keys it was recorded with, where those were
	// merged since; empty otherwise. Only lists of what waits tell them.
	MadeKey, MadeKey2 string

	// Raw are the bytes as received. It is never modified. Above the store's
	// limit for single bodies it is empty and Body opens the content.
	Raw []byte
	// Stream, if it is not nil, is the content of a large message as it
	// arrives from a source; Raw is empty then. The handler reads it to its
	// end or first error before it returns. An error means that the message
	// did not arrive whole.
	Stream io.Reader
	// Body opens the stored content of a large message; nil when Raw holds it.
	Body func(context.Context) (io.ReadCloser, error)
	// Size is the length of the content in bytes.
	Size int64
	// Pruned is when the content was taken away because it is not kept any
	// longer; zero while it is there.
	Pruned time.Time

	// Damage, if it is not nil, says why the content cannot be taken although
	// it was read (a frame that lost bytes, a frame over the size limit; Raw
	// then holds its beginning). Such a message is journaled as refused and
	// never answered positively.
	Damage *Failure

	// State and Reason are where the message stands; Run counts how often it
	// was handed to processing again by an operator, from 0; Crashes counts
	// the owners that died with it in hand.
	State   State
	Reason  string
	Run     int
	Crashes int
	// Answer is what the sender was told, or is to be told.
	Answer Answer
	// RoutesVersion is the version of the configuration that recorded it.
	RoutesVersion string

	// Via are the names of the channels it came through inside of the engine,
	// the first one first, with blanks between; empty when a peer sent it.
	Via string

	// Doc is the parsed content. Steps of a channel replace it; Raw stays.
	Doc Document
}

// Header is what intake needs of a message. A parser finds it by a cheap scan
// of the first bytes, without building a Document.
type Header struct {
	// Type is the kind of message as expressions see it: "ORU^R01", "837P".
	Type string
	// Structure is the name of its grammar: "ORU_R01". Empty if not said.
	Structure string
	// Sender identifies the sending system: MSH-3|MSH-4, ISA05-06.
	Sender string
	// Receiver identifies the receiving system.
	Receiver string
	// Control is the sender's own number of the message: MSH-10, ISA13.
	Control string
	// Key is the receive key of order (delivery.md §6): messages of one key
	// are processed one after the other. Key2 is the second key of a message
	// that concerns two, such as a merge; empty otherwise.
	Key, Key2 string
	// Part names a part of a message that goes on in another one: the next part
	// finds it by this. Empty for all others.
	Part string
	// Merge is true when the content says that Key2 is Key from now on.
	Merge bool
	// Hash is the SHA-256 of the content without what a retransmission may
	// change (MSH-7).
	Hash [32]byte
}

// A Delivery is one payload to be sent by one route. It is made once, in T2;
// its payload and control id do not change afterwards.
type Delivery struct {
	// N is the number of its row, which orders those of one position.
	N       int64
	ID      string
	Message int64 // messages.seq
	Run     int
	Unit    string // the route that sends it
	Part    int
	Pos     int64 // position in received order
	Key     string
	Key2    string
	// MadeKey and MadeKey2 are the keys it was made with, where those were
	// merged since; else empty.
	MadeKey, MadeKey2 string

	State  DeliveryState
	Reason string
	Class  Kind
	Due    time.Time
	// Attempts counts sends begun.
	Attempts int
	Started  time.Time
	// Answered is when the last answer was written.
	Answered time.Time
	// MaybeSent is true when bytes may have left in an attempt whose answer
	// is not known.
	MaybeSent bool
	// Late is true when a younger delivery of its key was delivered before.
	Late    bool
	Control string
	Payload []byte
	// Original: the payload is the message as it was received, which stands in
	// the journal once.
	Original bool
	Answer   []byte
	// Lot says with which others of a route that sends files it goes into one;
	// Batch is the file it is in, 0 while it is in none.
	Lot   string
	Batch int64
}

// A Reply is what goes back to a peer, or what a peer answered.
type Reply struct {
	// Answer is what the reply says.
	Answer Answer
	// Raw are the bytes to be sent, or that were received; empty when the
	// protocol asks for no answer (MSH-15 NE).
	Raw []byte
	// Later, if it is not nil, waits for what became of a received message and
	// returns an answer to be sent behind Raw, or in its place where Raw is empty:
	// the application acknowledgement of enhanced mode. It may return none. A
	// source that has nobody to send it to need not call it.
	Later func(context.Context) []byte
}

// An Answer is the outcome of an intake in the words of no format: parsers
// build the bytes of a reply from it, the journal keeps it for copies.
type Answer struct {
	// Code is what is claimed.
	Code AnswerCode `json:"code,omitempty"`
	// Problems are the reasons of a negative answer; without values of the
	// message.
	Problems []Problem `json:"problems,omitempty"`
	// Again: nothing was recorded for a fault of ours that may pass; a source
	// that keeps messages itself hands this one over again.
	Again bool `json:"-"`
	// Stored: the message is kept and no more is claimed, neither that it was
	// processed nor that anything in it took effect.
	Stored bool `json:"-"`
	// Expected is the number that the next message of the sender is to have, where
	// both agreed to count (MSA-4); empty otherwise.
	Expected string `json:"-"`
}

// AnswerCode is the verdict of an Answer.
type AnswerCode string

// The verdicts. In HL7 v2 they are AA/CA, AE/CE and AR/CR.
const (
	// None: nothing has been answered yet.
	None AnswerCode = ""
	// Accepted: what the channel's `ack:` claims is committed and synced.
	Accepted AnswerCode = "accepted"
	// Erroneous: the content is wrong; sending it again unchanged will not help.
	Erroneous AnswerCode = "error"
	// Rejected: not taken for a reason other than the content.
	Rejected AnswerCode = "rejected"
)

// A Problem is one reason of a negative answer.
type Problem struct {
	// Where is a path of the message's format ("OBX[3]-5"), or empty.
	Where string `json:"where,omitempty"`
	// Code is an HL7 table 0357 code (100 to 207); other formats map it.
	Code int `json:"code"`
	// Text is for the peer's people. It holds no value of the message.
	Text string `json:"text"`
}
