package expression_test

import (
	"testing"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// TestWithHL7 compiles the expressions that sites write over HL7 v2, with the
// grammar they are written in.
func TestWithHL7(t *testing.T) {
	parser := hl7v2.New(hl7v2.Options{})
	doc, err := parser.Parse([]byte("MSH|^~\\&|LAB|HOSP|P|X|20260105133700||ORU^R01^ORU_R01|17|P|2.5.1\r" +
		"PID|1||M1^^^HOSP^MR~R7^^^LAB^RI||DOE^JANE||19800305|F\r" +
		"OBR|1|||CBC^Count\rOBX|1|NM|GLU^Glucose|1|7.5|mmol/L|3-6|HH|||F\rOBX|2|ST|TXT|1|TNTC||||||C\r"))
	if err != nil {
		t.Fatal(err)
	}
	yes := func(string) (func(string) bool, func(string) (string, bool), bool) {
		return func(c string) bool { return c == "GLU" }, func(c string) (string, bool) { return c, true }, true
	}
	for text, want := range map[string]bool{
		`valued(PID-3.1)`: true,
		`PID-3.1 != "" and PID-3[2].1 == "R7" and PID-3[1].5 == "MR"`: true,
		`PID-3[5=RI].1 == "R7"`: true,
		`any(OBX, OBX-3.1 in table("reportable") and OBX-11 in ["F", "C"])`: true,
		`any(OBX, .OBX-3.1 in table("reportable"))`:                         true,
		`any(OBX, OBX-8 in ["HH","LL"])`:                                    true,
		`not (PV1-2 == "O" and MSH-9.2 == "A08")`:                           true,
		`has(PID-3[*].5, "RI")`:                                             true,
		`has(PID-3[*].4, "MRN")`:                                            false,
		`any(OBX, OBX-2 == "ED" and OBX-5.3 == "PDF")`:                      false,
		`number(OBX-5) > 7`:                                                 true,
		`number(OBX-5, 0) > 7 and years(PID-7) >= 0 or true`:                true,
		`PV1-2 == "I" and type in ["ADT^A01", "ADT^A02", "ADT^A03"]`:        false,
		`count(OBX) == 2 and len(PID-3[*]) == 2`:                            true,
	} {
		p, err := expression.Compile(text, expression.Options{Grammar: parser.Grammar(), Tables: yes})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := p.Bool(expression.Env{Root: doc.Root()}, nil); got != want || err != nil {
			t.Errorf("%s = %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`PID-3[*].4 == "MRN"`: `PID-3[*].4 has several values: write has(PID-3[*].4, "MRN")`,
		`OBX-5 > 7`:           `OBX-5 is text: write number(OBX-5) > 7`,
	} {
		if _, err := expression.Compile(text, expression.Options{Grammar: parser.Grammar()}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{`valued(PIDD-3)`, `PID.3.1 == "x"`, `PID-3[0] == "x"`, `PID - 3 == 1`, `valued(PID-)`} {
		_, err := expression.Compile(text, expression.Options{Grammar: parser.Grammar()})
		if err == nil {
			t.Errorf("%s compiles", text)
			continue
		}
		t.Logf("%s: %v", text, err)
	}
}

func BenchmarkHL7(b *testing.B) {
	parser := hl7v2.New(hl7v2.Options{})
	doc, err := parser.Parse([]byte("MSH|^~\\&|LAB|HOSP|P|X|20260105133700||ORU^R01^ORU_R01|17|P|2.5.1\r" +
		"PID|1||M1^^^HOSP^MR||DOE^JANE||19800305|F\rOBR|1|||CBC^Count\rOBX|1|NM|GLU^Glucose|1|7.5|mmol/L|3-6|HH|||F\rOBX|2|ST|TXT|1|TNTC||||||C\r"))
	if err != nil {
		b.Fatal(err)
	}
	none := func(string) (func(string) bool, func(string) (string, bool), bool) {
		return func(string) bool { return false }, nil, true
	}
	env := expression.Env{Root: doc.Root(), Message: &message.Message{Header: doc.Header()}}
	for name, text := range map[string]string{
		"type and field": `type == "ORU^R01" && PID-3.1 != ""`,
		"any with table": `any(OBX, OBX-3.1 in table("reportable") and OBX-11 in ["F", "C"])`,
	} {
		o := expression.Options{Grammar: parser.Grammar(), Tables: none}
		b.Run(name, func(b *testing.B) {
			p, err := expression.Compile(text, o)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Bool(env, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+", compile", func(b *testing.B) {
			for b.Loop() {
				if _, err := expression.Compile(text, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
