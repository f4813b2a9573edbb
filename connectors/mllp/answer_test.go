package mllp

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/message"
)

const ackHead = "MSH|^~\\&|R|R|S|S|||ACK|1|P|2.5\r"

func TestClassify(t *testing.T) {
	tests := map[string]struct {
		raw   string
		kind  message.Kind // empty: accepted
		where string
		code  int
	}{
		"AA":                                    {raw: ackHead + "MSA|AA|7\r"},
		"CA":                                    {raw: ackHead + "MSA|CA|7\r"},
		"without the last segment end":          {raw: ackHead + "MSA|AA|7"},
		"line feeds end segments":               {raw: strings.ReplaceAll(ackHead+"MSA|AA|7\r", "\r", "\n")},
		"other separators":                      {raw: "MSH$%~\\&$R\rMSA$AA$7\r"},
		"in a batch":                            {raw: "FHS|^~\\&\rBHS|^~\\&\r" + ackHead + "MSA|AA|7\rBTS|1\rFTS|1\r"},
		"a warning with an AA":                  {raw: ackHead + "MSA|AA|7\rERR||PID^1^5|103^^HL70357|W\r"},
		"AE without ERR":                        {raw: ackHead + "MSA|AE|7\r", kind: message.Busy},
		"CE without ERR":                        {raw: ackHead + "MSA|CE|7\r", kind: message.Busy},
		"AE with a mere warning":                {raw: ackHead + "MSA|AE|7\rERR||PID^1^5|103^^HL70357|W\r", kind: message.Busy},
		"AE with 206":                           {raw: ackHead + "MSA|AE|7\rERR|||206^Application record locked^HL70357|E\r", kind: message.Busy, code: 206},
		"CE with 207":                           {raw: ackHead + "MSA|CE|7\rERR|||207|E\r", kind: message.Busy, code: 207},
		"AE with 100":                           {raw: ackHead + "MSA|AE|7\rERR||PV1|100^^HL70357|E\r", kind: message.RefusedSend, where: "PV1", code: 100},
		"AE with 105":                           {raw: ackHead + "MSA|AE|7\rERR|||105|E\r", kind: message.RefusedSend, code: 105},
		"CE with 205":                           {raw: ackHead + "MSA|CE|7\rERR|||205|E\r", kind: message.RefusedSend, code: 205},
		"AE with 200":                           {raw: ackHead + "MSA|AE|7\rERR|||200|E\r", kind: message.RefusedSend, code: 200},
		"AE that blames, and is busy, too":      {raw: ackHead + "MSA|AE|7\rERR|||207|E\rERR||OBX^3^5^2^1|102^^HL70357|E\r", kind: message.RefusedSend, where: "OBX[3]-5[2].1", code: 102},
		"AE with the code of another table":     {raw: ackHead + "MSA|AE|7\rERR|||101^x^L|E\r", kind: message.Busy},
		"AE with the code as the alternate":     {raw: ackHead + "MSA|AE|7\rERR|||Q7^x^L^101^x^HL70357|E\r", kind: message.RefusedSend, code: 101},
		"AE with a code that is none":           {raw: ackHead + "MSA|AE|7\rERR|||999|E\r", kind: message.Busy},
		"AE before v2.5":                        {raw: ackHead + "MSA|AE|7|text\rERR|PID^1^5^101&Required field missing&HL70357\r", kind: message.RefusedSend, where: "PID-5", code: 101},
		"AE before v2.5, several":               {raw: ackHead + "MSA|AE|7\rERR|PID^1^3^207~OBX^2^5^103\r", kind: message.RefusedSend, where: "OBX[2]-5", code: 103},
		"AE before v2.5, busy":                  {raw: ackHead + "MSA|AE|7\rERR|^^^207\r", kind: message.Busy, code: 207},
		"AE with the code in MSA-6":             {raw: ackHead + "MSA|AE|7||||102^x^HL70357\r", kind: message.RefusedSend, code: 102},
		"AR":                                    {raw: ackHead + "MSA|AR|7\r", kind: message.RefusedSend},
		"CR":                                    {raw: ackHead + "MSA|CR|7\rERR|||200|E\r", kind: message.RefusedSend, code: 200},
		"AR with 207":                           {raw: ackHead + "MSA|AR|7\rERR|||207|E\r", kind: message.Busy, code: 207},
		"CR with 206":                           {raw: ackHead + "MSA|CR|7\rERR|||206|E\r", kind: message.Busy, code: 206},
		"AR that blames, and is busy, too":      {raw: ackHead + "MSA|AR|7\rERR|||207|E\rERR|||101|E\r", kind: message.RefusedSend, code: 101},
		"another control id":                    {raw: ackHead + "MSA|AA|8\r", kind: message.Unknown},
		"no control id":                         {raw: ackHead + "MSA|AA\r", kind: message.Unknown},
		"a refusal with another control id":     {raw: ackHead + "MSA|AR|8\r", kind: message.Unknown},
		"a control id that only begins like it": {raw: ackHead + "MSA|AA|77\r", kind: message.Unknown},
		"an unknown code":                       {raw: ackHead + "MSA|OK|7\r", kind: message.Unreadable},
		"no code":                               {raw: ackHead + "MSA||7\r", kind: message.Unreadable},
		"a code in small letters":               {raw: ackHead + "MSA|aa|7\r", kind: message.Unreadable},
		"no MSA":                                {raw: ackHead, kind: message.Unreadable},
		"no MSH":                                {raw: "MSA|AA|7\r", kind: message.Unreadable},
		"MSA before MSH":                        {raw: "MSA|AA|7\r" + ackHead, kind: message.Unreadable},
		"MSA with another separator":            {raw: ackHead + "MSA$AA$7\r", kind: message.Unreadable},
		"two answers in one frame":              {raw: ackHead + "MSA|AA|7\r" + ackHead + "MSA|AE|7\r", kind: message.Unreadable},
		"text":                                  {raw: "it works", kind: message.Unreadable},
		"nothing":                               {raw: "", kind: message.Unreadable},
		"a place that is a value is left out":   {raw: ackHead + "MSA|AE|7\rERR||Smith^John|101|E\r", kind: message.RefusedSend, code: 101},
		"a place with text for numbers is left out": {raw: ackHead + "MSA|AE|7\rERR||PID^x^John|101|E\r", kind: message.RefusedSend, where: "PID", code: 101},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			reply, err := classify([]byte(test.raw), "7")
			if string(reply.Raw) != test.raw {
				t.Errorf("the answer came back with %d bytes, want %d", len(reply.Raw), len(test.raw))
			}
			if test.kind == "" {
				if err != nil || reply.Answer.Code != message.Accepted {
					t.Errorf("classify = %q, %v; want accepted", reply.Answer.Code, err)
				}
				return
			}
			f, ok := errors.AsType[*message.Failure](err)
			if !ok || f.Kind != test.kind || f.Where != test.where || f.Code != test.code {
				t.Fatalf("classify = %+v, want kind %s, where %q, code %d", err, test.kind, test.where, test.code)
			}
			if reply.Answer.Code == message.Accepted {
				t.Error("accepted beside an error")
			}
		})
	}
}

