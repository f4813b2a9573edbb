package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/console"
	"github.com/plexus-health/plexus/internal/partner"
)

var updateLines = flag.Bool("update", false, "write what whole lines give into testdata/lines/*/want")

// TestLines runs the cases of testdata/lines: an engine with the routes.yaml of
// a case takes the resources of store/ through its API in the order of their
// names, in.hl7 over MLLP, one message after the other, and what lies in in/ as
// files; what was answered, journaled, listed for people, sent to the peer
// and put into out/ is held against want/.
//
// routes.yaml names the address it listens on ${in} and that of the peer ${peer}.
// peer.txt says what the peer answers, a line for each control id, * for all
// others: a word of internal/partner, and a code or the letters of filler numbers.
func TestLines(t *testing.T) {
	cases, err := filepath.Glob(filepath.Join("..", "..", "testdata", "lines", "*", "routes.yaml"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) { runCase(t, filepath.Dir(file)) })
	}
}

func runCase(t *testing.T, folder string) {
	s := newSite(t, "")
	p := casePeer(t, filepath.Join(folder, "peer.txt"))
	if err := os.Remove(filepath.Join(s.folder, "routes.yaml")); err != nil { // newSite's own
		t.Fatal(err)
	}
	if err := os.CopyFS(s.folder, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"in", "out"} {
		if err := os.MkdirAll(filepath.Join(s.folder, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "in", "*"))
	if err != nil {
		t.Fatal(err)
	}
	l := s.mustReady("PLEXUS_VAR_IN="+s.results, "PLEXUS_VAR_PEER="+p.peer.Address())
	s.resources(t, filepath.Join(folder, "store"))
	got := map[string]string{"answers.txt": answersOf(t, s, filepath.Join(folder, "in.hl7"))}
	eventually(t, "every file is put away", func() bool {
		left := 0
		for _, f := range files {
			if _, err := os.Stat(filepath.Join(s.folder, "in", filepath.Base(f))); err == nil {
				left++
			}
		}
		return left == 0
	})
	s.closed(t)
	got["journal.txt"], got["deliveries.txt"], got["worklist.txt"] = s.journalText(), s.deliveriesText(), s.worklistText()
	l.stop()
	got["sent.txt"] = p.text()
	got["out.txt"] = filesText(t, filepath.Join(s.folder, "out"))
	compareCase(t, filepath.Join(folder, "want"), got)
}

// resources writes the resources of a folder, one after the other.
func (s *site) resources(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var named struct {
			Type string `json:"resourceType"`
			ID   string `json:"id"`
		}
		if err := json.Unmarshal(data, &named); err != nil {
			t.Fatal(err)
		}
		s.put(named.Type+"/"+named.ID, string(data))
	}
}

// compareCase holds what a case gave against its files, or writes them. What is
// empty has none.
func compareCase(t *testing.T, want string, got map[string]string) {
	t.Helper()
	for name, text := range got {
		file := filepath.Join(want, name)
		text = plainly(text)
		if *updateLines {
			if err := os.MkdirAll(want, 0o755); err != nil {
				t.Fatal(err)
			}
			err := os.Remove(file)
			if text != "" {
				err = os.WriteFile(file, []byte(text), 0o644)
			}
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if string(data) != text {
			t.Errorf("%s:\n got:\n%s\nwant:\n%s", name, text, data)
		}
	}
}

var (
	idForm     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	ownForm    = regexp.MustCompile(`\bP[A-Z2-7]{19}\b`)
	peerForm   = regexp.MustCompile(`\bP[0-9]+\b`) // the peer's own control ids
	fillerForm = regexp.MustCompile(`\bF[0-9]{9}\b`)
	numberForm = regexp.MustCompile(`\b0000000[0-9]{2}\b`) // of a file: which of two lots is first is not said
	answerForm = regexp.MustCompile(`\|P[0-9a-z]{16}\|`)
	headerTime = regexp.MustCompile(`((?:MSH|FHS|BHS)\|[^|\n]*\|[^|\n]*\|[^|\n]*\|[^|\n]*\|[^|\n]*\|)20[0-9]{12}[^|\n]*`)
)

// plainly writes what is another each time as a word.
func plainly(text string) string {
	text = idForm.ReplaceAllString(text, "ID")
	text = ownForm.ReplaceAllString(text, "CONTROL")
	text = peerForm.ReplaceAllString(text, "PEER")
	text = fillerForm.ReplaceAllString(text, "FILLER")
	text = numberForm.ReplaceAllString(text, "NUMBER")
	text = answerForm.ReplaceAllString(text, "|CONTROL|")
	return headerTime.ReplaceAllString(text, "${1}TIME")
}

// readable has the lines of an HL7 message as lines.
func readable(raw string) string {
	return strings.TrimRight(strings.ReplaceAll(raw, "\r", "\n"), "\n") + "\n"
}

// answersOf sends the messages of a file and returns what was answered.
func answersOf(t *testing.T, s *site, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	var answers strings.Builder
	for _, raw := range batchOf(string(data)) {
		p, err := dial(s.results)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := p.answer(raw)
		p.close()
		if err != nil {
			t.Fatalf("%s: %v", control10(raw), err)
		}
		answers.WriteString(readable(answer) + "\n")
	}
	return answers.String()
}

// batchOf are the messages of a text with one segment on each line.
func batchOf(text string) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case line == "":
		case strings.HasPrefix(line, "MSH"):
			out = append(out, line+"\r")
		default:
			out[len(out)-1] += line + "\r"
		}
	}
	return out
}

