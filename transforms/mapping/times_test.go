package mapping

import (
	"testing"
	"time"
)

// The law of TS and DTM: precision is kept, seconds are added to a time, the
// offset is the value's own, else the channel's zone at that date.
func TestTimes(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Skip("this machine has no time zones")
	}
	tests := map[string]struct{ text, date, dateTime, instant string }{
		"a year":                             {"2026", "2026", "2026", ""},
		"a month":                            {"202601", "2026-01", "2026-01", ""},
		"a day":                              {"20260105", "2026-01-05", "2026-01-05", ""},
		"a day with an offset":               {"20260105+0100", "2026-01-05", "2026-01-05", ""},
		"an hour":                            {"2026010513", "2026-01-05", "2026-01-05T13:00:00-05:00", "2026-01-05T13:00:00-05:00"},
		"minutes in winter":                  {"202601051337", "2026-01-05", "2026-01-05T13:37:00-05:00", "2026-01-05T13:37:00-05:00"},
		"minutes in summer":                  {"202607051337", "2026-07-05", "2026-07-05T13:37:00-04:00", "2026-07-05T13:37:00-04:00"},
		"seconds and an offset of its own":   {"20260105133701+0530", "2026-01-05", "2026-01-05T13:37:01+05:30", "2026-01-05T13:37:01+05:30"},
		"fractions stay as written":          {"20260105133701.1200-0800", "2026-01-05", "2026-01-05T13:37:01.1200-08:00", "2026-01-05T13:37:01.1200-08:00"},
		"the leap day":                       {"20240229", "2024-02-29", "2024-02-29", ""},
		"nothing":                            {"", "", "", ""},
		"a leap day that is none":            {"20230229", "!", "!", "!"},
		"a month that is none":               {"20261305", "!", "!", "!"},
		"unknown parts written as zeros":     {"20260100", "!", "!", "!"},
		"an hour that is none":               {"2026010525", "!", "!", "!"},
		"words":                              {"yesterday", "!", "!", "!"},
		"half a month":                       {"20261", "!", "!", "!"},
		"an offset that is none":             {"20260105133701+9900", "!", "!", "!"},
		"a fraction without seconds":         {"202601051337.5", "!", "!", "!"},
		"the form of FHIR is not that of v2": {"2026-01-05", "!", "!", "!"},
	}
	r := &run{zone: zone}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for what, c := range map[string]struct {
				convert func(*run, *val) (string, bool)
				want    string
			}{"date": {dateText, test.date}, "dateTime": {dateTimeText, test.dateTime}, "instant": {instantText, test.instant}} {
				got, ok := c.convert(r, &val{text: test.text})
				if !ok {
					got = "!"
				}
				if got != c.want {
					t.Errorf("%s of %q = %q, want %q", what, test.text, got, c.want)
				}
			}
		})
	}
}

func TestATimeOfDay(t *testing.T) {
	for text, want := range map[string]string{"1337": "13:37:00", "133701": "13:37:01", "133701.5+0100": "13:37:01.5", "2500": "!", "13": "!", "x": "!"} {
		got, ok := clock(text)
		if !ok {
			got = "!"
		}
		if got != want {
			t.Errorf("clock(%q) = %q, want %q", text, got, want)
		}
	}
}

