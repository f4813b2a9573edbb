package hl7v2

import (
	"io"
	"strconv"

	"github.com/plexus-health/plexus/parsers"
)

// Words of the option batch.
const (
	batchEach   = "each"
	batchErrors = "errors"
)

// Batch reports whether content is a batch: it begins with FHS or BHS.
func (p *Parser) Batch(head []byte) bool {
	at, err := findHeader(head)
	return err == nil && head[at] != 'M'
}

// AnswerBatch hands over the messages of a batch, one after the other, and
// builds the answer (2.10.3.2): for each batch one with the acknowledgements of
// its messages, or of those that were not accepted. One that holds nothing says
// that all were, or that none wanted an answer.
func (p *Parser) AnswerBatch(
	r io.Reader, limit int64, stamp func() parsers.Stamp, take func(raw []byte) (reply []byte, accepted bool, err error),
) ([]byte, error) {
	b := batchReply{p: p, stamp: stamp, messages: -1}
	s := splitter{limit: limit, around: b.line, take: func(raw []byte) error {
		reply, accepted, err := take(raw)
		if err != nil {
			return err
		}
		b.message(reply, accepted)
		return nil
	}}
	if err := s.read(r); err != nil {
		return nil, err
	}
	return b.end(), nil
}

// A batchReply is the answer to a batch being made.
type batchReply struct {
	p     *Parser
	stamp func() parsers.Stamp
	out   []byte

	file     bool // an FHS was answered
	fileEnd  Delims
	batches  int
	empty    int // of these
	began    int // where the batch in hand begins in out
	messages int // of it; -1: there is none
	d        Delims
}

// line takes a line of the envelope.
func (b *batchReply) line(raw []byte) {
	switch string(raw[:3]) {
	case "FHS":
		if !b.file && b.batches == 0 && b.messages < 0 {
			b.file = true
			b.fileEnd = b.header("FHS", raw)
		}
	case "BHS":
		b.close()
		b.began = len(b.out)
		b.d = b.header("BHS", raw)
		b.messages = 0
	case "BTS", "FTS":
		b.close()
	}
}

// header answers FHS or BHS: sender and receiver exchanged, its own number new,
// that of the batch as a reference (fields 11 and 12).
func (b *batchReply) header(name string, raw []byte) Delims {
	a := ack{d: Delims{Field: '|', Component: '^', Repetition: '~', Escape: '\\', Subcomponent: '&'}, made: b.stamp()}
	if d, err := readDelims(raw, 0); err == nil {
		s := scanner{head: raw, override: b.p.options.Charset, delims: d}
		a.msh, a.d = s.line(0).Segment(0), d
	}
	a.out = append(append(b.out, name...), a.d.Field, a.d.Component)
	for _, c := range []byte{a.d.Repetition, a.d.Escape, a.d.Subcomponent, a.d.Truncation} {
		if c != 0 {
			a.out = append(a.out, c)
		}
	}
	for _, f := range []int{5, 6, 3, 4} {
		a.field(a.repeatOf(f))
	}
	a.field([]byte(a.made.Time))
	a.field(nil)
	a.field(nil)
	a.field(nil)
	a.field([]byte(a.made.Control))
	a.field(a.repeatOf(11))
	a.out = append(a.out, '\r')
	b.out = a.out
	return a.d
}

// message takes the answer to a message.
func (b *batchReply) message(reply []byte, accepted bool) {
	if b.messages < 0 { // no BHS stands before it
		b.began = len(b.out)
		b.d = b.header("BHS", nil)
		b.messages = 0
	}
	if len(reply) > 0 && (!accepted || b.p.options.Batch != batchErrors) {
		b.out = append(b.out, reply...)
		b.messages++
	}
}

// emptyMost bounds the batches without an answer in them that are answered.
const emptyMost = 1000

// close ends the batch in hand.
func (b *batchReply) close() {
	switch {
	case b.messages == 0 && b.empty == emptyMost:
		b.out = b.out[:b.began]
	case b.messages >= 0:
		if b.messages == 0 {
			b.empty++
		}
		b.trailer("BTS", b.d, b.messages)
		b.batches++
	}
	b.messages = -1
}

func (b *batchReply) trailer(name string, d Delims, n int) {
	b.out = append(append(b.out, name...), d.Field)
	b.out = append(strconv.AppendInt(b.out, int64(n), 10), '\r')
}

// end is the answer as a whole.
func (b *batchReply) end() []byte {
	b.close()
	if b.file {
		b.trailer("FTS", b.fileEnd, b.batches)
	}
	return b.out
}
