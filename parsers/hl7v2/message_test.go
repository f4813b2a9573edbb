package hl7v2

import (
	"bytes"
	"strings"
	"testing"
)

// parsed parses a message of which the first line is MSH.
func parsed(t testing.TB, raw string) *Message {
	t.Helper()
	m, err := Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// body parses segments below a header.
func body(t testing.TB, segments string) *Message {
	t.Helper()
	return parsed(t, "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5\r"+segments)
}

// warned lists the codes of the warnings.
func warned(m *Message) string {
	var all []string
	for _, w := range m.Warnings() {
		all = append(all, w.Code)
	}
	return strings.Join(all, " ")
}

// TestWordsOfAcknowledgementConditions: what table 0155 does not have is told, in each
// message of a batch.
func TestWordsOfAcknowledgementConditions(t *testing.T) {
	for rest, want := range map[string]string{
		"2.5": "", "2.5|||AL|NE": "", "2.5|||ER|SU": "", `2.5|||""|`: "", "2.5|||Y|0": "MSH-15 MSH-16", "2.3||||al": "MSH-16", "2.1|||Y|Y": "",
	} {
		m := parsed(t, "BHS|^~\\&|A\rMSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|"+rest+"\rPID|1\r")
		var got []string
		for _, w := range m.Warnings() {
			got = append(got, w.Where)
			if w.Code != "ack-condition" || m.raw[w.Offset-1] != '|' {
				t.Errorf("%s: %+v", rest, w)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", rest, got, want)
		}
	}
}

func TestSegmentsAreFoundWhateverTheirEnds(t *testing.T) {
	header := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5"
	for name, c := range map[string]struct{ raw, names, warnings string }{
		"CR":                              {header + "\rPID|1\rPV1|1\r", "MSH PID PV1", ""},
		"LF":                              {header + "\nPID|1\nPV1|1\n", "MSH PID PV1", "segment-end-lf"},
		"CR LF":                           {header + "\r\nPID|1\r\nPV1|1\r\n", "MSH PID PV1", "segment-end-crlf"},
		"all three":                       {header + "\rPID|1\nPV1|1\r\n", "MSH PID PV1", "segment-end-lf segment-end-crlf"},
		"no last end":                     {header + "\rPID|1", "MSH PID", "no-final-cr"},
		"empty lines":                     {header + "\r\rPID|1\r\r", "MSH  PID ", ""},
		"a byte order mark":               {"\xef\xbb\xbf" + header + "\rPID|1\r", "MSH PID", "leading-bytes"},
		"and what it is the mark of":      {"\xef\xbb\xbf" + header + "\rPID|ä\r", "MSH PID", "leading-bytes charset-undeclared"},
		"white space before":              {"\r\n " + header + "\rPID|1\r", "MSH PID", "leading-bytes"},
		"indented segments":               {header + "\r  PID|1\r", "MSH PID", "leading-space"},
		"a line end inside a value":       {header + "\rNTE|1||first\nsecond|x\rPID|1\r", "MSH NTE PID", "line-inside"},
		"a CR inside a value of LF":       {header + "\nNTE|1||first\rsecond\nPID|1\n", "MSH NTE PID", "line-inside segment-end-lf"},
		"a name without fields":           {header + "\rZZZ\rPID|1\r", "MSH ZZZ PID", ""},
		"a name in small letters":         {header + "\rpid|1\rPV1|1\r", "MSH pid PV1", "not-a-segment"},
		"a name of four letters":          {header + "\rPIDX|1\rPV1|1\r", "MSH  PV1", "not-a-segment"},
		"a name of one letter":            {header + "\rEVN||1\rZ|local\rPV1|1\r", "MSH EVN  PV1", "not-a-segment"},
		"text behind MSH":                 {header + "\rlocal header\rPV1|1\r", "MSH  PV1", "not-a-segment"},
		"text behind MSH, an LF":          {header + "\nlocal header\rPV1|1\r", "MSH  PV1", "not-a-segment segment-end-lf"},
		"text behind a value":             {header + "\rNTE|1||first\rsecond and A|B\rPV1|1\r", "MSH NTE PV1", "line-inside"},
		"a name that is not known":        {header + "\rQQQ|1\rPV1|1\r", "MSH QQQ PV1", ""},
		"a word like a name after an LF":  {header + "\rNTE|1||is\nNEG|x\rPV1|1\r", "MSH NTE PV1", "line-inside"},
		"the end of an MLLP frame":        {header + "\rPID|1\r\x1c\r", "MSH PID ", "mllp-bytes"},
		"few delimiters":                  {"MSH|^~|A\rPID|1\r", "MSH PID", "short-delimiters"},
		"more delimiters than there are":  {"MSH|^~\\&#!|A\rPID|1\r", "MSH PID", "extra-delimiters"},
		"an escape character written out": {"MSH|^~\\\\&|A\rPID|1\r", "MSH PID", ""},
		"a batch":                         {"FHS|^~\\&|A\rBHS|^~\\&|A\r" + header + "\r" + header + "\rBTS|2\rFTS|1\r", "FHS BHS MSH MSH BTS FTS", ""},
		"a batch that counts wrongly":     {"BHS|^~\\&|A\r" + header + "\rBTS|2\r", "BHS MSH BTS", "batch-count"},
		"several messages":                {header + "\r" + header + "\r", "MSH MSH", "several-messages"},
	} {
		t.Run(name, func(t *testing.T) {
			m := parsed(t, c.raw)
			var names []string
			for i := range m.Len() {
				names = append(names, m.Segment(i).Name())
			}
			if got := strings.Join(names, " "); got != c.names {
				t.Errorf("segments %q, want %q", got, c.names)
			}
			if got := warned(m); got != c.warnings {
				t.Errorf("warnings %q, want %q", got, c.warnings)
			}
			if got := string(m.Rebuild(nil)); got != c.raw {
				t.Errorf("rebuilt as %q", got)
			}
		})
	}
}

func TestALineEndInsideAValueDoesNotMoveTheFieldsBehindIt(t *testing.T) {
	m := body(t, "OBX|1|TX|N^Note||first line\nnormal||||||F\r")
	obx := m.find("OBX", 1)
	if got := obx.Field(5).Text(); got != "first line\nnormal" {
		t.Errorf("OBX-5 is %q", got)
	}
	if got := obx.Field(11).Text(); got != "F" {
		t.Errorf("OBX-11 is %q", got)
	}
}

func TestTolerated(t *testing.T) {
	o := Options{Tolerate: []string{"segment-end-lf", "no-final-cr"}}
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	doc, err := New(o).Parse([]byte("MSH|^~\\&|A|B\nPID|1"))
	if err != nil || len(doc.Warnings()) > 0 {
		t.Errorf("%v, warnings %v", err, doc.Warnings())
	}
	wrong := Options{Charset: "utf-17", Tolerate: []string{"lf"}}
	if problems := wrong.Validate(); len(problems) != 2 {
		t.Errorf("problems %v, want 2", problems)
	}
}

func TestValues(t *testing.T) {
	m := body(t, `PID|1|""|A1&x&y^^^H&1.2&ISO~B2^^^~""||^|~|&`+"\r")
	pid := m.find("PID", 1)
	for name, c := range map[string]struct {
		v                   Value
		text                string
		valued, null, empty bool
	}{
		"MSH-1":                            {m.Segment(0).Field(1), "|", true, false, false},
		"MSH-2":                            {m.Segment(0).Field(2), `^~\&`, true, false, false},
		"MSH-2.1, which is no component":   {m.Segment(0).Field(2).Comp(1), `^~\&`, true, false, false},
		"MSH-3":                            {m.Segment(0).Field(3), "A", true, false, false},
		"MSH-9.2":                          {m.Segment(0).Field(9).Comp(2), "A01", true, false, false},
		"a field":                          {pid.Field(1), "1", true, false, false},
		"two quotes":                       {pid.Field(2), "", false, true, false},
		"the first component":              {pid.Field(3).Comp(1), "A1&x&y", true, false, false},
		"a subcomponent":                   {pid.Field(3).Comp(1).Sub(2), "x", true, false, false},
		"a subcomponent of a component":    {pid.Field(3).Comp(4).Sub(3), "ISO", true, false, false},
		"a subcomponent of a field":        {pid.Field(3).Sub(3), "y", true, false, false},
		"the second repetition":            {pid.Field(3).Rep(2).Comp(1), "B2", true, false, false},
		"an empty component":               {pid.Field(3).Rep(2).Comp(2), "", false, false, true},
		"a repetition of two quotes":       {pid.Field(3).Rep(3), "", false, true, false},
		"a repetition too far":             {pid.Field(3).Rep(4), "", false, false, true},
		"an empty field":                   {pid.Field(4), "", false, false, true},
		"separators alone":                 {pid.Field(5), "^", false, false, false},
		"repetition separators alone":      {pid.Field(6), "", false, false, true},
		"subcomponent separators alone":    {pid.Field(7), "&", false, false, false},
		"a field too far":                  {pid.Field(8), "", false, false, true},
		"field 0":                          {pid.Field(0), "", false, false, true},
		"the field of no segment":          {Segment{}.Field(1), "", false, false, true},
		"a component of nothing":           {Value{}.Comp(1).Sub(1).Rep(1), "", false, false, true},
		"component 1 of a subcomponent":    {pid.Field(3).Comp(1).Sub(2).Comp(1), "x", true, false, false},
		"component 2 of a subcomponent":    {pid.Field(3).Comp(1).Sub(2).Comp(2), "", false, false, true},
		"subcomponent 1 of what has none":  {pid.Field(1).Sub(1), "1", true, false, false},
		"subcomponent 2 of what has none":  {pid.Field(1).Sub(2), "", false, false, true},
		"repetition 1 of a component":      {pid.Field(3).Comp(4).Rep(1), "H&1.2&ISO", true, false, false},
		"repetition 2 of a component":      {pid.Field(3).Comp(4).Rep(2), "", false, false, true},
		"a component of a field with reps": {pid.Field(3).Comp(4).Sub(1), "H", true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := c.v
			if v == pid.Field(6) {
				v = v.Rep(1)
			}
			if v.Text() != c.text || v.Valued() != c.valued || v.Null() != c.null || v.Empty() != c.empty {
				t.Errorf("%q valued %v null %v empty %v, want %q %v %v %v", v.Text(), v.Valued(), v.Null(), v.Empty(), c.text, c.valued, c.null, c.empty)
			}
			start, end := v.Span()
			if got := string(m.Encode(nil)[start:end]); got != string(v.Raw()) {
				t.Errorf("%q stands at its span, %q are its bytes", got, v.Raw())
			}
		})
	}
	if n := pid.Field(3).Reps(); n != 3 {
		t.Errorf("PID-3 has %d repetitions, want 3", n)
	}
	if n := pid.Fields(); n != 7 {
		t.Errorf("PID has %d fields, want 7", n)
	}
}

func TestReadingAllAtOnceGivesWhatReadingOneGives(t *testing.T) {
	m := parsed(t, "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5\rPID|1||2^^^H&1&ISO~3||^|~\rZXX\rEVN|\r")
	check := func(what string, got []Value, n int, one func(int) Value) {
		if len(got) != n {
			t.Errorf("%s: %d parts, want %d", what, len(got), n)
		}
		for i, v := range got {
			known := v.level&flat != 0
			want := one(i + 1)
			v.level, want.level = v.level.of(), want.level.of()
			if v != want {
				t.Errorf("%s: part %d is %v, want %v", what, i+1, v, want)
			}
			d := v.m.delims
			if known && v.level != wholeLevel && bytes.ContainsAny(v.Raw(), string([]byte{d.Component, d.Repetition, d.Subcomponent})) {
				t.Errorf("%s: part %d is said to have no parts: %s", what, i+1, v.Raw())
			}
		}
	}
	for i := range m.Len() {
		s := m.Segment(i)
		fields := s.AppendFields(nil)
		check(s.Name(), fields, s.Fields(), s.Field)
		for n, f := range fields {
			if s.header() && n < 2 {
				continue
			}
			check(s.Name(), f.AppendParts(nil), f.Reps(), f.Rep)
			for _, rep := range f.AppendParts(nil) {
				check(s.Name(), rep.AppendParts(nil), rep.Comps(), rep.Comp)
				for _, comp := range rep.AppendParts(nil) {
					check(s.Name(), comp.AppendParts(nil), comp.Subs(), comp.Sub)
				}
			}
		}
	}
}

func TestReadingAPathAllocatesNothing(t *testing.T) {
	m, paths := parsed(t, string(sample(t, "oru_r01_cbc.hl7"))), compile(t, twenty...)
	if n := testing.AllocsPerRun(100, func() {
		for _, p := range paths {
			if p.Text(m) == "" {
				t.Error(p)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEachRepIsRep(t *testing.T) {
	m := body(t, "PID|1||A~~B^C~|x\r")
	pid := m.Segment(1)
	for name, v := range map[string]Value{
		"a field": pid.Field(3), "one repetition": pid.Field(4), "an empty field": pid.Field(2), "an absent field": pid.Field(9),
		"a repetition": pid.Field(3).Rep(3), "a component": pid.Field(3).Rep(3).Comp(2), "nothing": {},
	} {
		n := 0
		for i, rep := range v.EachRep() {
			if n++; i != n || rep != v.Rep(i) {
				t.Errorf("%s: repetition %d is %v, want %v", name, i, rep, v.Rep(n))
			}
		}
		if n != v.Reps() {
			t.Errorf("%s: %d repetitions, want %d", name, n, v.Reps())
		}
	}
	for range pid.Field(3).EachRep() {
		break // it can be left early
	}
}
