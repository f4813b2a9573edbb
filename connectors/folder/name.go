package folder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/plexus-health/plexus/message"
)

// A Template makes the names of the files that are put into a folder.
type Template struct {
	pieces []piece
}

// A piece is text, or the word of a placeholder.
type piece struct{ text, word string }

// words are the placeholders of a Template.
const words = "{id}, {control}, {date}, {part}, {ext}"

// ParseTemplate reads a template such as "{control}.{ext}". The problem says
// what is wrong with it; empty: nothing.
func ParseTemplate(text string) (t Template, problem string) {
	literal := ""
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		t.pieces = append(t.pieces, piece{text: before})
		literal += before
		if !found {
			break
		}
		word, tail, closed := strings.Cut(after, "}")
		switch {
		case !closed:
			return t, fmt.Sprintf("%q has a { without its }", text)
		case word != "id" && word != "control" && word != "date" && word != "part" && word != "ext":
			return t, fmt.Sprintf("{%s} is not known; known: %s", word, words)
		}
		t.pieces = append(t.pieces, piece{word: word})
		rest = tail
	}
	switch {
	case text == "":
		return t, `is empty; give a name such as "{id}.{ext}"`
	case len(literal) > 100:
		return t, "is longer than 100 bytes"
	case literal != "" && !Plain("x"+literal), strings.Contains(literal, ".."), strings.HasPrefix(text, "."):
		return t, fmt.Sprintf(`%q is not a plain name: no separator, no "..", no control character, no dot in front`, text)
	}
	return t, ""
}

// Name is the name of a delivery's file. It is the same each time for the same
// delivery, and always a plain name: what a value must not have in it becomes
// "_", and then a digest keeps two values apart that would look alike.
func (t Template) Name(d *message.Delivery, now time.Time) string {
	var name strings.Builder
	for _, p := range t.pieces {
		switch p.word {
		case "":
			name.WriteString(p.text)
		case "id":
			name.WriteString(Safe(d.ID, maxName))
		case "control":
			name.WriteString(safeOr(d.Control, d.ID))
		case "date":
			name.WriteString(made(d.ID, now).Format("20060102"))
		case "part":
			name.WriteString(strconv.Itoa(d.Part))
		case "ext":
			name.WriteString(extension(d.Payload))
		}
	}
	full := name.String()
	if dot := strings.LastIndexByte(full, '.'); len(full) > maxName && dot > 0 && len(full)-dot < 20 {
		return Safe(full[:dot], maxName-(len(full)-dot)) + full[dot:]
	}
	return Safe(full, maxName)
}

func safeOr(value, instead string) string {
	if strings.Trim(value, ". \t\r\n") == "" {
		value = instead
	}
	return Safe(value, maxName)
}

// Safe makes a plain name of at most limit bytes of a value.
func Safe(value string, limit int) string {
	clean := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, value)
	for strings.Contains(clean, "..") {
		clean = strings.ReplaceAll(clean, "..", "__")
	}
	if strings.HasPrefix(clean, ".") {
		clean = "_" + clean[1:]
	}
	if clean == value && clean != "" && len(clean) <= limit {
		return clean
	}
	sum := sha256.Sum256([]byte(value))
	mark := "-" + hex.EncodeToString(sum[:4])
	clean = clean[:min(len(clean), max(limit-len(mark), 0))]
	for !utf8.ValidString(clean) {
		clean = clean[:len(clean)-1] // a character was cut
	}
	return clean + mark
}

// made is when a delivery was made, which its id says (a UUID of version 7), so
// that a repeat on another day has the same date in its name.
func made(id string, now time.Time) time.Time {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[14] != '7' {
		return now
	}
	ms, err := strconv.ParseInt(id[:8]+id[9:13], 16, 64)
	if err != nil {
		return now
	}
	return time.UnixMilli(ms).In(now.Location())
}

// extension is the usual ending of a file whose content begins like payload.
func extension(payload []byte) string {
	head := bytes.TrimLeft(bytes.TrimPrefix(payload, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(head) < 3:
		return "txt"
	case string(head[:3]) == "MSH", string(head[:3]) == "FHS", string(head[:3]) == "BHS":
		return "hl7"
	case string(head[:3]) == "ISA":
		return "x12"
	case head[0] == '{', head[0] == '[':
		return "json"
	case head[0] == '<':
		return "xml"
	}
	return "txt"
}
