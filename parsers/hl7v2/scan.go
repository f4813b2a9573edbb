package hl7v2

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"slices"
	"strconv"

	"github.com/plexus-health/plexus/message"
)

// Scan finds what intake needs: header, keys of order, hash of the content
// without MSH-7. The keys hold patient numbers: they stay in the database. A
// message with two patients (a merge, a swap) has two keys; of more than two
// the first two count.
//
// It refuses what must not be acknowledged positively: content without a
// complete header, with NUL bytes, or with more than one message.
func (p *Parser) Scan(head []byte, rest io.Reader) (message.Header, error) {
	s := scanner{head: head, override: p.options.Charset, hash: sha256.New()}
	h, refused := s.header()
	if refused == nil {
		refused = p.unwanted(&s)
	}
	s.hashHead()
	if rest != nil {
		fault, err := s.drain(rest)
		if err != nil {
			return h, err
		}
		if refused == nil && fault != nil {
			refused = fault
		}
		if refused == nil && len(s.ending) > 0 {
			h.Part, _, _ = s.part(s.line(s.msh).Segment(0), s.ending)
			h.Merge = h.Merge && h.Part == ""
		}
	}
	s.hash.Sum(h.Hash[:0])
	if refused != nil {
		return h, refused
	}
	return h, nil
}

// A scanner looks at the beginning of a message, by line.
type scanner struct {
	head     []byte
	override string
	hash     hash.Hash
	delims   Delims
	start    int // of the first segment
	msh      int // of the first MSH
	timeFrom int // MSH-7, in head
	timeTo   int
	ending   []byte // how the message ends, where that is not in head
}

// header reads what the header says and which patients are named.
func (s *scanner) header() (message.Header, *message.Failure) {
	var h message.Header
	at, err := s.begin()
	if err != nil {
		h.Key = "sender:"
		return h, asFailure(err)
	}
	if s.head[at] != 'M' {
		h = headerOf(s.line(at).Segment(0))
		h.Key = "sender:" + h.Sender
		return h, malformed("MSH", at, 100, "there is no MSH segment")
	}
	line := s.line(at)
	msh := line.Segment(0)
	h = headerOf(msh)
	if from, to := msh.Field(7).Span(); to > from {
		s.timeFrom, s.timeTo = at+from, at+to
	}
	h.Key, h.Key2 = s.keys(h.Sender)
	h.Merge = h.Key2 != "" && merging(h.Type)
	if h.Part, _, _ = s.part(msh, s.head); h.Part != "" {
		h.Merge = false // nothing is done before all of it is there
	}
	if fault := noNUL(s.head, firstLine(s.head[at:]), s.delims, s.override); fault != nil {
		return h, asFailure(fault)
	}
	if second := s.find("MSH", at+3); second >= 0 {
		return h, malformed("MSH[2]", second, 100, "several messages stand where one is wanted")
	}
	return h, complete(msh, at)
}

// begin finds the first MSH, else the header of an envelope, and its delimiters.
func (s *scanner) begin() (at int, err error) {
	if s.start, err = findHeader(s.head); err != nil {
		return 0, err
	}
	if at = firstMessage(s.head, s.start); at < 0 {
		at = s.start
	}
	s.msh = at
	s.delims, err = readDelims(s.head[at:], at)
	return at, err
}

func asFailure(err error) *message.Failure {
	f, _ := errors.AsType[*message.Failure](err)
	return f
}

// complete says what a header lacks (2.14.9.9, 2.14.9.10). Without a type it is
// of none that is taken: MSH-9 is unacceptable, which is a rejection (2.9.3.1).
func complete(msh Segment, at int) *message.Failure {
	start, _ := msh.Span()
	if !msh.Field(9).Comp(1).Valued() {
		return malformed("MSH-9", at+start, 200, "the message type is missing")
	}
	if !msh.Field(10).Valued() {
		return malformed("MSH-10", at+start, 101, "the control id is missing")
	}
	return nil
}

// unwanted refuses a message whose MSH-11 or MSH-12 the channel does not take
// (2.9.3.1; table 0357: 202, 203).
func (p *Parser) unwanted(s *scanner) *message.Failure {
	if len(p.options.Processing)+len(p.options.Versions) == 0 {
		return nil
	}
	msh := s.line(s.msh).Segment(0)
	start, _ := msh.Span()
	if of := p.options.Processing; len(of) > 0 && !slices.Contains(of, msh.Field(11).Comp(1).Text()) {
		return malformed("MSH-11", s.msh+start, 202, "messages of this processing id are not taken here")
	}
	of, said := p.options.Versions, msh.Field(12).Comp(1).Text()
	taken := len(of) == 0 || slices.Contains(of, said) || slices.Contains(of, anyVersion) && slices.Contains(standardVersions, said)
	if !taken {
		return malformed("MSH-12", s.msh+start, 203, "messages of this version are not taken here")
	}
	return nil
}

// anyVersion, among versions, is each that the standard has had.
const anyVersion = "known"

