package mapping_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// long is a result message of n values of one order.
func long(t *testing.T, n int) *message.Message {
	t.Helper()
	var b strings.Builder
	b.WriteString("MSH|^~\\&|LAB|NORTH|EHR|MAIN|20260105120000||ORU^R01^ORU_R01|LONG1|P|2.5.1\r" +
		"PID|1||777^^^NORTH CLINIC^MR||ROWAN^ALIX||19800101|F\rORC|RE|P1|F1\rOBR|1|P1|F1|58410-2^CBC^LN|||20260105110000\r")
	for i := range n {
		fmt.Fprintf(&b, "OBX|%d|NM|%d^x^L||%d|mg|||||F\r", i+1, i, i)
	}
	doc, err := hl7v2.Parse([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return &message.Message{Doc: doc}
}

// TestLongMessage maps more values than any sender has sent, with references from
// and to each. The time is what a thousand times as many steps would not keep.
func TestLongMessage(t *testing.T) {
	const values = 30_000
	m := shipped(t, transforms.Step{Use: "v2-to-fhir"})
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	out, err := m.Apply(ctx, long(t, values))
	if err != nil {
		t.Fatal(err)
	}
	observations := 0
	for _, d := range out[0].Doc.(*mapping.Output).Drafts() {
		if d.Type == "Observation" {
			observations++
		}
	}
	if observations != values {
		t.Errorf("%d observations, want %d", observations, values)
	}
}

// TestTooManyResources parks a message at the segment that would make one
// resource more than a map may make.
func TestTooManyResources(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a message of 50,001 values")
	}
	m := shipped(t, transforms.Step{Use: "v2-to-fhir"})
	_, err := m.Apply(t.Context(), long(t, 50_001))
	var f *message.Failure
	if !errors.As(err, &f) || f.Kind != message.Malformed || !strings.HasPrefix(f.Where, "OBX[") || !strings.Contains(f.Error(), "50000") {
		t.Errorf("Apply = %v, want it parked at an OBX", err)
	}
}

// An impatient context ends when it was asked a number of times.
type impatient struct {
	context.Context //nolint:containedctx // it is one
	asked, until    int
}

func (c *impatient) Err() error {
	if c.asked++; c.asked > c.until {
		return context.Canceled
	}
	return nil
}

// TestMapIsEnded ends a map while resources are planned and while they are
// filled: the message is not at fault.
func TestMapIsEnded(t *testing.T) {
	m := shipped(t, transforms.Step{Use: "v2-to-fhir"})
	all := &impatient{Context: t.Context(), until: 1 << 30}
	if _, err := m.Apply(all, long(t, 1000)); err != nil {
		t.Fatal(err)
	}
	if all.asked < 20 {
		t.Fatalf("asked %d times whether to go on, want it after every few of 1,000 resources", all.asked)
	}
	for _, until := range []int{0, 1, all.asked / 3, all.asked / 2, all.asked - 1} {
		_, err := m.Apply(&impatient{Context: t.Context(), until: until}, long(t, 1000))
		if message.KindOf(err) != message.Unavailable {
			t.Errorf("ended after %d looks: Apply = %v, want %v", until, err, message.Unavailable)
		}
	}
}
