package mllp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/message"
)

// A choppy reader delivers bytes in pieces of random length.
type choppy struct {
	rest   []byte
	random *rand.Rand
}

func (c *choppy) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest[:1+c.random.IntN(min(len(c.rest), 40))])
	c.rest = c.rest[n:]
	return n, nil
}

const framingInside = "a frame without damage holds bytes of framing"

// read returns everything a reader finds in the bytes, in words.
func read(in io.Reader, strictly bool) []string {
	var found []string
	counted := map[string]int{}
	r := &reader{
		in: bufio.NewReaderSize(in, 64), deadline: func(time.Time) {},
		count: func(event string, n int, _ int64) { counted[event] += n },
		size:  2000, whole: 500, idle: time.Hour, frame: time.Hour, endWait: time.Hour, strict: strictly, strays: strays,
	}
	for {
		f, err := r.next()
		if err != nil {
			return append(found, err.Error(), fmt.Sprint(counted))
		}
		if f.stream != nil {
			hash := newSum()
			_, err := io.Copy(hash, f.stream)
			found = append(found, fmt.Sprint("stream ", hash, err))
			if err == nil {
				continue
			}
			f = f.stream.remains()
		}
		if f.damage == nil && bytes.ContainsAny(f.raw, "\x0b\x1c") {
			found = append(found, framingInside)
		}
		found = append(found, fmt.Sprintf("%q %v mute %v last %v", f.raw, f.damage, f.mute, f.last))
		if f.last {
			return append(found, fmt.Sprint(counted))
		}
	}
}

