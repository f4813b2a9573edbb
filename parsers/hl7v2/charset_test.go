package hl7v2

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"github.com/plexus-health/plexus/internal/corpus"
)

// encoded is a message in a character set whose second name component is text.
func encoded(t *testing.T, e encoding.Encoding, declared, text string) []byte {
	t.Helper()
	raw, err := e.NewEncoder().Bytes([]byte("MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5||||||" + declared + "\rPID|1||7^^^H||Ann^" + text + "^X~" + text + "|end\r"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestCharacterSets(t *testing.T) {
	for declared, c := range map[string]struct {
		encoding encoding.Encoding
		text     string
	}{
		"UNICODE UTF-8": {encoding.Nop, "Žofia Łukaszewska 山"},
		"8859/1":        {charmap.ISO8859_1, "Müller"},
		"8859/2":        {charmap.ISO8859_2, "Łukasz"},
		"8859/5":        {charmap.ISO8859_5, "Анна"},
		"8859/7":        {charmap.ISO8859_7, "Άννα"},
		"8859/15":       {charmap.ISO8859_15, "Œuvre €"},
		"windows-1252":  {charmap.Windows1252, "“quoted”"},
		"windows-1251":  {charmap.Windows1251, "Анна"},
		"KS X 1001":     {korean.EUCKR, "김철수"},
		"EUC-JP":        {japanese.EUCJP, "山田太郎"},
		// In these, bytes of characters equal delimiters.
		"Shift_JIS":      {japanese.ShiftJIS, "ソ表能十構ポ"},
		"ASCII~ISO IR87": {japanese.ISO2022JP, "山田太郎ーソ"},
		"ISO-2022-JP":    {japanese.ISO2022JP, "構"},
		"GB 18030-2000":  {simplifiedchinese.GB18030, "誠恷㐀亅"},
		"gbk":            {simplifiedchinese.GBK, "亅張"},
		"BIG-5":          {traditionalchinese.Big5, "功許育"},
	} {
		t.Run(declared, func(t *testing.T) {
			raw := encoded(t, c.encoding, declared, c.text)
			m := parsed(t, string(raw))
			pid := m.find("PID", 1)
			if got := pid.Field(5).Comp(2).Text(); got != c.text {
				t.Errorf("PID-5.2 is %q, want %q", got, c.text)
			}
			if got := pid.Field(5).Rep(2).Text(); got != c.text {
				t.Errorf("PID-5[2] is %q, want %q", got, c.text)
			}
			if got := pid.Field(6).Text(); got != "end" {
				t.Errorf("PID-6 is %q", got)
			}
			start, end := pid.Field(5).Comp(2).Span()
			if back, err := c.encoding.NewDecoder().Bytes(raw[start:end]); err != nil || string(back) != c.text {
				t.Errorf("at the span of PID-5.2 stands %q", back)
			}
			if !bytes.Equal(m.Rebuild(nil), raw) {
				t.Error("not rebuilt byte for byte")
			}
			if len(m.Warnings()) > 0 {
				t.Errorf("warnings %v", m.Warnings())
			}
			h, err := New(Options{}).Scan(raw, nil)
			if err != nil || h.Key != "patient:1:H7" {
				t.Errorf("key %q, %v", h.Key, err)
			}
		})
	}
}

// TestSwitchedCharacterSets: MSH-18 names several, the first is what bytes mean
// until an escape sequence says otherwise, and again from the next line on.
func TestSwitchedCharacterSets(t *testing.T) {
	for name, c := range map[string]struct{ declared, bytes, want, warnings string }{
		"8859/1 and kanji":                 {"8859/1~ISO IR87", "M\xfcller \x1b$B;3ED\x1b(B \xe4", "Müller 山田 ä", ""},
		"ASCII and kanji":                  {"ASCII~ISO IR87", "A\x1b$B;3ED\x1b(BB", "A山田B", ""},
		"nothing first":                    {"~ISO IR87", "A\x1b$B;3ED\x1b(BB", "A山田B", ""},
		"half-width kana":                  {"ISO IR14~ISO IR87", "\x1b(I1\x1b(B \x1b$B;3\x1b(J", "ｱ 山", ""},
		"more kanji":                       {"ASCII~ISO IR159", "\x1b$(D0!\x1b(B", "丂", ""},
		"Greek behind Latin":               {"8859/1~8859/7", "\xe4\x1b-F\xe1\x1b-A\xe4", "äαä", ""},
		"Cyrillic behind UTF-8":            {"UNICODE UTF-8~8859/5", "ä\x1b-L\xd0", "äа", ""},
		"8859/15":                          {"ASCII~8859/15", "\x1b-b\xa4", "€", ""},
		"Korean":                           {"ASCII~KS X 1001", "\x1b$)C\xb1\xe8", "김", ""},
		"a character that is cut":          {"ASCII~ISO IR87", "\x1b$B;", "\uFFFD", "charset-wrong"},
		"bytes of no set":                  {"ASCII~ISO IR87", "\xe4", "ä", "charset-wrong"},
		"an escape sequence that is none":  {"ASCII~ISO IR87", "A\x1b%GB", "A\x1b%GB", ""},
		"Korean that is cut":               {"ASCII~KS X 1001", "\x1b$)C\xb1", "\uFFFD", "charset-wrong"},
		"Chinese that is cut":              {"ASCII~8859/1", "\x1b$)A\xc0", "\uFFFD", "charset-wrong"},
		"kanji cut by a high byte":         {"8859/1~ISO IR87", "\x1b$B;\xe4\x1b(B", "\uFFFDä", "charset-wrong"},
		"kana above ASCII":                 {"ISO IR13~ISO IR87", "\xb1 \x1b$B;3\x1b(B", "ｱ 山", ""},
		"Greek without a sequence":         {"ASCII~8859/7", "\xe1", "α", ""},
		"Korean without a sequence":        {"ASCII~KS X 1001", "\xb1\xe8", "김", ""},
		"UTF-8 behind ASCII":               {"ASCII~UNICODE UTF-8", "ä山", "ä山", ""},
		"UTF-8 with a replacement":         {"UNICODE UTF-8~8859/5", "ä\uFFFD", "ä\uFFFD", ""},
		"GB 18030 with a replacement":      {"GB 18030-2000", "\x84\x31\xa4\x37", "\uFFFD", ""},
		"8859/16":                          {"ASCII~8859/16", "\x1b-f\xaa", "Ș", ""},
		"JIS X 0202":                       {"JIS X 0202", "\x1b$B;3ED\x1b(B", "山田", ""},
		"one without escapes beside ASCII": {"ASCII~GB 18030-2000", "\x8f\x88", "張", ""},
	} {
		t.Run(name, func(t *testing.T) {
			raw := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5||||||" + c.declared + "\rPID|1||7||X^" + c.bytes + "\rNTE|1||\x1b(B;3ED|end\r"
			m := parsed(t, raw)
			if got := m.find("PID", 1).Field(5).Comp(2).Text(); got != c.want {
				t.Errorf("PID-5.2 is %q, want %q", got, c.want)
			}
			if got := m.find("NTE", 1).Field(4).Text(); got != "end" {
				t.Errorf("NTE-4 is %q: the switch outlives its line", got)
			}
			if got := warned(m); got != c.warnings {
				t.Errorf("warnings %q, want %q", got, c.warnings)
			}
			if string(m.Rebuild(nil)) != raw {
				t.Error("not rebuilt byte for byte")
			}
		})
	}
}

// TestTextIsWrittenBack encodes what was read, in each set, and reads it again.
func TestTextIsWrittenBack(t *testing.T) {
	for _, c := range []struct{ declared, text, lacks string }{
		{"", "Ann", ""},
		{"UNICODE UTF-8", "Žofia 山", ""},
		{"8859/1", "Müller", "山"},
		{"8859/2", "Łukasz", "Ω"},
		{"8859/5", "Анна", "ü"},
		{"ASCII", "Ann", "ü"},
		{"GB 18030-2000", "誠恷㐀亅ü", ""},
		{"BIG-5", "功許育", "김"},
		{"KS X 1001", "김철수", "ü"},
		{"Shift_JIS", "ソ表能", "ü"},
		{"JIS X 0202", "山田A太郎ｱ丂", "김"},
		{"ISO IR87", "山田A太郎", "ｱ"},
		{"ISO-2022-JP", "山田A太郎", "丂"},
		{"ISO IR14", "A", "山"},
		{"ISO IR13~ISO IR87~ISO IR159", "山田A太郎ｱ丂", "김"},
		{"8859/1~8859/7", "äαäα", "山"},
		{"8859/1~8859/7~ISO IR87", "äαä山ä", "김"},
		{"ASCII~KS X 1001", "A김A", "ü"},
		{"ASCII~8859/7~8859/5", "αДαA", "ü"},
		{"8859/1~KS X 1001", "ä김ä", "갂"}, // only in the extended set
		{"UNICODE UTF-8~8859/5", "ä山а", ""},
		{"UNICODE UTF-8~ISO IR87", "ä山а", ""},
		{"8859/1~ISO IR87", "Müller 山田 ä", "김"},
	} {
		m := parsed(t, "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5||||||"+c.declared+"\r")
		out, err := m.charset.encode(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.declared, err)
			continue
		}
		again := parsed(t, "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5||||||"+c.declared+"\rPID|1||||"+string(out)+"|end|"+string(out)+"\r")
		if pid := again.find("PID", 1); pid.Field(5).Text() != c.text || pid.Field(6).Text() != "end" || pid.Field(7).Text() != c.text || warned(again) != "" {
			t.Errorf("%s: %q was read again as %q", c.declared, c.text, pid.Field(5).Text())
		}
		if c.lacks != "" {
			if _, err := m.charset.encode(c.lacks); err == nil || strings.Contains(err.Error(), c.lacks) {
				t.Errorf("%s: a character that it lacks: %v", c.declared, err)
			}
		}
	}
}

// TestOnlyDeclaredSetsAreWritten: escape sequences of sets that MSH-18 does not
// name are not written, and those of sets that it names are.
func TestOnlyDeclaredSetsAreWritten(t *testing.T) {
	for declared, c := range map[string]struct{ text, want string }{
		"8859/1~8859/7":         {"äα", "ä>-Fá>-A"},
		"ASCII~8859/7":          {"α", ">-Fá"},
		"ASCII~8859/7~8859/5":   {"Д", ">-L´>-F"},
		"8859/1~ISO IR87":       {"ä山A", "ä>$B;3>(BA"},
		"ISO IR13~ISO IR87":     {"ｱ山", ">(I1>$B;3>(B"},
		"UNICODE UTF-8~ISO IR1": {"ä", "ä"},
		"8859/1~8859/2":         {"山", ""},
		"ISO IR87":              {"ｱ", ""},
		"ISO IR159":             {"山", ""},
		"ISO IR14":              {"山", ""},
	} {
		m := parsed(t, "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5||||||"+declared+"\r")
		out, err := m.charset.encode(c.text)
		got := strings.ReplaceAll(string(out), "\x1b", ">")
		if !m.charset.utf8 {
			got, _ = charmap.ISO8859_1.NewDecoder().String(got) // it has all bytes
		}
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: wrote %q, %v, want %q", declared, got, err, c.want)
		}
	}
}

// TestNamesOfSegmentsAreRebuilt: also such as are no names, or have a switch of the
// character set within.
func TestNamesOfSegmentsAreRebuilt(t *testing.T) {
	for _, c := range [][2]string{{"GB 18030-2000", "\xff\r"}, {"GB 18030-2000", "\x8f\x88|x\r"}, {"ASCII~ISO IR87", "P\x1b(BID|1\r"}, {"ASCII~ISO IR87", "\x1b(BPID\x1b(B|\x1b(B1\x1b(B\r"}, {"BIG-5", "ZZZ|\n\n\xff"}} {
		raw := "MSH|^~\\&|A||||||ADT^A01|1|P|2.7||||||" + c[0] + "\r" + c[1]
		if got := string(parsed(t, raw).Rebuild(nil)); got != raw {
			t.Errorf("rebuilt %q, want %q", got, raw)
		}
	}
}

// TestNamesOfCharacterSets: a set is known however a sender spells it, and what
// names none, or one of several, is none.
func TestNamesOfCharacterSets(t *testing.T) {
	for want, names := range map[string]string{
		"Ä":   "8859/1, 8859-1, ISO 8859/1, ISO8859-1, ISO-8859-1, iso_8859-1, ISO/IEC 8859-1, ISO_IR 100, ISO IR 100, ISO IR100, windows-1252, WINDOWS1252, CP1252, CP-1252, Win 1252, latin1",
		"Ф":   "8859/5, ISO 8859-5, ISO_IR 144",
		"Δ":   "8859/7, ISO_IR 126",
		"ฤ":   "8859/11, ISO 8859-11, ISO_IR 166, windows-874",
		"Д":   "windows-1251, CP1251, WINDOWS 1251",
		"─":   "cp437, CP 437, CP850, IBM850, IBM 852",
		"Ä/8": "UNICODE UTF-8, UTF-8, utf8, UTF 8, UNICODE UTF8, UNICODE_UTF-8, ISO_IR 192",
		"Ä/0": "ASCII, US-ASCII, US ASCII, ISO IR6, ISO_IR 6, ISO IR 6",
		"Ä/3": "GB 18030-2000, GB18030, GB 18030, BIG-5, big5, Shift_JIS, KS X 1001, KSX1001, ISO IR87, ISO IR 87, ISO 2022 IR 87",
		"":    "8859, 8859/12, 8859/99, ISO, ISO IR, ISO IR 999, IR100, CP, CP9999, windows, x, UTF-16, UNICODE UTF-16, EBCDIC, /, -",
	} {
		for name := range strings.SplitSeq(names, ", ") {
			c := charsetByName(name)
			if c == nil || want == "" {
				if c != nil || want != "" {
					t.Errorf("%s: known %v, want %q", name, c != nil, want)
				}
				continue
			}
			_, kind, several := strings.Cut(want, "/")
			if several {
				if (kind == "8") != c.utf8 || (kind == "0") != (c == asciiSet) {
					t.Errorf("%s is another set", name)
				}
				continue
			}
			if got, err := c.encoding.NewDecoder().String("\xc4"); err != nil || got != want {
				t.Errorf("%s: C4 is %q, want %q", name, got, want)
			}
		}
	}
}

func TestWrongCharacterSets(t *testing.T) {
	for name, c := range map[string]struct{ declared, bytes, want, warnings string }{
		"Windows-1252 undeclared":      {"", "M\xfcller", "Müller", "charset-undeclared"},
		"UTF-8 undeclared":             {"", "Müller", "Müller", "charset-undeclared"},
		"Latin-1 declared as ASCII":    {"ASCII", "M\xfcller", "Müller", "charset-wrong"},
		"UTF-8 declared as ASCII":      {"US-ASCII", "Müller", "Müller", "charset-wrong"},
		"null declared":                {`""`, "Müller", "Müller", "charset-undeclared"},
		"nothing first, no sequence":   {"~ISO IR87", "M\xfcller", "Müller", "charset-wrong"},
		"a byte that Arabic has not":   {"8859/6", "A\xc0", "A\uFFFD", "charset-wrong"},
		"half a character of Korean":   {"KS X 1001", "\xb1\xe8\xb1", "김\uFFFD", "charset-wrong"},
		"Korean":                       {"KS X 1001", "\xb1\xe8", "김", ""},
		"UTF-8 declared as Latin-1":    {"8859/1", "Müller", "MÃ¼ller", "charset-doubtful"},
		"UTF-8 that is cut in Latin-1": {"8859/1", "Müller \xc3", "MÃ¼ller Ã", ""},
		"Latin-1 declared as UTF-8":    {"UNICODE UTF-8", "M\xfcller", "Müller", "charset-wrong"},
		"a set nobody knows":           {"ISO IR 999", "Muller", "Muller", "charset-unknown"},
		"quotes of Windows in 8859/1":  {"8859/1", "\x93x\x94", "“x”", ""},
		"half a character of GB 18030": {"GB 18030-2000", "A\xff", "A\uFFFD", "charset-wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5||||||" + c.declared + "\rPID|1||7||" + c.bytes + "\r"
			m := parsed(t, raw)
			if got := m.find("PID", 1).Field(5).Text(); got != c.want || !utf8.ValidString(got) {
				t.Errorf("PID-5 is %q, want %q", got, c.want)
			}
			if got := warned(m); got != c.warnings {
				t.Errorf("warnings %q, want %q", got, c.warnings)
			}
			if string(m.Rebuild(nil)) != raw {
				t.Error("not rebuilt byte for byte")
			}
		})
	}
}

func TestTheChannelsWordOverridesMSH18(t *testing.T) {
	raw := []byte("MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5||||||UNICODE UTF-8\rPID|1||7||\xcf\xe8\xf2\r")
	doc, err := New(Options{Charset: "windows-1251"}).Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := compile(t, "PID-5")[0].Text(doc.Root()); got != "Пит" {
		t.Errorf("%q", got)
	}
	// What the channel says may be wrong, too: the place is not that of MSH-18.
	for set, want := range map[string]string{"windows-1251": "", "us-ascii": "PID-5 charset-wrong", "utf-8": "PID-5 charset-wrong", "shift_jis": "NTE-3 charset-wrong"} {
		m, err := parse(append(raw, "NTE|1||\xff\r"...), Options{Charset: set})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, w := range m.Warnings() {
			got += w.Where + " " + w.Code
		}
		if got != want {
			t.Errorf("%s: %q, want %q", set, got, want)
		}
	}
}

func TestCorpusOfCharacterSets(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t, "hl7v2", "charset"), "*.hl7"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := parsed(t, string(raw))
		for i := range m.Len() {
			for _, f := range m.Segment(i).AppendFields(nil) {
				if text := f.Text(); !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
					t.Errorf("%s: %s holds what is no text", filepath.Base(file), m.Segment(i).Name())
				}
			}
		}
		if !bytes.Equal(m.Rebuild(nil), raw) {
			t.Errorf("%s: not rebuilt byte for byte", filepath.Base(file))
		}
	}
}
