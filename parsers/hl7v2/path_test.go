package hl7v2

import (
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
)

const pathSample = "MSH|^~\\&|A|B|C|D|20260105||ORU^R01^ORU_R01|1|P|2.5\r" +
	"PID|1||11^^^H&1.2&ISO^PI~22^^^N^MR~33^^^S^SS\r" +
	"ORC|RE|P1\rOBR|1|P1||C1^First\rNTE|1||about one\rOBX|1|NM|A1||1|||H\rNTE|1||on a\rNTE|2||on b\rOBX|2|NM|A2||2|||N\r" +
	"OBR|2|P2||C2^Second\rOBX|1|NM|B1||3|||LL\rZLB|x~y\r"

func TestPaths(t *testing.T) {
	m := parsed(t, pathSample)
	for path, want := range map[string]string{
		"PID-3":                         "11^^^H&1.2&ISO^PI",
		"PID-3.1":                       "11",
		"PID-3[2].1":                    "22",
		"PID-3[9].1":                    "",
		"PID-3[5=MR].1":                 "22",
		"PID-3[5=XX].1":                 "",
		"PID-3[4.2=1.2].1":              "11",
		"PID-3.4.2":                     "1.2",
		"PID-3[*].1":                    "11|22|33",
		"PID-40":                        "",
		"OBX-3":                         "A1",
		"OBX[2]-3":                      "A2",
		"OBX[9]-3":                      "",
		"OBX[*]-3":                      "A1|A2|B1",
		"OBR[*]-4.2":                    "First|Second",
		"NTE[*]-3":                      "about one|on a|on b",
		"ZLB-1[2]":                      "y",
		"ZLB-1[*]":                      "x|y",
		"MSH-1":                         "|",
		"MSH-2":                         `^~\&`,
		"MSH-9.3":                       "ORU_R01",
		"OBX":                           "OBX OBX OBX",
		"OBX[2]":                        "OBX",
		"ORDER_OBSERVATION":             "ORDER_OBSERVATION ORDER_OBSERVATION",
		"ORDER_OBSERVATION[2]":          "ORDER_OBSERVATION",
		"ORDER_OBSERVATION/OBX":         "OBX OBX OBX",
		"ORDER_OBSERVATION[2]/OBX":      "OBX",
		"ORDER_OBSERVATION/OBX-3":       "A1",
		"ORDER_OBSERVATION[2]/OBX-3":    "B1",
		"ORDER_OBSERVATION[1]/OBX[2]-3": "A2",
		"ORDER_OBSERVATION[*]/OBX-3":    "A1|B1",
		"ORDER_OBSERVATION[*]/OBX[*]-3": "A1|A2|B1",
		"ORDER_OBSERVATION[3]/OBX-3":    "",
		"PATIENT_RESULT/ORDER_OBSERVATION[2]/OBR": "OBR",
		"PATIENT_RESULT/PATIENT/PID-3.1":          "11",
		"OBSERVATION[2]/NTE-3":                    "",
		"OBSERVATION/NTE[2]-3":                    "on b",
	} {
		if got := readText(compile(t, path)[0], m.Root()); got != want {
			t.Errorf("%s gives %q, want %q", path, got, want)
		}
	}
}

// readText reads a path of any kind: values behind |, names of places behind spaces.
func readText(p message.Path, from message.Node) string {
	switch p.Kind() {
	case message.One:
		return p.Text(from)
	case message.Several:
		return strings.Join(p.Texts(from), "|")
	}
	var names []string
	for _, n := range p.Nodes(from) {
		switch n := n.(type) {
		case Segment:
			names = append(names, n.Name())
		case *Group:
			names = append(names, n.Name())
		}
	}
	return strings.Join(names, " ")
}

func TestPathsFromThePlaceInHand(t *testing.T) {
	m := parsed(t, pathSample)
	obx := compile(t, "OBX")[0].Nodes(m.Root())
	orders := compile(t, "ORDER_OBSERVATION")[0].Nodes(m.Root())
	for name, c := range map[string]struct {
		from message.Node
		path string
		want string
	}{
		"the segment itself":                            {obx[1], "OBX-3", "A2"},
		"the segment itself as a place":                 {obx[1], "OBX", "OBX"},
		"the order above it":                            {obx[2], "OBR-4.1", "C2"},
		"the patient above it":                          {obx[2], "PID-3[5=MR].1", "22"},
		"all repetitions of the patient above":          {obx[2], "PID-3[*].1", "11|22|33"},
		"a note of its own":                             {obx[0], "NTE-3", "on a"},
		"no note of its own: the order's":               {obx[1], "NTE-3", "about one"},
		"an indexed one counts in the message":          {obx[2], "OBX[1]-3", "A1"},
		"all are those of the message":                  {obx[2], "OBX[*]-3", "A1|A2|B1"},
		"the group around it":                           {obx[2], "ORDER_OBSERVATION/OBR-4.1", "C2"},
		"another group by number":                       {obx[2], "ORDER_OBSERVATION[1]/OBR-4.1", "C1"},
		"the first of the group in hand":                {orders[1], "OBX-3", "B1"},
		"all of the group in hand":                      {orders[0], "OBX[*]-3", "A1|A2"},
		"the second of the group in hand":               {orders[0], "OBX[2]-3", "A2"},
		"the places of the group in hand":               {orders[0], "OBX", "OBX OBX"},
		"the group itself by its name":                  {orders[1], "ORDER_OBSERVATION/OBX-3", "B1"},
		"groups in the group in hand":                   {orders[0], "OBSERVATION[2]/OBX-3", "A2"},
		"what stands around the group":                  {orders[1], "PID-3.1", "11"},
		"what the group does not have and nothing does": {orders[1], "PV1-2", ""},
		"nothing in hand":                               {nil, "PID-3.1", ""},
		"no segment in hand":                            {Segment{}, "PID-3.1", ""},
	} {
		if got := readText(compile(t, c.path)[0], c.from); got != c.want {
			t.Errorf("%s: %s gives %q, want %q", name, c.path, got, c.want)
		}
	}
}

