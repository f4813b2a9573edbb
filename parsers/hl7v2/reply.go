package hl7v2

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// Reply builds the acknowledgement of the message that begins with head (2.9.2,
// 2.9.3): original mode when MSH-15 and MSH-16 are empty, else enhanced mode.
// There the accept acknowledgement goes out if MSH-15 asks for it; if it does
// not and MSH-16 asks for an application acknowledgement, that one goes out in
// its place, on the same connection. Nothing is returned when neither is
// wanted, nor for a message that is itself an acknowledgement.
//
// Of the message it repeats MSH-3 to 6, 9.2, 10 to 12 and 18, nothing else.
func (p *Parser) Reply(head []byte, answer message.Answer, made parsers.Stamp) []byte {
	s := scanner{head: head, override: p.options.Charset}
	a := p.begin(&s, answer, made)
	if a.acknowledges() {
		return nil
	}
	if a.answers && a.condition(15) == "" {
		return nil // an answer such as ORR or RSP, and no accept acknowledgement asked for
	}
	if !a.wanted() {
		return nil
	}
	return a.build()
}

// begin reads the header that is answered.
func (p *Parser) begin(s *scanner, answer message.Answer, made parsers.Stamp) *ack {
	a := &ack{d: Delims{Field: '|', Component: '^', Repetition: '~', Escape: '\\', Subcomponent: '&'}, answer: answer, made: made, texts: p.texts}
	at, err := s.begin()
	if err == nil && s.head[at] == 'M' {
		a.msh, a.d = s.line(at).Segment(0), s.delims
		a.answers = s.answer()
		if p.options.Functional {
			a.scan, a.reply = s, functionalOf(a.msh)
		}
	}
	a.version = versionOf(a.msh)
	return a
}

// Awaits reports whether the sender of a message that was accepted gets an
// application acknowledgement behind its accept acknowledgement (2.9.3).
func (p *Parser) Awaits(head []byte) bool {
	s := scanner{head: head, override: p.options.Charset}
	a := p.begin(&s, message.Answer{Code: message.Accepted}, parsers.Stamp{})
	if a.acknowledges() || a.answers || !a.holds(15) {
		return false
	}
	c := a.condition(16)
	return c != "" && c != "NE"
}

// Applied is the application acknowledgement of a message that was processed.
func (p *Parser) Applied(head []byte, answer message.Answer, made parsers.Stamp) []byte {
	s := scanner{head: head, override: p.options.Charset}
	a := p.begin(&s, answer, made)
	if a.applied = true; !a.holds(16) {
		return nil
	}
	return a.build()
}

// ReplyAccept is Reply where the application acknowledgement goes over another
// connection (2.9.3.1): what was taken has the accept acknowledgement alone, and
// none where MSH-15 does not ask for it. What is refused is told at once.
func (p *Parser) ReplyAccept(head []byte, answer message.Answer, made parsers.Stamp) []byte {
	s := scanner{head: head, override: p.options.Charset}
	if a := p.begin(&s, answer, made); answer.Code == message.Accepted && a.enhanced() && !a.holds(15) {
		return nil
	}
	return p.Reply(head, answer, made)
}

// ReplyApart is the application acknowledgement as a message of its own (2.9.3.2):
// its MSH-16 is NE, and it asks for an accept acknowledgement of itself.
func (p *Parser) ReplyApart(head []byte, answer message.Answer, made parsers.Stamp) []byte {
	s := scanner{head: head, override: p.options.Charset}
	a := p.begin(&s, answer, made)
	if a.acknowledges() || a.answers || !a.holds(16) {
		return nil
	}
	a.applied, a.apart = true, true
	return a.build()
}

// acknowledges reports whether the message is an acknowledgement itself.
func (a *ack) acknowledges() bool {
	code := a.msh.Field(9).Comp(1).Text()
	return code == "ACK" || code == "MCF"
}

// mostBefore bounds the segments between MSH and MSA.
const mostBefore = 32

// answer reports whether the message is an answer itself: MSA stands behind MSH
// and what belongs to that, software and user, and what partners put there.
func (s *scanner) answer() bool {
	rest := s.head[s.msh:]
	for range mostBefore {
		end := bytes.IndexAny(rest, "\r\n")
		if end < 0 {
			return false
		}
		rest = bytes.TrimLeft(rest[end:], "\r\n")
		if len(rest) < 4 {
			return false
		}
		name := string(rest[:3])
		switch {
		case name == "MSA":
			return rest[3] == s.delims.Field
		case name != "SFT" && name != "UAC" && name != "ERR" && rest[0] != 'Z':
			return false
		}
	}
	return false
}