var standardVersions = []string{"2.0", "2.0D", "2.1", "2.2", "2.3", "2.3.1", "2.3.2", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.9", "2.9.1"}

// find is the place of the first segment of a name from a place on, -1 when
// there is none.
func (s *scanner) find(name string, from int) int {
	want := append(make([]byte, 0, 4), name...)
	want = append(want, s.delims.Field)
	for at := from; ; {
		next := bytes.Index(s.head[at:], want)
		if next < 0 {
			return -1
		}
		at += next
		if at == s.start || at > 0 && (s.head[at-1] == '\r' || s.head[at-1] == '\n') {
			return at
		}
		at += len(want)
	}
}

// line reads one segment by itself.
func (s *scanner) line(at int) *Message {
	raw := s.head[at:]
	raw = raw[:s.lineEnd(raw)]
	m := &Message{raw: raw, delims: s.delims}
	m.choose(s.override, firstLine(s.head[s.msh:]), 0)
	m.read(raw)
	m.segments = []span{{0, int32(len(m.text)), int32(len(m.text))}}
	return m
}

// lineEnd is where the segment ends that raw begins with, as the parser finds it.
func (s *scanner) lineEnd(raw []byte) int {
	usual := byte(0)
	if first := bytes.IndexAny(s.head[s.start:], "\r\n"); first >= 0 {
		usual = s.head[s.start+first]
	}
	m := Message{delims: s.delims}
	for from := 0; ; {
		next := bytes.IndexAny(raw[from:], "\r\n")
		if next < 0 {
			return len(raw)
		}
		end := from + next
		if from = end + 1; raw[end] == '\r' && from < len(raw) && raw[from] == '\n' {
			from++
		}
		as := raw[from-1] == usual || raw[end] == usual
		indented := bytes.TrimLeft(raw[from:], " \t")
		following := string(raw[from:min(len(raw), from+longName+1)])
		if m.begins(following, as) || m.follows(string(raw[:end]), following, as) || len(indented) < len(raw)-from && m.begins(string(indented[:min(len(indented), 4)]), as) {
			return end
		}
	}
}

// merging reports whether messages of a type say that one patient number is
// the other from now on; links (A24), moves (A44) and swaps (A17) do not.
func merging(typ string) bool {
	switch typ {
	case "ADT^A18", "ADT^A30", "ADT^A34", "ADT^A36", "ADT^A39", "ADT^A40", "ADT^A46":
		return true
	}
	return false
}

// keys are the receive keys: the patient's number, and the other one of a
// merge, link or swap.
func (s *scanner) keys(sender string) (key, key2 string) {
	note := func(k string) {
		switch {
		case k == "":
		case key == "":
			key = k
		case key2 == "" && k != key:
			key2 = k
		}
	}
	mrg := s.find("MRG", s.start)
	for at := s.find("PID", s.start); at >= 0 && key2 == ""; {
		next := s.find("PID", at+3)
		pid := s.line(at).Segment(0)
		k := patientKey(pid.Field(3))
		if k == "" {
			k = patientKey(pid.Field(2)) // to v2.2 the number stood here
		}
		note(k)
		if mrg >= 0 && mrg < at {
			mrg = s.find("MRG", at)
		}
		// The number merged away stands before the next patient.
		if key != "" && mrg >= 0 && (next < 0 || mrg < next) {
			note(patientKey(s.line(mrg).Segment(0).Field(1)))
		}
		at = next
	}
	if key == "" {
		key = "sender:" + sender
	}
	return key, key2
}

// patientKey is the number that names the patient: of type MR, else the first.
func patientKey(ids Value) string {
	best := Value{}
	for _, id := range ids.EachRep() {
		if !id.Comp(1).Valued() {
			continue
		}
		if string(id.Comp(5).Raw()) == "MR" {
			best = id
			break
		}
		if best.m == nil {
			best = id
		}
	}
	if best.m == nil {
		return ""
	}
	value, authority := best.Comp(1).Text(), best.Comp(4).Sub(1).Text()
	return "patient:" + strconv.Itoa(len(authority)) + ":" + authority + value
}

// hashHead hashes the head without MSH-7.
func (s *scanner) hashHead() {
	if s.timeTo > s.timeFrom {
		s.hash.Write(s.head[:s.timeFrom])
		s.hash.Write(s.head[s.timeTo:])
		return
	}
	s.hash.Write(s.head)
}

// drain hashes what follows the head, and looks there for what refuses a
// message.
func (s *scanner) drain(rest io.Reader) (*message.Failure, error) {
	const keep = 5 // line end, MSH and separator may be cut by the edge of a buffer
	buf := make([]byte, keep+64<<10)
	held := copy(buf[:keep], s.head[max(0, len(s.head)-keep):])
	at := len(s.head) - held
	var fault *message.Failure
	for {
		n, err := rest.Read(buf[held:])
		s.hash.Write(buf[held : held+n])
		s.ends(buf[held : held+n])
		part := buf[:held+n]
		if fault == nil {
			fault = s.second(part, at)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return fault, err
		}
		tail := min(keep, len(part))
		at += len(part) - tail
		copy(buf, part[len(part)-tail:])
		held = tail
	}
}

// ends notes how the message ends, of which more has come.
func (s *scanner) ends(more []byte) {
	if len(more) == 0 {
		return
	}
	if s.ending == nil {
		s.ending = append(make([]byte, 0, 4*tail), s.head[max(0, len(s.head)-tail):]...)
	}
	more = more[max(0, len(more)-2*tail):]
	if over := len(s.ending) + len(more) - cap(s.ending); over > 0 {
		s.ending = s.ending[:copy(s.ending, s.ending[over:])]
	}
	s.ending = append(s.ending, more...)
}

// second looks for the beginning of another message, and for NUL bytes.
func (s *scanner) second(part []byte, at int) *message.Failure {
	if nul := bytes.IndexByte(part, 0); nul >= 0 {
		return malformed("", at+nul, 102, "the message holds NUL bytes, the first at byte %d", at+nul)
	}
	if s.delims.Field == 0 {
		return nil
	}
	for _, end := range []string{"\r", "\n"} {
		if next := bytes.Index(part, append([]byte(end+"MSH"), s.delims.Field)); next >= 0 {
			return malformed("MSH[2]", at+next+1, 100, "several messages stand where one is wanted")
		}
	}
	return nil
}
