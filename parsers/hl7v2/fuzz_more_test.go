package hl7v2

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// FuzzEscape writes any text into a field with any delimiters and reads it again.
func FuzzEscape(f *testing.F) {
	for _, text := range []string{"", "a|b^c~d\\e&f", "\\F\\", "\\X41\\", "\\.br\\", "\\\\", "ü山", "\\Zx\\", "\\C2842\\x", `""`} {
		f.Add("^~\\&", text)
		f.Add("^~\\&#", text)
	}
	f.Add("@$%*", "a@b")
	f.Add("^", "a|b")
	f.Fuzz(func(t *testing.T, delims, text string) {
		m, err := Parse([]byte("MSH|" + delims + "|A||||||ADT^A01|1|P|2.7||||||UNICODE UTF-8\rZZZ|"))
		if err != nil || len(delims) > 5 || strings.ContainsAny(delims, "|\r\n") || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r\n") {
			return
		}
		escaped := m.delims.escape(nil, text)
		again, err := Parse(append(append([]byte("MSH|"+delims+"|A||||||ADT^A01|1|P|2.7||||||UNICODE UTF-8\rZZZ|"), escaped...), "|end\r"...))
		if err != nil {
			t.Fatalf("escaped text cannot be read: %v", err)
		}
		zzz := again.find("ZZZ", 1)
		if got := zzz.Field(2).Text(); got != "end" {
			t.Fatalf("the text ends elsewhere: %q", got)
		}
		v := zzz.Field(1)
		if v.Reps() > 1 || v.Comps() > 1 || v.Subs() > 1 {
			t.Fatal("the text has parts")
		}
		if got := v.Text(); m.delims.Escape != 0 && got != text && text != `""` {
			t.Errorf("%q was read again as %q", text, got)
		}
	})
}

// FuzzCharset reads any bytes in any declared set, writes what it has read into a
// message of that set, and reads it again.
func FuzzCharset(f *testing.F) {
	for _, set := range []string{"", "ASCII", "8859/1", "8859/1~ISO IR87", "ISO IR14~ISO IR87~ISO IR159", "UNICODE UTF-8~8859/7", "GB 18030-2000", "BIG-5", "KS X 1001", "ASCII~KS X 1001", "8859/1~8859/5", "ISO IR13~ISO IR87", "Shift_JIS", "EUC-JP", "x"} {
		f.Add(set, []byte("M\xfcller \x1b$B;3ED\x1b(B \x1b-F\xe1 \x83\x5c|x"))
	}
	f.Fuzz(func(t *testing.T, set string, content []byte) {
		raw := append([]byte("MSH|^~\\&|A||||||ADT^A01|1|P|2.7||||||"+set+"\rZZZ|"), content...)
		m, err := Parse(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Rebuild(nil), raw) {
			t.Fatal("not the same bytes again")
		}
		for i := range m.Len() {
			tryValue(t, m, m.Segment(i))
		}
		text := m.find("ZZZ", 1).Field(1).Text()
		fresh, err := Parse([]byte("MSH|^~\\&|A||||||ADT^A01|1|P|2.7||||||" + set + "\rZZZ||end\r"))
		if err != nil || text == `""` {
			return
		}
		e := Edit(fresh)
		if err := e.Set("ZZZ-1", text); err != nil {
			return // it has characters that the set has not
		}
		again := e.m.find("ZZZ", 1)
		if got, want := again.Field(1).Text(), strings.ReplaceAll(text, "\r", "\n"); got != want || again.Field(2).Text() != "end" {
			t.Errorf("%q was read again as %q, before %q", want, got, again.Field(2).Text())
		}
		if size := len(e.Bytes()) - len(fresh.raw); size > 8*len(text)+16 {
			t.Errorf("%d bytes of %d", size, len(text))
		}
	})
}

// FuzzBatch splits and answers any content as a batch.
func FuzzBatch(f *testing.F) {
	seeded(f, oddities...)
	f.Add([]byte("FHS|^~\\&|A\rBHS|^~\\&|B\rMSH|^~\\&|A||||||ADT^A01|1|P|2.7\rPID|1\rBTS|1\rFTS|1\r"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, o := range []Options{{}, {Batch: batchErrors, Functional: true}} {
			p, messages := New(o), 0
			out, err := p.AnswerBatch(bytes.NewReader(raw), 1<<20, func() parsers.Stamp { return made }, func(one []byte) ([]byte, bool, error) {
				messages++
				return p.Reply(one, version, made), false, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if bytes.ContainsAny(out, "\x00\x0b\x1c\n") {
				t.Fatal("bytes of a frame stand in the answer")
			}
			if got := bytes.Count(out, []byte("MSA")); len(out) > 0 && messages > 0 && got > messages+bytes.Count(raw, []byte("MSA")) {
				t.Errorf("%d answers to %d messages", got, messages)
			}
		}
	})
}

// FuzzJoin reads the marks of any content as a part, and joins it with others.
func FuzzJoin(f *testing.F) {
	seeded(f, oddities...)
	f.Add([]byte("MSH|^~\\&|A||||||ORU^R01|1|P|2.7||P1\rADD|x\rADD\rDSC|P2|F\r"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := New(Options{Sequence: true})
		name, before, alone := p.Part(raw)
		if name == "" && before == "" && !alone {
			t.Error("what is no part cannot stand alone")
		}
		p.Sequence(raw)
		whole, err := p.Join([][]byte{raw, raw, raw})
		if err == nil && len(whole) > 3*len(raw)+3 {
			t.Errorf("%d bytes of three times %d", len(whole), len(raw))
		}
	})
}

// FuzzFunctional answers any content with the replies of the standard.
func FuzzFunctional(f *testing.F) {
	seeded(f, oddities...)
	for _, kind := range []string{"ORM^O01", "MFN^M02", "QBP^Q11", "SRM^S01", "OML^O99"} {
		f.Add([]byte("MSH|^~\\&|A||||||" + kind + "|1|P|2.7\rMFI|X\rMFE|MAD|1\rQPD|Q|T\r"))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := New(Options{Functional: true})
		for _, answer := range []message.Answer{{Code: message.Accepted, Expected: "7"}, two, away} {
			out := p.Reply(raw, answer, made)
			if len(out) == 0 {
				continue
			}
			m, err := Parse(out)
			if err != nil || m.Segment(1).Name() != "MSA" || bytes.ContainsAny(out, "\x00\x0b\x1c\n") {
				t.Fatalf("the answer is not readable: %v", err)
			}
			if again := p.Reply(out, accepted, made); len(again) > 0 {
				t.Fatal("an answer is answered")
			}
		}
		p.Awaits(raw, accepted)
		p.Applied(raw, two, made)
	})
}
