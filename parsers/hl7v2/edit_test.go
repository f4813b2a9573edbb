package hl7v2

import (
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
)

const editable = "MSH|^~\\&|A|B|C|D|20260105||ORU^R01^ORU_R01|1|P|2.5.1\rPID|1||7^^^H^MR~8^^^X^PI||Ann^Bee\r" +
	"OBR|1|||GLU\rOBX|1|NM|A||5|mg\rOBX|2|NM|B||6\rOBR|2|||HB\rOBX|1|NM|C||7\rZZZ|x"

// changed is what an edit makes of a message, line by line where it differs.
func changed(t *testing.T, raw string, do func(*Editor) error) string {
	t.Helper()
	m := parsed(t, raw)
	e := Edit(m)
	if err := do(e); err != nil {
		return "! " + err.Error()
	}
	if string(m.Encode(nil)) != raw {
		t.Error("the message that was edited is not as it was")
	}
	if string(e.m.Rebuild(nil)) != string(e.Bytes()) {
		t.Error("what was made is not what its tree says")
	}
	before := strings.Split(strings.TrimSuffix(raw, "\r"), "\r")
	after := strings.Split(strings.TrimSuffix(string(e.Bytes()), "\r"), "\r")
	var out []string
	for i := 0; i < max(len(before), len(after)); i++ {
		switch {
		case i >= len(after):
			out = append(out, "-")
		case i >= len(before) || before[i] != after[i]:
			out = append(out, after[i])
		}
	}
	return strings.Join(out, " ")
}

func TestSet(t *testing.T) {
	for _, c := range []struct{ path, text, want string }{
		{"PID-5.1", "Cee", "PID|1||7^^^H^MR~8^^^X^PI||Cee^Bee"},
		{"PID-5", "Cee", "PID|1||7^^^H^MR~8^^^X^PI||Cee"},
		{"PID-5.7", "L", "PID|1||7^^^H^MR~8^^^X^PI||Ann^Bee^^^^^L"},
		{"PID-5.1.2", "von", "PID|1||7^^^H^MR~8^^^X^PI||Ann&von^Bee"},
		{"PID-5.7.2", "x", "PID|1||7^^^H^MR~8^^^X^PI||Ann^Bee^^^^^&x"},
		{"PID-8", "F", "PID|1||7^^^H^MR~8^^^X^PI||Ann^Bee|||F"},
		{"PID-8.3.2", "F", "PID|1||7^^^H^MR~8^^^X^PI||Ann^Bee|||^^&F"},
		{"PID-8[2]", "F", "PID|1||7^^^H^MR~8^^^X^PI||Ann^Bee|||~F"},
		{"PID-4", "F", "PID|1||7^^^H^MR~8^^^X^PI|F|Ann^Bee"},
		{"PID-4[2].2", "F", "PID|1||7^^^H^MR~8^^^X^PI|~^F|Ann^Bee"},
		{"PID-3[2].1", "9", "PID|1||7^^^H^MR~9^^^X^PI||Ann^Bee"},
		{"PID-3[3].1", "9", "PID|1||7^^^H^MR~8^^^X^PI~9||Ann^Bee"},
		{"PID-3[4]", "9", "PID|1||7^^^H^MR~8^^^X^PI~~9||Ann^Bee"},
		{"PID-3[5=PI].4", "Y", "PID|1||7^^^H^MR~8^^^Y^PI||Ann^Bee"},
		{"PID-3[*].4", "Y", "PID|1||7^^^Y^MR~8^^^Y^PI||Ann^Bee"},
		{"PID-3[5=QQ].4", "Y", "! PID-3[5=QQ].4: no repetition is the one meant"},
		{"PID-30[5=QQ].4", "Y", "! PID-30[5=QQ].4: no repetition is the one meant"},
		{"PID-30[*].4", "Y", ""},
		{"OBX[*]-11", "F", "OBX|1|NM|A||5|mg|||||F OBX|2|NM|B||6||||||F OBX|1|NM|C||7||||||F"},
		{"ORDER_OBSERVATION[2]/OBX-5", "x", "OBX|1|NM|C||x"},
		{"ORDER_OBSERVATION[1]/OBSERVATION[2]/OBX-5[2].1.1", "x", "OBX|2|NM|B||6~x"},
		{"ORDER_OBSERVATION[*]/OBX-4", "x", "OBX|1|NM|A|x|5|mg OBX|1|NM|C|x|7"},
		{"ZZZ-1", "a|b^c~d\\e&f\rg", "ZZZ|a\\F\\b\\S\\c\\R\\d\\E\\e\\T\\f\\.br\\g"},
		{"ZZZ-2", "ü", "! ZZZ-2: " + errUndeclared.Error()},
		{"PV1-2", "I", "! PV1-2: there is no such segment; insert it first"},
		{"OBX", "I", "! OBX names no field"},
		{"MSH-2", "I", "! MSH-2: the delimiters of a message cannot be changed"},
		{"MSH-18", "8859/1", "MSH|^~\\&|A|B|C|D|20260105||ORU^R01^ORU_R01|1|P|2.5.1||||||8859/1"},
		{"PID-3[5000]", "x", "! PID-3[5000]: there are 2 repetitions, and no place for number 5000"},
		{"PID-x", "I", `! "" is not a field number from 1 to 999`},
	} {
		if got := changed(t, editable, func(e *Editor) error { return e.Set(c.path, c.text) }); got != c.want {
			t.Errorf("%s: got %q, want %q", c.path, got, c.want)
		}
		if !strings.HasPrefix(c.want, "!") && c.want != "" {
			e := Edit(parsed(t, editable))
			if err := e.Set(c.path, c.text); err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(c.text, "\r", "\n")
			if got := compile(t, strings.ReplaceAll(c.path, "[*]", "[1]"))[0].Text(e.m); got != want {
				t.Errorf("%s: read again as %q", c.path, got)
			}
		}
	}
}

