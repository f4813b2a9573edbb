package mllp

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/message"
)

// An answer is what a receiver said, as far as it decides what comes next. It
// holds nothing that the receiver wrote except codes and places that were
// checked.
type answer struct {
	code      string // MSA-1, empty when there is no MSA
	control   string // MSA-2
	several   bool   // more than one message
	header    bool   // there is an MSH
	problems  []message.Problem
	content   bool // a problem blames the content: 100 to 105, 200 to 205
	busy      bool // a problem is 206 or 207: try again
	separator separators
}

// separators are what MSH-1 and MSH-2 say.
type separators struct{ field, component, repetition, subcomponent byte }

// readAnswer reads the first acknowledgement in raw: MSA, and what ERR says.
// Any bytes may be read.
func readAnswer(raw []byte) answer {
	var a answer
	for rest := raw; len(rest) > 0; {
		segment := rest
		if end := bytes.IndexAny(rest, "\r\n"); end >= 0 {
			segment, rest = rest[:end], rest[end+1:]
		} else {
			rest = nil
		}
		if len(segment) < 4 {
			continue
		}
		switch name := string(segment[:3]); {
		case name == "MSH" && a.header:
			a.several = true
			return a
		case name == "MSH":
			a.header = true
			a.separator = separatorsOf(segment)
		case !a.header || segment[3] != a.separator.field:
		case name == "MSA" && a.code == "":
			fields := bytes.SplitN(segment, segment[3:4], 8)
			a.code, a.control = fieldOf(fields, 1), fieldOf(fields, 2)
			a.condition(message.Problem{}, []byte(fieldOf(fields, 6))) // to v2.6 the code may stand here
		case name == "ERR":
			a.error(bytes.SplitN(segment, segment[3:4], 6))
		}
	}
	return a
}

// separatorsOf reads the separators of a header, those of the standard where it
// says none.
func separatorsOf(msh []byte) separators {
	s := separators{field: msh[3], component: '^', repetition: '~', subcomponent: '&'}
	encoding, _, _ := bytes.Cut(msh[4:], msh[3:4])
	for i, to := range []*byte{&s.component, &s.repetition, nil, &s.subcomponent} {
		if i < len(encoding) && to != nil {
			*to = encoding[i]
		}
	}
	return s
}

func fieldOf(fields [][]byte, n int) string {
	if n >= len(fields) {
		return ""
	}
	return string(fields[n])
}

// error reads one ERR: ERR-2 to 4 from v2.5 on, ERR-1 before (2.15.5). A mere
// warning is no reason.
func (a *answer) error(fields [][]byte) {
	if severity := fieldOf(fields, 4); severity == "W" || severity == "I" {
		return
	}
	if three := fieldOf(fields, 3); three != "" {
		a.condition(message.Problem{Where: a.place([]byte(fieldOf(fields, 2)))}, []byte(three))
		return
	}
	for one := range bytes.SplitSeq([]byte(fieldOf(fields, 1)), []byte{a.separator.repetition}) {
		parts := bytes.SplitN(one, []byte{a.separator.component}, 5)
		if len(parts) < 4 {
			continue
		}
		code := bytes.ReplaceAll(parts[3], []byte{a.separator.subcomponent}, []byte{a.separator.component})
		a.condition(message.Problem{Where: a.place(bytes.Join(parts[:3], []byte{a.separator.component}))}, code)
	}
}

// most is how many problems of an answer are kept.
const most = 20

// condition notes a code of table 0357, given as a coded element; codes of
// other tables say nothing to us.
func (a *answer) condition(p message.Problem, coded []byte) {
	parts := bytes.SplitN(coded, []byte{a.separator.component}, 7)
	for at := 0; at < 6 && at < len(parts); at += 3 {
		system := fieldOf(parts, at+2)
		if system != "" && !strings.HasSuffix(system, "0357") {
			continue
		}
		code := string(parts[at])
		if len(code) != 3 {
			continue
		}
		n, err := strconv.Atoi(code)
		switch {
		case err != nil:
			continue
		case n >= 100 && n <= 105, n >= 200 && n <= 205:
			a.content = true
		case n == 206, n == 207:
			a.busy = true
		default:
			continue
		}
		if p.Code = n; len(a.problems) < most {
			a.problems = append(a.problems, p)
		}
		return
	}
}

