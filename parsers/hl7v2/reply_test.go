package hl7v2

import (
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

var (
	made     = parsers.Stamp{Time: "20260105133700.123+0000", Control: "P1"}
	accepted = message.Answer{Code: message.Accepted}
	missing  = message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "OBX[3]-5[2].1", Code: 101, Text: "a field|is ^missing"}}}
	two      = message.Answer{Code: message.Erroneous, Problems: []message.Problem{
		{Where: "MSH-10", Code: 101, Text: "the control id is missing"}, {Where: "ORDER[2]/PV1", Code: 100, Text: "no visit"},
	}}
	version = message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "MSH-12", Code: 203, Text: "not this version"}}}
	away    = message.Answer{Code: message.Rejected, Problems: []message.Problem{{Code: 207, Text: "send again later"}}}
)

// head is a header of a version with MSH-15 and 16.
func head(version, rest string) string {
	return "MSH|^~\\&|LAB|NORTH|EHR|CLINIC|20260105120000||ORU^R01^ORU_R01| 007|T|" + version + rest + "\r"
}

func TestReplies(t *testing.T) {
	for name, c := range map[string]struct {
		raw    string
		answer message.Answer
		want   string
	}{
		"accepted": {
			head("2.5.1", ""), accepted,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|T|2.5.1\rMSA|AA| 007\r",
		},
		"an error, 2.5.1": {
			head("2.5.1", ""), missing,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|T|2.5.1\rMSA|AE| 007|OBX[3]-5[2].1: a field\\F\\is \\S\\missing\r" +
				"ERR||OBX^3^5^2^1|101^Required field missing^HL70357|E||||a field\\F\\is \\S\\missing\r",
		},
		"two errors, 2.7": {
			head("2.7", ""), two,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|T|2.7\rMSA|AE| 007\r" +
				"ERR||MSH^1^10^1|101^Required field missing^HL70357|E||||the control id is missing\r" +
				"ERR||PV1^1|100^Segment sequence error^HL70357|E||||no visit\r",
		},
		"an error, 2.3": {
			head("2.3", ""), missing,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK|P1|T|2.3\rMSA|AE| 007|OBX[3]-5[2].1: a field\\F\\is \\S\\missing\r" +
				"ERR|OBX^3^5^101&Required field missing\r",
		},
		"two errors, 2.4": {
			head("2.4", ""), two,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|T|2.4\rMSA|AE| 007|MSH-10: the control id is missing\r" +
				"ERR|MSH^1^10^101&Required field missing~PV1^1^^100&Segment sequence error\r",
		},
		"2.3.1 has event and structure": {
			head("2.3.1", ""), accepted,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|T|2.3.1\rMSA|AA| 007\r",
		},
		"rejected": {
			head("2.4", ""), away,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|T|2.4\rMSA|AR| 007|send again later\rERR|^^^207&Application internal error\r",
		},
		"a version that is not taken is rejected": {
			head("2.5", ""), version,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|T|2.5\rMSA|AR| 007|MSH-12: not this version\r" +
				"ERR||MSH^1^12^1|203^Unsupported version id^HL70357|E||||not this version\r",
		},
		"enhanced: a version that is not taken": {
			head("2.8", "|||AL"), version,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|T|2.8\rMSA|CR| 007\r" +
				"ERR||MSH^1^12^1|203^Unsupported version id^HL70357|E||||not this version\r",
		},
		"enhanced: an application answer on the same connection": {
			head("2.5.1", "|||NE|AL"), accepted,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|T|2.5.1|||NE|NE\rMSA|AA| 007\r",
		},
		"the character set is repeated": {
			head("2.5.1", "||||||8859/1"), accepted,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|T|2.5.1||||||8859/1\rMSA|AA| 007\r",
		},
		"the delimiters are repeated": {
			"MSH:-+?*#:LAB:NORTH:EHR:CLINIC:20260105::ORU-R01-ORU_R01:1:P:2.5\r", missing,
			"MSH:-+?*#:EHR:CLINIC:LAB:NORTH:20260105133700.123+0000::ACK-R01-ACK:P1:P:2.5\r" +
				"MSA:AE:1:OBX[3]?S?5[2].1?F? a field|is ^missing\rERR::OBX-3-5-2-1:101-Required field missing-HL70357:E::::a field|is ^missing\r",
		},
		"few delimiters": {
			"MSH|^~|LAB|NORTH|EHR|CLINIC|20260105||ORU^R01|1|P|2.5\r", missing,
			"MSH|^~|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|P|2.5\r" +
				"MSA|AE|1|OBX[3]-5[2].1: a field is  missing\rERR||OBX^3^5^2^1|101^Required field missing^HL70357|E||||a field is  missing\r",
		},
		"no event, no version": {
			"MSH|^~\\&|LAB||EHR||20260105||ORU|1\r", accepted,
			"MSH|^~\\&|EHR||LAB||20260105133700.123+0000||ACK|P1|P|2.5.1\rMSA|AA|1\r",
		},
		"no header": {
			"hello",
			message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "MSH", Code: 100, Text: "no header"}}},
			"MSH|^~\\&|||||20260105133700.123+0000||ACK|P1|P|2.5.1\rMSA|AE||MSH: no header\rERR||MSH^1|100^Segment sequence error^HL70357|E||||no header\r",
		},
		"nothing, and no reason": {
			"",
			message.Answer{Code: message.Rejected},
			"MSH|^~\\&|||||20260105133700.123+0000||ACK|P1|P|2.5.1\rMSA|AR||not accepted\rERR|||207^Application internal error^HL70357|E||||not accepted\r",
		},
		"a batch of one": {
			"FHS|^~\\&|X\rBHS|^~\\&|Y\r" + head("2.3", "") + "BTS|1\rFTS|1\r", accepted,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK|P1|T|2.3\rMSA|AA| 007\r",
		},
		"control characters do not end segments or frames": {
			"MSH|^~\\&|L\x1cA\x0bB|N\nO|EHR|CLINIC|20260105||ORU^R01|1|P|2.5\r", accepted,
			"MSH|^~\\&|EHR|CLINIC|L A B|N O|20260105133700.123+0000||ACK^R01^ACK|P1|P|2.5\rMSA|AA|1\r",
		},
		"2.1 knows no MSH-15":                  {head("2.1", "|||NE|NE"), accepted, "MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700+0000||ACK|P1|T|2.1\rMSA|AA| 007\r"},
		"an acknowledgement":                   {strings.Replace(head("2.5", ""), "ORU^R01^ORU_R01", "ACK^R01^ACK", 1) + "MSA|AA|1\r", accepted, ""},
		"an acknowledgement that asks for one": {strings.Replace(head("2.5", "|||AL"), "ORU^R01^ORU_R01", "ACK", 1) + "MSA|AA|1\r", accepted, ""},
		"another answer":                       {strings.Replace(head("2.5", ""), "ORU^R01^ORU_R01", "ORR^O02", 1) + "MSA|AA|1\r", accepted, ""},
		"another answer that asks for its accept acknowledgement": {
			strings.Replace(head("2.5", "|||AL"), "ORU^R01^ORU_R01", "ORR^O02^ORR_O02", 1) + "MSA|AA|1\r", accepted,
			"MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105133700.123+0000||ACK^O02^ACK|P1|T|2.5\rMSA|CA| 007\r",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(New(Options{}).Reply([]byte(c.raw), c.answer, made)); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestNoValueOfAMessageStandsInItsAnswerButThoseOfTheHeader(t *testing.T) {
	raw := strings.Replace(head("2.5", ""), "20260105120000", "canary", 1) + "PID|1||canary||canary^canary\rOBX|1|ST|canary||canary\r"
	if got := string(New(Options{}).Reply([]byte(raw), missing, made)); strings.Contains(got, "canary") {
		t.Error(got)
	}
}

func TestAnAnswerInAWideCharacterSetKeepsItsNames(t *testing.T) {
	// In Shift-JIS the second byte of the first character is a backslash, of the second one a bar.
	raw := "MSH|^~\\&|\x83\x5c\x83\x7c|NORTH|EHR|CLINIC|20260105||ORU^R01^ORU_R01|1|P|2.5||||||Shift_JIS\r"
	want := "MSH|^~\\&|EHR|CLINIC|\x83\x5c\x83\x7c|NORTH|20260105133700.123+0000||ACK^R01^ACK|P1|P|2.5||||||Shift_JIS\rMSA|AA|1\r"
	p := New(Options{Charset: "shift_jis"})
	if got := string(p.Reply([]byte(raw), accepted, made)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
