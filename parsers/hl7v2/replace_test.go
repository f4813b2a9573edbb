package hl7v2

import (
	"strings"
	"testing"
)

func TestReplace(t *testing.T) {
	raw := "MSH|^~\\&|A|B|C|D|20260105||ORU^R01^ORU_R01|1|P|2.5.1\rPID|1||7\rOBR|1\rOBX|1|ST|A||x\rNTE|1\rOBR|2\rOBX|1|ST|B||y\rZZZ|1"
	for _, c := range []struct{ path, with, want string }{
		{"PID", "PID|2", "MSH PID|2 OBR|1 OBX|1|ST|A||x NTE|1 OBR|2 OBX|1|ST|B||y ZZZ|1"},
		{"OBX[2]", "OBX|9\nNTE|9", "MSH PID|1||7 OBR|1 OBX|1|ST|A||x NTE|1 OBR|2 OBX|9 NTE|9 ZZZ|1"},
		{"OBX[*]", "OBX|9", "MSH PID|1||7 OBR|1 OBX|9 NTE|1 OBR|2 OBX|9 ZZZ|1"},
		{"ORDER_OBSERVATION[1]", "OBR|7\rOBX|7", "MSH PID|1||7 OBR|7 OBX|7 OBR|2 OBX|1|ST|B||y ZZZ|1"},
		{"ORDER_OBSERVATION[2]/OBSERVATION", "OBX|7", "MSH PID|1||7 OBR|1 OBX|1|ST|A||x NTE|1 OBR|2 OBX|7"},
		{"ZZZ", "ZZZ|2\r", "MSH PID|1||7 OBR|1 OBX|1|ST|A||x NTE|1 OBR|2 OBX|1|ST|B||y ZZZ|2"},
		{"OBX", "OBX|9", "! OBX: 2 places are meant: name one, or all with [*]"},
		{"MSH", "MSH|^~\\&", "! MSH: the header stays where it is"},
		{"PV1", "PV1|1", "! PV1: there is no such place"},
		{"PID", "hello", "! PID: what is given is no segment with the delimiters of the message"},
		{"PID", "\r", "! PID: there is nothing to insert"},
		{"PID-3", "PID|1", "! PID-3: segments are put in place of segments or groups"},
	} {
		e := Edit(parsed(t, raw))
		var got string
		if err := e.Replace(c.path, []byte(c.with)); err != nil {
			got = "! " + err.Error()
		} else {
			got = strings.Join(strings.Split(strings.TrimSuffix(string(e.Bytes()), "\r"), "\r"), " ")
			got = "MSH" + strings.TrimPrefix(got, raw[:strings.IndexByte(raw, '\r')])
		}
		if got != c.want {
			t.Errorf("%s = %q:\ngot  %q\nwant %q", c.path, c.with, got, c.want)
		}
	}
}