// place writes an ERL as our paths do: OBX[3]-5[2].1. What is no place of a
// message is left out, whatever else the receiver wrote there.
func (a *answer) place(erl []byte) string {
	parts := bytes.SplitN(erl, []byte{a.separator.component}, 6)
	segment := fieldOf(parts, 0)
	if len(segment) != 3 || !isSegment(segment) {
		return ""
	}
	out := segment
	if n := ordinal(fieldOf(parts, 1)); n > 1 {
		out += "[" + strconv.Itoa(n) + "]"
	}
	field := ordinal(fieldOf(parts, 2))
	if field == 0 {
		return out
	}
	out += "-" + strconv.Itoa(field)
	if n := ordinal(fieldOf(parts, 3)); n > 1 {
		out += "[" + strconv.Itoa(n) + "]"
	}
	if n := ordinal(fieldOf(parts, 4)); n > 0 {
		out += "." + strconv.Itoa(n)
	}
	return out
}

// isSegment reports whether a name is like that of a segment: a letter, and two
// letters or digits.
func isSegment(name string) bool {
	for i, c := range []byte(name) {
		if (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// ordinal reads a number of a place, at most four digits; 0 when it is none.
func ordinal(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || len(text) > 4 {
		return 0
	}
	return n
}

// Errors of answers. What a receiver wrote may quote values of the message:
// only codes and places are repeated.
var (
	errNoMSH      = errors.New("the answer has no MSH segment")
	errNoMSA      = errors.New("the answer has no MSA segment")
	errSeveral    = errors.New("the answer holds several messages")
	errOtherCode  = errors.New("MSA-1 is none of AA, AE, AR, CA, CE, CR")
	errOtherReply = errors.New("MSA-2 is not the control id that was sent")
)

// classify says what the answer to a message means for its delivery (classes
// of delivery.md §7): no error when it was accepted. Both modes of
// acknowledgement are read alike.
func classify(raw []byte, control string) (message.Reply, error) {
	a := readAnswer(raw)
	reply := message.Reply{Raw: raw}
	fail := func(kind message.Kind, err error) (message.Reply, error) {
		return reply, &message.Failure{Kind: kind, Err: err}
	}
	switch {
	case !a.header:
		return fail(message.Unreadable, errNoMSH)
	case a.several:
		return fail(message.Unreadable, errSeveral)
	case a.code == "":
		return fail(message.Unreadable, errNoMSA)
	case a.control != control:
		return fail(message.Unknown, errOtherReply)
	}
	switch a.code {
	case "AA", "CA":
		reply.Answer.Code = message.Accepted
		return reply, nil
	case "AE", "CE":
		reply.Answer.Code = message.Erroneous
	case "AR", "CR":
		reply.Answer.Code = message.Rejected
	default:
		return fail(message.Unreadable, errOtherCode)
	}
	reply.Answer.Problems = a.problems
	return reply, a.negative(reply.Answer.Code)
}

// negative is the failure of a negative answer. A code that blames the content
// outweighs one that asks for patience: the same bytes would be blamed again.
func (a *answer) negative(code message.AnswerCode) *message.Failure {
	f := &message.Failure{Kind: message.RefusedSend}
	if !a.content && (a.busy || code == message.Erroneous) {
		f.Kind = message.Busy
	}
	text := "MSA-1 is " + a.code
	for i := range a.problems {
		p := &a.problems[i]
		blames := p.Code < 206
		p.Text = "answered " + a.code
		if f.Code == 0 && blames == a.content {
			f.Code, f.Where = p.Code, p.Where
			text += " with " + strconv.Itoa(p.Code)
		}
	}
	f.Err = errors.New(text)
	return f
}