func TestScanningOfPaths(t *testing.T) {
	for text, want := range map[string]string{
		"PID-3.1":                        "PID-3.1",
		"PID-3.1 == 1":                   "PID-3.1",
		"PID - 3":                        "PID",
		"PID-3[2].1)":                    "PID-3[2].1",
		"PID-3[5=MR].1 != ''":            "PID-3[5=MR].1",
		"PID-3-1":                        "PID-3",
		"OBX, OBX-8":                     "OBX",
		"OBX[*]-5":                       "OBX[*]-5",
		"ORDER[2]/OBX-5 and":             "ORDER[2]/OBX-5",
		"ORDER_OBSERVATION, x":           "ORDER_OBSERVATION",
		"PATIENT_RESULT/PATIENT":         "PATIENT_RESULT/PATIENT",
		"ORDERS/OBX-5":                   "ORDERS/OBX-5", // Compile says what is wrong
		"PID-3.1.2.3":                    "PID-3.1.2.3",
		"ABCD":                           "",
		"PIDx":                           "",
		"PID(":                           "",
		"pid-3":                          "",
		"type":                           "",
		"3":                              "",
		"":                               "",
		"AND":                            "AND",
		"PID-3ä":                         "",
		"PID-x":                          "PID",
		"Z01-3":                          "Z01-3",
		"PID-3[\"a\"]":                   "PID-3[\"a\"]",
		"PID-3[unclosed":                 "PID-3",
		"PV1-44 - 1":                     "PV1-44",
		"MSH-9.2 in [\"A01\", \"A04\"]":  "MSH-9.2",
		"ORDER_OBSERVATION/OBX-3.1x":     "",
		"TOO_LONG_FOR_A_GROUP":           "",
		"PATIENT_RESULT/ORDER_OBS-1 + 2": "PATIENT_RESULT/ORDER_OBS",
	} {
		if n := (Grammar{}).Scan(0, text); text[:n] != want {
			t.Errorf("in %q the path is %q, want %q", text, text[:n], want)
		}
	}
	for _, before := range []byte{'a', 'Z', '0', '_', '.', '"', 0xc3} {
		if n := (Grammar{}).Scan(before, "PID-3"); n != 0 {
			t.Errorf("a path begins behind %q", before)
		}
	}
}

func TestWrongPathsSayWhatIsMeant(t *testing.T) {
	for path, want := range map[string]string{
		"PID-0":                     `"0" is not a field number from 1 to 999`,
		"PID-3.0":                   `"0" is not a component number from 1 to 999`,
		"PID-3.1.0":                 `"0" is not a subcomponent number from 1 to 999`,
		"PID-3.1.2.3":               `".3" is left over at the end of the path`,
		"PID-3[0]":                  "repetition 0: repetitions count from 1",
		"PID-3[x]":                  "[x] is not a repetition: a number from 1, *, or 5=MR",
		"PID-3[0=MR]":               "[0=MR]: components count from 1",
		"PID-3[*":                   `"]" is missing`,
		"PID[0]-3":                  "PID[0]: indices count from 1",
		"PID[x]-3":                  "[x] is not an index of PID: a number from 1, or *",
		"PVI-3":                     "PVI is not a segment of the standard, did you mean PV1?",
		"QQQ-3":                     "QQQ is not a segment of the standard",
		"ORDER_OBSERVATIONS/OBX":    "ORDER_OBSERVATIONS is neither a segment nor a group of a message structure, did you mean ORDER_OBSERVATION?",
		"ORDER_OBSERVATION-5":       `"-5": after a group follows a segment, as in ORDER_OBSERVATION/OBX-5`,
		"ORDER_OBSERVATION/":        `"" does not begin with the name of a segment or group, in capitals`,
		"PID.3":                     `".3": a field follows, as in PID-5`,
		"pid-3":                     `"pid-3" does not begin with the name of a segment or group, in capitals`,
		"":                          `"" does not begin with the name of a segment or group, in capitals`,
		"OBX[99999999999999999999]": "OBX[99999999999999999999]: indices count from 1",
		"PID-3[99999999999999999":   `"]" is missing`,
	} {
		_, err := Grammar{}.Compile(path)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}