// An ack is an acknowledgement being made.
type ack struct {
	msh     Segment // of the message; none where it is not readable
	d       Delims
	version int // 21 … 29; 0 when not said
	answer  message.Answer
	made    parsers.Stamp
	out     []byte

	answers bool     // the message is an answer itself
	applied bool     // this is the second acknowledgement
	apart   bool     // which goes over another connection
	scan    *scanner // of the message, where its reply is a functional one
	reply   functional
	texts   []ownText
	set     *charset // of the answer, once a text was written
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
	if a.version == 21 {
		return "" // v2.1 has no such fields
	}
	switch c := a.msh.Field(field).Text(); c {
	case "AL", "NE", "ER", "SU":
		return c
	}
	return ""
}

// wanted evaluates the conditions of table 0155 after the outcome is known.
func (a *ack) wanted() bool {
	return !a.enhanced() || a.holds(15) || a.holds(16)
}

func (a *ack) holds(field int) bool {
	good := a.answer.Code == message.Accepted
	switch a.condition(field) {
	case "AL":
		return true
	case "ER":
		return !good
	case "SU":
		return good
	}
	return false
}

// application reports whether an application acknowledgement of enhanced mode
// stands in for an accept acknowledgement that nobody asked for.
func (a *ack) application() bool { return a.applied || a.enhanced() && !a.holds(15) }

// accept reports whether it is an accept acknowledgement.
func (a *ack) accept() bool { return a.enhanced() && !a.application() }

// functional reports whether the reply of the standard is given in place of ACK.
func (a *ack) functional() bool {
	return a.reply.code != "" && !a.accept() && (!a.reply.negative || a.answer.Code != message.Accepted)
}

// code is MSA-1 (table 0008). What cannot be taken for MSH-9, 11 or 12 is
// rejected; an accept acknowledgement calls everything else an error (2.9.3.1).
func (a *ack) code() string {
	of := false
	for _, p := range a.answer.Problems {
		of = of || p.Code >= 200 && p.Code <= 203
	}
	letter := "E"
	accept := a.accept()
	switch {
	case a.answer.Code == message.Accepted:
		letter = "A"
	case of, a.answer.Code == message.Rejected && !accept:
		letter = "R"
	}
	if accept {
		return "C" + letter
	}
	return "A" + letter
}

func (a *ack) build() []byte {
	a.header()
	a.status()
	switch {
	case a.answer.Code == message.Accepted:
		a.information()
	case a.version != 0 && a.version <= 24:
		a.errorsOld()
	default:
		for _, p := range a.problems() {
			a.error(p)
		}
	}
	if a.functional() && a.reply.rest != nil {
		a.reply.rest(a)
	}
	return a.out
}

// errorsOld writes ERR of versions up to 2.4: one segment, ERR-1 once for each
// problem (2.4: 2.16.5).
func (a *ack) errorsOld() {
	var one []byte
	for i, p := range a.problems() {
		if i > 0 {
			if a.d.Repetition == 0 {
				break // this message has no repetitions
			}
			one = append(one, a.d.Repetition)
		}
		one = append(one, a.locationOld(p)...)
	}
	a.out = append(a.out, "ERR"...)
	a.field(one)
	a.out = append(a.out, '\r')
}

// locationOld is an ELD: segment, sequence, field, code.
func (a *ack) locationOld(p message.Problem) string {
	c := string(a.d.Component)
	p.Code = conditionOf(p)
	at := parseWhere(p.Where)
	one := at.segment + c + at.sequence + c + at.field + c + strconv.Itoa(p.Code)
	if name := conditionNames[p.Code]; a.d.Subcomponent != 0 && name != "" {
		one += string(a.d.Subcomponent) + name
	}
	return one
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
		a.field(a.repeatOf(f))
	}
	a.field([]byte(a.time()))
	a.field(nil)
	a.field(a.kind())
	a.field([]byte(a.made.Control))
	eleven := a.repeatOf(11)
	if len(eleven) == 0 {
		eleven = []byte("P")
	}
	a.field(eleven)
	twelve := a.repeatOf(12)
	if len(twelve) == 0 {
		twelve = []byte("2.5.1")
	}
	a.field(twelve)
	set := a.repeatOf(18)
	if len(set) > 0 || a.application() {
		a.field(nil) // 13
		a.field(nil) // 14
		accept, application := "", ""
		if a.application() {
			accept, application = "NE", "NE"
		}
		if a.apart {
			accept = "AL"
		}
		a.field([]byte(accept))
		a.field([]byte(application))
	}
	if len(set) > 0 {
		a.field(nil) // 17
		a.field(set)
	}
	a.out = append(a.out, '\r')
}