// FuzzReader holds that the same bytes are the same frames however they were
// cut on their way, that nothing is handed over twice, and that a frame without
// damage holds no byte of framing.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		framed(m1), framed(m1) + framed(m2), "\r\nGET / HTTP/1.0\r\n\r\n" + framed(m1), "\x1c\x00x\x1c" + framed(m1) + "y\r", strings.Repeat("z"+framed(m1), 20), "\x0b" + m1 + "\x1c" + framed(m2),
		"\x0b" + m1 + "\x1c", "\x0b" + m1 + "\x1c\n" + framed(m2), "\x0b" + m1 + "\x1cNTE\r\x1c\r", "\x0b" + m1 + framed(m2),
		"\x0b" + m1 + "a\x0bb\x1c\r", "\x0b\x0b" + m1 + "\x1c\r", "\x0b\x1c\r", "\x0b", m1, m1 + "\x1c\r", "\x16\x03\x01\x0b",
		framed(m1 + strings.Repeat("x", 600)), framed(m1+strings.Repeat("x", 3000)) + framed(m2), "\x0b" + strings.Repeat("x", 600) + framed(m2),
		"\x0bM\x0bMS\x0bMSH|\x0b\x0b\x1c\x1c\r\r", "MS\x0bMSH\x1c\n\x0b",
		strings.Repeat("x", 2040) + framed(m1), strings.Repeat("x", 300) + framed(m1+strings.Repeat("y", 600)+"\x0b1"),
	} {
		f.Add([]byte(seed), uint64(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		for _, strictly := range []bool{false, true} {
			want := read(bytes.NewReader(data), strictly)
			for name, in := range map[string]io.Reader{
				"one byte at a time": iotest.OneByteReader(bytes.NewReader(data)),
				"pieces":             &choppy{data, rand.New(rand.NewPCG(seed, 1))},
			} {
				if got := read(in, strictly); strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Fatalf("strict %v, %s:\n%s\nwant\n%s", strictly, name, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			for _, line := range want {
				if strings.Contains(line, framingInside) {
					t.Fatal(line)
				}
			}
		}
	})
}

// TestStartBytesForEver holds that a frame which begins again and again has the
// time of one frame.
func TestStartBytesForEver(t *testing.T) {
	bounds := map[time.Time]struct{}{}
	r := &reader{
		in:       bufio.NewReader(iotest.OneByteReader(strings.NewReader(strings.Repeat("\x0b", 1000)))),
		deadline: func(by time.Time) { bounds[by] = struct{}{} }, count: func(string, int, int64) {},
		size: 2000, whole: 500, idle: time.Hour, frame: time.Hour, endWait: time.Hour,
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Fatalf("next = %v, want the end", err)
	}
	if len(bounds) != 2 {
		t.Errorf("%d times bounded the reads, want that of silence and that of a frame", len(bounds))
	}
}

func TestClientReadsAnswers(t *testing.T) {
	tests := map[string]struct {
		answer string
		want   string
		kind   message.Kind
	}{
		"one frame":                  {framed("MSA|AA|1\r"), "MSA|AA|1\r", ""},
		"line ends before the frame": {"\r\n" + framed("MSA|AA|1\r"), "MSA|AA|1\r", ""},
		"a damaged frame":            {framed("MSA|AA|\x0b1\r"), "MSA|AA|\x0b1\r", message.Unreadable},
		"no frame":                   {"MSH|^~\\&|A\rMSA|AA|1\r\x1c\r", "MSH|^~\\&|A\rMSA|AA|1\r", message.Unreadable},
		"half a frame":               {"\x0bMSA|AA", "MSA|AA", message.Unknown},
		"a server of another kind":   {"HTTP/1.1 400 Bad Request\r\n\r\n", "", message.Unreadable},
		"a server that wants TLS":    {"\x15\x03\x01\x00\x02\x02\x46", "", message.Unknown},
		"nothing":                    {"", "", message.Unknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client, err := Dial(context.Background(), ClientOptions{Address: answering(t, test.answer)})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			got, err := client.Exchange(context.Background(), []byte(m1))
			if string(got) != test.want || (test.kind != "" && message.KindOf(err) != test.kind) || (test.kind == "") != (err == nil) {
				t.Errorf("Exchange = %q, %v; want %q, kind %q", got, err, test.want, test.kind)
			}
		})
	}
}

func TestAck(t *testing.T) {
	for reply, want := range map[string]Ack{
		"MSH|^~\\&|A\rMSA|AA|7\r":           {"AA", "7"},
		"MSH|^~\\&|A\nMSA|AE|7|text\nERR||": {"AE", "7"},
		"MSH#^~\\&#A\rSFT#1\rMSA#AR#7":      {"AR", "7"},
		"MSH|^~\\&|A\rMSA":                  {},
		"MSH|^~\\&|A\rMSA|AA":               {"AA", ""},
		"MSA|AA|7":                          {},
		"":                                  {},
		"MSH":                               {},
		"MSH|^~\\&|A\rXMSA|AA|7\r\rMSA|CA| 007 |x\r": {"CA", " 007 "},
	} {
		if got := ReadAck([]byte(reply)); got != want {
			t.Errorf("ReadAck(%q) = %v, want %v", reply, got, want)
		}
	}
	for raw, want := range map[string]string{
		m1:                                  "MSH|^~\\&|A|B|C|D|||ADT^A01|new|P|2.5\rPID|1\r",
		"MSH|^~\\&|A|B|C|D|||ADT^A01|1":     "MSH|^~\\&|A|B|C|D|||ADT^A01|new",
		"MSH|^~\\&|A|B|C|D|||ADT^A01|\rPID": "MSH|^~\\&|A|B|C|D|||ADT^A01|new\rPID",
		"MSH|^~\\&|A\rPID|||||||||||":       "MSH|^~\\&|A\rPID|||||||||||",
		"PID|1":                             "PID|1",
	} {
		if got := string(WithControl([]byte(raw), "new")); got != want {
			t.Errorf("WithControl(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*SourceOptions)
		want   string
	}{
		"the defaults are right":         {func(*SourceOptions) {}, ""},
		"localhost is this machine":      {func(o *SourceOptions) { o.Listen = "localhost:2575" }, ""},
		"IPv6 loopback is this machine":  {func(o *SourceOptions) { o.Listen = "[::1]:2575" }, ""},
		"TLS may listen anywhere":        {func(o *SourceOptions) { o.Listen, o.TLS = ":2575", &network.TLSOptions{Cert: "a", Key: "b"} }, ""},
		"no TLS off this machine":        {func(o *SourceOptions) { o.Listen = "0.0.0.0:2575" }, `listen: "0.0.0.0:2575" is reachable from other machines and messages would travel unencrypted: add tls, or say insecure: i-understand`},
		"any address is off the machine": {func(o *SourceOptions) { o.Listen = ":2575" }, `listen: ":2575" is reachable from other machines and messages would travel unencrypted: add tls, or say insecure: i-understand`},
		"insecure, understood":           {func(o *SourceOptions) { o.Listen, o.Insecure = "0.0.0.0:2575", "i-understand" }, ""},
		"insecure, another word":         {func(o *SourceOptions) { o.Insecure = "yes" }, `insecure: "yes" is not known; the only word is i-understand`},
		"no port":                        {func(o *SourceOptions) { o.Listen = "127.0.0.1" }, `listen: "127.0.0.1" is not host:port, such as 127.0.0.1:2575`},
		"a port too high":                {func(o *SourceOptions) { o.Listen = "127.0.0.1:70000" }, "listen: port 70000 is not between 0 and 65535"},
		"a port in words":                {func(o *SourceOptions) { o.Listen = "127.0.0.1:hl7" }, "listen: port hl7 is not between 0 and 65535"},
		"no time":                        {func(o *SourceOptions) { o.Idle = 0 }, "idle: 0s is not a time above zero, such as 30s"},
		"framing, misspelt":              {func(o *SourceOptions) { o.Framing = "tolerent" }, `framing: "tolerent" is not known; known: tolerant, strict; did you mean "tolerant"?`},
		"framing":                        {func(o *SourceOptions) { o.Framing = "loose" }, `framing: "loose" is not known; known: tolerant, strict`},
		"peers":                          {func(o *SourceOptions) { o.Peers = []string{"10.0.0.0/8", "lab"} }, `peers[1]: "lab" is not an address or network, such as 192.0.2.17 or 10.1.0.0/16`},
		"tls":                            {func(o *SourceOptions) { o.TLS = &network.TLSOptions{Min: "1.0"} }, "tls.cert: is missing: the file of the certificate\ntls.key: is missing: the file of the certificate's private key\ntls.min: \"1.0\" is not known; known: 1.2, 1.3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			options := DefaultSource().(*SourceOptions)
			test.change(options)
			var got []string
			for _, p := range options.Validate() {
				got = append(got, p.Field+": "+p.Text)
			}
			if strings.Join(got, "\n") != test.want {
				t.Errorf("problems\n%s\nwant\n%s", strings.Join(got, "\n"), test.want)
			}
		})
	}
}

func TestLatencies(t *testing.T) {
	var l Latencies
	if got := l.Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
	for i := 1000; i > 0; i-- {
		l.Add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: time.Millisecond, 0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := l.Quantile(q); got != want {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
}

// BenchmarkListener is what the connector itself costs: nothing is journaled.
func BenchmarkListener(b *testing.B) {
	raw := []byte(m1 + strings.Repeat("OBX|1|NM|1001-1^Test number 1^LN||5.1|mmol/L|1-9|N|||F\r", 36))
	for _, connections := range []int{1, 32} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			s := newSite(b)
			s.env.Connections = 100
			s.handle = func(_ context.Context, m *message.Message) (message.Reply, error) {
				return ack(m, message.Accepted), nil
			}
			address := s.run()
			b.SetBytes(int64(len(raw)))
			load := Load{
				Client: ClientOptions{Address: address}, Connections: connections, Count: b.N,
				Message: func(int) []byte { return raw },
				Take: func(_ int, _, _ []byte, err error, _ time.Duration) {
					if err != nil {
						b.Error(err)
					}
				},
			}
			b.ReportAllocs()
			b.ResetTimer()
			if _, err := load.Run(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// TestClientGivesUpLargeAnswers holds that an answer above the limit is not
// read to its end.
func TestClientGivesUpLargeAnswers(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	written := make(chan int, 1)
	go func() {
		in := bufio.NewReader(far)
		_, _ = in.ReadBytes(endByte)
		_, _ = in.ReadByte()
		n, _ := io.WriteString(far, framed(strings.Repeat("x", 1<<20)))
		written <- n
	}()
	_, err := newClient(near, 1000).Exchange(context.Background(), []byte(m1))
	if message.KindOf(err) != message.Unreadable {
		t.Errorf("Exchange = %v, want unreadable", err)
	}
	if n := <-written; n > 2*bufferSize {
		t.Errorf("%d bytes of the answer were read", n)
	}
}
