package fhir

import (
	"bytes"

	"github.com/plexus-health/plexus/parsers"
)

var _ parsers.Bundler = (*Parser)(nil)

// Bundle makes NDJSON: a resource on each line, in their order. Line ends within
// one stand between values, where any white space is the same.
func (p *Parser) Bundle(messages [][]byte, _ parsers.Stamp) ([]byte, error) {
	var out []byte
	for _, m := range messages {
		m = bytes.TrimSpace(bytes.TrimPrefix(m, []byte(mark)))
		for _, c := range m {
			if c == '\n' || c == '\r' {
				c = ' '
			}
			out = append(out, c)
		}
		out = append(out, '\n')
	}
	return out, nil
}
