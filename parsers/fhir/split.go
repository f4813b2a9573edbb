package fhir

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/plexus-health/plexus/message"
)

// Split yields the resources of a file. Where the first line is a whole JSON
// value, the file is NDJSON (application/fhir+ndjson) and each line a message,
// readable or not: one that is not is refused with its reason and not lost.
// Any other file is one message.
func (p *Parser) Split(r io.Reader, limit int64, take func(raw []byte) error) error {
	s := splitter{take: take, limit: limit}
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		s.held = append(s.held, buf[:n]...)
		ended := errors.Is(err, io.EOF)
		if err := s.cut(); err != nil {
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
	limit   int64
	held    []byte
	scanned int  // what of held has no line end in it
	known   bool // whether it is known what the file is
	lines   bool // NDJSON
}

// cut yields the lines that end in what is held.
func (s *splitter) cut() error {
	start := 0
	for !s.known || s.lines {
		next := bytes.IndexByte(s.held[start+s.scanned:], '\n')
		if next < 0 {
			s.scanned = len(s.held) - start
			break
		}
		end := start + s.scanned + next
		line := s.held[start:end]
		if !s.known && len(bytes.TrimSpace(line)) > 0 {
			s.known, s.lines = true, oneValue(line)
			if !s.lines {
				break
			}
		}
		if !s.known { // an empty line before anything
			s.scanned = end + 1 - start
			continue
		}
		if err := s.part(line); err != nil {
			return err
		}
		start, s.scanned = end+1, 0
	}
	s.held = append(s.held[:0], s.held[start:]...)
	if int64(len(s.held)) > s.limit {
		return s.tooLong(s.held)
	}
	return nil
}

func (s *splitter) tooLong(raw []byte) error {
	return message.PartialOf(raw, &message.Failure{
		Kind: message.Malformed, Offset: int(s.limit) + 1, Code: 102, Err: fmt.Errorf("a resource is larger than %d bytes", s.limit),
	})
}

// part hands on one message, unless it is empty.
func (s *splitter) part(raw []byte) error {
	switch {
	case len(bytes.TrimSpace(bytes.TrimPrefix(raw, []byte(mark)))) == 0:
		return nil
	case int64(len(raw)) > s.limit:
		return s.tooLong(raw)
	}
	if s.lines {
		raw = bytes.TrimSuffix(raw, []byte("\r"))
	}
	return s.take(bytes.Clone(raw))
}

// oneValue reports whether a line is an object from its first bracket to its
// last, or cannot be the beginning of one that goes on in the next line.
func oneValue(line []byte) bool {
	c := cursor{data: bytes.TrimPrefix(line, []byte(mark))}
	c.at = afterSpace(c.data, 0)
	if c.at >= len(c.data) || c.data[c.at] != '{' {
		return false
	}
	depth := 0
	for ; c.at < len(c.data); c.at++ {
		switch c.data[c.at] {
		case '"':
			c.at = afterString(c.data, c.at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
	}
	return depth <= 0
}
