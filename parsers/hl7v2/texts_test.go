package hl7v2

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// ackSeeds are messages whose acknowledgements are in some character set.
var ackSeeds = []string{
	head("2.5.1", "||||||8859/1"), head("2.7", "|||AL|AL||UNICODE UTF-8"), head("2.3", "||||||ASCII~ISO IR87"), head("2.9", "||||||GB 18030-2000"),
	head("2.4", "||||||8859/1~ISO IR87~8859/5"), head("2.6", "||||||ISO IR 999"), head("2.8", "||||||~KS X 1001"),
}

// TestTextsOfAcknowledgements goes over all versions and codes: where the own
// text stands, and where the engine's.
func TestTextsOfAcknowledgements(t *testing.T) {
	p := New(Options{Texts: []AckText{
		{Codes: []string{"AA", "CA"}, Versions: []string{"2.4"}, Text: "only 2.4"},
		{Codes: []string{"AA", "CA"}, Text: "{ack}: {control} is with {channel}"},
		{Codes: []string{"AE", "CE"}, Text: "{ack} {code} {condition} at {where}: {reason}"},
		{Codes: []string{"AR"}, Text: "call 555|0100"},
		{Codes: []string{"CR"}, Text: "not here"},
	}})
	made := parsers.Stamp{Time: "20260105133700", Control: "P1", Channel: "lab"}
	for _, version := range []string{"2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.9", ""} {
		for code, own := range map[string]string{
			"AA": "AA:  007 is with lab", "AE": "AE 101 Required field missing at PID-3: missing", "AR": `call 555\F\0100`,
			"CA": "CA:  007 is with lab", "CE": "CE 101 Required field missing at PID-3: missing", "CR": "not here",
		} {
			rest, answer := "", message.Answer{Code: message.Accepted}
			if code[0] == 'C' {
				rest = "|||AL|NE"
			}
			switch code {
			case "AE", "CE":
				answer = message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "PID-3", Code: 101, Text: "missing"}}}
			case "AR", "CR":
				answer = message.Answer{Code: message.Rejected, Problems: []message.Problem{{Where: "MSH-12", Code: 203, Text: "another"}}}
			}
			if version == "2.1" && code[0] == 'C' {
				continue // it has no enhanced mode
			}
			if version == "2.4" && answer.Code == message.Accepted {
				own = "only 2.4"
			}
			m := parsed(t, string(p.Reply([]byte(head(version, rest)), answer, made)))
			msa, err := m.find("MSA", 1), m.find("ERR", 1)
			if got := msa.Field(1).Text(); got != code {
				t.Fatalf("%s %s: answered %s", version, code, got)
			}
			old, good := version != "" && version <= "2.4", answer.Code == message.Accepted
			third, seventh, eighth := own, "", ""
			if version >= "2.7" {
				third = ""
			}
			switch {
			case old || good && version < "2.7":
			case good:
				eighth = own
			default:
				seventh, eighth = answer.Problems[0].Text, own
			}
			if got := string(msa.Field(3).Raw()); got != third {
				t.Errorf("%s %s: MSA-3 is %q, want %q", version, code, got, third)
			}
			if got := string(err.Field(7).Raw()) + "; " + string(err.Field(8).Raw()); got != seventh+"; "+eighth {
				t.Errorf("%s %s: ERR-7 and 8 are %q, want %q", version, code, got, seventh+"; "+eighth)
			}
			if good && eighth != "" && (err.Field(3).Comp(1).Text() != "0" || err.Field(4).Text() != "I") {
				t.Errorf("%s %s: %s is no information", version, code, err.Raw())
			}
		}
	}
}

