package partner

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// order is an order of a control id.
func order(control string) string {
	return "MSH|^~\\&|EHR|CLINIC|LAB|NORTH|20260105120000||ORM^O01^ORM_O01|" + control + "|P|2.5.1\rPID|1||7^^^N^MR\r" +
		"ORC|NW|P1^EHR\rOBR|1|P1^EHR||24323-8^Panel^LN\rORC|NW|P2^EHR\rOBR|2|P2^EHR||2345-7^Glucose^LN\r"
}

func start(t testing.TB, o Options) *Partner {
	t.Helper()
	p, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// A sender is one connection to a peer.
type sender struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dial(t testing.TB, address string) *sender {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &sender{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// send sends one message and returns the bytes of the answer to the end of its
// frame, or to the end of the connection.
func (s *sender) send(raw string) (string, error) {
	s.t.Helper()
	if _, err := io.WriteString(s.conn, "\x0b"+raw+"\x1c\r"); err != nil {
		s.t.Fatal(err)
	}
	reply, err := s.in.ReadString(endByte)
	if err == nil {
		_, err = s.in.ReadByte()
	}
	return reply, err
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		does Behaviour
		want []string // stand in the answer
		not  []string // do not
	}{
		"accept":        {does: Behaviour{}, want: []string{"\x0bMSH|^~\\&|LAB|NORTH|EHR|CLINIC|", "|ACK^O01^ACK|", "MSA|AA|7\r"}, not: []string{"ERR"}},
		"CA":            {does: Behaviour{Answer: "CA"}, want: []string{"MSA|CA|7\r"}, not: []string{"ERR"}},
		"AE alone":      {does: Behaviour{Answer: "AE"}, want: []string{"MSA|AE|7\r"}, not: []string{"ERR", "207"}},
		"AE with code":  {does: Behaviour{Answer: "AE", Code: 101}, want: []string{"MSA|AE|7|", "ERR||PID^1^3^1|101^Required field missing^HL70357|E|"}},
		"AR with 207":   {does: Behaviour{Answer: "AR", Code: 207}, want: []string{"MSA|AR|7|", "|207^"}},
		"CR":            {does: Behaviour{Answer: "CR", Code: 200}, want: []string{"MSA|CR|7|", "|200^"}},
		"wrong control": {does: Behaviour{Answer: WrongControl}, want: []string{"MSA|AA|7X\r"}},
		"late":          {does: Behaviour{Answer: Late, Late: time.Millisecond}, want: []string{"MSA|AA|7\r"}},
		"filler": {does: Behaviour{Filler: "F"}, want: []string{
			"|ORR^O02^ORR_O02|", "MSA|AA|7\rORC|OK|P1^EHR|F530214449\rOBR|1|P1^EHR|F530214449|24323-8^Panel^LN\rORC|OK|P2^EHR|F797079852\rOBR|2|P2^EHR|F797079852|2345-7^Glucose^LN\r",
		}},
		"no filler with a refusal": {does: Behaviour{Filler: "F", Answer: "AE"}, want: []string{"|ACK^O01^ACK|", "MSA|AE|7\r"}, not: []string{"ORC"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := start(t, Options{Behaviour: test.does})
			s := dial(t, p.Address())
			for range 2 { // the same one to a repeat
				got, err := s.send(order("7"))
				if err != nil {
					t.Fatal(err)
				}
				for _, want := range test.want {
					if !strings.Contains(got, want) {
						t.Errorf("answer %q, want in it %q", got, want)
					}
				}
				for _, not := range test.not {
					if strings.Contains(got, not) {
						t.Errorf("answer %q, want not in it %q", got, not)
					}
				}
			}
		})
	}
}

func TestFaults(t *testing.T) {
	tests := map[Word]string{
		Never: "timeout", HangUp: "", HalfClose: "", Garbage: "HTTP/1.1 400 Bad Request\r\nConnection: keep-alive\r\n\r\n",
		HalfFrame: "\x0bMSH|^~\\&|LAB|NORTH",
	}
	for word, want := range tests {
		t.Run(string(word), func(t *testing.T) {
			p := start(t, Options{Behaviour: Behaviour{Answer: word}})
			s := dial(t, p.Address())
			if word == Never || word == Garbage {
				defer func() { _ = s.conn.Close() }()
				_ = s.conn.SetDeadline(time.Now().Add(time.Second)) // nothing ends by itself
			}
			got, err := s.send(order("7"))
			switch {
			case err == nil:
				t.Errorf("a whole frame %q came", got)
			case want == "timeout":
				if !errors.Is(err, os.ErrDeadlineExceeded) || got != "" {
					t.Errorf("%q, %v; want silence", got, err)
				}
			case !strings.HasPrefix(got, want):
				t.Errorf("answer %q, want it to begin with %q", got, want)
			case want == "" && !errors.Is(err, io.EOF):
				t.Errorf("%v, want the end of the connection", err)
			}
			if word == HalfClose {
				if _, err := io.WriteString(s.conn, "still read"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestHuge(t *testing.T) {
	p := start(t, Options{Behaviour: Behaviour{Answer: Huge}})
	s := dial(t, p.Address())
	if _, err := io.WriteString(s.conn, "\x0b"+order("7")+"\x1c\r"); err != nil {
		t.Fatal(err)
	}
	if n, _ := io.CopyN(io.Discard, s.in, 100<<20); n != 100<<20 {
		t.Errorf("%d bytes came, want 100 MB", n)
	}
}

func TestLedger(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger")
	var seen []string
	p := start(t, Options{
		Log: file, Count: 3, Behaviour: Behaviour{Mix: map[Word]float64{"AE": 0.5}}, Seed: 7,
		Took: func(a Arrival, raw []byte) { seen = append(seen, a.Control+" "+string(raw[:3])) },
	})
	for i := range 3 {
		s := dial(t, p.Address())
		reply, err := s.send(order(fmt.Sprint("C", i)))
		if err != nil {
			t.Fatal(err)
		}
		// What is answered was in the file before.
		arrivals, err := ReadLog(file)
		if err != nil || len(arrivals) != i+1 {
			t.Fatalf("%d lines, %v; want %d", len(arrivals), err, i+1)
		}
		a, want := arrivals[i], "MSA|AA|"
		if a.Answer == "AE" {
			want = "MSA|AE|"
		}
		if a.N != i+1 || a.Control != fmt.Sprint("C", i) || a.Type != "ORM^O01" || a.Bytes != len(order("C0")) || len(a.SHA256) != 64 ||
			!strings.Contains(reply, want) {
			t.Errorf("arrival %+v, answered %q", a, reply)
		}
	}
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatal("not done after three arrivals")
	}
	if s := dial(t, p.Address()); s != nil {
		if reply, err := s.send(order("C3")); err == nil {
			t.Errorf("a fourth arrival was answered %q", reply)
		}
	}
	if got := strings.Join(seen, ","); got != "C0 MSH,C1 MSH,C2 MSH" || len(p.Arrivals()) != 3 {
		t.Errorf("took %s, %d arrivals", got, len(p.Arrivals()))
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("PID")) || bytes.Contains(data, []byte("P1^EHR")) {
		t.Errorf("content is in the ledger: %s", data)
	}
	if err := os.WriteFile(file, append(data, `{"n":4,"ti`...), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := ReadLog(file); err != nil || len(again) != 3 {
		t.Errorf("a half line: %d arrivals, %v", len(again), err)
	}
	if err := os.WriteFile(file, []byte("{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLog(file); err == nil {
		t.Error("a broken line was read")
	}
}

func TestMixIsSeeded(t *testing.T) {
	mix, err := ParseMix("AE=0.1, never=0.05")
	if err != nil {
		t.Fatal(err)
	}
	draw := func(seed uint64) (words []Word, errors int) {
		dice := rand.New(rand.NewPCG(seed, 1))
		for range 2000 {
			w := Behaviour{Mix: mix}.draw(dice)
			words = append(words, w)
			if w == "AE" {
				errors++
			}
		}
		return words, errors
	}
	one, n := draw(1)
	again, _ := draw(1)
	other, _ := draw(2)
	if fmt.Sprint(one) != fmt.Sprint(again) || fmt.Sprint(one) == fmt.Sprint(other) {
		t.Error("draws do not follow the seed")
	}
	if n < 150 || n > 250 {
		t.Errorf("%d of 2000 are AE, want about 200", n)
	}
}

func TestWrongBehaviours(t *testing.T) {
	for text, want := range map[string]string{
		"AE": "is not WORD=SHARE", "AE=x": "is not WORD=SHARE", "AE=0.1,AE=0.2": "twice", "XX=0.1": "not known; known: accept, AA",
		"AE=2": "not between 0 and 1", "AE=0.6,AR=0.6": "more than 1", "AE=NaN": "not between 0 and 1",
	} {
		if _, err := ParseMix(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseMix(%q) = %v, want %q", text, err, want)
		}
	}
	for name, b := range map[string]Behaviour{
		"word": {Answer: "XX"}, "late without a time": {Answer: Late}, "time": {Late: -1}, "code": {Code: 7},
	} {
		if _, err := Start(Options{Behaviour: b}); err == nil {
			t.Errorf("%s: no error", name)
		}
		p := start(t, Options{})
		if p.Behave(b) == nil {
			t.Errorf("%s: no error of Behave", name)
		}
	}
	if _, err := Start(Options{Log: filepath.Join(t.TempDir(), "no", "folder")}); err == nil {
		t.Error("no error of a ledger that cannot be opened")
	}
	p := start(t, Options{})
	if _, err := Start(Options{Address: p.Address(), Log: filepath.Join(t.TempDir(), "log")}); err == nil {
		t.Error("no error of an address that is taken")
	}
}

func TestDial(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := start(t, Options{Address: listener.Addr().String(), Dial: 1, Again: time.Millisecond})
	for i := range 3 {
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s := &sender{t: t, conn: conn, in: bufio.NewReader(conn)}
		reply, err := s.send(order(fmt.Sprint(i)))
		if err != nil || !strings.Contains(reply, fmt.Sprintf("MSA|AA|%d\r", i)) {
			t.Errorf("answer %q, %v", reply, err)
		}
		_ = conn.Close() // it comes again
	}
	if n := len(p.Arrivals()); n != 3 {
		t.Errorf("%d arrivals, want 3", n)
	}
}

func FuzzReply(f *testing.F) {
	f.Add([]byte(order("7")), "AE", 101)
	f.Add([]byte("MSH|"), "accept", 0)
	f.Add([]byte("MSHMMSA\rORC"), "AA", 0)
	p := start(f, Options{Behaviour: Behaviour{Filler: "F"}})
	f.Fuzz(func(t *testing.T, raw []byte, word string, code int) {
		b := Behaviour{Answer: Word(word), Code: code, Filler: "F"}
		if b.Check() != nil {
			return
		}
		if reply := p.reply(raw, Word(word), b); bytes.ContainsAny(reply, "\x0b\x1c") && !bytes.ContainsAny(raw, "\x0b\x1c") {
			t.Errorf("bytes of a frame in %q", reply)
		}
	})
}
