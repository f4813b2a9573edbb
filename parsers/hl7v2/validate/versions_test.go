package validate

import (
	"slices"
	"testing"

	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// TestObservationsOfEveryVersion checks values by the type that OBX-2 gives them
// in each version, and takes a result without a sub-id in each.
func TestObservationsOfEveryVersion(t *testing.T) {
	for _, version := range definitions.Versions() {
		message := func(obx string) []string {
			m := parse(t, `MSH|^~\&|A|B|C|D|20260105||ORU^R01^ORU_R01|O1|P|`+version, "PID|1||7||X", "OBR|1|P|F|1^x^L", obx)
			return lines(t, Message(m, Types))
		}
		if got := message("OBX|1|NM|1^x^L||CANARY|mg|||||F"); !slices.Contains(got, "OBX-5 data-type 102 E") {
			t.Errorf("%s: a word as a number gives %q", version, got)
		}
		for _, finding := range message("OBX|1|NM|1^x^L||7.5|mg|||||F") {
			if finding[:4] == "OBX-" && finding[len(finding)-1] == 'E' {
				t.Errorf("%s: a good result gives %q", version, finding)
			}
		}
	}
}