func TestSetInOtherCharacterSets(t *testing.T) {
	for declared, want := range map[string]string{
		"8859/1": "M\xfcller", "UNICODE UTF-8": "Müller", "ASCII": "! PID-5: the text has a character that the character set of the message does not have",
		"Shift_JIS": "! PID-5: the text has a character that the character set of the message does not have",
	} {
		raw := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5.1||||||" + declared + "\rPID|1||7\r"
		got := changed(t, raw, func(e *Editor) error { return e.Set("PID-5", "Müller") })
		if got != want && got != "PID|1||7||"+want {
			t.Errorf("%s: %q", declared, got)
		}
	}
	raw := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5.1||||||Shift_JIS\rPID|1||7||\x83\x5c|x\r"
	if got := changed(t, raw, func(e *Editor) error { return e.Set("PID-6", "ソ|表") }); got != "PID|1||7||\x83\x5c|\x83\x5c\\F\\\x95\x5c" {
		t.Errorf("%q", got)
	}
}

// TestTextThatIsTakenForAnother: where no set is declared, Windows-1252 that looks
// like UTF-8 is not written.
func TestTextThatIsTakenForAnother(t *testing.T) {
	raw := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5.1\rPID|1||7||M\xfcller\r"
	for text, want := range map[string]string{"Jürgen": "PID|1||7||J\xfcrgen", "Ãœ": "! PID-5: the text has a character that the character set of the message does not have"} {
		if got := changed(t, raw+"ZZZ|\xfc\r", func(e *Editor) error { return e.Set("PID-5", text) }); got != want {
			t.Errorf("%q", got)
		}
	}
}

