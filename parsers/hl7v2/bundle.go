package hl7v2

import (
	"bytes"
	"fmt"

	"github.com/plexus-health/plexus/parsers"
)

var _ parsers.Bundler = (*Parser)(nil)

// Bundle makes a file of messages (2.10.3): FHS and BHS with the systems of the
// first message, the messages as they are, BTS and FTS with their counts.
func (p *Parser) Bundle(messages [][]byte, made parsers.Stamp) ([]byte, error) {
	if len(messages) == 0 {
		return nil, fmt.Errorf("a batch without messages")
	}
	first, err := Parse(messages[0])
	if err != nil {
		return nil, fmt.Errorf("first message: %w", err)
	}
	msh, d := first.Segment(0), first.Delims()
	size := 0
	for _, m := range messages {
		size += len(m) + 1
	}
	out := make([]byte, 0, size+512)
	sep := d.Field
	for _, name := range []string{"FHS", "BHS"} {
		out = append(out, name...)
		out = append(out, sep)
		out = append(out, msh.Field(2).Raw()...)
		for field := 3; field <= 6; field++ {
			out = append(append(out, sep), msh.Field(field).Raw()...)
		}
		out = append(append(out, sep), made.Time...)
		out = append(out, sep, sep, sep, sep) // security, name, comment
		out = append(append(out, made.Control...), '\r')
	}
	for _, m := range messages {
		out = append(out, bytes.TrimRight(m, "\r\n")...)
		out = append(out, '\r')
	}
	out = fmt.Appendf(out, "BTS%c%d\rFTS%c1\r", sep, len(messages), sep)
	return out, nil
}
