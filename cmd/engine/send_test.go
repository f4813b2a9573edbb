package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/mllp"
	"github.com/plexus-health/plexus/message"
)

// A lab is a listener that answers by what stands in MSH-10.
type lab struct {
	address  string
	mu       sync.Mutex
	controls []string
}

func newLab(t *testing.T) *lab {
	l := &lab{address: freeAddress(t)}
	options := mllp.DefaultSource()
	options.(*mllp.SourceOptions).Listen = l.address
	source, err := options.Open(connectors.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx, l.answer) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for { // until it listens
		c, err := mllp.Dial(ctx, mllp.ClientOptions{Address: l.address})
		if err == nil {
			_ = c.Close()
			return l
		}
	}
}

func (l *lab) answer(_ context.Context, m *message.Message) (message.Reply, error) {
	control, _, _ := mllp.Control(m.Raw)
	l.mu.Lock()
	l.controls = append(l.controls, control)
	l.mu.Unlock()
	code, named := "AA", control
	switch {
	case strings.HasPrefix(control, "BADTEXT"):
		code, named = "AE", control+`|try\F\again`
	case strings.HasPrefix(control, "BAD"):
		code = "AE"
	case strings.HasPrefix(control, "OTHER"):
		named = "X"
	case strings.HasPrefix(control, "GONE"):
		return message.Reply{}, fmt.Errorf("not taken")
	case strings.HasPrefix(control, "MUTE"):
		return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
	}
	return message.Reply{Raw: []byte("MSH|^~\\&|L|L|S|S|||ACK|1|P|2.5.1\rMSA|" + code + "|" + named + "\rERR||PID^1|101|E\r")}, nil
}

func simple(control string) string {
	return "MSH|^~\\&|S|S|L|L|20260105120000||ADT^A01|" + control + "|P|2.5.1\rPID|1||7^^^N^MR\r"
}

func TestSend(t *testing.T) {
	l := newLab(t)
	folder := t.TempDir()
	files := map[string]string{
		"good.hl7": simple("G1"), "bad.hl7": simple("BAD1"), "other.hl7": simple("OTHER1"), "gone.hl7": simple("GONE1"),
		"mute.hl7": strings.Replace(simple("MUTE1"), "|2.5.1", "|2.5.1|||NE|NE", 1), "ack.hl7": strings.Replace(simple("MUTE2"), "ADT^A01", "ACK", 1) + "MSA|AA|1\r",
		"texted.hl7":   simple("BADTEXT1"),
		"told.hl7":     strings.Replace(simple("TOLD1"), "|2.5.1", "|2.5.1|||NE|NE", 1),
		"batch.hl7":    "FHS|^~\\&\rBHS|^~\\&\r" + simple("B1") + simple("B2") + "BTS|2\rFTS|1\r",
		"two.hl7":      simple("T1") + simple("T2"),
		"framed.bin":   "\x0b" + simple("F1") + "\x1c\r\x0b" + simple("F2") + "\x1c\r",
		"none.hl7":     "this is no message",
		"empty.hl7":    "",
		"many/1.hl7":   simple("M1"),
		"many/2.hl7":   simple("M2"),
		"many/.hidden": simple("M3"),
		"deep/a/b.hl7": simple("D1"),
	}
	for name, content := range files {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		args     string
		code     int
		stdout   string // a pattern
		stderr   string
		controls string // what arrived; "*": not looked at
	}{
		"one message":                  {"good.hl7", exitOK, `^AA  \S*good.hl7  G1  MSA-2 ok  [0-9.]+ms\n$`, "", "G1"},
		"a refusal with its reason":    {"bad.hl7", exitSome, `^AE  \S*bad.hl7  BAD1  MSA-2 ok  [0-9.]+ms\n    ERR\|\|PID\^1\|101\|E\n$`, "", "BAD1"},
		"another control id in MSA-2":  {"other.hl7", exitSome, `^AA  \S*other.hl7  OTHER1  MSA-2 is not the control id sent  `, "", "OTHER1"},
		"no answer":                    {"gone.hl7", exitSome, `^--  \S*gone.hl7  GONE1  `, "", "GONE1"},
		"no answer, as asked":          {"mute.hl7 --timeout 1h", exitOK, `^--  \S*mute.hl7  MUTE1  not answered, as asked\n$`, "", "MUTE1"},
		"an answer nobody asked for":   {"told.hl7 --timeout 1h", exitOK, `^AA  \S*told.hl7  TOLD1  MSA-2 ok  `, "", "TOLD1"},
		"some ask, others do not":      {"good.hl7 mute.hl7 ack.hl7 bad.hl7 --timeout 1h", exitSome, `4 messages in .*\nAA +1\nAE +1\nsilent +2 not answered, as asked\n`, "", "G1 MUTE1 MUTE2 BAD1"},
		"how far it has come":          {"good.hl7 --repeat 30 --rate 20", exitOK, `AA +30\n`, " of 30 messages sent, 0 not accepted\n", "*"},
		"the messages of a batch":      {"batch.hl7", exitOK, `2 messages in .*\nAA +2\nlatency +p50 `, "", "B1 B2"},
		"several messages in a file":   {"two.hl7", exitOK, `AA +2\n`, "", "T1 T2"},
		"frames in a file":             {"framed.bin", exitOK, `AA +2\n`, "", "F1 F2"},
		"what is no message, as it is": {"none.hl7", exitOK, `^AA  \S*none.hl7    MSA-2 ok`, "", ""},
		"an empty file":                {"empty.hl7", exitUsage, `^$`, "there is no message", "*"},
		"a folder":                     {"many", exitOK, `(?s)^AA  \S*1.hl7  M1  MSA-2 ok  [0-9.]+ms\nAA  \S*2.hl7  M2  .*AA +2\n`, "", "M1 M2"},
		"a line for each of a load":    {"good.hl7 --repeat 3 --acks --same-control", exitOK, `^(AA  \S*good.hl7  G1  MSA-2 ok  [0-9.]+ms\n){3}3 messages in `, "", "G1 G1 G1"},
		"no lines of a load":           {"good.hl7 bad.hl7 --rate 1000", exitSome, `^2 messages in `, "", "G1 BAD1"},
		"a text with a refusal":        {"texted.hl7", exitSome, `^AE  \S*texted.hl7  BADTEXT1  MSA-2 ok  [0-9.]+ms\n    try\|again\n    ERR`, "", "BADTEXT1"},
		"folders in folders":           {"deep", exitOK, `^AA `, "", "D1"},
		"files of several sorts":       {"good.hl7 bad.hl7 gone.hl7", exitSome, `3 messages in .*\nAA +1\nAE +1\nunknown +1 without an answer\n`, "", "G1 BAD1 GONE1"},
		"repeat, the same control ids": {"good.hl7 --repeat 3 --same-control", exitOK, `AA +3\n`, "", "G1 G1 G1"},
		"repeat at a rate":             {"good.hl7 --repeat 5 --rate 1000", exitOK, `AA +5\n`, "", "*"},
		"a file that is not there":     {"absent.hl7", exitUsage, `^$`, "no such file", "*"},
		"no connections":               {"good.hl7 --connections 0", exitUsage, `^$`, "--connections 0 is not at least 1", "*"},
		"both control flags":           {"good.hl7 --new-control --same-control", exitUsage, `^$`, "new-control", "*"},
		"a key without a certificate":  {"good.hl7 --tls-key x", exitUsage, `^$`, "a certificate needs its key", "*"},
		"JSON":                         {"good.hl7 --json", exitOK, `(?s)^\{.*"codes": \{\s*"AA": 1\s*\}.*"matched": true`, "", "G1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l.mu.Lock()
			l.controls = nil
			l.mu.Unlock()
			code, stdout, stderr := runSend(l.address, folder, test.args)
			if code != test.code {
				t.Errorf("exit code %d, want %d; stderr %s", code, test.code, stderr)
			}
			if !regexp.MustCompile(test.stdout).MatchString(stdout) {
				t.Errorf("stdout %q does not match %q", stdout, test.stdout)
			}
			if !strings.Contains(stderr, test.stderr) {
				t.Errorf("stderr %q does not hold %q", stderr, test.stderr)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if got := strings.Join(l.controls, " "); test.controls != "*" && got != test.controls {
				t.Errorf("arrived %q, want %q", got, test.controls)
			}
		})
	}
}

