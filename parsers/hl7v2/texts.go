package hl7v2

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// An AckText is what acknowledgements say to people.
type AckText struct {
	// Codes are the words of MSA-1 whose acknowledgements have the text: AA, AE,
	// AR, CA, CE, CR.
	Codes []string `yaml:"codes"`
	// Versions are those of MSH-12 that it is for, such as 2.3 and 2.5.1. A message
	// without a version counts as 2.5.1. Default: all.
	Versions []string `yaml:"versions"`
	// Text is what stands there, with {control} (MSH-10 of the message), {channel}
	// (the channel's name), {ack} (the word of MSA-1) and, where something is
	// wrong, {where} (the place), {code} and {condition} (of table 0357) and {reason}
	// (what the engine says of it). It is cut to the length of the field.
	Text string `yaml:"text"`
}

// ackCodes are the words of MSA-1 (table 0008).
var ackCodes = []string{"AA", "AE", "AR", "CA", "CE", "CR"}

// Placeholders of a text; those of a problem have a meaning only where there is one.
var (
	placeholders        = []string{"ack", "channel", "code", "condition", "control", "reason", "where"}
	problemPlaceholders = []string{"code", "condition", "reason", "where"}
)

// Lengths of the fields that texts stand in: MSA-3 in all versions that have it,
// ERR-7 and ERR-8 from 2.5 on.
const (
	lengthOfMSA3 = 80
	lengthOfERR7 = 2048
	lengthOfERR8 = 250
)

// texts checks the texts of acknowledgements.
func (o *Options) texts() []parsers.Problem {
	var problems []parsers.Problem
	for i, t := range o.Texts {
		wrong := func(field, format string, args ...any) {
			problems = append(problems, parsers.Problem{Field: fmt.Sprintf("texts[%d].%s", i, field), Text: fmt.Sprintf(format, args...)})
		}
		for _, code := range t.Codes {
			if !slices.Contains(ackCodes, code) {
				wrong("codes", "%q is not known; known: %s", code, strings.Join(ackCodes, ", "))
			}
		}
		for _, version := range t.Versions {
			if !slices.Contains(standardVersions, version) {
				wrong("versions", "%q is no version of the standard; known: %s", version, strings.Join(standardVersions, ", "))
			}
		}
		for j, before := range o.Texts[:i] {
			if len(t.Codes) > 0 && before.covers(t) {
				wrong("codes", "has no effect: entry %d of texts has its codes and versions, and the first that fits holds", j+1)
				break
			}
		}
		if len(t.Codes) == 0 {
			wrong("codes", "is missing: a list of %s", strings.Join(ackCodes, ", "))
		}
		if text := t.wrong(); text != "" {
			wrong("text", "%s", text)
		}
	}
	return problems
}

// covers reports whether nothing is left for an entry behind.
func (t AckText) covers(other AckText) bool {
	for _, code := range other.Codes {
		if !slices.Contains(t.Codes, code) {
			return false
		}
	}
	for _, version := range other.Versions {
		if len(t.Versions) > 0 && !slices.Contains(t.Versions, version) {
			return false
		}
	}
	return len(other.Versions) > 0 || len(t.Versions) == 0
}

// wrong says what is wrong with the text itself, "" where nothing is.
func (t AckText) wrong() string {
	if strings.TrimSpace(t.Text) == "" {
		return "is missing: what the acknowledgement says"
	}
	if strings.ContainsFunc(t.Text, unicode.IsControl) {
		return "has a line end or another control character: it is one line"
	}
	pieces, err := piecesOf(t.Text)
	if err != "" {
		return err
	}
	positive := slices.ContainsFunc(t.Codes, func(code string) bool { return strings.HasSuffix(code, "A") })
	for _, p := range pieces {
		if positive && p.name != "" && slices.Contains(problemPlaceholders, p.name) {
			return "has {" + p.name + "}, and with AA and CA nothing is wrong that it could name"
		}
	}
	return ""
}

// A piece of a text is a placeholder, or stands as it is.
type piece struct{ name, text string }

// piecesOf takes a text apart.
func piecesOf(text string) (pieces []piece, wrong string) {
	for text != "" {
		at := strings.IndexAny(text, "{}")
		if at < 0 {
			return append(pieces, piece{text: text}), ""
		}
		if at > 0 {
			pieces = append(pieces, piece{text: text[:at]})
		}
		end := strings.IndexByte(text[at:], '}')
		if end <= 0 {
			return nil, "has a brace without its other one: placeholders are written as {control}"
		}
		name := text[at+1 : at+end]
		if !slices.Contains(placeholders, name) {
			return nil, fmt.Sprintf("has the placeholder %q, which is not known; known: %s", name, strings.Join(placeholders, ", "))
		}
		pieces = append(pieces, piece{name: name})
		text = text[at+end+1:]
	}
	return pieces, ""
}

