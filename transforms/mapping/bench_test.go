package mapping_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// panel is a result message of twenty values.
func panel() []byte {
	var b strings.Builder
	b.WriteString("MSH|^~\\&|LABSYS|NORTH LAB^2.999.7.1^ISO|EHR|NORTH CLINIC|20260105093000+0100||ORU^R01^ORU_R01|LAB00017|P|2.5.1\r" +
		"PID|1||70001^^^NORTH CLINIC&2.999.7.2&ISO^MR||ROWAN^ALIX^M^^^^L||19790412|F|||12 Mill Lane^^Northtown^OH^44000^USA^H||^PRN^PH^^1^555^0100001\r" +
		"PV1|1|O|LAB^^^NORTH CLINIC||||1234567893^HALE^ROBIN^^^DR^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI\r" +
		"ORC|RE|P-100^EHR|F-200^LABSYS\r" +
		"OBR|1|P-100^EHR|F-200^LABSYS|58410-2^CBC panel - Blood by Automated count^LN|||20260105081500+0100|||||||||||||||20260105092000+0100||HM|F\r")
	for i := range 20 {
		fmt.Fprintf(&b, "OBX|%d|NM|%d-7^Analyte %d [Mass/volume] in Blood^LN||1%d.20|g/dL^gram per deciliter^UCUM|12.0-16.0|N|||F|||20260105081500+0100\r", i+1, 700+i, i, i)
	}
	return []byte(b.String())
}

func BenchmarkMap(b *testing.B) {
	m := shipped(b, transforms.Step{Use: "v2-to-fhir"})
	raw := panel()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		doc, err := hl7v2.Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		out, err := m.Apply(context.Background(), &message.Message{Doc: doc})
		if err != nil {
			b.Fatal(err)
		}
		if n := len(out[0].Doc.(*mapping.Output).Drafts()); n < 24 {
			b.Fatalf("%d drafts", n)
		}
	}
}
