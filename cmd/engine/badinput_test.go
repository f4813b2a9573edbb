package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A badCase is content that nobody should send.
type badCase struct {
	raw       string
	processed bool   // sent to the channel that answers what became of it
	reply     string // MSA-1, MSA-2 and of each ERR the place and the code
	journal   string // state and reason of the row that it makes
}

func badInput() map[string]badCase {
	const misfit = "bytes are not of the declared character set;"
	header := func(fields string) string { return "MSH|^~\\&|A|B|C|D|20260105||" + fields + "\rPID|1||M\r" }
	return map[string]badCase{
		"no MSH": {
			raw:   "PID|1||X\r",
			reply: "AE  MSH^1 100", journal: "refused: MSH: the message does not begin with MSH, FHS or BHS",
		},
		"garbage": {
			raw:   "\x01\x02\x03 this is not HL7",
			reply: "AE  MSH^1 100", journal: "refused: MSH: the message does not begin with MSH, FHS or BHS",
		},
		"MSH cut off": {
			raw:   "MSH|^~",
			reply: "AR  MSH^1^9^1 200", journal: "refused: MSH-9: the message type is missing",
		},
		"MSH without MSH-2": {
			raw:   "MSH|",
			reply: "AE  MSH^1^2^1 102", journal: "refused: MSH-2: the message ends inside MSH-2",
		},
		"a delimiter twice": {
			raw:   "MSH|^^\\&|A|B|C|D|20260105||ORU^R01|1|P|2.5.1\r",
			reply: "AE  MSH^1^2^1 102", journal: "refused: MSH-2: character 2 of MSH-2 stands there twice",
		},
		"no MSH-10": {
			raw:   header("ORU^R01||P|2.5.1"),
			reply: "AE  MSH^1^10^1 101", journal: "refused: MSH-10: the control id is missing",
		},
		"no MSH-10, 2.3": {
			raw:   header("ORU^R01||P|2.3"),
			reply: "AE  MSH^1^10^101&Required field missing", journal: "refused: MSH-10: the control id is missing",
		},
		"no MSH-10, enhanced mode": {
			raw:   header("ORU^R01||P|2.5.1|||AL|NE"),
			reply: "CE  MSH^1^10^1 101", journal: "refused: MSH-10: the control id is missing",
		},
		"no MSH-9": {
			raw:   header("|1|P|2.5.1"),
			reply: "AR 1 MSH^1^9^1 200", journal: "refused: MSH-9: the message type is missing",
		},
		"no MSH-9, enhanced mode": {
			raw:   header("|2|P|2.5.1|||AL|NE"),
			reply: "CR 2 MSH^1^9^1 200", journal: "refused: MSH-9: the message type is missing",
		},
		"two messages in a frame": {
			raw:   header("ORU^R01|3|P|2.5.1") + header("ORU^R01|4|P|2.5.1"),
			reply: "AE 3 MSH^2 100", journal: "refused: MSH[2]: several messages stand where one is wanted",
		},
		"NUL bytes": {
			raw:   strings.Replace(oru("B3", "M", "1", 1), "PATIENT", "PAT\x00IENT", 1),
			reply: "AE B3 PID^1^5^1^2 102", journal: "refused: PID-5.2: the message holds NUL bytes, the first at byte 119",
		},
		"NUL bytes, enhanced mode": {
			raw:   header("ORU^R01|5|P|2.5.1|||AL|NE") + "NTE|\x00\r",
			reply: "CE 5 NTE^1^1^1 102", journal: "refused: NTE-1: the message holds NUL bytes, the first at byte 66",
		},
		"UTF-16": {
			raw:   "\xff\xfeM\x00S\x00H\x00|\x00",
			reply: "AE   102", journal: "refused: byte 0: the message is in UTF-16, which segments cannot be found in: UTF-8 is meant",
		},
		"unknown type": {
			raw:   strings.Replace(oru("B1", "M", "1", 1), "ORU^R01^ORU_R01", "ORU^Z77^ORU_Z77", 1),
			reply: "AA B1", journal: "parked: map: MSH-9: no map for structure ORU_Z77 in v2-to-fhir",
		},
		"unknown type, who waits is told": {
			raw: strings.Replace(adt("B5", "M8", 1, "Z99"), "ADT^Z99^ADT_A01", "ADT^Z99^ADT_Z99", 1), processed: true,
			reply: "AE B5  207", journal: "parked: map: MSH-9: no map for structure ADT_Z99 in v2-to-fhir",
		},
		"no patient number parks nothing less than the message": {
			raw:   strings.Replace(oru("B2", "M", "1", 1), "M^^^NORTH CLINIC^MR", "", 1),
			reply: "AA B2", journal: "done: ",
		},
		"bytes of no charset": {
			raw:   strings.Replace(oru("B4", "M", "4", 1), "PATIENT", "PAT\xff\xfeIENT", 1),
			reply: "AA B4", journal: "done: ",
		},
		"bytes of another character set": {
			raw:   header("ORU^R01|B6|P|2.5.1||||||UNICODE UTF-8") + "NTE|1||PAT\xfcIENT\r",
			reply: "AA B6", journal: "parked: validate: MSH-18: " + misfit + " they can be read as Windows-1252, the first at byte 84 in NTE-3",
		},
		"bytes above ASCII, declared as ASCII": {
			raw:   header("ORU^R01|B7|P|2.5.1||||||ASCII") + "NTE|1||PATÜIENT\r",
			reply: "AA B7", journal: "parked: validate: MSH-18: " + misfit + " they can be read as UTF-8, the first at byte 76 in NTE-3",
		},
		"a character set that nobody knows": {
			raw:   header("ORU^R01|B8|P|2.5.1||||||PATIENT-8"),
			reply: "AA B8", journal: "parked: validate: MSH-18: the declared character set is not known",
		},
		"bytes of another character set, who waits is told": {
			raw: header("ADT^A01|B9|P|2.5.1||||||UNICODE UTF-8") + "NTE|1||PAT\xfcIENT\r", processed: true,
			reply: "AE B9 MSH^1^18^1 102", journal: "refused: validate: MSH-18: " + misfit + " they can be read as Windows-1252, the first at byte 84 in NTE-3",
		},
		"a character set that nobody knows, who waits is told": {
			raw: header("ADT^A01|B10|P|2.3||||||PATIENT-8"), processed: true,
			reply: "AE B10 MSH^1^18^103&Table value not found", journal: "refused: validate: MSH-18: the declared character set is not known",
		},
	}
}

