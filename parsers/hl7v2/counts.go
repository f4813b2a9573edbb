package hl7v2

import (
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/message"
)

// Counts compares what a file says of itself with what stands in it (2.10.3):
// BTS-1 is the number of messages of a batch, FTS-1 that of batches.
type Counts struct {
	first                      string // the name of the first segment
	messages, inBatch, batches int
	trailer                    bool
}

// Segment takes the next one of MSH, FHS, BHS, BTS and FTS. It returns the
// warning of a trailer whose count is wrong.
func (c *Counts) Segment(s Segment) (w message.Warning, wrong bool) {
	name := s.Name()
	if c.first == "" {
		c.first = name
	}
	switch name {
	case "MSH":
		c.messages++
		c.inBatch++
	case "BHS":
		c.inBatch = 0
	case "BTS":
		c.trailer = true
		c.batches++
		w, wrong = counted(s, c.inBatch, "messages")
		c.inBatch = 0
	case "FTS":
		c.trailer = true
		w, wrong = counted(s, c.batches, "batches")
	}
	return w, wrong
}

// Unread takes a message that could not be read.
func (c *Counts) Unread() {
	if c.first == "" {
		c.first = "MSH"
	}
	c.messages++
	c.inBatch++
}

// Several reports whether several messages stand there without an envelope, and
// says it; at is where the first one begins.
func (c *Counts) Several(at int) (w message.Warning, several bool) {
	return message.Warning{
		Offset: at, Code: "several-messages", Text: strconv.Itoa(c.messages) + " messages stand here without the envelope of a batch",
	}, c.messages > 1 && !c.trailer && c.first == "MSH"
}

// counted compares field 1 of a trailer.
func counted(s Segment, got int, of string) (w message.Warning, wrong bool) {
	said := s.Field(1).Text()
	if n, err := strconv.Atoi(strings.TrimSpace(said)); said == "" || err == nil && n == got {
		return w, false
	}
	start, _ := s.Span()
	return message.Warning{
		Where: s.Name() + "-1", Offset: start, Code: "batch-count", Text: "the count is not that of the " + of + " that stand here, " + strconv.Itoa(got),
	}, true
}

// envelope checks what a file says of itself. Messages are never lost for it.
func (m *Message) envelope() {
	if len(m.segments) == 0 {
		return
	}
	c := Counts{first: Segment{m, 0}.Name()}
	for i := range m.segments {
		p := m.segments[i]
		if p.end-p.start < 3 {
			continue
		}
		switch m.text[p.start : p.start+3] {
		case "MSH":
			m.conditions(Segment{m, i})
			c.Segment(Segment{m, i})
		case "BHS", "BTS", "FTS":
			if w, wrong := c.Segment(Segment{m, i}); wrong {
				m.warn(w.Where, w.Offset, "batch-count", w.Text)
			}
		}
	}
	if w, several := c.Several(m.rawEnd(m.segments[0].start)); several {
		m.warn("", w.Offset, "several-messages", w.Text)
	}
}