// An ownText is a text of a channel, ready for use.
type ownText struct {
	AckText
	pieces []piece
}

// textsOf makes texts ready; one that could not be checked is left out.
func textsOf(list []AckText) []ownText {
	var out []ownText
	for _, t := range list {
		if pieces, wrong := piecesOf(t.Text); wrong == "" {
			out = append(out, ownText{t, pieces})
		}
	}
	return out
}

// own is the text of the channel about a problem (of a positive answer: none),
// "" where it has none.
func (a *ack) own(p message.Problem) string {
	if len(a.texts) == 0 {
		return ""
	}
	code, version := a.code(), a.msh.Field(12).Comp(1).Text()
	if version == "" {
		version = "2.5.1"
	}
	for _, t := range a.texts {
		if slices.Contains(t.Codes, code) && (len(t.Versions) == 0 || slices.Contains(t.Versions, version)) {
			return a.filled(t.pieces, p)
		}
	}
	return ""
}

// filled puts in what placeholders stand for: nothing but MSH-10 is of the message.
func (a *ack) filled(pieces []piece, p message.Problem) string {
	var b strings.Builder
	for _, one := range pieces {
		switch one.name {
		case "":
			b.WriteString(one.text)
		case "ack":
			b.WriteString(a.code())
		case "channel":
			b.WriteString(a.made.Channel)
		case "control":
			b.WriteString(a.msh.Field(10).Text())
		case "code":
			b.WriteString(strconv.Itoa(conditionOf(p)))
		case "condition":
			b.WriteString(conditionNames[conditionOf(p)])
		case "reason":
			b.WriteString(p.Text)
		case "where":
			if p.Where == "" {
				p.Where = "message"
			}
			b.WriteString(p.Where)
		}
	}
	return b.String()
}

// conditionOf is the code of table 0357.
func conditionOf(p message.Problem) int {
	if p.Code == 0 {
		return 207
	}
	return p.Code
}

// text is the beginning of a text as it stands in a field of at most n characters:
// escaped, and in the character set that the answer declares. What that does not
// have becomes its base letter, or a question mark.
func (a *ack) text(s string, n int) []byte {
	set := a.declared()
	var out strings.Builder
	left := n
	for _, r := range s {
		if unicode.IsControl(r) {
			r = ' '
		}
		for _, r := range set.nearest(r) {
			one := a.d.escape(nil, string(r))
			if left -= utf8.RuneCount(one); left < 0 {
				return set.written(out.String())
			}
			out.Write(one)
		}
	}
	return set.written(out.String())
}

// declared is the character set of the answer: MSH-18 as it repeats it, ASCII
// where that says nothing, or nothing that is known.
func (a *ack) declared() *charset {
	if a.set == nil {
		said := Message{delims: a.d}
		if a.msh.Valid() && len(a.repeatOf(18)) > 0 {
			said.choose("", []byte("MSH"+strings.Repeat(string(a.d.Field), 17)+string(a.repeatOf(18))), 0)
		}
		if a.set = said.charset; a.set == nil {
			a.set = asciiSet
		}
	}
	return a.set
}

// written is text of characters that the set has.
func (c *charset) written(text string) []byte {
	out, err := c.encode(text)
	if err != nil { // where a switch of sets before it has made one unreachable
		return []byte(limited(text, len(text)))
	}
	return out
}

// plainLetters are letters and signs that are no base letter with a mark.
var plainLetters = map[rune]string{
	'ß': "ss", 'æ': "ae", 'Æ': "AE", 'ø': "o", 'Ø': "O", 'œ': "oe", 'Œ': "OE", 'ł': "l", 'Ł': "L", 'đ': "d", 'Đ': "D", 'ð': "d", 'þ': "th",
	'–': "-", '—': "-", '‘': "'", '’': "'", '“': "\"", '”': "\"", '„': "\"", '…': "...", '€': "EUR",
}

// nearest is a character where the set has it, else what is nearest to it in ASCII.
func (c *charset) nearest(r rune) string {
	switch {
	case r < 0x80:
		return string(r)
	case r == utf8.RuneError:
		return "?"
	}
	if _, err := c.encode(string(r)); err == nil {
		return string(r)
	}
	if plain := plainLetters[r]; plain != "" {
		return plain
	}
	base := strings.Map(func(r rune) rune {
		if r >= 0x80 {
			return -1
		}
		return r
	}, norm.NFKD.String(string(r)))
	if strings.TrimSpace(base) == "" {
		return "?"
	}
	return base
}
