package hl7v2

import (
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
)

// wanted says by table 0155 whether somebody wants to hear of an outcome.
func wantedBy(condition string, good bool) bool {
	return condition == "AL" || condition == "ER" && !good || condition == "SU" && good
}

// TestModesAndVersions goes over all conditions, outcomes and versions, and
// tells from the rules of chapter 2 alone what must be answered.
func TestModesAndVersions(t *testing.T) {
	versions := []string{"2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.2", "2.9"}
	problem := message.Problem{Where: "PID-3", Code: 101, Text: "missing"}
	for _, version := range versions {
		for _, fifteen := range []string{"", "AL", "NE", "ER", "SU", "XX"} {
			for _, sixteen := range []string{"", "AL", "NE", "ER", "SU", "XX"} {
				for _, outcome := range []message.AnswerCode{message.Accepted, message.Erroneous, message.Rejected} {
					known := func(c string) bool { return version != "2.1" && slices.Contains([]string{"AL", "NE", "ER", "SU"}, c) }
					good := outcome == message.Accepted
					letter := map[message.AnswerCode]string{message.Accepted: "A", message.Erroneous: "E", message.Rejected: "R"}[outcome]
					want := "A" + letter
					if known(fifteen) || known(sixteen) {
						switch {
						case known(fifteen) && wantedBy(fifteen, good):
							if want = "CE"; good {
								want = "CA"
							}
						case !known(sixteen) || !wantedBy(sixteen, good):
							want = "-"
						}
					}
					name := strings.Join([]string{version, fifteen, sixteen, string(outcome)}, "|")
					m := acknowledged(t, version, fifteen, sixteen, outcome, problem)
					if m == nil {
						if want != "-" {
							t.Errorf("%s: nothing is answered, want %s", name, want)
						}
						continue
					}
					if got := m.find("MSA", 1).Field(1).Text(); got != want {
						t.Errorf("%s: answered %s, want %s", name, got, want)
					}
					template(t, name, version, good, m)
				}
			}
		}
	}
}

// template holds what an acknowledgement of a version must have and must not.
func template(t *testing.T, name, version string, good bool, m *Message) {
	t.Helper()
	msh, msa, err := m.find("MSH", 1), m.find("MSA", 1), m.find("ERR", 1)
	if msh.Field(12).Text() != version || string(msa.Field(2).Raw()) != "M1" || msh.Field(3).Text() != "EHR" || msh.Field(6).Text() != "NORTH" {
		t.Errorf("%s: %s", name, msh.Raw())
	}
	if kind := msh.Field(9).Text(); (kind == "ACK") != (version < "2.3.1") {
		t.Errorf("%s: MSH-9 is %s", name, kind)
	}
	if version == "2.1" && (msh.Fields() > 14 || strings.Contains(msh.Field(7).Text(), ".")) {
		t.Errorf("%s: 2.1 has no such fields: %s", name, msh.Raw())
	}
	switch {
	case good:
		if err.Valid() || msa.Fields() > 2 {
			t.Errorf("%s: a positive answer has reasons", name)
		}
	case version < "2.5":
		if err.Field(1).Text() != "PID^1^3^101&Required field missing" || err.Fields() != 1 || !msa.Field(3).Valued() {
			t.Errorf("%s: %s, %s", name, msa.Raw(), err.Raw())
		}
	default:
		if !err.Field(1).Empty() || err.Field(2).Text() != "PID^1^3^1" || err.Field(3).Comp(1).Text() != "101" || err.Field(4).Text() != "E" || msa.Field(3).Valued() != (version < "2.7") {
			t.Errorf("%s: %s, %s", name, msa.Raw(), err.Raw())
		}
	}
}

// kept is what is said of a message that is in the journal and not processed yet.
var kept = message.Answer{Code: message.Accepted, Stored: true}

