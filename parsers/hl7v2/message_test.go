package hl7v2

import "testing"

func TestAppendFieldsGivesWhatFieldGives(t *testing.T) {
	m, err := Parse([]byte("MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5\rPID|1||2^^^H~3|\rZXX\rEVN|"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Len() {
		s := m.Segment(i)
		got := s.AppendFields(nil)
		if len(got) != s.Fields() {
			t.Errorf("%s: %d fields, want %d", s.Name(), len(got), s.Fields())
		}
		for n, v := range got {
			if v != s.Field(n+1) {
				t.Errorf("%s-%d is not that of Field", s.Name(), n+1)
			}
		}
	}
}