// TestTextsFitTheirFields: a text is cut to the length of its field, never within
// an escape sequence, and the lengths are those of the definitions.
func TestTextsFitTheirFields(t *testing.T) {
	long := strings.Repeat("a|", 3000)
	p := New(Options{Texts: []AckText{{Codes: []string{"AE"}, Text: long}}})
	for version, lengths := range map[string][3]int{"2.1": {80, 0, 0}, "2.3": {80, 0, 0}, "2.5": {80, 2048, 250}, "2.6": {80, 2048, 250}, "2.8": {0, 2048, 250}} {
		answer := message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Code: 207, Text: long}}}
		m := parsed(t, string(p.Reply([]byte(head(version, "")), answer, made)))
		for i, f := range []Value{m.find("MSA", 1).Field(3), m.find("ERR", 1).Field(7), m.find("ERR", 1).Field(8)} {
			n := len(f.Raw())
			if n > lengths[i] || n < lengths[i]-2 || strings.Count(string(f.Raw()), `\`)%2 != 0 {
				t.Errorf("%s, text %d: %d bytes, want %d", version, i, n, lengths[i])
			}
			name, field := "MSA", 3
			if i > 0 {
				name, field = "ERR", 6+i
			}
			if def := definitions.FieldOf(version, name, field); lengths[i] > 0 && lengths[i] != def.Length {
				t.Errorf("%s: %s-%d has another length in the definitions: %+v", version, name, field, def)
			}
		}
	}
}

// TestTextsInTheCharacterSetOfTheAnswer: what that has not becomes its base
// letter, and a character whose bytes equal a delimiter is not taken for one.
func TestTextsInTheCharacterSetOfTheAnswer(t *testing.T) {
	for set, want := range map[string]string{
		"":                     "Pruf |: ss ? Cote ...",
		"ASCII":                "Pruf |: ss ? Cote ...",
		"ISO IR 999":           "Pruf |: ss ? Cote ...",
		"8859/1":               "Prüf |: ß ? Côté …",
		"8859/2":               "Prüf |: ß ? Côté ...",
		"UNICODE UTF-8":        "Prüf |: ß 表 Côté …",
		"GB 18030-2000":        "Prüf |: ß 表 Côté …",
		"ASCII~ISO IR87":       "Pruf |: ss 表 Cote …",
		"8859/1~ISO IR87":      "Prüf |: ß 表 Côté …",
		"UNICODE UTF-8~8859/1": "Prüf |: ß 表 Côté …",
		"Shift_JIS":            "Pruf |: ss 表 Cote …",
	} {
		p := New(Options{Texts: []AckText{{Codes: []string{"AA"}, Text: "Prüf |: ß 表 Côté …"}}})
		rest := ""
		if set != "" {
			rest = "||||||" + set
		}
		out := p.Reply([]byte(head("2.4", rest)), accepted, made)
		m := parsed(t, string(out))
		if got := m.find("MSA", 1).Field(3).Text(); got != want || !utf8.ValidString(got) {
			t.Errorf("%s: %q, want %q", set, got, want)
		}
		for _, w := range m.Warnings() {
			if w.Code != "charset-unknown" {
				t.Errorf("%s: the answer has %+v", set, w)
			}
		}
		if string(m.Rebuild(nil)) != string(out) {
			t.Errorf("%s: not rebuilt byte for byte", set)
		}
	}
}

func TestNoValueStandsInATextButTheControlID(t *testing.T) {
	p := New(Options{Texts: []AckText{
		{Codes: ackCodes, Text: "{ack} {channel} {control}"},
	}})
	raw := strings.Replace(head("2.5", ""), "20260105120000", "canary", 1) + "PID|1||canary||canary^canary\r"
	for _, answer := range []message.Answer{accepted, missing, away} {
		if got := string(p.Reply([]byte(raw), answer, made)); strings.Contains(got, "canary") {
			t.Error(got)
		}
	}
}

func TestTextsAreChecked(t *testing.T) {
	ok := AckText{Codes: []string{"AE"}, Text: "x"}
	for want, list := range map[string][]AckText{
		"": {{Codes: []string{"AE", "AR"}, Versions: []string{"2.3"}, Text: "{where} {reason} {code} {condition} {ack} {channel} {control}"}, ok, {Codes: []string{"AR", "AA"}, Text: "x"}},
		`texts[0].codes is missing: a list of AA, AE, AR, CA, CE, CR`:                                                           {{Text: "x"}},
		`texts[0].codes "AX" is not known; known: AA, AE, AR, CA, CE, CR`:                                                       {{Codes: []string{"AX"}, Text: "x"}},
		`texts[0].versions "2.55" is no version of the standard; known: `:                                                       {{Codes: []string{"AA"}, Versions: []string{"2.55"}, Text: "x"}},
		`texts[1].codes has no effect: entry 1 of texts has its codes and versions, and the first that fits holds`:              {ok, ok},
		`texts[1].codes has no effect: entry 1 `:                                                                                {ok, {Codes: []string{"AE"}, Versions: []string{"2.3"}, Text: "y"}},
		`texts[0].text is missing: what the acknowledgement says`:                                                               {{Codes: []string{"AA"}}},
		`texts[0].text has a line end or another control character: it is one line`:                                             {{Codes: []string{"AA"}, Text: "a\nb"}},
		`texts[0].text has a brace without its other one: placeholders are written as {control}`:                                {{Codes: []string{"AA"}, Text: "a {"}},
		`texts[0].text has a brace without its other one: placeholders are written as {`:                                        {{Codes: []string{"AA"}, Text: "a } b {control}"}},
		`texts[0].text has the placeholder "name", which is not known; known: ack, channel, code, condition, control, reason, `: {{Codes: []string{"AE"}, Text: "{name}"}},
		`texts[0].text has {reason}, and with AA and CA nothing is wrong that it could name`:                                    {{Codes: []string{"AE", "CA"}, Text: "{reason}"}},
	} {
		got := ""
		for _, p := range (&Options{Texts: list}).Validate() {
			got += p.Field + " " + p.Text
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if p := New(Options{Texts: []AckText{{Codes: []string{"AA"}, Text: "{x"}}}); len(p.texts) != 0 {
		t.Error("a text that is none is used")
	}
}