func runSend(address, folder, args string) (code int, stdout, stderr string) {
	words := []string{"send", "--to", address}
	for word := range strings.FieldsSeq(args) {
		if strings.Contains(word, ".hl7") || strings.Contains(word, ".bin") || word == "many" || word == "deep" {
			word = filepath.Join(folder, word)
		}
		words = append(words, word)
	}
	var out, errs bytes.Buffer
	code = run(context.Background(), words, &out, &errs)
	return code, out.String(), errs.String()
}

// TestSendListsEachMessage: of many files it is known which were accepted and
// which were not, in text and in JSON, whatever the order of the answers.
func TestSendListsEachMessage(t *testing.T) {
	l, folder := newLab(t), t.TempDir()
	const n = 50
	var want []string
	for i := range n {
		control, code := fmt.Sprintf("N%03d", i), "AA"
		if i%7 == 0 {
			control, code = fmt.Sprintf("BAD%03d", i), "AE"
		}
		want = append(want, code+" "+control)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%03d.hl7", i)), []byte(simple(control)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, stdout, _ := runSend(l.address, "", folder+" --connections 4")
	var got []string
	for _, f := range regexp.MustCompile(`(?m)^(A.)  \S*\.hl7  (\S+)  MSA-2 ok`).FindAllStringSubmatch(stdout, -1) {
		got = append(got, f[1]+" "+f[2])
	}
	if !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
	_, stdout, _ = runSend(l.address, "", folder+" --connections 4 --json")
	var result struct{ Messages []line }
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, m := range result.Messages {
		got = append(got, m.Code+" "+m.Control)
	}
	if !slices.Equal(got, want) {
		t.Errorf("JSON has %q, want %q", got, want)
	}
}

func TestSendRepeat(t *testing.T) {
	l := newLab(t)
	file := filepath.Join(t.TempDir(), "one.hl7")
	if err := os.WriteFile(file, []byte(simple("ONE")), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runSend(l.address, "", file+" --repeat 200 --connections 8 --json")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var result struct {
		Sent       int
		Codes      map[string]int
		Mismatched int
		Latency    map[string]float64 `json:"latency_ms"`
	}
	if !strings.Contains(stdout, `"messages": []`) {
		t.Error("messages is no list where they are not shown one by one")
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatal(err)
	}
	if result.Sent != 200 || result.Codes["AA"] != 200 || result.Mismatched != 0 || result.Latency["max"] < result.Latency["p50"] {
		t.Errorf("result %+v, want 200 AA", result)
	}
	seen := map[string]bool{}
	for _, control := range l.controls {
		if seen[control] || len(control) > 20 {
			t.Errorf("control id %q: it is to be new and at most 20 characters long", control)
		}
		seen[control] = true
	}
}

func TestSendToNobody(t *testing.T) {
	file := filepath.Join(t.TempDir(), "one.hl7")
	if err := os.WriteFile(file, []byte(simple("ONE")), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runSend(freeAddress(t), "", file)
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "connection refused") {
		t.Errorf("exit code %d, stdout %q, stderr %q; want %d and why", code, stdout, stderr, exitFailed)
	}
}