// verdictOf is what a reply says: MSA-1 and MSA-2, and of each ERR the place
// and the code of table 0357.
func verdictOf(reply string) string {
	var out []string
	for line := range strings.SplitSeq(strings.Trim(reply, "\x0b\x1c\r"), "\r") {
		fields := append(strings.Split(line, "|"), "", "", "", "")
		switch {
		case fields[0] == "MSA":
			out = append(out, fields[1], fields[2])
		case fields[0] == "ERR" && fields[1] != "": // up to 2.4
			out = append(out, fields[1])
		case fields[0] == "ERR":
			code, _, _ := strings.Cut(fields[3], "^")
			out = append(out, fields[2]+" "+code)
		}
	}
	return strings.Join(out, " ")
}

// TestBadInput sends what nobody should and looks at the answer, the journal
// and the connections of others.
func TestBadInput(t *testing.T) {
	s := newSite(t, "")
	l := s.mustReady()
	defer l.stop()
	neighbour, err := dial(s.results)
	if err != nil {
		t.Fatal(err)
	}
	defer neighbour.close()
	good := 0
	for name, c := range badInput() {
		t.Run(name, func(t *testing.T) {
			before := len(s.rows(""))
			p, err := dial(s.results)
			if c.processed {
				p, err = dial(s.admit)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			if got := verdictOf(p.raw(t, "\x0b"+c.raw+"\x1c\r")); got != c.reply {
				t.Errorf("answered %q, want %q", got, c.reply)
			}
			rows := s.settled()
			if len(rows) != before+1 {
				t.Fatalf("the journal grew by %d, want 1", len(rows)-before)
			}
			if got := rows[0].State + ": " + rows[0].Reason; got != c.journal {
				t.Errorf("the journal says %q, want %q", got, c.journal)
			}
			if !c.processed {
				if code, err := p.exchange(oru(fmt.Sprintf("G%d", good), "G", "9", 1)); err != nil || code != "AA" {
					t.Errorf("the connection does not go on: %s %v", code, err)
				}
			}
			if code, err := neighbour.exchange(oru(fmt.Sprintf("N%d", good), "N", "9", 1)); err != nil || code != "AA" {
				t.Errorf("another connection suffers: %s %v", code, err)
			}
			good++
		})
	}
	t.Run("half a frame is never answered positively", func(t *testing.T) {
		p, err := dial(s.results)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.conn.Write([]byte("\x0b" + oru("HALF", "M", "1", 1)[:100])); err != nil {
			t.Fatal(err)
		}
		p.close()
		if code := s.send(s.results, oru("AFTER", "M", "1", 1)); code != "AA" {
			t.Errorf("answered %s, want AA", code)
		}
		eventually(t, "half a frame is in the journal", func() bool { return len(s.rows("control=HALF")) > 0 })
		if r := s.one("HALF"); r.State != "refused" || r.Reason != "byte 100: the connection ended inside the message" {
			t.Errorf("got %+v, want refused for its missing end", r)
		}
	})
	t.Run("what is no frame is journaled", func(t *testing.T) {
		p, err := dial(s.results)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		const stray = "PID|1||NOFRAME^^^NORTH CLINIC^MR\r"
		if _, err := p.conn.Write([]byte(stray)); err != nil {
			t.Fatal(err)
		}
		if code, err := p.exchange(oru("BEHIND", "M", "1", 1)); err != nil || code != "AA" {
			t.Errorf("the connection does not go on: %s %v", code, err)
		}
		var found []row
		eventually(t, "the bytes are in the journal", func() bool {
			found = slices.DeleteFunc(s.rows("state=refused"), func(r row) bool { return r.Reason != "byte 0: bytes outside of frames" })
			return len(found) > 0
		})
		if _, body := s.get("/api/messages/"+found[0].ID+"/raw", nil); len(found) != 1 || string(body) != stray {
			t.Errorf("%d rows, the first with %q, want one with what was sent", len(found), body)
		}
	})
	t.Run("a large message is taken in chunks", func(t *testing.T) {
		raw := oru("LARGE", "ML", "77", 1) + "OBX|2|ED|PDF^Report^L||^application^pdf^Base64^" + strings.Repeat("QUJD", 1<<20) + "||||||F\r"
		if code := s.send(s.results, raw); code != "AA" {
			t.Fatalf("answered %s, want AA", code)
		}
		s.settled()
		if r := s.one("LARGE"); r.State != "done" {
			t.Fatalf("got %+v, want done", r)
		}
		if _, body := s.get("/api/messages/"+s.one("LARGE").ID+"/raw", nil); string(body) != raw {
			t.Errorf("%d bytes came back, want the %d sent", len(body), len(raw))
		}
	})
	t.Run("100 MB are refused and the connection goes on", func(t *testing.T) {
		p, err := dial(s.results)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		raw := oru("HUGE", "M", "1", 1) + "OBX|2|TX|X||" + strings.Repeat("x", 100<<20) + "\r"
		if got := verdictOf(p.raw(t, "\x0b"+raw+"\x1c\r")); got != "AE HUGE  102" {
			t.Errorf("answered %q, want AE and 102", got)
		}
		if r := s.one("HUGE"); r.State != "refused" || r.Reason != "byte 8388608: the message is larger than this channel takes" {
			t.Errorf("got %+v, want refused for its size", r)
		}
		if code, err := p.exchange(oru("AFTERHUGE", "M", "1", 1)); err != nil || code != "AA" {
			t.Errorf("the connection does not go on: %s %v", code, err)
		}
	})
}

// TestBadFilesAndRequests puts files and sends requests that nobody should, and
// looks for each in the journal and the counters.
func TestBadFilesAndRequests(t *testing.T) {
	s := newSite(t, "")
	web := freeAddress(t)
	if err := os.Mkdir(filepath.Join(s.folder, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.configure(fmt.Sprintf(badRoutes, web))
	l := s.mustReady()
	defer l.stop()
	for name, c := range map[string]struct {
		content string
		journal []string // state, control id and reason, the newest first
		event   string
	}{
		"nothing":                             {"", []string{"refused  the file is empty"}, "empty-file"},
		"9 MB of nothing that is known":       {strings.Repeat("x", 9<<20), []string{"refused  byte 8388608: the message is longer than 8388608 bytes"}, "message-too-large"},
		"a message of 9 MB":                   {oru("F1", "M", "1", 1) + "NTE|1||" + strings.Repeat("x", 9<<20) + "\r", []string{"refused F1 byte 8388608: the message is longer than 8388608 bytes"}, "message-too-large"},
		"a message of 9 MB behind a good one": {oru("F2", "M", "1", 1) + oru("F3", "M", "1", 1) + "NTE|1||" + strings.Repeat("x", 9<<20) + "\r", []string{"refused F3 byte 8388608: the message is longer than 8388608 bytes", "done F2 "}, "message-too-large"},
	} {
		t.Run(name, func(t *testing.T) {
			before, counted := len(s.rows("")), s.counted("files", c.event)
			if err := os.WriteFile(filepath.Join(s.folder, "in", "a.hl7"), []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the file is put away", func() bool {
				_, err := os.Stat(filepath.Join(s.folder, "in", "a.hl7"))
				return errors.Is(err, fs.ErrNotExist)
			})
			s.grown(before, c.journal)
			if got := s.counted("files", c.event); got != counted+1 {
				t.Errorf("%s was counted %d times, want once", c.event, got-counted)
			}
		})
	}
	large := func(control string) string {
		return oru(control, "M", "1", 1) + "NTE|1||" + strings.Repeat("x", 100<<10) + "\r"
	}
	for name, c := range map[string]struct {
		sent    string
		journal []string
		event   string
	}{
		"too large, in chunks":     {fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(large("W1")), large("W1")), []string{"refused W1 the content is larger than this channel takes: more than 65536 bytes"}, "body-too-large"},
		"too large, by its length": {fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(large("W3")), large("W3")), []string{"refused W3 the content is larger than this channel takes: more than 65536 bytes"}, "body-too-large"},
		"half":                     {fmt.Sprintf("Content-Length: 5000\r\n\r\n%s", oru("W2", "M", "1", 1)), []string{"refused W2 the content did not come in time"}, "body-timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			before, counted := len(s.rows("")), s.counted("requests", c.event)
			conn, err := net.Dial("tcp", web)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+c.sent); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the request is counted", func() bool { return s.counted("requests", c.event) == counted+1 })
			eventually(t, "it is in the journal", func() bool { return len(s.rows("")) > before })
			s.grown(before, c.journal)
		})
	}
}

