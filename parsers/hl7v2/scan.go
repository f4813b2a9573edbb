package hl7v2

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// Scan finds what intake needs: header, keys of order, hash of the content
// without MSH-7. The keys hold patient numbers: they stay in the database.
func (p *Parser) Scan(head []byte, rest io.Reader) (message.Header, error) {
	hash := sha256.New()
	var h message.Header
	start, err := findHeader(head)
	var d Delims
	if err == nil {
		d, err = readDelims(head[start:], start)
	}
	if err != nil {
		hash.Write(head)
		if rest != nil {
			if _, copying := io.Copy(hash, rest); copying != nil {
				return h, copying
			}
		}
		h.Hash = [32]byte(hash.Sum(nil))
		return h, err
	}
	m := &Message{raw: head, text: head, delims: d}
	m.charset = m.chooseCharset(p.options.Charset, start)
	if m.charset != nil && m.charset.wide {
		m.text = m.charset.decodeAll(head)
	}
	m.splitHead(start)
	msh := m.find("MSH")
	if !msh.Valid() {
		err = malformed("MSH", start+1, 100, "there is no MSH segment")
		msh = m.Segment(0)
	}
	h = headerOf(m, msh)
	seven := msh.Field(7)
	if a, b := seven.Span(); b > a && (m.charset == nil || !m.charset.wide) {
		hash.Write(head[:a])
		hash.Write(head[b:])
	} else {
		hash.Write(head)
	}
	if rest != nil {
		if _, copying := io.Copy(hash, rest); copying != nil {
			return h, copying
		}
	}
	h.Hash = [32]byte(hash.Sum(nil))
	h.Key, h.Key2 = m.keys(h.Sender)
	if err == nil {
		err = complete(msh)
	}
	return h, err
}

// complete says what a header lacks (2.14.9.9, 2.14.9.10).
func complete(msh Segment) error {
	start, _ := msh.Span()
	if !msh.Field(9).Comp(1).Valued() {
		return malformed("MSH-9", start+1, 101, "the message type is missing")
	}
	if !msh.Field(10).Valued() {
		return malformed("MSH-10", start+1, 101, "the control id is missing")
	}
	return nil
}

// splitHead finds only the segments that intake reads: the first ones.
func (m *Message) splitHead(start int) {
	text := m.text
	for at, n := start, 0; at < len(text) && n < 64; n++ {
		end := lineEnd(text[at:])
		if end < 0 {
			m.segments = append(m.segments, span{int32(at), int32(len(text)), int32(len(text))})
			return
		}
		m.segments = append(m.segments, span{int32(at), int32(at + end), int32(at + end + 1)})
		at += end + 1
	}
}

// keys are the receive keys: the patient's number, and the other one of a merge.
func (m *Message) keys(sender string) (key, key2 string) {
	for i := range m.segments {
		s := Segment{m, i}
		switch s.Name() {
		case "PID":
			if key == "" {
				key = patientKey(s.Field(3))
				if key == "" {
					key = patientKey(s.Field(2))
				}
			} else if key2 == "" {
				key2 = patientKey(s.Field(3)) // A24, A37: a second patient
			}
		case "MRG":
			if key2 == "" {
				key2 = patientKey(s.Field(1))
			}
		}
	}
	if key == "" {
		key = "sender:" + sender
	}
	if key2 == key {
		key2 = ""
	}
	return key, key2
}

// patientKey is the number that names the patient: of type MR, else the first.
func patientKey(ids Value) string {
	best := Value{}
	for r := 1; r <= ids.Reps(); r++ {
		id := ids.Rep(r)
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

var _ parsers.Splitter = (*Parser)(nil)

// Split yields the messages of a batch or file: each begins at MSH and ends
// before the next MSH, FHS, BHS, BTS or FTS (2.10.3).
func (p *Parser) Split(r io.Reader, limit int64, take func(raw []byte) error) error {
	var held []byte
	buf := make([]byte, 64<<10)
	flush := func(part []byte) error {
		if len(part) < 3 || string(part[:3]) != "MSH" {
			return nil
		}
		return take(append([]byte(nil), part...))
	}
	for {
		n, err := r.Read(buf)
		held = append(held, buf[:n]...)
		for {
			cut := nextStart(held)
			if cut < 0 {
				break
			}
			if err := flush(held[:cut]); err != nil {
				return err
			}
			held = append(held[:0], held[cut:]...)
		}
		if int64(len(held)) > limit {
			return malformed("", 0, 100, "a message of the batch is longer than %d bytes", limit)
		}
		if err == io.EOF {
			return flush(held)
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}
}

// nextStart finds the next segment that begins a message or a part of the
// envelope, after the first byte; -1 when it is not there yet.
func nextStart(b []byte) int {
	for at := 0; at < len(b); {
		end := bytes.IndexAny(b[at:], "\r\n")
		if end < 0 || at+end+4 > len(b) {
			return -1
		}
		at += end + 1
		switch string(b[at : at+3]) {
		case "MSH", "FHS", "BHS", "BTS", "FTS":
			return at
		}
	}
	return -1
}
