package faults_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/faults"
)

// echo listens and returns what it is sent.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

func TestProxy(t *testing.T) {
	sent := []byte("0123456789")
	tests := map[string]struct {
		faults faults.Faults
		want   string
		err    error
	}{
		"nothing broken":       {faults.Faults{}, "0123456789", nil},
		"cut on the way there": {faults.Faults{Forth: faults.Fault{After: 4, Cut: true}}, "", nil},
		"cut on the way back":  {faults.Faults{Back: faults.Fault{After: 4, Cut: true}}, "0123", nil},
		"reset":                {faults.Faults{Back: faults.Fault{After: 4, Cut: true, Reset: true}}, "", syscall.ECONNRESET},
		"swallowed":            {faults.Faults{Forth: faults.Fault{After: 4, Swallow: true}}, "0123", nil},
		"in single bytes":      {faults.Faults{Forth: faults.Fault{Chunk: 1, Pause: time.Microsecond}}, "0123456789", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := faults.NewProxy(t, echo(t))
			p.Next(test.faults)
			conn, err := net.Dial("tcp", p.Address())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(sent); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil && test.err == nil && !test.faults.Forth.Cut {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			if test.err != nil && !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if test.want != "" && !bytes.Equal(got, []byte(test.want)) {
				t.Errorf("came %q, want %q", got, test.want)
			}
		})
	}
}

// TestCutAt cuts one connection at a text: what stands before it in the stream
// arrives, the text itself only when it is let pass, and nothing comes back.
func TestCutAt(t *testing.T) {
	for name, passed := range map[string]bool{"before it arrives": false, "when it has arrived": true} {
		t.Run(name, func(t *testing.T) {
			got, begun := make(chan string, 2), make(chan struct{}, 2)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					first := make([]byte, 1)
					n, _ := io.ReadFull(conn, first)
					begun <- struct{}{}
					all, _ := io.ReadAll(conn) // what came before the cut
					_, _ = conn.Write([]byte("answer"))
					got <- string(first[:n]) + string(all)
					_ = conn.Close()
				}
			}()
			p := faults.NewProxy(t, listener.Addr().String())
			cut := p.CutAt("END", passed)
			conn, err := net.Dial("tcp", p.Address())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			want := ""
			if passed {
				want = "E" + "ND"
			}
			for _, part := range []string{"E", "ND"} { // in two pieces
				if _, err := conn.Write([]byte(part)); err != nil {
					t.Fatal(err)
				}
				if part == "E" {
					<-begun // the second piece comes by itself
				}
			}
			<-cut
			if all, err := io.ReadAll(conn); err == nil && len(all) > 0 {
				t.Errorf("%q came back", all)
			}
			if all := <-got; all != want && (passed || all != "E") {
				t.Errorf("%q arrived, want %q", all, want)
			}
			// The next connection is whole.
			again, err := net.Dial("tcp", p.Address())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := again.Write([]byte("END")); err != nil {
				t.Fatal(err)
			}
			if err := again.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if all := <-got; all != "END" {
				t.Errorf("%q arrived", all)
			}
			_ = again.Close()
		})
	}
}
