package hl7v2

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// seeded gives a fuzz test the sample messages, and what else it needs.
func seeded(f *testing.F, more ...string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "messages", "hl7v2", "*.hl7"))
	if err != nil || len(files) == 0 {
		f.Fatalf("%d samples, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, text := range more {
		f.Add([]byte(text))
	}
}

// oddities are contents near the edges of what is read.
var oddities = []string{
	"", "MSH", "MSH|", "MSH|^", "MSH|^~\\&", "MSH|^~\\&|\r\r\r", "\xef\xbb\xbf MSH|^~\\&#|A\n",
	"MSH*~^\\&*A*B\rPID*1**2\r", "FHS|^~\\&|A\rBHS|^~\\&\rMSH|^~\\&||||||||X|1\rBTS|2\rFTS|x\r", "MSH|^~\\\\&|A\rPID|\\F\\|\\X0\\|\\", "MSH|^~\\&|A\r PID|1\rdata\r\nPID|2",
	"MSH|^~\\&|||||||A|1||2.5||||||ISO IR87\rPID|1|\x1b$B0!\x1b(B|\x1b$B\r", "MSH|^~\\&|||||||A|1||2.5||||||GB 18030-2000\rPID|\x81\x30\x81\x7c|\x81|\xff",
	"MSH|^~\\&|||||||A|1||2.5||||||8859/1~ISO IR87\rPID|\xe4|\\C2842\\a\\M2442\\\\X\\\r",
	"MSH|^~\\&|||||||ORU^R01|1\rPID|\rOBX|\rSPM|\rOBR|\rOBX|\rPID|\rNTE|\rORC|\rOBR|\rZZZ|\rMSA|",
}

func FuzzParse(f *testing.F) {
	seeded(f, oddities...)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Parse(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Encode(nil), raw) || !bytes.Equal(m.Rebuild(nil), raw) {
			t.Fatal("not the same bytes again")
		}
		if len(raw) < 4<<10 {
			sameLeaves(t, m)
		}
		placed := 0
		count(m.Groups(), &placed)
		for i := range m.Len() {
			s := m.Segment(i)
			if s.Name() != "" {
				placed--
			}
			tryValue(t, m, s)
		}
		if placed != 0 {
			t.Errorf("%d segments too many stand in groups", placed)
		}
		for _, w := range m.Warnings() {
			if w.Offset < 0 || w.Offset > len(raw) {
				t.Errorf("%s at byte %d of %d", w.Code, w.Offset, len(raw))
			}
		}
	})
}

// count counts the segments in a group and the groups inside.
func count(g *Group, n *int) {
	for _, s := range g.Segments() {
		if s.Name() != "" {
			*n++
		}
	}
	for _, inner := range g.Groups() {
		count(inner, n)
	}
}