func TestClassifySaysNothingOfThePeer(t *testing.T) {
	c := connectortest.Canary
	for _, raw := range []string{
		ackHead + "MSA|AE|7|" + c + "|||" + c + "\rERR|" + c + "^" + c + "^" + c + "^" + c + "|" + c + "|101^" + c + "|E|" + c + "||" + c + "|" + c + "\r",
		ackHead + "MSA|" + c + "|7\r", ackHead + "MSA|AA|" + c + "\r", c, ackHead + "MSA|AR|7|" + c + "\rERR||PID^" + c + "|" + c + "\r",
		ackHead + "MSA|AE|7\rERR|PID^1^" + c + "^102&" + c + "\r",
	} {
		reply, err := classify([]byte(raw), "7")
		if err == nil || strings.Contains(err.Error(), c) {
			t.Errorf("classify = %v", err)
		}
		for _, p := range reply.Answer.Problems {
			if strings.Contains(p.Where+p.Text, c) {
				t.Errorf("problem %+v", p)
			}
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, raw := range []string{
		ackHead + "MSA|AA|7\r", ackHead + "MSA|AE|7\rERR||PID^1^5|101^^HL70357|E\r", ackHead + "MSA|AR|7\rERR|PID^1^5^207&x&HL70357~^^^\r",
		"MSH", "MSH|", "MSH|^\rMSA|", "FHS|^~\\&\r" + ackHead, "MSH\r\r\rMSA\rAA\r7",
	} {
		f.Add([]byte(raw), "7")
	}
	f.Fuzz(func(t *testing.T, raw []byte, control string) {
		reply, err := classify(raw, control)
		if !bytes.Equal(reply.Raw, raw) {
			t.Fatal("the answer was changed")
		}
		a := ReadAck(bytes.TrimLeft(raw, "\r\n"))
		switch kind := message.KindOf(err); {
		case err == nil:
			// What is accepted says so, and to this message.
			got := readAnswer(raw)
			if got.code != "AA" && got.code != "CA" || got.control != control || !bytes.Contains(raw, []byte(got.code)) {
				t.Fatalf("accepted: %q", raw)
			}
		case kind != message.Busy && kind != message.RefusedSend && kind != message.Unknown && kind != message.Unreadable:
			t.Fatalf("kind %s", kind)
		case reply.Answer.Code == message.Accepted:
			t.Fatal("accepted beside an error")
		case (kind == message.Busy || kind == message.RefusedSend) && len(a.Code) == 2 && a.Code[1] == 'A' && a.Control == control:
			t.Fatalf("refused: %q", raw)
		}
		if len(reply.Answer.Problems) > most {
			t.Fatalf("%d problems", len(reply.Answer.Problems))
		}
		if f, ok := errors.AsType[*message.Failure](err); ok && len(f.Error()) > 200 {
			t.Fatalf("an error of %d bytes", len(f.Error()))
		}
	})
}
