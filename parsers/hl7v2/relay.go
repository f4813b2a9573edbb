package hl7v2

import (
	"slices"

	"github.com/plexus-health/plexus/parsers"
)

var _ parsers.Relayer = (*Parser)(nil)

// Relay makes the answer to a message that was made of the one that begins with
// head an answer to that one: MSA-2 names it by its MSH-10 (2.14.8). What is no
// answer stays as it is, as does one that names it already.
func (p *Parser) Relay(head, answer []byte) []byte {
	s := scanner{head: head, override: p.options.Charset}
	at, err := s.begin()
	if err != nil || head[at] != 'M' {
		return answer
	}
	control := s.line(at).Segment(0).Field(10).Raw()
	doc, err := Parse(answer)
	if err != nil {
		return answer
	}
	for i := range doc.Len() {
		msa := doc.Segment(i)
		if msa.Name() != "MSA" {
			continue
		}
		if v := msa.Field(2); v.Valued() {
			start, end := v.Span()
			return slices.Concat(answer[:start], control, answer[end:])
		}
		break
	}
	return answer
}
