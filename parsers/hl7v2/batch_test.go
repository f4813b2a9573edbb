package hl7v2

import (
	"errors"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// answeredBatch answers a batch of which the messages named bad are refused.
func answeredBatch(t *testing.T, p *Parser, raw, bad string) string {
	t.Helper()
	out, err := p.AnswerBatch(strings.NewReader(raw), 1<<20, func() parsers.Stamp { return made }, func(one []byte) ([]byte, bool, error) {
		answer := accepted
		if m, err := Parse(one); err != nil || strings.Contains(bad, string(m.find("MSH", 1).Field(10).Raw())) {
			answer = version
		}
		return p.Reply(one, answer, made), answer.Code == message.Accepted, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\r"), "\r") {
		fields := strings.Split(line, "|")
		switch fields[0] {
		case "MSA":
			names = append(names, strings.Join(fields[:3], "|"))
		case "MSH", "ERR":
		default:
			names = append(names, line)
		}
	}
	return strings.Join(names, " ")
}

func TestAnswersToBatches(t *testing.T) {
	one := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.3\rPID|1\r"
	two := strings.Replace(one, "|1|P", "|2|P", 1)
	silent := strings.Replace(one, "2.3\r", "2.5|||NE|NE\r", 1)
	fhs := "FHS|^~\\&|A|B|C|D|20260105||f|x|F7\r"
	bhs := "BHS|^~\\&|A|B|C|D|20260105||b|x|B8\r"
	outFile := "FHS|^~\\&|C|D|A|B|20260105133700.123+0000||||P1|F7"
	outBatch := "BHS|^~\\&|C|D|A|B|20260105133700.123+0000||||P1|B8"
	bare := "BHS|^~\\&|||||20260105133700.123+0000||||P1|"
	for name, c := range map[string]struct{ raw, bad, batch, want string }{
		"a file":                       {fhs + bhs + one + two + "BTS|2\rFTS|1\r", "", "", outFile + " " + outBatch + " MSA|AA|1 MSA|AA|2 BTS|2 FTS|1"},
		"a batch":                      {bhs + one + two + "BTS|2\r", "", "each", outBatch + " MSA|AA|1 MSA|AA|2 BTS|2"},
		"one is refused":               {bhs + one + two + "BTS|2\r", "2", "", outBatch + " MSA|AA|1 MSA|AR|2 BTS|2"},
		"only what was refused":        {bhs + one + two + "BTS|2\r", "2", batchErrors, outBatch + " MSA|AR|2 BTS|1"},
		"nothing was refused":          {fhs + bhs + one + two + "BTS|2\rFTS|1\r", "", batchErrors, outFile + " " + outBatch + " BTS|0 FTS|1"},
		"nothing in it":                {fhs + bhs + "BTS|0\rFTS|1\r", "", "", outFile + " " + outBatch + " BTS|0 FTS|1"},
		"two batches":                  {fhs + bhs + one + "BTS|1\r" + bhs + two + "BTS|1\rFTS|2\r", "", "", outFile + " " + outBatch + " MSA|AA|1 BTS|1 " + outBatch + " MSA|AA|2 BTS|1 FTS|2"},
		"a file without batches":       {fhs + one + two + "FTS|2\r", "", "", outFile + " " + bare + " MSA|AA|1 MSA|AA|2 BTS|2 FTS|1"},
		"no trailers":                  {bhs + one + two, "", "", outBatch + " MSA|AA|1 MSA|AA|2 BTS|2"},
		"nobody wants to know":         {bhs + silent + "BTS|1\r", "", "", outBatch + " BTS|0"},
		"counts that are wrong":        {bhs + one + "BTS|9\r", "", "", outBatch + " MSA|AA|1 BTS|1"},
		"other delimiters":             {"BHS:-+?*:A:B:C:D:2026::b:x:B9\r" + one, "", "", "BHS:-+?*:C:D:A:B:20260105133700.123+0000::::P1:B9 MSA|AA|1 BTS:1"},
		"delimiters that are none":     {"BHS|^^^^|A\r" + one, "", "", bare + " MSA|AA|1 BTS|1"},
		"a second FHS is no new file":  {fhs + bhs + one + fhs + two, "", "", outFile + " " + outBatch + " MSA|AA|1 MSA|AA|2 BTS|2 FTS|1"},
		"a trailer without its header": {fhs + "BTS|0\rFTS|0\r", "", "", outFile + " FTS|0"},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(Options{Batch: c.batch})
			if !p.Batch([]byte(c.raw)) {
				t.Error("it is no batch")
			}
			if got := answeredBatch(t, p, c.raw, c.bad); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	p := New(Options{})
	for _, raw := range []string{one, "\r\n" + one, "", "hello", one + two} {
		if p.Batch([]byte(raw)) {
			t.Errorf("%q is said to be a batch", raw)
		}
	}
	if !p.Batch([]byte("\xef\xbb\xbf\r\n" + bhs)) {
		t.Error("a batch behind a mark is none")
	}
}

func TestABatchStopsWhereAMessageIsNotTaken(t *testing.T) {
	one := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.3\rPID|1\r"
	away, calls := errors.New("away"), 0
	out, err := New(Options{}).AnswerBatch(strings.NewReader("BHS|^~\\&\r"+one+one+one), 1<<20, func() parsers.Stamp { return made }, func([]byte) ([]byte, bool, error) {
		if calls++; calls == 2 {
			return nil, false, away
		}
		return nil, true, nil
	})
	if !errors.Is(err, away) || calls != 2 || out != nil {
		t.Errorf("%v after %d, %q", err, calls, out)
	}
}

// TestAnswersToBatchesAreBounded: what a sender writes into an envelope is repeated
// as far as it may be what it should be, and envelopes around nothing are answered
// a thousand times.
func TestAnswersToBatchesAreBounded(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	one := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.3\rPID|1\r"
	fields := "|^~\\&|" + long + "|" + long + "|" + long + "|" + long + "|20260105||b|x|" + long + "\r"
	for name, c := range map[string]struct {
		raw, end string
		most     int
	}{
		"long fields": {"FHS" + fields + "BHS" + fields + one, "BTS|1 FTS|1", 1000},
		"many around nothing": {
			"FHS|^~\\&|A\r" + strings.Repeat("BHS|^~\\&|A\rBTS|0\r", 100_000) + "BHS|^~\\&|A\r" + one + "BTS|1\r", "MSA|AA|1 BTS|1 FTS|1001", 100_000,
		},
	} {
		got := answeredBatch(t, New(Options{}), c.raw, "")
		if len(got) > c.most || !strings.HasSuffix(got, c.end) {
			t.Errorf("%s: %d bytes of %d, ending with %q", name, len(got), len(c.raw), got[max(0, len(got)-40):])
		}
	}
}
