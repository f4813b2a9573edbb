package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/connectors/mllp"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// A sending is what the send command was asked for.
type sending struct {
	to          string
	connections int
	repeat      int
	rate        float64
	timeout     time.Duration
	ca          string
	cert, key   string
	json        bool
	acks        bool
	newControl  bool
	sameControl bool
}

func sendCommand(a *app) *cobra.Command {
	s := &sending{}
	cmd := &cobra.Command{
		Use:   "send FILE|FOLDER...",
		Short: "Send HL7 v2 files over MLLP and show what was answered",
		Long: `Send the HL7 v2 messages of files over MLLP and show what was answered.

A file may hold one message, several, a batch (FHS, BHS), or MLLP frames; each
message is sent on its own, as it stands. With --repeat each round gets control
ids (MSH-10) of its own, or the engine would rightly take it for a copy.

With --rate messages are due at fixed times, whether or not answers keep up, and
latency counts from the time a message was due. Without it each connection sends
as soon as it has its answer.

A message that asks for no answer when all is well (an acknowledgement; NE or ER in
MSH-15 and MSH-16) is waited for a second at most, and is no error when none comes.
More than 20 messages are counted each second on standard error.

Each message has a line, in the order in which they are sent, with what was answered
(MSA-1, and for a refusal MSA-3 and ERR), its file and its control id, also when the run
breaks off; with --repeat or --rate only with --acks. --json has the same as "messages".

Exit code 0: everything was accepted (AA or CA), 1: something was not, 3: no
connection could be made.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.newControl = s.newControl || (s.repeat > 1 && !s.sameControl)
			return a.send(cmd.Context(), s, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.to, "to", "127.0.0.1:2575", "host:port of the listener")
	f.IntVar(&s.connections, "connections", 1, "number of connections, one message in flight on each; order is kept on one only")
	f.IntVar(&s.repeat, "repeat", 1, "number of rounds over all messages")
	f.Float64Var(&s.rate, "rate", 0, "messages a second that are due; 0: as fast as answers come")
	f.DurationVar(&s.timeout, "timeout", 30*time.Second, "how long to wait for an answer; then the connection is closed")
	f.StringVar(&s.ca, "tls-ca", "", "file of authorities to trust, PEM; encrypts the connection")
	f.StringVar(&s.cert, "tls-cert", "", "file of our certificate, PEM, for mutual TLS")
	f.StringVar(&s.key, "tls-key", "", "file of our certificate's key, PEM")
	f.BoolVar(&s.json, "json", false, "print JSON")
	f.BoolVar(&s.acks, "acks", false, "a line for each message also with --repeat and --rate")
	f.BoolVar(&s.newControl, "new-control", false, "give each message sent a control id (MSH-10) of its own; the default with --repeat")
	f.BoolVar(&s.sameControl, "same-control", false, "keep control ids also with --repeat")
	cmd.MarkFlagsMutuallyExclusive("new-control", "same-control")
	return cmd
}

func (s *sending) check() error {
	switch {
	case s.connections < 1:
		return fmt.Errorf("--connections %d is not at least 1", s.connections)
	case s.repeat < 1:
		return fmt.Errorf("--repeat %d is not at least 1", s.repeat)
	case s.rate < 0:
		return fmt.Errorf("--rate %g is below 0", s.rate)
	case s.timeout <= 0:
		return fmt.Errorf("--timeout %s is not above 0", s.timeout)
	}
	return nil
}

// A letter is one message to be sent and the file it came from. silent says that
// it asks for no answer when it is accepted.
type letter struct {
	file   string
	raw    []byte
	silent bool
}

// quiet is how long is waited for an answer that was not asked for.
const quiet = time.Second

func (a *app) send(ctx context.Context, s *sending, args []string) error {
	if err := s.check(); err != nil {
		return &exit{code: exitUsage, err: err}
	}
	letters, err := readLetters(args)
	if err != nil {
		return &exit{code: exitUsage, err: err}
	}
	if len(letters) == 0 {
		return &exit{code: exitUsage, err: errors.New("there is no message in what was given")}
	}
	client := mllp.ClientOptions{Address: s.to, Connect: s.timeout}
	if s.ca != "" || s.cert != "" || s.key != "" {
		if client.TLS, err = mllp.ClientTLS(s.ca, s.cert, s.key); err != nil {
			return &exit{code: exitUsage, err: fmt.Errorf("tls: %w", err)}
		}
	}
	total := len(letters) * s.repeat
	tally := &tally{
		letters: letters, codes: map[string]int{}, errors: map[message.Kind]int{},
		each: s.acks || s.repeat == 1 && s.rate == 0, many: total > 20, waiting: map[int]line{},
	}
	if !s.json {
		tally.out = a.stdout
	}
	prefix := "S" + strconv.FormatInt(time.Now().UnixMilli(), 36) + "-"
	load := mllp.Load{
		Client: client, Connections: min(s.connections, total), Count: total, Rate: s.rate, Timeout: s.timeout,
		Message: func(i int) []byte {
			raw := letters[i%len(letters)].raw
			if s.newControl {
				raw = mllp.WithControl(raw, prefix+strconv.FormatInt(int64(i), 36))
			}
			return raw
		},
		Take: tally.take,
	}
	elapsed, err := a.watched(tally, total, func() (time.Duration, error) { return runs(ctx, load, letters) })
	if err != nil && tally.sent() == 0 {
		return &exit{code: exitFailed, err: fmt.Errorf("send to %s: %w", s.to, err)}
	}
	if err := tally.print(a.stdout, s.json, elapsed); err != nil {
		return &exit{code: exitFailed, err: err}
	}
	if err != nil {
		return &exit{code: exitSome, err: fmt.Errorf("stopped after %d of %d messages: %w", tally.sent(), total, err)}
	}
	if !tally.allAccepted() {
		return &exit{code: exitSome}
	}
	return nil
}

// runs sends the messages in their order. Those in a row which ask for no answer
// are a load of their own, which does not wait long.
func runs(ctx context.Context, all mllp.Load, letters []letter) (elapsed time.Duration, err error) {
	silent := func(i int) bool { return letters[i%len(letters)].silent }
	for from, to := 0, 1; from < all.Count && err == nil; from = to {
		for to < all.Count && silent(to) == silent(from) {
			to++
		}
		one, base := all, from
		one.Count, one.Connections = to-from, min(all.Connections, to-from)
		one.Message = func(i int) []byte { return all.Message(base + i) }
		one.Take = func(i int, sent, reply []byte, err error, latency time.Duration) {
			all.Take(base+i, sent, reply, err, latency)
		}
		if silent(from) {
			one.Timeout = min(all.Timeout, quiet)
		}
		var took time.Duration
		took, err = one.Run(ctx)
		elapsed += took
	}
	return elapsed, err
}

// watched sends, and says each second how far it has come where there are many.
func (a *app) watched(t *tally, total int, send func() (time.Duration, error)) (time.Duration, error) {
	if !t.many {
		return send()
	}
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(a.stderr, "%d of %d messages sent, %d not accepted\n", t.sent(), total, t.refused())
			case <-ended:
				return
			}
		}
	})
	defer watching.Wait()
	defer close(ended)
	return send()
}

// readLetters reads the messages of files and of the files below folders, in
// the order of their names.
func readLetters(args []string) ([]letter, error) {
	var letters []letter
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(file string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() || (file != arg && strings.HasPrefix(entry.Name(), ".")) {
				return nil
			}
			data, err := os.ReadFile(file) //nolint:gosec // the user names the folder and may read it
			if err != nil {
				return err
			}
			messages, err := splitMessages(data)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			for _, raw := range messages {
				asked := hl7v2.New(hl7v2.Options{}).Reply(raw, message.Answer{Code: message.Accepted}, parsers.Stamp{})
				letters = append(letters, letter{file: file, raw: raw, silent: len(asked) == 0})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return letters, nil
}

// splitMessages returns the messages of a file: the content of its MLLP frames,
// the messages of a batch, or else all of it as it stands, also when it is none.
func splitMessages(data []byte) ([][]byte, error) {
	var messages [][]byte
	take := func(raw []byte) error {
		if raw = bytes.Trim(raw, "\x0b\x1c"); len(bytes.TrimSpace(raw)) > 0 {
			messages = append(messages, raw)
		}
		return nil
	}
	if bytes.IndexByte(data, 0x0b) >= 0 && bytes.IndexByte(data, 0x1c) >= 0 {
		for part := range bytes.SplitSeq(data, []byte{0x0b}) {
			content, _, _ := bytes.Cut(part, []byte{0x1c})
			if err := take(content); err != nil {
				return nil, err
			}
		}
		return messages, nil
	}
	switch {
	case bytes.HasPrefix(data, []byte("MSH")), bytes.HasPrefix(data, []byte("FHS")), bytes.HasPrefix(data, []byte("BHS")):
		err := hl7v2.New(hl7v2.Options{}).Split(bytes.NewReader(data), int64(len(data))+1, take)
		return messages, err
	}
	return messages, take(data)
}

// A tally counts what was answered.
type tally struct {
	letters []letter
	each    bool      // a line for each message
	many    bool      // so many messages that they are counted meanwhile
	out     io.Writer // where lines are printed as answers come; nil: they are kept

	mu         sync.Mutex
	codes      map[string]int
	errors     map[message.Kind]int
	mismatched int
	silent     int // not answered, as asked
	latencies  mllp.Latencies
	lines      []line
	next       int          // the message whose line is to be printed next
	waiting    map[int]line // lines of messages behind it
	broken     error        // of printing
}

// A line is what was answered to one message.
type line struct {
	number  int
	File    string   `json:"file"`
	Control string   `json:"control"`
	Code    string   `json:"code,omitempty"`
	Matched bool     `json:"matched"`
	Silent  bool     `json:"silent,omitempty"`
	Error   string   `json:"error,omitempty"`
	Text    string   `json:"text,omitempty"` // MSA-3 of a refusal
	ERR     []string `json:"err,omitempty"`
	Millis  float64  `json:"ms"`
}

func (t *tally) take(i int, sent, reply []byte, err error, latency time.Duration) {
	control, _, _ := mllp.Control(sent)
	l := line{number: i, File: t.letters[i%len(t.letters)].file, Control: control, Millis: millis(latency)}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil && message.KindOf(err) == message.Unknown && t.letters[i%len(t.letters)].silent:
		t.silent++
		l.Silent = true
	case err != nil:
		t.errors[message.KindOf(err)]++
		l.Error = err.Error()
	default:
		ack := mllp.ReadAck(reply)
		if l.Code = ack.Code; l.Code == "" {
			l.Code = "no MSA"
		}
		l.Matched = ack.Control == control
		t.codes[l.Code]++
		if !l.Matched {
			t.mismatched++
		}
		if !accepted(l.Code) {
			l.ERR, l.Text = segmentsOf(reply, "ERR"), textOf(reply)
		}
		t.latencies.Add(latency)
	}
	switch {
	case !t.each:
	case t.out == nil:
		t.lines = append(t.lines, l)
	default: // in the order in which they are sent
		t.waiting[i] = l
		for next, there := t.waiting[t.next]; there; next, there = t.waiting[t.next] {
			t.line(&next)
			delete(t.waiting, t.next)
			t.next++
		}
	}
}

// line prints what was answered to one message.
func (t *tally) line(l *line) {
	code, said := l.Code, "MSA-2 ok"
	switch {
	case l.Silent:
		code, said = "--", "not answered, as asked"
	case l.Error != "":
		code, said = "--", l.Error
	case !l.Matched:
		said = "MSA-2 is not the control id sent"
	}
	text := fmt.Sprintf("%s  %s  %s  %s", code, l.File, printable(l.Control), said)
	if code != "--" {
		text += fmt.Sprintf("  %.1fms", l.Millis)
	}
	if l.Text != "" {
		text += "\n    " + printable(l.Text)
	}
	for _, e := range l.ERR {
		text += "\n    " + e
	}
	if _, err := fmt.Fprintln(t.out, text); t.broken == nil {
		t.broken = err
	}
}

// textOf is MSA-3 of a reply.
func textOf(reply []byte) string {
	m, err := hl7v2.Parse(reply)
	if err != nil {
		return ""
	}
	for i := range m.Len() {
		if s := m.Segment(i); s.Name() == "MSA" {
			return s.Field(3).Text()
		}
	}
	return ""
}

func segmentsOf(reply []byte, name string) []string {
	var out []string
	for segment := range strings.FieldsFuncSeq(string(reply), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if strings.HasPrefix(segment, name) {
			out = append(out, segment)
		}
	}
	return out
}

func accepted(code string) bool { return code == "AA" || code == "CA" }

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (t *tally) sent() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.silent
	for _, c := range t.codes {
		n += c
	}
	for _, c := range t.errors {
		n += c
	}
	return n
}

// refused is how many were not accepted, or not answered although they asked.
func (t *tally) refused() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for code, c := range t.codes {
		if !accepted(code) {
			n += c
		}
	}
	for _, c := range t.errors {
		n += c
	}
	return n
}

// allAccepted reports whether every message was accepted, under its own id.
func (t *tally) allAccepted() bool {
	for code := range t.codes {
		if !accepted(code) {
			return false
		}
	}
	return len(t.errors) == 0 && t.mismatched == 0
}

// quantiles are what is shown of latencies.
var quantiles = []struct {
	name  string
	share float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}}

func (t *tally) print(w io.Writer, asJSON bool, elapsed time.Duration) error {
	slices.SortFunc(t.lines, func(a, b line) int { return a.number - b.number })
	rate := float64(t.sent()) / max(elapsed.Seconds(), 1e-9)
	if asJSON {
		latency := map[string]float64{}
		for _, q := range quantiles {
			latency[q.name] = millis(t.latencies.Quantile(q.share))
		}
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]any{
			"sent": t.sent(), "codes": t.codes, "errors": t.errors, "mismatched": t.mismatched, "silent": t.silent,
			"seconds": elapsed.Seconds(), "rate": rate, "latency_ms": latency, "messages": append([]line{}, t.lines...),
		})
	}
	for _, number := range slices.Sorted(maps.Keys(t.waiting)) { // behind one that was never sent
		l := t.waiting[number]
		t.line(&l)
	}
	if !t.each || len(t.letters) > 1 || t.sent() > 1 {
		t.summary(w, elapsed, rate)
	}
	return t.broken
}

func (t *tally) summary(w io.Writer, elapsed time.Duration, rate float64) {
	fmt.Fprintf(w, "%d messages in %.2fs, %.0f/s\n", t.sent(), elapsed.Seconds(), rate)
	for _, code := range sortedKeys(t.codes) {
		fmt.Fprintf(w, "%-10s %d\n", code, t.codes[code])
	}
	for _, kind := range sortedKeys(t.errors) {
		fmt.Fprintf(w, "%-10s %d without an answer\n", kind, t.errors[kind])
	}
	if t.silent > 0 {
		fmt.Fprintf(w, "%-10s %d not answered, as asked\n", "silent", t.silent)
	}
	if t.mismatched > 0 {
		fmt.Fprintf(w, "%d answers with another control id in MSA-2\n", t.mismatched)
	}
	if t.latencies.Len() > 0 {
		fmt.Fprint(w, "latency   ")
		for _, q := range quantiles {
			fmt.Fprintf(w, " %s %.2fms", q.name, millis(t.latencies.Quantile(q.share)))
		}
		fmt.Fprintln(w)
	}
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