// Each conversion's law.
func TestConversions(t *testing.T) {
	r := &run{prog: &program{systems: testTables(t).Systems()}}
	tests := []struct{ name, in, want string }{
		{"decimal", "7.20", "7.20"},
		{"decimal", "+1", "1"},
		{"decimal", "-0.50", "-0.50"},
		{"decimal", ".5", "0.5"},
		{"decimal", "007", "7"},
		{"decimal", "1.", "1"},
		{"decimal", "1e5", "!"},
		{"decimal", "<5", "!"},
		{"decimal", "1,5", "!"},
		{"decimal", "-", "!"},
		{"decimal", "", ""},
		{"integer", "-12", "-12"},
		{"integer", "2147483648", "!"},
		{"integer", "1.0", "!"},
		{"positiveInt", "0", "!"},
		{"positiveInt", "3", "3"},
		{"unsignedInt", "0", "0"},
		{"unsignedInt", "-1", "!"},
		{"boolean", "Y", "true"},
		{"boolean", "n", "false"},
		{"boolean", "maybe", "!"},
		{"code", " a  b ", "a b"},
		{"string", " a  b ", " a  b "},
		{"upper", "aé", "AÉ"},
		{"lower", "AB", "ab"},
		{"digits", "1-800 X", "1800"},
		{"base64", "QUJD", "QUJD"},
		{"base64", "QU JD", "QUJD"},
		{"base64", "?", "!"},
		{"text-base64", "ABC", "QUJD"},
		{"system-uri", "LN", "http://loinc.org"},
		{"system-uri", "ln", "http://loinc.org"},
		{"system-uri", "2.16.840.1.113883.6.1", "http://loinc.org"},
		{"system-uri", "1.2.3.4", "urn:oid:1.2.3.4"},
		{"system-uri", "L 1", "urn:x-v2:L%201"},
		{"local-uri", " LN 1 ", "urn:x-v2:LN%201"},
		{"system-uri", "http://x.example/y", "http://x.example/y"},
		{"system-uri", "loinc", "http://loinc.org"},
		{"system-uri", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name+" of "+test.in, func(t *testing.T) {
			got, ok := conversions()[test.name].text(r, &val{text: test.in})
			if !ok {
				got = "!"
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAuthorities(t *testing.T) {
	systems := testTables(t).Systems()
	tests := []struct{ space, universal, kind, want string }{
		{"H", "1.2.3.4", "ISO", "urn:oid:1.2.3.4"},
		{"", "2.16.840.1.113883.6.1", "ISO", "http://loinc.org"},
		{"LN", "", "", "http://loinc.org"},
		{"H", "", "", ""},
		{"H", "123E4567-E89B-12D3-A456-426614174000", "GUID", "urn:uuid:123e4567-e89b-12d3-a456-426614174000"},
		{"H", "https://x.example", "URI", "https://x.example"},
		{"H", "h.example.org", "DNS", ""},
		{"1.2.3.4", "", "", "urn:oid:1.2.3.4"},
	}
	for _, test := range tests {
		if got := authorityURI(systems, test.space, test.universal, test.kind); got != test.want {
			t.Errorf("authority %q %q %q = %q, want %q", test.space, test.universal, test.kind, got, test.want)
		}
	}
}

func TestRanges(t *testing.T) {
	tests := map[string][2]string{
		"3.5-5.0": {"3.5", "5.0"}, "3.5 - 5.0": {"3.5", "5.0"}, "-2-3": {"-2", "3"}, "-5--2": {"-5", "-2"}, "<10": {"", "10"}, "<=10": {"", "10"},
		">4": {"4", ""}, ">=4.0": {"4.0", ""}, "negative": {"", ""}, "1:40": {"", ""}, "": {"", ""},
	}
	for text, want := range tests {
		if low, high := bounds(text); low != want[0] || high != want[1] {
			t.Errorf("bounds(%q) = %q, %q, want %q", text, low, high, want)
		}
	}
}

func TestAnAttachmentKeepsItsBytes(t *testing.T) {
	m := good(t, onlyPatient("photo[+]: PID-5 as ED-Attachment"))
	for field, want := range map[string]string{
		"X^AP^PDF^Base64^JVBERg==":    `{"contentType":"application/pdf","data":"JVBERg=="}`,
		"X^TEXT^PLAIN^A^AB":           `{"contentType":"text/plain","data":"QUI="}`,
		"X^IM^JPEG^Hex^4142":          `{"contentType":"image/jpeg","data":"QUI="}`,
		"X^image/png^^Base64^QUI=":    `{"contentType":"image/png","data":"QUI="}`,
		"X^AP^PDF^Base64^not base 64": ``,
	} {
		_, got := made(t, m, msh, "PID|||7||"+field)
		if want != "" {
			want = `,"photo":[` + want + `]`
		}
		if want = `{"resourceType":"Patient"` + want + `}`; got["patient"] != want {
			t.Errorf("got  %s\nwant %s", got["patient"], want)
		}
	}
}

func TestATimeThatIsNoneIsNeitherReadNorAPanic(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"20260101120000+1", "20260101120000-01", "202601011200+010", "20260101120000+", "2026-", "+0100"} {
		s, ok := parseStamp(text)
		if ok {
			t.Errorf("%q was read", text)
		}
		_, _ = s.dateTime(nil), s.time(nil)
	}
}