// answer sends one message and returns the content of what is answered.
func (p *peer) answer(raw string) (string, error) {
	if err := p.conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return "", err
	}
	if _, err := p.conn.Write([]byte("\x0b" + raw + "\x1c\r")); err != nil {
		return "", err
	}
	frame, err := p.in.ReadString(0x1c)
	return strings.Trim(frame, "\x0b\x1c"), err
}

// A scripted peer keeps what came.
type scripted struct {
	peer *partner.Partner
	mu   sync.Mutex
	sent map[string]string // by control id, the first time
	come []string
}

func casePeer(t *testing.T, file string) *scripted {
	t.Helper()
	script := map[string]partner.Behaviour{}
	data, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		b := partner.Behaviour{Answer: partner.Word(words[1])}
		for _, more := range words[2:] {
			if code, err := strconv.Atoi(more); err == nil {
				b.Code = code
			} else {
				b.Filler = more
			}
		}
		script[words[0]] = b
	}
	s := &scripted{sent: map[string]string{}}
	s.peer, err = partner.Start(partner.Options{
		Choose: func(a partner.Arrival, _ []byte) partner.Behaviour {
			if b, said := script[a.Control]; said {
				return b
			}
			return script["*"]
		},
		Took: func(a partner.Arrival, raw []byte) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if _, again := s.sent[a.Control]; !again {
				s.come = append(s.come, a.Control)
				s.sent[a.Control] = string(raw)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.peer.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// text is what came, in an order that does not depend on which patient was first.
func (s *scripted) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, control := range s.come {
		all = append(all, plainly(readable(s.sent[control])))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// closed waits until nothing is stored, waiting or being sent.
func (s *site) closed(t *testing.T) {
	t.Helper()
	eventually(t, "everything has ended", func() bool {
		s.settled()
		for _, q := range s.queues() {
			if q.Waiting+q.Sending > 0 {
				return false
			}
		}
		return len(s.rows("state=stored")) == 0
	})
}

func (s *site) queues() []console.Queue {
	s.t.Helper()
	var queues []console.Queue
	if status, body := s.get("/api/queues", &queues); status != 200 {
		s.t.Fatalf("queues: %d %s", status, body)
	}
	return queues
}

func (s *site) journalText() string {
	s.t.Helper()
	rows := s.rows("")
	slices.SortFunc(rows, func(a, b row) int {
		return strings.Compare(a.Channel+" "+a.Control+" "+a.Reason, b.Channel+" "+b.Control+" "+b.Reason)
	})
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintln(&b, strings.TrimRight(strings.Join([]string{r.Channel, r.Type, r.Control, r.State, r.Reason}, "  "), " "))
	}
	return b.String()
}

func (s *site) deliveriesText() string {
	s.t.Helper()
	var lines []string
	for _, q := range s.queues() {
		for _, d := range s.queueOf(q.Unit) {
			lines = append(lines, plainly(strings.TrimRight(strings.Join([]string{q.Unit, d.Control, d.State, d.Reason}, "  "), " ")))
		}
	}
	slices.Sort(lines)
	return strings.Join(append(lines, ""), "\n")
}

func (s *site) worklistText() string {
	s.t.Helper()
	var items []console.Item
	if status, body := s.get("/api/worklist?limit=1000", &items); status != 200 {
		s.t.Fatalf("work list: %d %s", status, body)
	}
	var lines []string
	for _, i := range items {
		lines = append(lines, plainly(strings.Join([]string{i.Kind, i.Where, i.Code, i.Text}, "  ")))
	}
	slices.Sort(lines)
	return strings.Join(append(lines, ""), "\n")
}

// filesText are the files of a folder, one after the other.
func filesText(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, plainly("--- "+e.Name()+"\n"+readable(string(data))))
	}
	slices.Sort(all)
	return strings.Join(all, "")
}
