package hl7v2

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/plexus-health/plexus/message"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "testdata", "messages", "hl7v2", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// twoKB is an ORU of about 2 KB: the shipped CBC with more of its results.
func twoKB(b *testing.B) []byte {
	raw := sample(b, "oru_r01_cbc.hl7")
	at, end := bytes.Index(raw, []byte("OBX|")), bytes.Index(raw, []byte("NTE|"))
	for len(raw) < 2000 {
		raw = append(raw[:end:end], append(bytes.Clone(raw[at:end]), raw[end:]...)...)
	}
	return raw
}

var twenty = []string{
	"MSH-3", "MSH-4", "MSH-9.1", "MSH-9.2", "MSH-10", "MSH-12", "PID-3.1", "PID-3.4", "PID-3[5=MR].1", "PID-5.1", "PID-5.2", "PID-7", "PID-8",
	"PV1-2", "ORC-1", "OBR-4.1", "OBR-25", "OBX[1]-3.1", "OBX[2]-5", "OBX[3]-8",
}

func compile(t testing.TB, texts ...string) []message.Path {
	t.Helper()
	out := make([]message.Path, len(texts))
	for i, text := range texts {
		p, err := Grammar{}.Compile(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		out[i] = p
	}
	return out
}

// BenchmarkParse parses an ORU of 2 KB and reads 20 fields of it.
func BenchmarkParse(b *testing.B) {
	raw, paths := twoKB(b), compile(b, twenty...)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range paths {
			if p.Text(m) == "" {
				b.Fatal(p)
			}
		}
	}
}

// BenchmarkRead reads 20 fields of a parsed message.
func BenchmarkRead(b *testing.B) {
	raw, paths := twoKB(b), compile(b, twenty...)
	m, err := Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range paths {
			if p.Text(m) == "" {
				b.Fatal(p)
			}
		}
	}
}

// BenchmarkWalk parses and reads every subcomponent.
func BenchmarkWalk(b *testing.B) {
	raw := twoKB(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(raw)
		if err != nil || walk(m) == 0 {
			b.Fatal(err)
		}
	}
}

// BenchmarkParts is BenchmarkWalk by lists of fields, repetitions, components
// and subcomponents.
func BenchmarkParts(b *testing.B) {
	raw := twoKB(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(raw)
		if err != nil || walkParts(m, nil) == 0 {
			b.Fatal(err)
		}
	}
}

// walk reads every leaf and counts the bytes of their text.
func walk(m *Message) int {
	total := 0
	for w := m.Walk(); w.NextSegment(); {
		for w.Next() {
			total += len(w.Value().Text())
		}
	}
	return total
}

// walkParts is walk by lists; note, if it is not nil, is told of each leaf.
func walkParts(m *Message, note func(s Segment, at Place, v Value)) int {
	total := 0
	var fields, reps, comps, subs []Value
	for i := range m.Len() {
		fields = m.Segment(i).AppendFields(fields[:0])
		for f, field := range fields {
			reps = field.AppendParts(reps[:0])
			for r, rep := range reps {
				comps = rep.AppendParts(comps[:0])
				for c, comp := range comps {
					subs = comp.AppendParts(subs[:0])
					for s, sub := range subs {
						total += len(sub.Text())
						if note != nil {
							note(m.Segment(i), Place{f + 1, r + 1, c + 1, s + 1}, sub)
						}
					}
				}
			}
		}
	}
	return total
}

func BenchmarkScan(b *testing.B) {
	raw, p := twoKB(b), New(Options{})
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Scan(raw, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRebuild(b *testing.B) {
	raw := twoKB(b)
	m, err := Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	dst := make([]byte, 0, len(raw))
	for b.Loop() {
		if dst = m.Rebuild(dst[:0]); len(dst) != len(raw) {
			b.Fatal("rebuilt otherwise")
		}
	}
}
