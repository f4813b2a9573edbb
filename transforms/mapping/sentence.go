package mapping

import (
	"strings"
)

type sourceKind uint8

const (
	fromPath sourceKind = iota
	fromConstant
	fromTemplate
	fromOrdinal
	fromRef
	fromRefs
	fromParam
	inherited
	none
	broken // said already
)

// A source is where a row's value comes from, as written.
type source struct {
	kind sourceKind
	text string // path, constant, template, name, parameter
	at   place
	// quoted is true for a constant in quotes: never a coding, number or flag.
	quoted bool
}

// A row is one row of a map, as written in either form.
type row struct {
	at      place
	owner   *definition
	text    string // as typed, for people
	each    bool
	sources []source
	as      string
	with    []source
	through string
	when    string
	whenAt  place
	set     []*target
	id      string
	note    string
	expects string
	max     int
}

// A target is the rows of one element of the output, as written.
type target struct {
	path string
	at   place
	rows []*row
}

// words of a sentence that end what stands before them.
const (
	wordOr      = "or"
	wordAs      = "as"
	wordWith    = "with"
	wordThrough = "through"
	wordWhen    = "when"
	wordEach    = "each"
)

// A cut is a piece of a sentence that begins with a keyword.
type cut struct {
	word, text string
	offset     int
}

// cutSentence divides a sentence at the keywords that stand outside quotes,
// braces, brackets and parentheses. All after when is one piece.
func cutSentence(text string) []cut {
	pieces := []cut{{}}
	depth, start := 0, 0
	var quote byte
	end := func(at int) { pieces[len(pieces)-1].text = strings.TrimSpace(text[start:at]) }
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
			continue
		case (c == '"' || c == '\'') && (i == 0 || !wordByte(text[i-1])):
			quote = c
			continue
		case c == '{' || c == '[' || c == '(':
			depth++
		case c == '}' || c == ']' || c == ')':
			depth--
		}
		if depth > 0 || i > 0 && text[i-1] != ' ' {
			continue
		}
		word := keyword(text[i:])
		if word == "" {
			continue
		}
		end(i)
		pieces = append(pieces, cut{word: word, offset: i})
		i += len(word)
		start = min(i, len(text))
		if word == wordWhen {
			break
		}
	}
	end(len(text))
	return pieces
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func keyword(text string) string {
	for _, word := range [...]string{wordOr, wordAs, wordWith, wordThrough, wordWhen} {
		if strings.HasPrefix(text, word) && (len(text) == len(word) || text[len(word)] == ' ') {
			return word
		}
	}
	return ""
}

// parseSentence reads the short form of a row.
func parseSentence(text string, at place, probs *problems) *row {
	r := &row{at: at, text: text}
	for i, piece := range cutSentence(text) {
		here := at
		here.column += piece.offset
		switch {
		case piece.text != "" || i == 0 && text != "":
		case i == 0:
			probs.add(here, "an empty row")
			continue
		default:
			probs.add(here, "nothing follows %q", piece.word)
			continue
		}
		switch piece.word {
		case "", wordOr:
			rest := piece.text
			if cutRest, ok := strings.CutPrefix(rest, wordEach+" "); ok && piece.word == "" {
				r.each, rest = true, strings.TrimSpace(cutRest)
			}
			if r.as != "" || r.through != "" {
				probs.add(here, "%q stands after as or through; the sources come first", wordOr)
				continue
			}
			r.sources = append(r.sources, parseSource(rest, here, probs))
		case wordAs:
			once(&r.as, piece, here, probs)
		case wordThrough:
			once(&r.through, piece, here, probs)
		case wordWith:
			if r.as == "" {
				probs.add(here, "with stands without as")
			}
			for _, arg := range splitCommas(piece.text) {
				r.with = append(r.with, parseSource(arg, here, probs))
			}
		case wordWhen:
			r.when, r.whenAt = piece.text, here
		}
	}
	return r
}

func once(into *string, piece cut, at place, probs *problems) {
	switch {
	case *into != "":
		probs.add(at, "%q stands twice", piece.word)
	case strings.ContainsAny(piece.text, " {}\"'"):
		probs.add(at, "%q is not one name", piece.text)
	default:
		*into = piece.text
	}
}

// splitCommas divides a list at the commas outside quotes and braces.
func splitCommas(text string) []string {
	var out []string
	depth, start := 0, 0
	var quote byte
	for i := range len(text) {
		c := text[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{' || c == '[' || c == '(':
			depth++
		case c == '}' || c == ']' || c == ')':
			depth--
		case c == ',' && depth == 0:
			out = append(out, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	return append(out, strings.TrimSpace(text[start:]))
}

// parseSource reads one source of a sentence.
func parseSource(text string, at place, probs *problems) source {
	s := source{at: at, text: text}
	first, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch first {
	case "=":
		s.kind = fromConstant
		s.text, s.quoted = unquote(rest)
	case "text":
		s.kind = fromTemplate
		s.text, _ = unquote(rest)
		if rest == "" {
			probs.add(at, "text needs a template: text {PID-5.1} {PID-5.2?}")
		}
	case "ordinal":
		s.kind = fromOrdinal
	case "ref", "refs":
		s.kind = fromRef
		if first == "refs" {
			s.kind = fromRefs
		}
		s.text = rest
		if rest == "" || strings.Contains(rest, " ") {
			s.kind = broken
			probs.add(at, "%s needs the name of what make makes", first)
		}
	case "inherited", "none":
		s.kind = inherited
		if first == "none" {
			s.kind = none
		}
		if rest != "" {
			probs.add(at, "%q stands alone in its row", first)
		}
	case "":
		probs.add(at, "a row without a source")
	case wordEach:
		s.kind = broken
		probs.add(at, "each needs a path")
	default:
		pathSource(&s, text, probs)
	}
	return s
}

func pathSource(s *source, text string, probs *problems) {
	switch {
	case strings.HasPrefix(text, "="):
		s.kind = broken
		probs.add(s.at, "a space follows = in %q", text)
	case strings.HasPrefix(text, "$"):
		s.kind, s.text = fromParam, text[1:]
	case strings.Contains(text, " "):
		hint := ""
		if text[0] != '.' {
			hint = "; a fixed text is written = " + text
		}
		s.kind = broken
		probs.add(s.at, "%q is not a path%s", text, hint)
	}
}

func unquote(text string) (string, bool) {
	if len(text) >= 2 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0] {
		return text[1 : len(text)-1], true
	}
	return text, false
}