const badRoutes = `channels:
  - name: files
    source: { file: { folder: in, stable: 50ms, every: 20ms, match: "*.hl7" } }
    parse: hl7v2
    routes: [ { to: { drop: { reason: a test } } } ]
  - name: requests
    source: { http: { listen: "%s", request: 500ms } }
    parse: hl7v2
    limits: { size: 64KB }
    routes: [ { to: { drop: { reason: a test } } } ]
`

// grown holds that the journal has new rows: state, control id and reason, the
// newest first.
func (s *site) grown(before int, want []string) {
	s.t.Helper()
	var got []string
	rows := s.settled()
	for _, r := range rows[:len(rows)-before] {
		got = append(got, r.State+" "+r.Control+" "+r.Reason)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("the journal has %q, want %q", got, want)
	}
}

// counted is how often an event of a channel was counted.
func (s *site) counted(channel, event string) int {
	s.t.Helper()
	_, metrics := s.get("/metrics", nil)
	_, rest, found := strings.Cut(string(metrics), fmt.Sprintf("plexus_events_total{channel=%q,event=%q} ", channel, event))
	if !found {
		return 0
	}
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// raw writes bytes and reads one framed answer.
func (p *peer) raw(t *testing.T, frame string) string {
	t.Helper()
	if err := p.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.conn.Write([]byte(frame)); err != nil {
		t.Fatal(err)
	}
	reply, err := p.in.ReadString(0x1c)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if _, err := p.in.ReadByte(); err != nil {
		t.Fatal(err)
	}
	return reply
}
