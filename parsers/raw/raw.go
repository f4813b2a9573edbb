// Package raw takes content of any format as it is: nothing is read of it but
// its bytes, and all of it can be passed on.
package raw

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// Format is the word of `parse:`.
const Format = "raw"

// Options of the parser: there are none.
type Options struct{}

// Kind is the parser as `parse:` names it.
func Kind() parsers.Kind {
	return parsers.Kind{Name: Format, Options: func() parsers.Options { return &Options{} }}
}

// Validate checks words.
func (*Options) Validate() []parsers.Problem { return nil }

// Open makes the parser.
func (*Options) Open() (parsers.Parser, error) { return &Parser{}, nil }

// A Parser takes any bytes. It is safe for use from several goroutines.
type Parser struct{}

var (
	_ parsers.Parser = (*Parser)(nil)
	_ parsers.Keyer  = (*Parser)(nil)
)

var errEmpty = errors.New("there is no content")

func empty() error {
	return &message.Failure{Kind: message.Malformed, Where: "raw", Code: 102, Err: errEmpty}
}

// Parse returns the content as a document. No content is malformed.
func (*Parser) Parse(raw []byte) (message.Document, error) {
	if len(raw) == 0 {
		return nil, empty()
	}
	return &Document{raw: raw}, nil
}

// Scan hashes the content. It names no sender and no number: the control id is
// the beginning of the hash, and only the same content is a copy. All of a
// channel is one order.
func (*Parser) Scan(head []byte, rest io.Reader) (message.Header, error) {
	sum := sha256.New()
	n, err := sum.Write(head)
	if err == nil && rest != nil {
		var more int64
		more, err = io.Copy(sum, rest)
		n += int(more)
	}
	if err == nil && n == 0 {
		err = empty()
	}
	return header([sha256.Size]byte(sum.Sum(nil))), err
}

// header is that of content with a hash.
func header(hash [sha256.Size]byte) message.Header {
	return message.Header{Type: Format, Key: "channel", Control: hex.EncodeToString(hash[:10]), Hash: hash}
}

// Grammar is the path syntax: raw, raw.lines, raw.line.
func (*Parser) Grammar() message.Grammar { return Grammar{} }

// A Document is content as it came.
type Document struct{ raw []byte }

// Format is the word of `parse:`.
func (*Document) Format() string { return Format }

// Header names the format, and the content by its hash.
func (d *Document) Header() message.Header { return header(sha256.Sum256(d.raw)) }

// Root is the whole content.
func (d *Document) Root() message.Node { return &place{d, 0, len(d.raw)} }

// Encode appends the content.
func (d *Document) Encode(dst []byte) []byte { return append(dst, d.raw...) }

// Rebuild appends the content.
func (d *Document) Rebuild(dst []byte) []byte { return d.Encode(dst) }

// Warnings are none.
func (*Document) Warnings() []message.Warning { return nil }

// A place is the whole content or a line of it.
type place struct {
	doc        *Document
	start, end int
}

// Span is where it stands.
func (p *place) Span() (start, end int) { return p.start, p.end }

// text is the content as UTF-8: other bytes stand as U+FFFD.
func (p *place) text() string { return strings.ToValidUTF8(string(p.doc.raw[p.start:p.end]), "\uFFFD") }

// lines are the lines, without their ends and without an empty one at the end.
func (p *place) lines() []message.Node {
	var out []message.Node
	for at := p.start; at < p.end; {
		end, next := p.end, p.end
		if i := bytes.IndexByte(p.doc.raw[at:p.end], '\n'); i >= 0 {
			end, next = at+i, at+i+1
		}
		out = append(out, &place{p.doc, at, at + len(bytes.TrimSuffix(p.doc.raw[at:end], []byte("\r")))})
		at = next
	}
	return out
}