// TestApplicationAcknowledgements are the second answers of enhanced mode, and
// those that stand in for a first one nobody asked for.
func TestApplicationAcknowledgements(t *testing.T) {
	p := New(Options{})
	words := []string{"", "AL", "NE", "ER", "SU", "XX"}
	for _, fifteen := range words {
		for _, sixteen := range words {
			raw := []byte(head("2.5.1", "|||"+fifteen+"|"+sixteen))
			applies := sixteen == "AL" || sixteen == "ER" || sixteen == "SU"
			asked := fifteen == "AL" || fifteen == "SU" // of a success
			for name, c := range map[string]struct {
				answer           message.Answer
				awaits, deferred bool
			}{
				"stored":    {kept, applies, applies && !asked},
				"processed": {accepted, applies && asked, false},
			} {
				if got := p.Awaits(raw, c.answer); got != c.awaits {
					t.Errorf("%s, %q and %q: awaited: %v", name, fifteen, sixteen, got)
				}
				if first := p.Reply(raw, c.answer, made); c.deferred && first != nil {
					t.Errorf("%s, %q and %q: answered %q before the outcome is known", name, fifteen, sixteen, first)
				}
			}
			for _, answer := range []message.Answer{accepted, missing} {
				out, good := p.Applied(raw, answer, made), answer.Code == message.Accepted
				if (out != nil) != (applies && wantedBy(sixteen, good)) {
					t.Errorf("%q, %s: answered %q", sixteen, answer.Code, out)
				}
				if out == nil {
					continue
				}
				m, err := Parse(out)
				if err != nil {
					t.Fatal(err)
				}
				msh, code := m.find("MSH", 1), m.find("MSA", 1).Field(1).Text()
				if msh.Field(16).Text() != "NE" || msh.Field(9).Text() != "ACK^R01^ACK" || (code == "AA") != good || !good && code != "AE" {
					t.Errorf("%q, %s: %s", sixteen, answer.Code, out)
				}
			}
		}
	}
	for _, answer := range []message.Answer{kept, accepted} {
		for _, raw := range []string{head("2.1", "|||AL|AL"), head("2.1", "|||NE|AL"), strings.Replace(head("2.5", "|||AL|AL"), "ORU^R01^ORU_R01", "ACK", 1)} {
			if p.Awaits([]byte(raw), answer) {
				t.Error("2.1 and acknowledgements know no second answer")
			}
		}
	}
	if out := p.Reply([]byte(head("2.1", "|||NE|AL")), kept, made); !strings.Contains(string(out), "MSA|AA|") {
		t.Errorf("2.1 is answered %q", out)
	}
}

// TestAnswersAreKnownByTheirBeginning: MSA stands behind MSH and what belongs to
// it; a line of that name elsewhere makes no answer of a message, and is not
// looked for in all of it.
func TestAnswersAreKnownByTheirBeginning(t *testing.T) {
	p := New(Options{})
	msh := "MSH|^~\\&|A|B|C|D|20260105||ORU^R01|1|P|2.5.1"
	for name, c := range map[string]struct {
		rest string
		want bool // it is an answer
	}{
		"behind MSH":        {"\rMSA|AA|1\rPID|1\r", true},
		"behind SFT":        {"\r\nSFT|A\r\nUAC|B\r\nZHD|x\r\nMSA|AA|1\r\n", true},
		"behind ERR":        {"\nERR|x\nMSA|AA|1\n", true},
		"behind the header": {"\rPID|1\rOBR|1\rMSA|AA|1\r", false},
		"far away":          {"\r" + strings.Repeat("ZZZ|1\r", 1000) + "MSA|AA|1\r", false},
		"none":              {"\rPID|1\r", false},
		"nothing":           {"", false},
		"in a value":        {"\rSFT|A\rMSAX\rMSA\rPID|1\r", false},
	} {
		if got := len(p.Reply([]byte(msh+c.rest), accepted, made)) == 0; got != c.want {
			t.Errorf("%s: taken for an answer: %v", name, got)
		}
		if got := p.Awaits([]byte(msh+"|||AL|AL"+c.rest), kept); got == c.want {
			t.Errorf("%s: a second answer is awaited: %v", name, got)
		}
	}
}