// tryValue reads every field of a segment and compares places.
func tryValue(t *testing.T, m *Message, s Segment) {
	from, to := s.Span()
	if from > to || to > len(m.raw) {
		t.Fatalf("segment %d spans %d to %d of %d", s.Index(), from, to, len(m.raw))
	}
	for n, v := range s.AppendFields(nil) {
		if one := s.Field(n + 1); v.start != one.start || v.end != one.end || v.level.of() != one.level {
			t.Errorf("field %d is not the same by number", n+1)
		}
		start, end := v.Span()
		if start < from || end < start || end > to {
			t.Errorf("field %d spans %d to %d in %d to %d", n+1, start, end, from, to)
		}
		if !utf8.ValidString(v.Text()) || strings.ContainsRune(v.Text(), 0) {
			t.Errorf("the text of field %d is not UTF-8, or holds NUL", n+1)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, text := range []string{
		"PID-3", "PID-3.1", "PID-3[2].4.2", "PID-3[5=MR].1", "PID-3[4.2=1.2.3].1", "PID-3[*].1", "OBX[*]-5", "OBX[2]-5", "OBX", "ORDER_OBSERVATION[2]/OBX-5",
		"PATIENT_RESULT[*]/ORDER_OBSERVATION/OBX[1]-5", "PID-", "PID-3[", "PID-3[5=]", "PID[0]", "A/B/C", "MSH-2", "PID-3[5=a b].1", "PID-3 - 1",
	} {
		f.Add(text)
	}
	raw, err := os.ReadFile(filepath.Join("..", "..", "testdata", "messages", "hl7v2", "oru_r01_cbc.hl7"))
	if err != nil {
		f.Fatal(err)
	}
	m, err := Parse(raw)
	if err != nil {
		f.Fatal(err)
	}
	var nodes []message.Node
	for i := range m.Len() {
		nodes = append(nodes, m.Segment(i))
	}
	nodes = append(nodes, m.Root(), m.Groups(), Segment{}, nil)
	f.Fuzz(func(t *testing.T, text string) {
		if n := (Grammar{}).Scan(0, text); n < 0 || n > len(text) {
			t.Fatalf("Scan gives %d of %d", n, len(text))
		}
		p, err := Grammar{}.Compile(text)
		if err != nil {
			return
		}
		if p.String() != text {
			t.Errorf("%q is written %q", text, p.String())
		}
		for _, n := range nodes {
			switch p.Kind() {
			case message.One:
				_ = p.Text(n)
			case message.Several:
				_ = p.Texts(n)
			case message.Places:
				for _, found := range p.Nodes(n) {
					if start, end := found.Span(); start < 0 || end < start || end > len(raw) {
						t.Errorf("%q leads to %d to %d", text, start, end)
					}
				}
			}
		}
	})
}

func FuzzScan(f *testing.F) {
	seeded(f, oddities...)
	p := New(Options{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := p.Scan(raw, nil)
		header := 64
		s := scanner{head: raw}
		if at, err := s.begin(); err == nil {
			header = max(header, at+s.lineEnd(raw[at:])) // an envelope may stand before it
		}
		for _, cut := range []int{0, 1, len(raw) / 2, len(raw)} {
			if cut > len(raw) || cut < len(raw) && cut < header {
				continue // the head is all, or holds the header
			}
			if part, _ := p.Scan(raw[:cut], bytes.NewReader(raw[cut:])); err == nil && part.Hash != h.Hash {
				t.Errorf("cut at %d the hash is another", cut)
			}
		}
		m, bad := Parse(raw)
		if bad != nil {
			if err == nil {
				t.Errorf("taken by Scan, refused by Parse: %v", bad)
			}
			return
		}
		if err == nil {
			want := m.Header()
			if h.Type != want.Type || h.Control != want.Control || h.Sender != want.Sender || h.Structure != want.Structure {
				t.Errorf("a scan finds another header than the parser")
			}
		}
	})
}

func FuzzReply(f *testing.F) {
	seeded(f, append(slices.Clone(oddities), ackSeeds...)...)
	said := New(Options{Texts: []AckText{
		{Codes: []string{"AA", "CA"}, Text: "{channel}: {control} angenommen, grüße|^~\\& 山田 \U0001F600"},
		{Codes: []string{"AE", "AR", "CE", "CR"}, Text: "{ack} {control} {where} {code} {condition} {reason} é|"},
	}})
	made := parsers.Stamp{Time: "20260105133700", Control: "R1", Channel: "lab"}
	answers := []message.Answer{
		{Code: message.Accepted},
		{Code: message.Erroneous, Problems: []message.Problem{{Where: "OBX[3]-5[2].1.2", Code: 103, Text: "a|b^c\\d\r"}, {Where: "[", Code: -1}}},
		{Code: message.Rejected},
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, answer := range answers {
			for _, p := range []*Parser{New(Options{}), said} {
				if out := p.Reply(raw, answer, made); len(out) > 0 {
					replied(t, p, out, answer, made)
				}
			}
		}
	})
}

// replied holds what every answer must be, whatever it answers.
func replied(t *testing.T, p *Parser, out []byte, answer message.Answer, made parsers.Stamp) {
	t.Helper()
	if bytes.ContainsAny(out, "\x00\x0b\x1c\n") {
		t.Fatal("bytes of a frame stand in the answer")
	}
	m, err := Parse(out)
	if err != nil {
		t.Fatalf("the answer is not readable: %v", err)
	}
	msa := m.find("MSA", 1)
	if m.Segment(1) != msa || len(msa.Field(1).Text()) != 2 {
		t.Fatalf("the answer has no MSA where it should stand")
	}
	good := answer.Code == message.Accepted
	if word := msa.Field(1).Text(); (word[1] == 'A') != good {
		t.Fatal("the answer tells another outcome")
	}
	if err := m.find("ERR", 1); err.Valid() && (err.Field(4).Text() == "I") != good || !err.Valid() && !good {
		t.Fatal("ERR is there, or is not, against the outcome")
	}
	if again := p.Reply(out, message.Answer{Code: message.Accepted}, made); len(again) > 0 {
		t.Fatal("an answer is answered")
	}
}
