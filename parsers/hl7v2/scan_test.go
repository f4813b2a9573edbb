package hl7v2

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/plexus-health/plexus/message"
)

const scanHeader = "MSH|^~\\&|LAB|NORTH|EHR|CLINIC|20260105120000||ORU^R01^ORU_R01|007 |P|2.5.1\r"

func TestScanFindsTheHeader(t *testing.T) {
	h, err := New(Options{}).Scan([]byte(scanHeader+"PID|1||7^^^H\r"), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Hash = [32]byte{}
	want := message.Header{
		Type: "ORU^R01", Structure: "ORU_R01", Sender: "LAB|NORTH", Receiver: "EHR|CLINIC", Control: "007 ", Key: "patient:1:H7",
	}
	if h != want {
		t.Errorf("got %+v, want %+v", h, want)
	}
}

// TestEmptySubcomponentsOfTheTypeAreLeftOut: they say nothing, so that the type
// is the one that conditions and maps name.
func TestEmptySubcomponentsOfTheTypeAreLeftOut(t *testing.T) {
	for nine, want := range map[string][2]string{
		"ADT^A01&^ADT_A01":    {"ADT^A01", "ADT_A01"},
		"ADT&^A04&&^ADT_A01&": {"ADT^A04", "ADT_A01"},
		"ADT^&":               {"ADT", "ADT"},
		"ADT^A01&B":           {"ADT^A01&B", "ADT_A01&B"},
		`ADT^A01\T\`:          {"ADT^A01&", "ADT_A01&"},
	} {
		raw := []byte("MSH|^~\\&|A|B|C|D|1||" + nine + "|1|P|2.5\rPID|1\r")
		scanned, err := New(Options{}).Scan(raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []message.Header{scanned, m.Header()} {
			if got := [2]string{h.Type, h.Structure}; got != want {
				t.Errorf("%s is %q, want %q", nine, got, want)
			}
		}
	}
}

func TestReceiveKeys(t *testing.T) {
	for name, c := range map[string]struct{ segments, key, key2 string }{
		"of type MR":                        {"PID|1||1^^^A^PI~2^^^B&1.2&ISO^MR", "patient:1:B2", ""},
		"else the first":                    {"PID|1||1^^^A^PI~2^^^B^SS", "patient:1:A1", ""},
		"the first that has a number":       {"PID|1||^^^A^MR~2^^^B^SS", "patient:1:B2", ""},
		"without an authority":              {"PID|1||55", "patient:0:55", ""},
		"PID-2 where PID-3 is empty":        {"PID|1|77", "patient:0:77", ""},
		"an escaped number":                 {`PID|1||a\T\b^^^H`, "patient:1:Ha&b", ""},
		"no number":                         {"PID|1||\"\"", "sender:LAB|NORTH", ""},
		"no patient":                        {"OBR|1", "sender:LAB|NORTH", ""},
		"a merge":                           {"EVN|A40\rPID|1||new^^^H\rMRG|old^^^H", "patient:1:Hnew", "patient:1:Hold"},
		"a merge of one with itself":        {"EVN|A40\rPID|1||new^^^H\rMRG|new^^^H", "patient:1:Hnew", ""},
		"a link":                            {"EVN|A24\rPID|1||a^^^H\rPV1|1\rPID|2||b^^^H", "patient:1:Ha", "patient:1:Hb"},
		"two merges: the first pair":        {"PID|1||a^^^H\rMRG|b^^^H\rPID|1||c^^^H\rMRG|d^^^H", "patient:1:Ha", "patient:1:Hb"},
		"one patient twice":                 {"PID|1||a^^^H\rOBX|1\rPID|1||a^^^H", "patient:1:Ha", ""},
		"PID after many segments":           {strings.Repeat("NTE|1\r", 500) + "PID|1||7^^^H", "patient:1:H7", ""},
		"a line of text that begins so":     {"OBX|1|TX|||PID|1||x\rPID|1||7^^^H", "patient:1:H7", ""},
		"authority and number do not merge": {"PID|1||bc^^^a", "patient:1:abc", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range []string{"\r", "\n", "\r\n"} {
				raw := strings.ReplaceAll(scanHeader+c.segments+"\r", "\r", end)
				h, err := New(Options{}).Scan([]byte(raw), nil)
				if err != nil || h.Key != c.key || h.Key2 != c.key2 {
					t.Errorf("ends %q: %q and %q, %v, want %q and %q", end, h.Key, h.Key2, err, c.key, c.key2)
				}
			}
		})
	}
}

func TestScanRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		raw, rest string
		where     string
		offset    int // from 0
		code      int
	}{
		"nothing":                     {"", "", "", 0, 100},
		"no MSH":                      {"PID|1\r", "", "MSH", 0, 100},
		"an envelope without message": {"FHS|^~\\&|A\rFTS|0\r", "", "MSH", 0, 100},
		"a cut header":                {"MSH|", "", "MSH-2", 4, 102},
		"a delimiter twice":           {"MSH|^^\\&|A", "", "MSH-2", 5, 102},
		"no MSH-9":                    {"MSH|^~\\&|A|B|C|D|1|||1|P|2.5\r", "", "MSH-9", 0, 200},
		"no MSH-9.1":                  {"MSH|^~\\&|A|B|C|D|1||^R01|1|P|2.5\r", "", "MSH-9", 0, 200},
		"no MSH-10":                   {"\nMSH|^~\\&|A|B|C|D|1||ORU^R01||P|2.5\r", "", "MSH-10", 1, 101},
		"two quotes in MSH-10":        {"MSH|^~\\&|A|B|C|D|1||ORU^R01|\"\"|P|2.5\r", "", "MSH-10", 0, 101},
		"NUL":                         {scanHeader + "OBX|1\rOBX|2\x00\r", "", "OBX[2]-1", len(scanHeader) + 11, 102},
		"NUL far behind":              {scanHeader, "OBX|1\rOBX|\x00", "", len(scanHeader) + 10, 102},
		"two messages":                {scanHeader + scanHeader, "", "MSH[2]", len(scanHeader), 100},
		"the second far behind":       {scanHeader, "OBX|1\r" + scanHeader, "MSH[2]", len(scanHeader) + 6, 100},
		"the second on the edge":      {scanHeader + "MS", "H|^~\\&|", "MSH[2]", len(scanHeader), 100},
	} {
		t.Run(name, func(t *testing.T) {
			var rest io.Reader
			if c.rest != "" {
				rest = iotest.OneByteReader(strings.NewReader(c.rest))
			}
			_, err := New(Options{}).Scan([]byte(c.raw), rest)
			f, ok := errors.AsType[*message.Failure](err)
			if !ok {
				t.Fatalf("not refused: %v", err)
			}
			if f.Kind != message.Malformed || f.Where != c.where || f.Offset != c.offset+1 || f.Code != c.code {
				t.Errorf("%s at %q, byte %d, code %d, want %q, %d, %d: %v", f.Kind, f.Where, f.Offset-1, f.Code, c.where, c.offset, c.code, err)
			}
		})
	}
}

func TestScanReturnsTheErrorOfReading(t *testing.T) {
	broken := errors.New("connection lost")
	if _, err := New(Options{}).Scan([]byte(scanHeader), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestHashLeavesOutMSH7Alone(t *testing.T) {
	p := New(Options{})
	hash := func(raw string) [32]byte {
		h, err := p.Scan([]byte(raw), nil)
		if err != nil {
			t.Fatal(err)
		}
		return h.Hash
	}
	base := hash(scanHeader + "PID|1\r")
	for name, c := range map[string]struct {
		raw  string
		same bool
	}{
		"another time":                {strings.Replace(scanHeader, "20260105120000", "20260105120001", 1) + "PID|1\r", true},
		"no time":                     {strings.Replace(scanHeader, "20260105120000", "", 1) + "PID|1\r", true},
		"another control id":          {strings.Replace(scanHeader, "007", "008", 1) + "PID|1\r", false},
		"another patient":             {scanHeader + "PID|2\r", false},
		"another line end":            {scanHeader + "PID|1\n", false},
		"the time in another segment": {strings.Replace(scanHeader, "20260105120000", "", 1) + "PID|20260105120000\r", false},
		"bytes before the header":     {"\n" + scanHeader + "PID|1\r", false},
	} {
		if same := hash(c.raw) == base; same != c.same {
			t.Errorf("%s: the same hash: %v", name, same)
		}
	}
}

func TestTheHashOfAStreamIsThatOfTheWhole(t *testing.T) {
	raw := scanHeader + "PID|1||7^^^H\r" + strings.Repeat("OBX|1|TX|||some text\r", 20000)
	p := New(Options{})
	whole, err := p.Scan([]byte(raw), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{len(scanHeader) + 13, 1000, 1 << 17, len(raw) - 1, len(raw)} {
		h, err := p.Scan([]byte(raw[:cut]), iotest.HalfReader(strings.NewReader(raw[cut:])))
		if err != nil || h != whole {
			t.Errorf("cut at %d: %v, the same: %v", cut, err, h == whole)
		}
	}
}

func TestSplit(t *testing.T) {
	one, two := scanHeader+"PID|1\r", strings.Replace(scanHeader, "007", "008", 1)+"PID|2\r"
	for name, c := range map[string]struct {
		raw  string
		want []string
	}{
		"nothing":                          {"", nil},
		"white space":                      {"\r\n \r\n", nil},
		"one message":                      {one, []string{one}},
		"two without an envelope":          {one + two, []string{one, two}},
		"a batch":                          {"FHS|^~\\&|A\rBHS|^~\\&|A\r" + one + two + "BTS|2\rFTS|1\r", []string{one, two}},
		"two batches":                      {"FHS|^~\\&\rBHS|^~\\&\r" + one + "BTS|1\rBHS|^~\\&\r" + two + "BTS|1\rFTS|2", []string{one, two}},
		"an empty batch":                   {"FHS|^~\\&\rBHS|^~\\&\rBTS|0\rFTS|1\r", nil},
		"a byte order mark":                {"\xef\xbb\xbf" + one, []string{"\xef\xbb\xbf" + one}},
		"LF":                               {strings.ReplaceAll(one+two, "\r", "\n"), []string{strings.ReplaceAll(one, "\r", "\n"), strings.ReplaceAll(two, "\r", "\n")}},
		"no last line end":                 {one + "PID|1", []string{one + "PID|1"}},
		"a last segment of three letters":  {one + "BTS", []string{one}},
		"text that begins as a segment":    {one + "NTE|1||x\rMSH results\r", []string{one + "NTE|1||x\rMSH results\r"}},
		"what is no message is not lost":   {"HELLO\r" + one, []string{"HELLO\r", one}},
		"messages with their own brackets": {one + strings.NewReplacer("|", ":", "^~\\&", "-+?*").Replace(two), []string{one, strings.NewReplacer("|", ":", "^~\\&", "-+?*").Replace(two)}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.raw), iotest.OneByteReader(strings.NewReader(c.raw)), iotest.DataErrReader(strings.NewReader(c.raw))} {
				var got []string
				err := New(Options{}).Split(r, 1<<20, func(raw []byte) error {
					got = append(got, string(raw))
					return nil
				})
				if err != nil || !slices.Equal(got, c.want) {
					t.Errorf("got %q, %v, want %q", got, err, c.want)
				}
			}
		})
	}
}

func TestSplitOfAMessageAboveTheLimit(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(scanHeader), iotest.OneByteReader(strings.NewReader(strings.Repeat("OBX|1\r", 100))))
	taken := 0
	err := New(Options{}).Split(endless, 200, func([]byte) error { taken++; return nil })
	if f, ok := errors.AsType[*message.Failure](err); !ok || f.Kind != message.Malformed || taken != 0 {
		t.Errorf("%v, %d taken", err, taken)
	}
	broken := errors.New("disk")
	if err := New(Options{}).Split(iotest.ErrReader(broken), 200, nil); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// TestWhatAChannelDoesNotTake: a processing id or version that is not listed is
// rejected with its code, in both modes; without lists all are taken.
func TestWhatAChannelDoesNotTake(t *testing.T) {
	production := Options{Processing: []string{"P"}, Versions: []string{"2.3", "2.5.1"}}
	for _, c := range []struct {
		o                      Options
		eleven, twelve, fields string
		where                  string
		code                   int
		answer                 string
	}{
		{Options{}, "T", "9.9", "", "", 0, ""},
		{Options{}, "", "", "", "", 0, ""},
		{production, "P", "2.5.1", "", "", 0, ""},
		{production, "P^A", "2.5.1^USA", "", "", 0, ""},
		{production, "T", "2.5.1", "", "MSH-11", 202, "AR"},
		{production, "D", "2.5.1", "|||AL|AL", "MSH-11", 202, "CR"},
		{production, "D", "2.5.1", "|||NE|AL", "MSH-11", 202, "AR"},
		{production, "", "2.5.1", "", "MSH-11", 202, "AR"},
		{production, "P", "2.4", "", "MSH-12", 203, "AR"},
		{production, "P", "", "|||AL|NE", "MSH-12", 203, "CR"},
		{Options{Versions: []string{"known"}}, "T", "2.8.2", "", "", 0, ""},
		{Options{Versions: []string{"known"}}, "T", "2.10", "", "MSH-12", 203, "AR"},
		{Options{Versions: []string{"known"}}, "T", "3.0", "|||AL|AL", "MSH-12", 203, "CR"},
	} {
		if problems := c.o.Validate(); len(problems) > 0 {
			t.Fatal(problems)
		}
		raw := []byte("MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|" + c.eleven + "|" + c.twelve + c.fields + "\rPID|1||7\r")
		p := New(c.o)
		_, err := p.Scan(raw, nil)
		if c.code == 0 {
			if err != nil {
				t.Errorf("%s: %v", raw, err)
			}
			continue
		}
		f, ok := errors.AsType[*message.Failure](err)
		if !ok || f.Kind != message.Malformed || f.Where != c.where || f.Code != c.code {
			t.Errorf("%s: %+v, want %s with %d", raw, err, c.where, c.code)
			continue
		}
		m := parsed(t, string(p.Reply(raw, message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: f.Where, Code: f.Code}}}, made)))
		if got := m.find("MSA", 1).Field(1).Text(); got != c.answer {
			t.Errorf("%s: answered %s, want %s", raw, got, c.answer)
		}
	}
	wrong := Options{Processing: []string{"PROD"}, Versions: []string{"3.0"}}
	if problems := wrong.Validate(); len(problems) != 2 || problems[0].Field != "processing" || problems[1].Field != "versions" {
		t.Errorf("%+v", problems)
	}
}