func TestFunctionalReplies(t *testing.T) {
	p := New(Options{Functional: true})
	typed := func(kind, version, rest string) string {
		return "MSH|^~\\&|A|B|C|D|20260105||" + kind + "|1|P|" + version + "\r" + rest
	}
	mfn := "MFI|CDM^Charges^HL70175||UPD|||AL\rMFE|MAD|K1|2026|4711^X|CE\rCDM|4711^X\rMFE|MUP|K2|2026|4712|CE\r"
	level := func(word string) string { return strings.Replace(mfn, "|AL\r", "|"+word+"\r", 1) }
	mfi := func(word string) string { return "MFI|CDM^Charges^HL70175||UPD|||" + word }
	const posted, refused = " MFA|MAD|K1||S|4711^X|CE MFA|MUP|K2||S|4712|CE", " MFA|MAD|K1||U|4711^X|CE MFA|MUP|K2||U|4712|CE"
	const bad = "MSA|AR|1 ERR||MSH^1^12^1|203^Unsupported version id^HL70357|E||||not this version "
	qpd := "QPD|Z44^History^CDCPHINVS|T1|123\rRCP|I\r"
	for name, c := range map[string]struct {
		raw    string
		answer message.Answer
		want   string // from MSH-9 on, without MSH-10 to 12
	}{
		"ORM":                    {typed("ORM^O01", "2.3", ""), accepted, "ORR^O02 MSA|AA|1"},
		"ORM, 2.5.1":             {typed("ORM^O01^ORM_O01", "2.5.1", ""), accepted, "ORR^O02^ORR_O02 MSA|AA|1"},
		"OML^O21":                {typed("OML^O21^OML_O21", "2.5.1", ""), accepted, "ORL^O22^ORL_O22 MSA|AA|1"},
		"OML^O33":                {typed("OML^O33", "2.5.1", ""), accepted, "ORL^O34^ORL_O34 MSA|AA|1"},
		"OMP":                    {typed("OMP^O09", "2.5", ""), accepted, "ORP^O10^ORP_O10 MSA|AA|1"},
		"RDE^O11 refused":        {typed("RDE^O11", "2.7", ""), two, "RRE^O12^RRE_O12 MSA|AE|1 ERR||MSH^1^10^1|101^Required field missing^HL70357|E||||the control id is missing ERR||PV1^1|100^Segment sequence error^HL70357|E||||no visit"},
		"SRM":                    {typed("SRM^S01", "2.4", ""), accepted, "SRR^S01^SRR_S01 MSA|AA|1"},
		"MFN":                    {typed("MFN^M04", "2.5.1", mfn), accepted, "MFK^M04^MFK_M01 MSA|AA|1 MFI|CDM^Charges^HL70175||UPD|||AL MFA|MAD|K1||S|4711^X|CE MFA|MUP|K2||S|4712|CE"},
		"MFN refused":            {typed("MFN^M04", "2.3", mfn), version, "MFK^M04 MSA|AR|1|MSH-12: not this version ERR|MSH^1^12^203&Unsupported version id MFI|CDM^Charges^HL70175||UPD|||AL MFA|MAD|K1||U|4711^X MFA|MUP|K2||U|4712"},
		"MFN only stored":        {typed("MFN^M04", "2.5.1", mfn), kept, "MFK^M04^MFK_M01 MSA|AA|1 " + mfi("AL")},
		"MFN, errors, none":      {typed("MFN^M04", "2.7", level("ER")), accepted, "MFK^M04^MFK_M01 MSA|AA|1 " + mfi("ER")},
		"MFN, errors, some":      {typed("MFN^M04", "2.7", level("ER")), version, "MFK^M04^MFK_M01 " + bad + mfi("ER") + refused},
		"MFN, success":           {typed("MFN^M04", "2.7", level("SU")), accepted, "MFK^M04^MFK_M01 MSA|AA|1 " + mfi("SU") + posted},
		"MFN, success, none":     {typed("MFN^M04", "2.7", level("SU")), version, "MFK^M04^MFK_M01 " + bad + mfi("SU")},
		"MFN, never":             {typed("MFN^M04", "2.7", level("NE")), version, "MFK^M04^MFK_M01 " + bad + mfi("NE")},
		"QBP":                    {typed("QBP^Q11^QBP_Q11", "2.5.1", qpd), accepted, "ACK^Q11^ACK MSA|AA|1"},
		"QBP refused":            {typed("QBP^Q11^QBP_Q11", "2.5.1", qpd), version, "RSP^K11^RSP_K11 MSA|AR|1|MSH-12: not this version ERR||MSH^1^12^1|203^Unsupported version id^HL70357|E||||not this version QAK|T1|AR|Z44^History^CDCPHINVS QPD|Z44^History^CDCPHINVS|T1|123"},
		"ADT":                    {typed("ADT^A01", "2.5.1", ""), accepted, "ACK^A01^ACK MSA|AA|1"},
		"SIU":                    {typed("SIU^S12", "2.5.1", ""), accepted, "ACK^S12^ACK MSA|AA|1"},
		"an event that is none":  {typed("ORM^O1x", "2.5.1", ""), accepted, "ACK^O1x^ACK MSA|AA|1"},
		"accept acknowledgement": {strings.Replace(typed("ORM^O01", "2.5.1", ""), "2.5.1\r", "2.5.1|||AL|NE\r", 1), accepted, "ACK^O01^ACK MSA|CA|1"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := strings.Split(strings.TrimSuffix(string(p.Reply([]byte(c.raw), c.answer, made)), "\r"), "\r")
			lines[0] = strings.Split(lines[0], "|")[8]
			if got := strings.Join(lines, " "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestAcknowledgementsApart goes over all conditions, outcomes and versions: what
// is answered where the message came, and what goes another way.
func TestAcknowledgementsApart(t *testing.T) {
	p := New(Options{})
	for _, version := range []string{"2.1", "2.2", "2.3.1", "2.5.1", "2.7", "2.9"} {
		for _, fifteen := range []string{"", "AL", "NE", "ER", "SU", "XX"} {
			for _, sixteen := range []string{"", "AL", "NE", "ER", "SU", "XX"} {
				for _, answer := range []message.Answer{accepted, missing} {
					raw := []byte(head(version, "|||"+fifteen+"|"+sixteen))
					good := answer.Code == message.Accepted
					known := func(c string) bool { return version != "2.1" && slices.Contains([]string{"AL", "NE", "ER", "SU"}, c) }
					name := strings.Join([]string{version, fifteen, sixteen, string(answer.Code)}, "|")
					if got, want := p.ReplyApart(raw, answer, made) != nil, known(sixteen) && wantedBy(sixteen, good); got != want {
						t.Errorf("%s: another way: %v, want %v", name, got, want)
					}
					here, want := p.ReplyAccept(raw, answer, made), p.Reply(raw, answer, made)
					if good && (known(fifteen) || known(sixteen)) && (!known(fifteen) || !wantedBy(fifteen, good)) {
						want = nil
					}
					if string(here) != string(want) {
						t.Errorf("%s: here: %q, want %q", name, here, want)
					}
				}
			}
		}
	}
}
