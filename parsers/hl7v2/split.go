package hl7v2

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/plexus-health/plexus/message"
)

// Split yields the messages of a batch or file: each begins at MSH and ends
// before the next MSH, FHS, BHS, BTS or FTS (2.10.3). The envelope is left out.
// What stands before the first message and is no envelope is yielded too, for
// it is refused with a reason and not lost.
func (p *Parser) Split(r io.Reader, limit int64, take func(raw []byte) error) error {
	return (&splitter{take: take, limit: limit}).read(r)
}

// A Piece is a part of a file: a message, or a line of an envelope with what
// follows it.
type Piece struct {
	Raw     []byte // valid until the call returns
	Offset  int    // where it begins in the file
	Message bool
}

// Pieces goes through a file as Split does, and hands over every byte of it.
func Pieces(r io.Reader, limit int64, take func(Piece) error) error {
	at := 0
	return (&splitter{limit: limit, all: func(raw []byte, is bool) error {
		p := Piece{Raw: raw, Offset: at, Message: is}
		at += len(raw)
		return take(p)
	}}).read(r)
}

// read goes through r to its end.
func (s *splitter) read(r io.Reader) error {
	size := 64 << 10
	if known, ok := r.(interface{ Len() int }); ok { // in memory, and perhaps small
		size = min(size, known.Len()+1)
	}
	buf := make([]byte, size)
	for {
		n, err := r.Read(buf)
		s.held = append(s.held, buf[:n]...)
		ended := errors.Is(err, io.EOF)
		if err := s.cut(ended); err != nil {
			return err
		}
		if ended {
			return s.part(s.held)
		}
		if err != nil {
			return message.PartialOf(s.held, fmt.Errorf("read: %w", err))
		}
	}
}

// A splitter holds what has been read of the message in hand.
type splitter struct {
	take    func(raw []byte) error
	around  func(line []byte)                    // is told of the lines of the envelope; nil: nobody asks
	all     func(raw []byte, message bool) error // takes all parts in place of take
	limit   int64
	held    []byte
	scanned int // what of held has no further beginning in it
}

// cut yields every part of held that ends in it.
func (s *splitter) cut(ended bool) error {
	start := 0
	for at := s.scanned; ; {
		next := bytes.IndexAny(s.held[at:], "\r\n")
		if next < 0 {
			s.scanned = len(s.held) - start
			break
		}
		if at += next + 1; at+4 > len(s.held) && !ended {
			s.scanned = at - 1 - start // the name is not there yet
			break
		}
		if !envelopeBegins(s.held[at:]) {
			continue
		}
		if err := s.part(s.held[start:at]); err != nil {
			return err
		}
		start = at
	}
	s.held = append(s.held[:0], s.held[start:]...)
	if int64(len(s.held)) > s.limit {
		return s.tooLong(s.held)
	}
	return nil
}

// part hands on one part, unless it is the envelope or empty.
func (s *splitter) part(raw []byte) error {
	first := bytes.TrimLeft(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), " \t\r\n\x0b\x1c\x1a")
	envelope := envelopeBegins(first) && string(first[:3]) != "MSH"
	is := len(first) > 0 && !envelope
	switch {
	case is && int64(len(raw)) > s.limit:
		return s.tooLong(raw)
	case s.all != nil:
		return s.all(raw, is)
	case is:
		return s.take(bytes.Clone(raw))
	case envelope && s.around != nil:
		s.around(firstLine(first))
	}
	return nil
}

// tooLong is the error of a message above the limit.
func (s *splitter) tooLong(raw []byte) error {
	return message.PartialOf(raw, malformed("", int(s.limit), 102, "the message is longer than %d bytes", s.limit))
}

// envelopeBegins reports whether a line begins a message or is of the envelope.
func envelopeBegins(line []byte) bool {
	if len(line) < 3 {
		return false
	}
	switch string(line[:3]) {
	case "MSH", "FHS", "BHS":
		return len(line) > 3 && punctuation(line[3])
	case "BTS", "FTS":
		return len(line) == 3 || punctuation(line[3]) || line[3] == '\r' || line[3] == '\n'
	}
	return false
}
