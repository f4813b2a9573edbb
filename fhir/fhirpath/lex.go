package fhirpath

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd      tokenKind = iota
	tokWord               // an identifier or keyword
	tokQuoted             // `an identifier`
	tokString             // 'text'
	tokNumber             // 1, 1.0
	tokMoment             // @2015-02-04, @T14:34
	tokVariable           // %name
	tokDollar             // $this
	tokSymbol             // an operator or bracket
)

type token struct {
	kind tokenKind
	at   int
	text string // decoded
	when Value  // of a tokMoment
}

// shown is a token as an error says it.
func (t token) shown() string {
	switch t.kind {
	case tokEnd:
		return "the end"
	case tokString:
		return "a string"
	case tokMoment:
		return "a date or time"
	}
	return strconv.Quote(t.text)
}

type lexer struct {
	src string
	at  int
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}

// skip passes white space and comments.
func (l *lexer) skip() error {
	for l.at < len(l.src) {
		rest := l.src[l.at:]
		switch {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r' || rest[0] == '\n':
			l.at++
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexAny(rest, "\r\n")
			if end < 0 {
				end = len(rest)
			}
			l.at += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return fault(l.at, "a comment does not end")
			}
			l.at += end + 4
		default:
			return nil
		}
	}
	return nil
}

// next reads one token.
func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	start := l.at
	if start >= len(l.src) {
		return token{kind: tokEnd, at: start}, nil
	}
	switch c := l.src[start]; {
	case isWord(c):
		return token{tokWord, start, l.word(), Value{}}, nil
	case isDigit(c):
		return token{tokNumber, start, l.number(), Value{}}, nil
	case c == '\'' || c == '`' || c == '"':
		text, err := l.quoted(c)
		kind := tokString
		if c != '\'' {
			kind = tokQuoted // "…" is how FHIRPath wrote them before 1.3
			if err == nil && text == "" {
				err = fault(start, "a name is empty")
			}
		}
		return token{kind, start, text, Value{}}, err
	case c == '@':
		return l.moment()
	case c == '%':
		return l.variable()
	case c == '$':
		l.at++
		return token{tokDollar, start, l.word(), Value{}}, nil
	}
	for _, s := range symbols {
		if strings.HasPrefix(l.src[start:], s) {
			l.at += len(s)
			return token{tokSymbol, start, s, Value{}}, nil
		}
	}
	return token{}, fault(start, "no word of FHIRPath begins here")
}

// symbols are the operators and brackets, the longer first.
var symbols = [...]string{"<=", ">=", "!=", "!~", "=", "~", "<", ">", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "|", "&"}

func (l *lexer) word() string {
	start := l.at
	for l.at < len(l.src) && (isWord(l.src[l.at]) || (l.at > start && isDigit(l.src[l.at]))) {
		l.at++
	}
	return l.src[start:l.at]
}

func (l *lexer) number() string {
	start := l.at
	for l.at < len(l.src) && isDigit(l.src[l.at]) {
		l.at++
	}
	if l.at+1 < len(l.src) && l.src[l.at] == '.' && isDigit(l.src[l.at+1]) {
		l.at++
		for l.at < len(l.src) && isDigit(l.src[l.at]) {
			l.at++
		}
	}
	return l.src[start:l.at]
}

// quoted reads what stands in quotes. A backslash before anything that is no
// escape is left out (FHIRPath N1, 4.1.2).
func (l *lexer) quoted(quote byte) (string, error) {
	start := l.at
	l.at++
	from := l.at
	var out []byte
	for l.at < len(l.src) {
		c := l.src[l.at]
		if c == quote {
			text := string(append(out, l.src[from:l.at]...))
			l.at++
			if !utf8.ValidString(text) {
				return "", fault(start, "a text is not valid UTF-8")
			}
			return text, nil
		}
		if c != '\\' {
			l.at++
			continue
		}
		out = append(out, l.src[from:l.at]...)
		l.at++
		if l.at >= len(l.src) {
			break
		}
		out = l.escape(out)
		from = l.at
	}
	return "", fault(start, "a text does not end")
}

// escape reads what follows a backslash.
func (l *lexer) escape(out []byte) []byte {
	c := l.src[l.at]
	switch c {
	case 'n':
		out = append(out, '\n')
	case 'r':
		out = append(out, '\r')
	case 't':
		out = append(out, '\t')
	case 'f':
		out = append(out, '\f')
	case '\'', '"', '`', '\\', '/':
		out = append(out, c)
	case 'u':
		if l.at+5 <= len(l.src) {
			if r, err := strconv.ParseUint(l.src[l.at+1:l.at+5], 16, 16); err == nil {
				l.at += 5
				return utf8.AppendRune(out, rune(r))
			}
		}
		out = append(out, c)
	default:
		return out // the character itself follows
	}
	l.at++
	return out
}

// moment reads a date, dateTime or time.
func (l *lexer) moment() (token, error) {
	start := l.at
	l.at++
	text := l.src[l.at:]
	var v Value
	var used int
	var ok bool
	if strings.HasPrefix(text, "T") {
		v, used, ok = scanTime(text[1:])
		used++
	} else {
		v, used, ok = scanDate(text)
	}
	if !ok {
		return token{}, fault(start, "no date or time follows @")
	}
	l.at += used
	return token{tokMoment, start, "", v}, nil
}

// variable reads %name, %`name` and %'name'. The names of value sets have
// dashes in them.
func (l *lexer) variable() (token, error) {
	start := l.at
	l.at++
	if l.at < len(l.src) && (l.src[l.at] == '`' || l.src[l.at] == '\'' || l.src[l.at] == '"') {
		text, err := l.quoted(l.src[l.at])
		return token{tokVariable, start, text, Value{}}, err
	}
	text := l.word()
	if text == "" {
		return token{}, fault(start, "no name follows %%")
	}
	dashes := text == "vs" || text == "ext" // only value sets and extensions have dashes
	for dashes && l.at+1 < len(l.src) && l.src[l.at] == '-' && isWord(l.src[l.at+1]) {
		l.at++
		text += "-" + l.word()
	}
	return token{tokVariable, start, text, Value{}}, nil
}
