package hl7v2

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestAWalkMeetsWhatListsHave compares the leaves of a walk with those that the
// lists of fields, repetitions, components and subcomponents have.
func TestAWalkMeetsWhatListsHave(t *testing.T) {
	messages := []string{
		"MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5\rPID|1||2^^^H&1&ISO~3||^|~|a&b~&^\rZXX\rEVN|\r\rPV\rno segment\rNTE|1||\\F\\#\r",
		"MSH|^|A^B~C|D\rZZZ|a~b&c^d\r", // no repetitions, no subcomponents
		"MSH$@*!%#$A@B%C*D$\rZZZ$$a^b$\r", "MSH|^~\\&", "MSH|^~\\&|\rPID", "FHS|^~\\&|a^b\rBHS|^~\\&|c~d\rMSH|^~\\&|A\rBTS|1\rFTS|1",
		"MSH|^~\\&|A||||||ADT^A01|1|P|2.5||||||ISO IR87\rPID|\x1b$B;3ED\x1b(B^\x1b$B^|~&\x1b(B|\x1b$B\x1b(B\r",
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "messages", "hl7v2", "*.hl7"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no samples")
	}
	for _, file := range files {
		raw, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, string(raw))
	}
	for _, raw := range messages {
		sameLeaves(t, parsed(t, raw))
	}
}

// sameLeaves fails the test where a walk and the lists differ.
func sameLeaves(t *testing.T, m *Message) {
	t.Helper()
	note := func(list *[]string) func(s Segment, at Place, v Value) {
		return func(s Segment, at Place, v Value) {
			whole := ""
			if v.level.of() == wholeLevel {
				whole = "whole "
			}
			*list = append(*list, fmt.Sprintf("%d %v %s%d %d %q", s.Index(), at, whole, v.start, v.end, v.Text()))
		}
	}
	var want, got []string
	walkParts(m, note(&want))
	for w := m.Walk(); w.NextSegment(); {
		for w.Next() {
			if at := w.Place(); w.Value().Empty() && w.Value().level.of() != wholeLevel && at == (Place{at.Field, 1, 1, 1}) && w.Segment().Field(at.Field).Empty() {
				continue // an empty field has no parts in lists
			}
			note(&got)(w.Segment(), w.Place(), w.Value())
		}
		if w.Next() {
			t.Error("there is a leaf behind the last")
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("a walk meets\n%v, lists have\n%v", got, want)
	}
}

// TestAWalkAllocatesNothing counts what walks and readings of their values take.
func TestAWalkAllocatesNothing(t *testing.T) {
	m := parsed(t, string(sample(t, "oru_r01_cbc.hl7")))
	if n := testing.AllocsPerRun(100, func() { walk(m) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