// repeated bounds what an answer repeats of a field other than MSH-10.
const repeated = 4 << 10

// repeatOf is a field of the message as its answer repeats it: none where it is
// too long to be what it should be.
func (a *ack) repeatOf(n int) []byte {
	raw := a.msh.Field(n).Raw()
	if len(raw) > repeated {
		return nil
	}
	return raw
}

// time is MSH-7: 2.1 has no parts of a second.
func (a *ack) time() string {
	whole, rest, _ := strings.Cut(a.made.Time, ".")
	if at := strings.IndexAny(rest, "+-"); a.version == 21 && at >= 0 {
		return whole + rest[at:]
	}
	return a.made.Time
}

// old reports whether the version is one before 2.3.1, whose MSH-9 names no
// structure.
func (a *ack) old() bool {
	return a.version > 0 && a.version <= 23 && a.msh.Field(12).Comp(1).Text() != "2.3.1"
}

// kind is MSH-9: ACK up to 2.3, from 2.3.1 on with event and structure.
func (a *ack) kind() []byte {
	event := a.msh.Field(9).Comp(2).Raw()
	c := string(a.d.Component)
	if a.functional() {
		kind := a.reply.code + c + a.reply.event
		if !a.old() {
			kind += c + a.reply.structure()
		}
		return []byte(kind)
	}
	if len(event) == 0 || a.old() {
		return []byte("ACK")
	}
	return []byte("ACK" + c + string(event) + c + "ACK")
}

// field writes one field. Control characters of the message would end a
// segment or a frame: they become spaces.
func (a *ack) field(b []byte) {
	a.out = append(a.out, a.d.Field)
	for _, c := range b {
		if c < ' ' && c != 0x1b { // ESC shifts a character set
			c = ' '
		}
		a.out = append(a.out, c)
	}
}

// status writes MSA. MSA-3 goes to peers up to 2.6, of which many read nothing else.
func (a *ack) status() {
	a.out = append(a.out, "MSA"...)
	a.field([]byte(a.code()))
	a.field(a.msh.Field(10).Raw())
	var text []byte
	if a.version <= 26 {
		if said := a.said(); said != "" {
			text = a.text(said, lengthOfMSA3)
		}
	}
	if expected := a.answer.Expected; text != nil || expected != "" {
		a.field(text)
		if expected != "" {
			a.field([]byte(expected))
		}
	}
	a.out = append(a.out, '\r')
}

// said is the text of the answer as a whole: the channel's own, or what is wrong.
func (a *ack) said() string {
	if a.answer.Code == message.Accepted {
		return a.own(message.Problem{})
	}
	first := a.problems()[0]
	if own := a.own(first); own != "" {
		return own
	}
	return describe(first)
}

// information writes the text of a positive answer from 2.7 on, which has no
// MSA-3 any more: ERR with severity I and the code of success (table 0357).
func (a *ack) information() {
	if a.version <= 26 {
		return
	}
	own := a.own(message.Problem{})
	if own == "" {
		return
	}
	c := string(a.d.Component)
	a.out = append(a.out, "ERR"...)
	a.field(nil)
	a.field(nil)
	a.field([]byte("0" + c + "Message accepted" + c + "HL70357"))
	a.field([]byte("I"))
	a.field(nil)
	a.field(nil)
	a.field(nil)
	a.field(a.text(own, lengthOfERR8))
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

// limited is the beginning of a text of ours, in ASCII: the answer may declare
// any character set.
func limited(s string, n int) string {
	out := make([]byte, 0, min(n, len(s)))
	for _, r := range s {
		if len(out) == n {
			break
		}
		if r >= 0x80 {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return string(out)
}

// error writes one ERR as versions from 2.5 on have it: ERR-2 to ERR-8.
func (a *ack) error(p message.Problem) {
	c := string(a.d.Component)
	p.Code = conditionOf(p)
	code := strconv.Itoa(p.Code)
	name := conditionNames[p.Code]
	at := parseWhere(p.Where)
	a.out = append(a.out, "ERR"...)
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
	if own := a.own(p); own != "" {
		a.field(a.text(p.Text, lengthOfERR7)) // for who looks into it
		a.field(a.text(own, lengthOfERR8))
	} else {
		a.field(nil)
		a.field(a.text(p.Text, lengthOfERR8))
	}
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
