package hl7v2

import (
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// A functional is the reply that the standard has for a request.
type functional struct {
	code, event string
	// negative: given only where the request was refused. What a query found is
	// not known here.
	negative bool
	// rest writes what follows MSA and ERR; nil: nothing is required there.
	rest func(*ack)
}

// structure is MSH-9.3.
func (f functional) structure() string {
	switch f.code { // one structure for all events (table 0354)
	case "MFK":
		return "MFK_M01"
	case "SRR":
		return "SRR_S01"
	}
	if s := definitions.StructureOf(f.code, f.event); s != "" {
		return s
	}
	return f.code + "_" + f.event
}

// replies are the codes of replies, by the code of the request: those of chapters
// 4 and 10, whose events are those of the request or the next number.
var replies = map[string]string{
	"ORM": "ORR", "OMD": "ORD", "OMS": "ORS", "OMN": "ORN", "OMP": "ORP", "RDE": "RRE", "RDS": "RRD", "RGV": "RRG", "RAS": "RRA",
	"OMG": "ORG", "OML": "ORL", "OMI": "ORI", "OMB": "ORB", "BPS": "BRP", "BTS": "BRT", "OPL": "OPR",
}

// functionalOf finds the reply to a request: none (ACK) for most messages.
func functionalOf(msh Segment) functional {
	code, event := strings.Clone(msh.Field(9).Comp(1).trimmed().Text()), strings.Clone(msh.Field(9).Comp(2).trimmed().Text())
	switch {
	case replies[code] != "":
		if next := after(event); next != "" {
			return functional{code: replies[code], event: next}
		}
	case code == "MFN" && plainEvent(event):
		return functional{code: "MFK", event: event, rest: (*ack).masterFiles}
	case code == "SRM" && plainEvent(event):
		return functional{code: "SRR", event: event}
	case code == "QBP" && plainEvent(event) && event[0] == 'Q':
		return functional{code: "RSP", event: "K" + event[1:], negative: true, rest: (*ack).query}
	}
	return functional{}
}

// plainEvent reports whether an event is a letter and two digits.
func plainEvent(event string) bool {
	return len(event) == 3 && upper(event[0]) && digit(event[1]) && digit(event[2])
}

// after is the event behind one: O02 of O01, O10 of O09.
func after(event string) string {
	if !plainEvent(event) || event[1:] == "99" {
		return ""
	}
	tens, ones := event[1], event[2]+1
	if ones > '9' {
		tens, ones = tens+1, '0'
	}
	return string([]byte{event[0], tens, ones})
}

// maxEntries bounds the entries of a master file that are answered one by one.
const maxEntries = 1000

// masterFiles writes MFI as it came and an MFA for each entry (8.5.3), as far as
// MFI-6 wants to hear of it (table 0179). An MFA says whether the entry was posted:
// of a message that is only stored there is nothing to say yet.
func (a *ack) masterFiles() {
	level := ""
	if at := a.scan.find("MFI", a.scan.msh); at >= 0 {
		line := a.scan.line(at)
		level = strings.Clone(line.Segment(0).Field(6).Text())
		a.copied(line)
	}
	word := "S"
	if a.answer.Code != message.Accepted {
		word = "U"
	}
	if a.answer.Stored || level == "NE" || level == "ER" && word == "S" || level == "SU" && word == "U" {
		return
	}
	at, before := a.scan.msh, len(a.out)
	for range maxEntries {
		if at = a.scan.find("MFE", at+1); at < 0 || len(a.out)-before > entriesMost {
			return
		}
		a.entry(a.scan.line(at).Segment(0), word)
	}
}

// entry writes the MFA of an MFE.
func (a *ack) entry(mfe Segment, word string) {
	a.out = append(a.out, "MFA"...)
	a.field(within(mfe.Field(1)))
	a.field(within(mfe.Field(2)))
	a.field(nil)
	a.field([]byte(word))
	a.field(within(mfe.Field(4)))
	if a.version == 0 || a.version >= 24 {
		a.field(within(mfe.Field(5)))
	}
	a.out = append(a.out, '\r')
}

// query writes QAK and the query as it came (5.4.1).
func (a *ack) query() {
	at := a.scan.find("QPD", a.scan.msh)
	if at < 0 {
		return
	}
	line := a.scan.line(at)
	qpd := line.Segment(0)
	a.out = append(a.out, "QAK"...)
	a.field(within(qpd.Field(2)))
	a.field([]byte(a.code()))
	a.field(within(qpd.Field(1)))
	a.out = append(a.out, '\r')
	a.copied(line)
}

// Bounds of what a reply repeats of a message, in bytes.
const (
	copiedMost  = 16 << 10 // of a segment as it came
	entriesMost = 48 << 10 // of entries together
)

// copied writes a segment of the message; of one that is longer than any of its
// kind should be, its first fields.
func (a *ack) copied(line *Message) {
	s := line.Segment(0)
	a.out = append(a.out, s.Name()...)
	if raw := s.Raw(); len(raw) <= copiedMost {
		for _, f := range s.AppendFields(nil) {
			a.field(f.Raw())
		}
	} else {
		for n := 1; n <= 3; n++ {
			a.field(within(s.Field(n)))
		}
	}
	a.out = append(a.out, '\r')
}

// within is a value as it came, none where it is too long to be what it should be.
func within(v Value) []byte {
	raw := v.Raw()
	if len(raw) > repeated {
		return nil
	}
	return raw
}
