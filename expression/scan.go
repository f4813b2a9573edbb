package expression

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/plexus-health/plexus/message"
)

// A rewriting is an expression whose path literals have been replaced by names
// that the user cannot write ($0, $1, …), and the way back to its columns.
type rewriting struct {
	text  string
	paths []found
	edits []edit
}

// found is one path literal.
type found struct {
	text string
	at   int // byte offset in the original
	path message.Path
}

// An edit says that the rewritten text from byte to on continues at byte from
// of the original.
type edit struct{ to, from int }

// original turns a byte offset of the rewritten text into one of the original.
func (r *rewriting) original(offset int) int {
	at := edit{}
	for _, e := range r.edits {
		if e.to > offset {
			break
		}
		at = e
	}
	return at.from + offset - at.to
}

// rewrite finds the path literals outside strings. Arithmetic without spaces
// between words that look like a path is a path.
func rewrite(text string, grammar message.Grammar) (*rewriting, *Error) {
	s := &scanner{text: text, grammar: grammar}
	for s.pos < len(text) {
		if err := s.step(); err != nil {
			return nil, err
		}
	}
	s.out.text = s.b.String()
	return &s.out, nil
}

type scanner struct {
	text    string
	grammar message.Grammar
	pos     int
	b       strings.Builder
	out     rewriting
}

func (s *scanner) step() *Error {
	c := s.text[s.pos]
	switch {
	case c == '"' || c == '\'' || c == '`':
		return s.quoted(c)
	case c == '$':
		return at(s.text, s.pos, `"$" has no meaning here: variables are ${name} in the file and var.name in an expression`)
	case strings.HasPrefix(s.text[s.pos:], "/*") || strings.HasPrefix(s.text[s.pos:], "//"):
		return at(s.text, s.pos, "comments are not allowed in an expression: put them behind # in the file")
	}
	if n := s.inHand(); n > 0 {
		s.skip(n)
	}
	if length := s.literal(); length > 0 {
		return s.path(length)
	}
	// Not a path: copy a whole word, so that none is found in its middle.
	n := 1
	if isWord(c) {
		for s.pos+n < len(s.text) && isWord(s.text[s.pos+n]) {
			n++
		}
	} else if c >= utf8.RuneSelf {
		_, n = utf8.DecodeRuneInString(s.text[s.pos:])
	}
	s.copy(n)
	return nil
}

// quoted copies a string as it stands.
func (s *scanner) quoted(quote byte) *Error {
	for n := s.pos + 1; n < len(s.text); n++ {
		switch {
		case s.text[n] == '\\' && quote != '`':
			n++
		case s.text[n] == quote:
			s.copy(n + 1 - s.pos)
			return nil
		}
	}
	return at(s.text, s.pos, "the text that begins here has no closing "+string(quote))
}

// inHand is the length of "." or "#." in front of a path: .OBX-3.1 in a
// predicate means the one in hand, as OBX-3.1 does.
func (s *scanner) inHand() int {
	rest := s.text[s.pos:]
	n := 0
	switch {
	case strings.HasPrefix(rest, "#."):
		n = 2
	case rest[0] == '.' && !strings.HasPrefix(rest, ".."):
		if before := s.before(); before == 0 || !isWord(before) && !strings.ContainsRune(`)]}"'#.?`, rune(before)) {
			n = 1
		}
	}
	if n == 0 || n == len(rest) || s.grammar == nil {
		return 0
	}
	length := s.grammar.Scan(' ', rest[n:])
	if length <= identifier(rest[n:]) {
		return 0 // a plain member such as .received
	}
	return n
}

// identifier is the length of the plain word that text begins with.
func identifier(text string) int {
	n := 0
	for n < len(text) && isWord(text[n]) {
		n++
	}
	return n
}

func (s *scanner) before() byte {
	if s.pos == 0 {
		return 0
	}
	return s.text[s.pos-1]
}

// literal is the length of the path literal here, 0 for none.
func (s *scanner) literal() int {
	if s.grammar == nil || s.pos >= len(s.text) {
		return 0
	}
	before := s.before()
	if len(s.out.edits) > 0 && s.out.edits[len(s.out.edits)-1].from == s.pos {
		before = ' ' // the dot of a path in hand was taken away
	} else if before == '.' {
		return 0 // a member of what stands in front
	}
	rest := s.text[s.pos:]
	length := s.grammar.Scan(before, rest)
	if length <= 0 || length > len(rest) {
		return 0
	}
	if word := identifier(rest); word >= length && (values[rest[:length]] || functionNames[rest[:length]]) {
		return 0
	}
	return length
}

func (s *scanner) path(length int) *Error {
	text := s.text[s.pos : s.pos+length]
	p, err := s.grammar.Compile(text)
	if err != nil {
		return at(s.text, s.pos, err.Error())
	}
	if rest := s.text[s.pos+length:]; p.Kind() == message.Places && len(rest) > 1 && rest[0] == '.' && rest[1] >= '0' && rest[1] <= '9' {
		return at(s.text, s.pos, fmt.Sprintf(`%s%s is not a path: "." does not lead from %s to a field of it`, text, rest[:2], text))
	}
	s.b.WriteByte('$')
	s.b.WriteString(strconv.Itoa(len(s.out.paths)))
	s.out.paths = append(s.out.paths, found{text: text, at: s.pos, path: p})
	s.skip(length)
	return nil
}

func (s *scanner) copy(n int) {
	s.b.WriteString(s.text[s.pos : s.pos+n])
	s.pos += n
}

// skip leaves out n bytes of the original.
func (s *scanner) skip(n int) {
	s.pos += n
	s.out.edits = append(s.out.edits, edit{to: s.b.Len(), from: s.pos})
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// at makes an error at a byte offset of the text.
func at(text string, offset int, what string) *Error {
	offset = max(0, min(offset, len(text)))
	return &Error{Column: utf8.RuneCountInString(text[:offset]) + 1, Text: what}
}
