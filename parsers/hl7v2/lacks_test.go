package hl7v2

import (
	"strings"
	"testing"
)

// TestLacksHoldsNoValue: what stands in MSH-9 may be anything, and is not repeated.
func TestLacksHoldsNoValue(t *testing.T) {
	m, err := Parse([]byte("MSH|^~\\&|A|B|C|D|20260105||QQQ^Z99^CANARY|1|P|2.5\rPID|1\r"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Grammar{}.Compile("ORDER[2]/OBX-5")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Lacks(p); err == nil || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("Lacks = %v, want an error without the name that the message has", err)
	}
}
