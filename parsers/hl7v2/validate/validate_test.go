package validate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/corpus"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

func parse(t *testing.T, segments ...string) *hl7v2.Message {
	t.Helper()
	m, err := hl7v2.Parse([]byte(strings.Join(segments, "\r") + "\r"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const header = `MSH|^~\&|A|B|C|D|20260105||ADT^A08^ADT_A01|O1|P|2.5.1`

// lines are findings as "where rule code severity", and that they hold no
// value of the message.
func lines(t *testing.T, findings []Finding) []string {
	t.Helper()
	var out []string
	for _, f := range findings {
		if strings.Contains(f.Text+f.Where, "CANARY") {
			t.Errorf("a finding holds a value: %+v", f)
		}
		out = append(out, fmt.Sprintf("%s %s %d %s", f.Where, f.Rule, f.Code, f.Severity))
	}
	return out
}

func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name, segment string
		level         Level
		want          string // "": none of this segment
	}{
		{"required field", "PID|1||||X", Structure, "PID-3 required 101 E"},
		{"null is said", `PID|1||""||X`, Structure, ""},
		{"repeats", "PID|1||7||X||19620101~19620102", Structure, "PID-7[2] repeats 102 W"},
		{"field of no version", "PID|1||7||X" + strings.Repeat("|", 60) + "CANARY", Structure, "PID-65 field-extra 102 W"},
		{"date at a level that does not look", "PID|1||7||X||CANARY", Structure, ""},
		{"date", "PID|1||7||X||CANARY", Types, "PID-7.1 data-type 102 E"},
		{"day that is none", "PID|1||7||X||20260231", Types, "PID-7.1 data-type 102 E"},
		{"date with time and zone", "PID|1||7||X||202602281159-0500", Types, ""},
		{"number", "PID|CANARY||7||X", Types, "PID-1 data-type 102 E"},
		{"component", "PID|1||7^^^B&1&ISO&CANARY||X", Types, "PID-3.4.4 component-extra 102 W"},
		{"required component", "PID|1||^^^B||X", Types, "PID-3.1 component-required 101 W"},
		{"length", "PID|1||7||X|||CANARY", Types, "PID-8 length 102 W"},
		{"user table", "PID|1||7||X|||q", Tables, "PID-8 table 103 W"},
		{"code", "PID|1||7||X|||F", Tables, ""},
		{"closed table", "PID|1||7||X^Y^^^^^?", Tables, "PID-5.7 table 103 E"},
		{"coding system of HL7", "PID|1||7||X|||||2106-3^White^HL70005", Tables, ""},
		{"coding system of a site", "PID|1||7||X|||||2106-3^White^99ACME", Tables, ""},
		{"coding system that nobody knows", "PID|1||7||X|||||2106-3^White^HL7X", Tables, "PID-10.3 table 103 W"},
		{"second repetition", "PID|1||7||X^Y^^^^^L~X^Y^^^^^?", Tables, "PID-5[2].7 table 103 E"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := parse(t, header, "EVN||20260105", c.segment, "PV1|1|O")
			got := strings.Join(lines(t, Message(m, c.level)), "; ")
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestFindingsHaveTheirPlaces(t *testing.T) {
	m := parse(t, header, "EVN||20260105", "PID|1||7||X||CANARY", "PV1|1|O")
	found := Message(m, Types)
	if len(found) != 1 {
		t.Fatalf("%+v", found)
	}
	if at := strings.Index(string(m.Encode(nil)), "CANARY"); found[0].Offset != at {
		t.Errorf("found at byte %d, stands at %d", found[0].Offset, at)
	}
	if p, w := found[0].Problem(), found[0].Warning(); p.Code != 102 || p.Where != "PID-7.1" || w.Code != "data-type" || w.Offset != found[0].Offset {
		t.Errorf("%+v, %+v", p, w)
	}
}

func TestStructureOfMessages(t *testing.T) {
	got := lines(t, Message(parse(t, header, "PID|1||7||X", "PV1|1|O", "EVN||20260105", "QZZ|1", "ZZZ|1"), Structure))
	want := "EVN grouping 100 W; QZZ segment-unknown 100 W"
	if strings.Join(got, "; ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got = lines(t, Message(parse(t, header, "EVN||20260105", "PV1|1|O"), Structure))
	if strings.Join(got, "; ") != "PID segment-missing 100 E" {
		t.Errorf("got %q", got)
	}
}

// TestVersionsDiffer: what 2.5.1 has, 2.1 has not.
func TestVersionsDiffer(t *testing.T) {
	old := strings.Replace(header, "2.5.1", "2.1", 1) + "||||||UNICODE UTF-8"
	got := strings.Join(lines(t, Message(parse(t, old, "EVN|A08|20260105", "PID|||7||X", "PV1|1|O"), Structure)), "; ")
	if !strings.Contains(got, "MSH-18 field-version 102 W") {
		t.Errorf("got %q", got)
	}
}

// TestTablesOfComponents: the table of a field is not looked for in its first
// component where another one has it, or where the first is no code.
func TestTablesOfComponents(t *testing.T) {
	for segment, want := range map[string]string{
		"PID|1||7||DOE^JANE^^^^^L":            "",
		"PID|1||7||DOE^JANE^^^^^?":            "PID-5.7 table 103 E",
		"PID|1||7||DOE|||||||||||||1234^^M10": "",
		"PID|1||7||DOE|||||||||||||1234^^?":   "PID-18.3 table 103 E",
		"PID|1||7||DOE\rQRD|1|R|I|1|||10^RD":  "",
	} {
		var got []string
		for _, line := range lines(t, Message(parse(t, strings.Replace(header, "2.5.1", "2.6", 1), "EVN||20260105", segment, "PV1|1|O"), Tables)) {
			if strings.Contains(line, " table ") {
				got = append(got, line)
			}
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: got %q, want %q", segment, got, want)
		}
	}
}

// TestWhatEverySiteSaysItself: parameters of queries, and names of authorities.
func TestWhatEverySiteSaysItself(t *testing.T) {
	qbp := "MSH|^~\\&|A|B|C|D|20260105||QBP^Q11^QBP_Q11|O1|P|2.5.1"
	m := parse(t, qbp, "QPD|Z34^Request^CDCPHINVS|T1|7^^^NORTH^MR~8|DOE^JANE|X|20200101|F", "RCP|I|5^RD")
	if got := lines(t, Message(m, Tables)); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// TestLaterVersions: each has the fields of its own, and no version those of later ones.
func TestLaterVersions(t *testing.T) {
	for version, want := range map[string]string{
		"2.7": "27 28 29 30 31 32 33", "2.8": "29 30 31 32 33", "2.8.1": "29 30 31 32 33", "2.8.2": "31 32 33", "2.9": "",
	} {
		oru := "MSH|^~\\&|A|B|C|D|20260105||ORU^R01^ORU_R01|O1|P|" + version
		obx := "OBX|1|ST|1^A||x||||||F" + strings.Repeat("|", 16) + "1|1|RSLT|GEN|A|1|1"
		var got []string
		for _, line := range lines(t, Message(parse(t, oru, "PID|1||7||X", "OBR|1|||1^A", obx), Structure)) {
			if rest, found := strings.CutPrefix(line, "OBX-"); found && strings.Contains(line, "field-version") {
				got = append(got, rest[:2])
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q are of another version, want %q", version, got, want)
		}
	}
}

func TestLevels(t *testing.T) {
	for i, word := range levels {
		if l, err := ParseLevel(word); err != nil || l != Level(i) || l.String() != word {
			t.Errorf("%s: %v, %v", word, l, err)
		}
	}
	if _, err := ParseLevel("CANARY"); err == nil {
		t.Error("a word that is no level is taken")
	}
}

// hostile are messages of too much of everything, without their headers.
func hostile() map[string]string {
	big := strings.Repeat("x", 1<<20)
	return map[string]string{
		"segments":      strings.Repeat("OBX|1|NM|A||x\r", 200_000),
		"good segments": strings.Repeat("OBX|1|NM|A||1||||||F\r", 200_000),
		"groups":        strings.Repeat("ORC|RE\rOBR|1|||A\rOBX|1|NM|A||1||||||F\r", 70_000),
		"out of order":  strings.Repeat("OBX|1\rPID|1\rSPM|1\rOBR|1\rNTE|1\r", 40_000),
		"unknown":       strings.Repeat("QZZ|1\r", 200_000),
		"no segments":   strings.Repeat("x\r", 500_000),
		"line ends":     strings.Repeat("\r", 1_000_000),
		"mixed ends":    strings.Repeat("OBX|1\nx\ry\r\n", 100_000),
		"fields":        "PID" + strings.Repeat("|x", 1<<20) + "\r",
		"field":         "PID|1||" + big + "||" + big + "||" + big + "|" + big + "\r",
		"repetitions":   "PID|1||" + strings.Repeat("7~", 1_000_000) + "||X\r",
		"components":    "PID|1||7" + strings.Repeat("^", 1_000_000) + "||X\r",
		"subcomponents": "PID|1||7^^^" + strings.Repeat("&", 1_000_000) + "||X\r",
		"escapes":       "PID|1||" + strings.Repeat(`\T\`, 1<<19) + "||X\r",
		"open escapes":  "PID|1||" + strings.Repeat(`\`, 1<<20) + "||X\r",
		"kanji":         "PID|1||\x1b$B" + strings.Repeat(";3", 1<<19) + "\x1b(B||X\r",
		"switches":      "PID|1||" + strings.Repeat("\x1b$B;3\x1b(B^", 100_000) + "||X\r",
		"open switches": strings.Repeat("OBX|1|ST|A||\x1b$B\x1b-F\xe1\r", 50_000),
		"cut kanji":     "PID|1||" + strings.Repeat("\x1b$B;\xe1", 200_000) + "||X\r",
	}
}

// hostileReplies are messages of which the standard wants much to be repeated.
func hostileReplies() map[string]string {
	big := strings.Repeat("x", 1<<20)
	return map[string]string{
		"MFN^M05 entries":        "MFI|LOC||UPD|||AL\r" + strings.Repeat("MFE|MAD|K1|2026|4711|CE\rLOC|4711\r", 100_000),
		"MFN^M05 an entry":       "MFI|LOC||UPD|||AL\rMFE|MAD|" + big + "|2026|" + big + "|CE\r",
		"MFN^M05 long entries":   "MFI|LOC||UPD|||AL\r" + strings.Repeat("MFE|MAD|K1|2026|"+big[:4000]+"|CE\r", 1000),
		"MFN^M05 many keys":      "MFI|LOC||UPD|||AL\rMFE|MAD|K1|2026|" + strings.Repeat("4711~", 200_000) + "|CE\r",
		"MFN^M05 the file":       "MFI|" + big + strings.Repeat("|x", 1<<19) + "\rMFE|MAD|K1|2026|4711|CE\r",
		"MFN^M05 kanji":          "MFI|LOC||UPD|||AL\r" + strings.Repeat("MFE|MAD|K1|2026|\x1b$B;3\x1b(B|CE\r", 100_000),
		"QBP^Q11 the query":      "QPD|" + big + "|T1|" + big + "\r",
		"QBP^Q11 its fields":     "QPD|Q11" + strings.Repeat("|x", 1<<19) + "\r",
		"QBP^Q11 its tag":        "QPD|Q11|" + big + "\r",
		"QBP^Q11 many queries":   strings.Repeat("QPD|Q11|T1|x\r", 100_000),
		"QBP^Q11 kanji":          "QPD|Q11|T1|\x1b$B" + strings.Repeat(";3", 1<<19) + "\x1b(B\r",
		"ORM^O01 nothing":        "\r",
		"RDE^O11 many unknown":   strings.Repeat("ZZZ|1\r", 200_000),
		"OML^O21 what is no end": "PID|1||" + big,
	}
}

// hostileMessages parses, scans, groups, checks and answers them.
func hostileMessages(t *testing.T) {
	t.Helper()
	profile, err := Shipped("vxu")
	if err != nil {
		t.Fatal(err)
	}
	profile.Types = nil
	p := hl7v2.New(hl7v2.Options{Functional: true})
	const sets = "||||||8859/1~ISO IR87\r"
	all := map[string][]byte{}
	for name, body := range hostile() {
		all[name] = []byte(header + "\rEVN||20260105\r" + body)
		all[name+" of an ORU"] = []byte(strings.Replace(header, "ADT^A08^ADT_A01", "ORU^R01^ORU_R01", 1) + sets + body)
	}
	for name, body := range hostileReplies() {
		kind, _, _ := strings.Cut(name, " ")
		all[name] = []byte(strings.Replace(header, "ADT^A08^ADT_A01", kind, 1) + sets + body)
	}
	for name, raw := range all {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if _, err := p.Scan(raw, nil); err != nil {
				t.Fatal(err)
			}
			p.Part(raw)
			scanned := time.Since(start)
			m, err := hl7v2.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			parsed := time.Since(start)
			found := Message(m, Profiled, profile)
			if len(found) > maxFindings {
				t.Errorf("%d findings", len(found))
			}
			checked := time.Since(start)
			var problems []message.Problem
			for _, f := range found[:min(20, len(found))] {
				problems = append(problems, f.Problem())
			}
			if out := p.Reply(raw, message.Answer{Code: message.Erroneous, Problems: problems}, parsers.Stamp{Time: "20260105", Control: "1"}); len(out) == 0 || len(out) > 80<<10 {
				t.Errorf("an answer of %d bytes", len(out))
			}
			took := time.Since(start)
			if took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			t.Logf("%d bytes: scan %v, parse %v, check %v, answer %v; %d findings", len(raw), scanned, parsed-scanned, checked-parsed, took-checked, len(found))
		})
	}
}

// TestCorpus: nothing that anybody sent makes it fail.
func TestCorpus(t *testing.T) {
	files := 0
	err := filepath.WalkDir(corpus.Dir(t, "hl7v2"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if m, err := hl7v2.Parse(raw); err == nil {
			files++
			for _, f := range Message(m, Tables) {
				if f.Offset < 0 || f.Offset > len(raw) || f.Code < 100 || f.Code > 103 {
					t.Errorf("%s: %+v", filepath.Base(path), f)
				}
			}
		}
		return nil
	})
	if err != nil || files < 500 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestStructuresOfVersions: what a version asks for, and what it does not have.
func TestStructuresOfVersions(t *testing.T) {
	oru := func(version string, segments ...string) []string {
		head := `MSH|^~\&|A|B|C|D|20260105||ORU^R01^ORU_R01|O1|P|` + version
		return lines(t, Message(parse(t, append([]string{head}, segments...)...), Structure))
	}
	spm := []string{"PID|1||7||X", "ORC|RE", "OBR|1|||GLU", "OBX|1|ST|A||x||||||F", "SPM|1|||BLD"}
	if got := strings.Join(oru("2.5.1", spm...), "; "); got != "" {
		t.Errorf("2.5.1: %q", got)
	}
	if got := strings.Join(oru("2.3", spm...), "; "); !strings.Contains(got, "SPM segment-version 100 W") {
		t.Errorf("2.3: %q", got)
	}
	found := Message(parse(t, `MSH|^~\&|A|B|C|D|20260105||RSP^K22^RSP_K22|O1|P|2.5`, "MSA|AA|1", "QPD|Q22^x|1"), Structure)
	if got := strings.Join(lines(t, found), "; "); got != "QAK segment-missing 100 E" {
		t.Errorf("RSP^K22: %q", got)
	}
	// 2.2 has no EVN-required group names of later versions; a master file has segments of its own.
	found = Message(parse(t, `MSH|^~\&|A|B|C|D|20260105||MFN^M03|O1|P|2.3`, "MFI|TST||UPD|||NE", "MFE|MAD|1||X|CE", "OM1|1|X"), Structure)
	if got := strings.Join(lines(t, found), "; "); strings.Contains(got, "segment-version") {
		t.Errorf("MFN^M03: %q", got)
	}
}
