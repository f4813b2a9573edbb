package hl7v2

import (
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// Reply builds the acknowledgement of the message that begins with head (2.9.2,
// 2.9.3): original mode when MSH-15 and MSH-16 are empty, else the accept
// acknowledgement of enhanced mode. Nothing is returned for a message that is
// itself an acknowledgement, or when MSH-15 asks for none.
func (p *Parser) Reply(head []byte, answer message.Answer, made parsers.Stamp) []byte {
	d := Delims{Field: '|', Component: '^', Repetition: '~', Escape: '\\', Subcomponent: '&'}
	m := &Message{raw: head, text: head, delims: d}
	if start, err := findHeader(head); err == nil {
		if found, err := readDelims(head[start:], start); err == nil {
			m.delims = found
			m.charset = m.chooseCharset(p.options.Charset, start)
			m.splitHead(start)
		}
	}
	msh := m.find("MSH")
	if msh.Field(9).Comp(1).Text() == "ACK" || m.find("MSA").Valid() {
		return nil
	}
	a := ack{in: m, msh: msh, d: m.delims, version: versionOf(msh), answer: answer, made: made}
	if a.d.Component == 0 {
		a.d.Component = '^'
	}
	if !a.wanted() {
		return nil
	}
	return a.build()
}

// An ack is an acknowledgement being made.
type ack struct {
	in      *Message
	msh     Segment
	d       Delims
	version int // 21 … 29; 0 when not said
	answer  message.Answer
	made    parsers.Stamp
	out     []byte
}

// versionOf reads MSH-12: "2.5.1" is 25.
func versionOf(msh Segment) int {
	text := msh.Field(12).Comp(1).Text()
	if len(text) >= 3 && text[0] == '2' && text[1] == '.' && text[2] >= '1' && text[2] <= '9' {
		return 20 + int(text[2]-'0')
	}
	return 0
}

// enhanced reports whether MSH-15 or MSH-16 says anything (2.9.3). Unknown
// words count as nothing.
func (a *ack) enhanced() bool { return a.condition(15) != "" || a.condition(16) != "" }

func (a *ack) condition(field int) string {
	switch c := a.msh.Field(field).Text(); c {
	case "AL", "NE", "ER", "SU":
		return c
	}
	return ""
}

// wanted evaluates the conditions of table 0155 after the outcome is known. A
// peer that asks for application acknowledgements only gets its answer as one
// of original mode on the same connection.
func (a *ack) wanted() bool {
	if !a.enhanced() {
		return true
	}
	return a.holds(a.condition(15)) || a.acceptNever() && a.holds(a.condition(16))
}

func (a *ack) acceptNever() bool { c := a.condition(15); return c == "NE" || c == "" }

func (a *ack) holds(condition string) bool {
	good := a.answer.Code == message.Accepted
	switch condition {
	case "AL":
		return true
	case "ER":
		return !good
	case "SU":
		return good
	}
	return false
}

// code is MSA-1 (table 0008).
func (a *ack) code() string {
	letter := "E"
	switch a.answer.Code {
	case message.Accepted:
		letter = "A"
	case message.Rejected:
		letter = "R"
	}
	if a.enhanced() && a.holds(a.condition(15)) {
		return "C" + letter
	}
	return "A" + letter
}

func (a *ack) build() []byte {
	a.header()
	a.status()
	if a.answer.Code == message.Accepted {
		return a.out
	}
	for _, p := range a.problems() {
		a.error(p)
	}
	return a.out
}

// header writes MSH: sender and receiver exchanged, MSH-11, 12 and 18 copied.
func (a *ack) header() {
	d := a.d
	a.out = append(a.out, "MSH"...)
	a.out = append(a.out, d.Field, d.Component)
	for _, c := range []byte{d.Repetition, d.Escape, d.Subcomponent, d.Truncation} {
		if c != 0 {
			a.out = append(a.out, c)
		}
	}
	for _, f := range []int{5, 6, 3, 4} {
		a.field(a.msh.Field(f).Raw())
	}
	a.field([]byte(a.made.Time))
	a.field(nil)
	a.field(a.kind())
	a.field([]byte(a.made.Control))
	eleven := a.msh.Field(11).Raw()
	if len(eleven) == 0 {
		eleven = []byte("P")
	}
	a.field(eleven)
	twelve := a.msh.Field(12).Raw()
	if len(twelve) == 0 {
		twelve = []byte("2.5.1")
	}
	a.field(twelve)
	if set := a.msh.Field(18).Raw(); len(set) > 0 {
		for range 5 {
			a.field(nil)
		}
		a.field(set)
	}
	a.out = append(a.out, '\r')
}

// kind is MSH-9: ACK, from 2.3.1 on with the event and from 2.4 on with the structure.
func (a *ack) kind() []byte {
	event := a.msh.Field(9).Comp(2).Raw()
	c := string(a.d.Component)
	switch {
	case (a.version > 0 && a.version <= 23 && a.msh.Field(12).Comp(1).Text() != "2.3.1") || len(event) == 0:
		return []byte("ACK")
	case a.version == 23:
		return []byte("ACK" + c + string(event))
	}
	return []byte("ACK" + c + string(event) + c + "ACK")
}

func (a *ack) field(b []byte) { a.out = append(append(a.out, a.d.Field), b...) }

// status writes MSA. MSA-3 and MSA-6 go to peers up to 2.6, which read nothing else.
func (a *ack) status() {
	a.out = append(a.out, "MSA"...)
	a.field([]byte(a.code()))
	a.field(a.msh.Field(10).Raw())
	if a.answer.Code != message.Accepted && a.version <= 26 {
		if ps := a.problems(); len(ps) > 0 {
			a.field(a.d.escape(nil, limited(describe(ps[0]), 80)))
		}
	}
	a.out = append(a.out, '\r')
}

func (a *ack) problems() []message.Problem {
	if len(a.answer.Problems) > 0 {
		return a.answer.Problems
	}
	return []message.Problem{{Code: 207, Text: "not accepted"}}
}

func describe(p message.Problem) string {
	if p.Where == "" {
		return p.Text
	}
	return p.Where + ": " + p.Text
}

func limited(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// error writes one ERR: ERR-1 up to 2.4, ERR-2 to ERR-8 from 2.5 on.
func (a *ack) error(p message.Problem) {
	c := string(a.d.Component)
	code := strconv.Itoa(p.Code)
	name := conditionNames[p.Code]
	at := parseWhere(p.Where)
	a.out = append(a.out, "ERR"...)
	if a.version != 0 && a.version <= 24 {
		one := at.segment + c + at.sequence + c + at.field + c + code
		if a.d.Subcomponent != 0 && name != "" {
			one += string(a.d.Subcomponent) + name
		}
		a.field([]byte(one))
		a.out = append(a.out, '\r')
		return
	}
	a.field(nil)
	location := ""
	if at.segment != "" {
		location = strings.TrimRight(at.segment+c+at.sequence+c+at.field+c+at.repetition+c+at.component, c)
	}
	a.field([]byte(location))
	a.field([]byte(code + c + name + c + "HL70357"))
	a.field([]byte("E"))
	a.field(nil)
	a.field(nil)
	a.field(nil)
	a.field(a.d.escape(nil, limited(p.Text, 250)))
	a.out = append(a.out, '\r')
}

// conditionNames are the words of table 0357.
var conditionNames = map[int]string{
	100: "Segment sequence error", 101: "Required field missing", 102: "Data type error", 103: "Table value not found",
	200: "Unsupported message type", 201: "Unsupported event code", 202: "Unsupported processing id", 203: "Unsupported version id",
	204: "Unknown key identifier", 205: "Duplicate key identifier", 206: "Application record locked", 207: "Application internal error",
}

// A location is an ERL.
type location struct{ segment, sequence, field, repetition, component string }

// parseWhere reads a place as our paths write it: OBX[3]-5[2].1.
func parseWhere(where string) location {
	var l location
	path := where
	if at := strings.LastIndexByte(path, '/'); at >= 0 {
		path = path[at+1:]
	}
	segment, rest, _ := strings.Cut(path, "-")
	name, index, indexed := strings.Cut(segment, "[")
	if len(name) != 3 || !upper(name[0]) {
		return l
	}
	l.segment, l.sequence = name, "1"
	if indexed {
		l.sequence = number(strings.TrimSuffix(index, "]"))
	}
	field, component, _ := strings.Cut(rest, ".")
	field, repetition, _ := strings.Cut(field, "[")
	l.field = number(field)
	if l.field != "" {
		l.repetition = "1"
	}
	if repetition != "" {
		l.repetition = number(strings.TrimSuffix(repetition, "]"))
	}
	component, _, _ = strings.Cut(component, ".")
	l.component = number(component)
	return l
}

func number(s string) string {
	if _, err := strconv.Atoi(s); err != nil {
		return ""
	}
	return s
}
