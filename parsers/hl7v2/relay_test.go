package hl7v2_test

import (
	"testing"

	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

func TestRelay(t *testing.T) {
	parser, err := hl7v2.Kind(hl7v2.Validation{}).Options().Open()
	if err != nil {
		t.Fatal(err)
	}
	relayer, ok := parser.(parsers.Relayer)
	if !ok {
		t.Fatal("no Relayer")
	}
	const head = "MSH|^~\\&|A|B|C|D|20260101||QBP^Q11|Q-7|P|2.5.1\r"
	for name, c := range map[string]struct{ head, answer, want string }{
		"MSA-2 names the message":        {head, "MSH|^~\\&|P|P|E|E|||RSP^K11|9|P|2.5.1\rMSA|AA|P4711\rQAK|1\r", "MSH|^~\\&|P|P|E|E|||RSP^K11|9|P|2.5.1\rMSA|AA|Q-7\rQAK|1\r"},
		"other delimiters":               {head, "MSH#^~\\&#P#P#E#E###ACK#9#P#2.5.1\rMSA#AE#P4711#text\r", "MSH#^~\\&#P#P#E#E###ACK#9#P#2.5.1\rMSA#AE#Q-7#text\r"},
		"no MSA":                         {head, "MSH|^~\\&|P|P|E|E|||ORU^R01|9|P|2.5.1\r", "MSH|^~\\&|P|P|E|E|||ORU^R01|9|P|2.5.1\r"},
		"an MSA without a control id":    {head, "MSH|^~\\&|P|P|E|E|||ACK|9|P|2.5.1\rMSA|AA\r", "MSH|^~\\&|P|P|E|E|||ACK|9|P|2.5.1\rMSA|AA\r"},
		"an answer of another format":    {head, `{"resourceType":"Bundle"}`, `{"resourceType":"Bundle"}`},
		"a message that is not readable": {"garbage", "MSH|^~\\&|P|P|E|E|||ACK|9|P|2.5.1\rMSA|AA|P1\r", "MSH|^~\\&|P|P|E|E|||ACK|9|P|2.5.1\rMSA|AA|P1\r"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(relayer.Relay([]byte(c.head), []byte(c.answer))); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