func TestDelete(t *testing.T) {
	for path, want := range map[string]string{
		"PID-5.1":                  "PID|1||7^^^H^MR~8^^^X^PI||^Bee",
		"PID-5":                    "PID|1||7^^^H^MR~8^^^X^PI||",
		"PID-3":                    "PID|1||~8^^^X^PI||Ann^Bee",
		"PID-3[*]":                 "PID|1||||Ann^Bee",
		"PID-3[*].5":               "PID|1||7^^^H^~8^^^X^||Ann^Bee",
		"PID-3[1]":                 "PID|1||8^^^X^PI||Ann^Bee",
		"PID-3[2]":                 "PID|1||7^^^H^MR||Ann^Bee",
		"PID-3[3]":                 "",
		"PID-3[5=MR]":              "PID|1||8^^^X^PI||Ann^Bee",
		"PID-30":                   "",
		"ZZZ":                      "-",
		"OBX[*]":                   "OBR|2|||HB ZZZ|x - - -",
		"OBX[2]":                   "OBR|2|||HB OBX|1|NM|C||7 ZZZ|x -",
		"ORDER_OBSERVATION[1]":     "OBR|2|||HB OBX|1|NM|C||7 ZZZ|x - - -",
		"ORDER_OBSERVATION[2]/OBX": "ZZZ|x -",
		"OBX[*]-5":                 "OBX|1|NM|A|||mg OBX|2|NM|B|| OBX|1|NM|C||",
		"PV1":                      "",
		"MSH-1":                    "! MSH-1: the delimiters of a message cannot be changed",
	} {
		if got := changed(t, editable, func(e *Editor) error { return e.Delete(path) }); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if got := changed(t, editable, func(e *Editor) error { return e.Delete("MSH") }); got != "! MSH: the header cannot be deleted" {
		t.Errorf("the header was deleted: %q", got)
	}
}

func TestInsert(t *testing.T) {
	for _, c := range []struct{ path, raw, want string }{
		{"OBX[2]", "NTE|1", "NTE|1 OBX|2|NM|B||6 OBR|2|||HB OBX|1|NM|C||7 ZZZ|x"},
		{"OBX", "NTE|1\rNTE|2\r", "NTE|1 NTE|2 OBX|1|NM|A||5|mg OBX|2|NM|B||6 OBR|2|||HB OBX|1|NM|C||7 ZZZ|x"},
		{"OBX[4]", "OBX|2|NM|D", "OBX|2|NM|D ZZZ|x"},
		{"OBX[6]", "OBX|2|NM|D", "! OBX[6]: there is no number 5 of OBX either"},
		{"PV1", "PV1|1|I", "PV1|1|I"},
		{"ORDER_OBSERVATION[2]", "OBR|9", "OBR|9 OBR|2|||HB OBX|1|NM|C||7 ZZZ|x"},
		{"ORDER_OBSERVATION[3]", "OBR|9", "OBR|9"},
		{"ORDER_OBSERVATION[1]/NTE", "NTE|9", "NTE|9 OBR|2|||HB OBX|1|NM|C||7 ZZZ|x"},
		{"PID-3[1]", "0^^^H", "PID|1||0^^^H~7^^^H^MR~8^^^X^PI||Ann^Bee"},
		{"PID-3[2]", "0", "PID|1||7^^^H^MR~0~8^^^X^PI||Ann^Bee"},
		{"PID-3[3]", "0", "PID|1||7^^^H^MR~8^^^X^PI~0||Ann^Bee"},
		{"PID-4[1]", "0", "PID|1||7^^^H^MR~8^^^X^PI|0|Ann^Bee"},
		{"PID-3[1]", "0~1", "! PID-3[1]: what is to be inserted is not one repetition"},
		{"PID-3", "0", "! PID-3: segments are put before segments or groups, repetitions before repetitions, as in PID-3[2]"},
		{"OBX", "hello", "! OBX: what is given is no segment with the delimiters of the message"},
		{"OBX", "\r", "! OBX: there is nothing to insert"},
		{"MSH", "PID|1", "! MSH: nothing stands before the header"},
		{"SPECIMEN/SPM", "SPM|1", "! SPECIMEN/SPM: there is no such group"},
	} {
		if got := changed(t, editable, func(e *Editor) error { return e.Insert(c.path, []byte(c.raw)) }); got != c.want {
			t.Errorf("%s: got %q, want %q", c.path, got, c.want)
		}
	}
}

func TestMove(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"ZZZ", "PID", "ZZZ|x PID|1||7^^^H^MR~8^^^X^PI||Ann^Bee OBR|1|||GLU OBX|1|NM|A||5|mg OBX|2|NM|B||6 OBR|2|||HB OBX|1|NM|C||7"},
		{"ORDER_OBSERVATION[2]", "ORDER_OBSERVATION[1]", "OBR|2|||HB OBX|1|NM|C||7 ZZZ|x OBR|1|||GLU OBX|1|NM|A||5|mg OBX|2|NM|B||6"},
		{"OBX[1]", "OBX[3]", "OBX|2|NM|B||6 OBR|2|||HB OBX|1|NM|A||5|mg"},
		{"OBX[2]", "OBX[2]", ""},
		{"PID-5.2", "PID-9", "PID|1||7^^^H^MR~8^^^X^PI||Ann^||||Bee"},
		{"PID-3[2]", "PID-4", "PID|1||7^^^H^MR|8^^^X^PI|Ann^Bee"},
		{"PV1", "PID", "! PV1: there is no such place"},
		{"MSH", "OBX", "! MSH: the header stays where it is"},
		{"PID-5", "PV1-2", "! PV1-2: there is no such segment; insert it first"},
		{"OBX", "PID-5", "! OBX is no value, and PID-5 is the place of one"},
		{"PID-5", "OBX", "! OBX names no field"},
		{"PID-3[2]", "PID-3[1]", "PID|1||8^^^X^PI~7^^^H^MR||Ann^Bee"},
		{"PID-3[1]", "PID-3[3]", "PID|1||8^^^X^PI~7^^^H^MR||Ann^Bee"},
		{"PID-3[2]", "PID-3[3]", ""},
		{"PID-3[2]", "PID-3[2]", ""},
		{"PID-3[1].4", "PID-3[2].6", "PID|1||7^^^^MR~8^^^X^PI^H||Ann^Bee"},
		{"PID-3[1]", "PID-3[2].1", "! PID-3[1]: it has parts that PID-3[2].1 has no place for"},
		{"PID-5", "PID-9.2", "! PID-5: it has parts that PID-9.2 has no place for"},
		{"PID-5.2", "PID-5", "! PID-5: the path means a place twice"},
		{"OBX[*]-5", "ZZZ-2", "! OBX[*]-5: 3 values are meant, and only one can be moved"},
		{"OBX[*]-6", "ZZZ-2", "OBX|1|NM|A||5| ZZZ|x|mg"},
		{"PID-5.2", "PID-30[*].4", "! PID-30[*].4: there is no such place"},
		{"PID-30", "PID-5.1", "! PID-30: there is no such value"},
		{"MSH-2", "PID-9", "! MSH-2: the delimiters of a message cannot be changed"},
	} {
		got := changed(t, editable, func(e *Editor) error { return e.Move(c.from, c.to) })
		if got != c.want {
			t.Errorf("%s to %s: got %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

// TestMoveKeepsBytes: a line end inside a field, line ends of another sort and
// spaces before a segment are moved, or stay, as they are.
func TestMoveKeepsBytes(t *testing.T) {
	const head = "MSH|^~\\&|A|B|C|D|20260105||ORU^R01|1|P|2.5.1"
	for name, c := range map[string]struct{ raw, from, to, want string }{
		"a line end inside":  {head + "\rPID|1\rNTE|1||one\ntwo, and\r more\rZZZ|x\r", "NTE", "PID", head + "\rNTE|1||one\ntwo, and\r more\rPID|1\rZZZ|x\r"},
		"several inside":     {head + "\nPID|1\nNTE|1||one\n\n two\nZZZ|x\n", "NTE", "PID", head + "\nNTE|1||one\nPID|1\n\n two\nZZZ|x\n"},
		"CR LF":              {head + "\r\nPID|1\r\nNTE|1\r\nZZZ|x", "ZZZ", "PID", head + "\r\nZZZ|x\r\nPID|1\r\nNTE|1\r\n"},
		"mixed":              {head + "\rPID|1\nNTE|1\r\nZZZ|x\r", "NTE", "PID", head + "\rNTE|1\r\nPID|1\nZZZ|x\r"},
		"spaces before them": {head + "\rPID|1\rNTE|1\r  ZZZ|x\r", "NTE", "PID", head + "\rNTE|1\rPID|1\r  ZZZ|x\r"},
		"to the end":         {head + "\rPID|1\rNTE|1||a\nb\rZZZ|x", "NTE", "ZZZ[2]", head + "\rPID|1\rZZZ|x\rNTE|1||a\nb\r"},
	} {
		e := Edit(parsed(t, c.raw))
		if err := e.Move(c.from, c.to); err != nil || string(e.Bytes()) != c.want {
			t.Errorf("%s: %q, %v, want %q", name, e.Bytes(), err, c.want)
		}
	}
}

// TestEditsBesideSwitches: text that would be read in a set that was switched to
// before it is not written, nor is a switch taken away that other text needs.
func TestEditsBesideSwitches(t *testing.T) {
	const lacks = "the text has a character that the character set of the message does not have"
	for name, c := range map[string]struct {
		declared, line string
		do             func(*Editor) error
		want           string
	}{
		"behind a switch that stays":   {"8859/1~8859/7", "ZZZ|\x1b-F\xe1|x", func(e *Editor) error { return e.Set("ZZZ-2", "ü") }, "! ZZZ-2: " + lacks},
		"ASCII there":                  {"8859/1~8859/7", "ZZZ|\x1b-F\xe1|x", func(e *Editor) error { return e.Set("ZZZ-2", "y") }, "ZZZ|\x1b-F\xe1|y"},
		"a switch that was taken back": {"8859/1~8859/7", "ZZZ|\x1b-F\xe1\x1b-A|x", func(e *Editor) error { return e.Set("ZZZ-2", "ü") }, "ZZZ|\x1b-F\xe1\x1b-A|\xfc"},
		"another line":                 {"8859/1~8859/7", "ZZZ|\x1b-F\xe1\rZZZ|x", func(e *Editor) error { return e.Set("ZZZ[2]-1", "ü") }, "ZZZ|\xfc"},
		"the switch itself":            {"8859/1~8859/7", "ZZZ|\x1b-F\xe1|\xe1", func(e *Editor) error { return e.Set("ZZZ-1", "x") }, "! ZZZ-1: " + errSwitch.Error()},
		"the switch is deleted":        {"8859/1~8859/7", "ZZZ|\x1b-F\xe1|\xe1", func(e *Editor) error { return e.Delete("ZZZ-1") }, "! ZZZ-1: " + errSwitch.Error()},
		"nothing needs it":             {"8859/1~8859/7", "ZZZ|\x1b-F\xe1|x", func(e *Editor) error { return e.Delete("ZZZ-1") }, "ZZZ||x"},
		"what is moved needs it":       {"8859/1~8859/7", "ZZZ|\x1b-F\xe1|\xe1\rZZZ|x", func(e *Editor) error { return e.Move("ZZZ-2", "ZZZ[2]-1") }, "! ZZZ[2]-1: " + lacks},
		"kanji":                        {"8859/1~ISO IR87", "ZZZ|\x1b$B;3\x1b(B|\xe4", func(e *Editor) error { return e.Set("ZZZ-2", "山") }, "ZZZ|\x1b$B;3\x1b(B|\x1b$B;3\x1b(B"},
		"another set is declared":      {"8859/1~8859/7", "ZZZ|\x1b-F\xe1|\xe1", func(e *Editor) error { return e.Set("MSH-18", "8859/7") }, "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5.1||||||8859/7~8859/7"},
	} {
		raw := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5.1||||||" + c.declared + "\r" + c.line + "\r"
		if got := changed(t, raw, c.do); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestReadingAnyPathAllocatesNothing holds what expressions cost.
func TestReadingAnyPathAllocatesNothing(t *testing.T) {
	m := parsed(t, editable)
	m.Groups()
	var second message.Node = m.find("OBX", 2)
	for _, text := range []string{
		"PID-5.1", "PID-3[2].1", "PID-3[5=PI].1", "OBX[3]-5", "MSH-9.2", "PV1-2", "ORDER_OBSERVATION[2]/OBX-5", "PATIENT_RESULT/ORDER_OBSERVATION[1]/OBSERVATION[2]/OBX-5.1.1",
	} {
		p := compile(t, text)[0]
		for name, from := range map[string]func() string{
			"message": func() string { return p.Text(m) },
			"segment": func() string { return p.Text(second) },
		} {
			if n := testing.AllocsPerRun(100, func() { _ = from() }); n > 0 {
				t.Errorf("%s from a %s: %v allocations", text, name, n)
			}
		}
	}
}

func FuzzEdit(f *testing.F) {
	f.Add(editable, "PID-5.2", "x|y")
	f.Add(editable, "ORDER_OBSERVATION[*]/OBX-5[2].1.1", "")
	f.Add(editable, "OBX[2]", "OBX|9")
	f.Add("MSH|^~|A\nPID\n", "PID-3[3].2.4", "ü")
	f.Fuzz(func(t *testing.T, raw, path, text string) {
		m, err := Parse([]byte(raw))
		if err != nil || len(raw) > 1<<16 {
			return
		}
		for _, do := range []func(e *Editor) error{
			func(e *Editor) error { return e.Set(path, text) },
			func(e *Editor) error { return e.Delete(path) },
			func(e *Editor) error { return e.Insert(path, []byte(text)) },
			func(e *Editor) error { return e.Move(path, text) },
			func(e *Editor) error { return e.SetRaw(path, []byte(text)) },
			func(e *Editor) error { return e.Replace(path, []byte(text)) },
		} {
			if e := Edit(m); do(e) == nil && len(e.Bytes()) > len(raw)+1100*(len(text)+1100)*(m.Len()+1) {
				t.Errorf("%d bytes of %d", len(e.Bytes()), len(raw))
			}
		}
		if string(m.Encode(nil)) != raw {
			t.Error("the message is not as it was")
		}
	})
}

// TestOnePlaceIsTheFirstOfAll holds the quick way to one value equal to the list.
func TestOnePlaceIsTheFirstOfAll(t *testing.T) {
	m := parsed(t, editable)
	m.Groups()
	nodes := []message.Node{m, m.Groups()}
	for i := range m.Len() {
		nodes = append(nodes, m.Segment(i))
		for g := m.Segment(i).Group(); g != nil; g = g.Parent() {
			nodes = append(nodes, g)
		}
	}
	for _, text := range []string{
		"PATIENT_RESULT/PID-3", "ORDER_OBSERVATION/OBX-5", "ORDER_OBSERVATION[2]/OBX-5", "ORDER_OBSERVATION[3]/OBX-5", "OBSERVATION[2]/OBX-3", "SPECIMEN/SPM-1",
		"PATIENT_RESULT/OBSERVATION[3]/OBX-3", "ORDER_OBSERVATION/OBSERVATION[2]/OBX-3", "ORDER_OBSERVATION/OBX[2]-3", "PATIENT/PID-3", "ORDER_OBSERVATION/PID-3",
	} {
		p := compile(t, text)[0].(*path)
		for _, from := range nodes {
			want := ""
			if all := p.segments(from); len(all) > 0 {
				want = p.pick(all[0]).Text()
			}
			if got := p.Text(from); got != want {
				t.Errorf("%s from %T: %q, want %q", text, from, got, want)
			}
		}
	}
}
