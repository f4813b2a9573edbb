package hl7v2_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

func TestBundle(t *testing.T) {
	p := hl7v2.New(hl7v2.Options{})
	messages := [][]byte{
		[]byte("MSH#^~\\&#LAB#NORTH#EHR#CLINIC#20260101##ORU^R01#1#P#2.5.1\rPID#1\r"),
		[]byte("MSH|^~\\&|LAB|NORTH|EHR|CLINIC|20260101||ORU^R01|2|P|2.5.1\rPID|2"),
	}
	file, err := p.Bundle(messages, parsers.Stamp{Time: "20260301020000", Control: "PF1"})
	want := "FHS#^~\\&#LAB#NORTH#EHR#CLINIC#20260301020000####PF1\rBHS#^~\\&#LAB#NORTH#EHR#CLINIC#20260301020000####PF1\r" +
		"MSH#^~\\&#LAB#NORTH#EHR#CLINIC#20260101##ORU^R01#1#P#2.5.1\rPID#1\r" +
		"MSH|^~\\&|LAB|NORTH|EHR|CLINIC|20260101||ORU^R01|2|P|2.5.1\rPID|2\rBTS#2\rFTS#1\r"
	if err != nil || string(file) != want {
		t.Fatalf("got %q %v, want %q", file, err, want)
	}
	var back []string
	if err := p.Split(bytes.NewReader(file), 1<<20, func(raw []byte) error {
		back = append(back, string(bytes.TrimRight(raw, "\r")))
		return nil
	}); err != nil || !slices.Equal(back, []string{string(bytes.TrimRight(messages[0], "\r")), string(messages[1])}) {
		t.Errorf("taken apart again: %q %v", back, err)
	}
	for _, wrong := range [][][]byte{nil, {[]byte("no message")}} {
		if _, err := p.Bundle(wrong, parsers.Stamp{}); err == nil {
			t.Errorf("a batch of %d messages that are none was made", len(wrong))
		}
	}
}
