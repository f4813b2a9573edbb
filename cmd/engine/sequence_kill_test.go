package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A countingReceiver keeps the sequence number protocol: it takes what has the
// next number and says in MSA-4 which that is. It lives on while the engine dies.
type countingReceiver struct {
	address string
	mu      sync.Mutex
	last    int64
	took    []string         // control ids, in the order of their numbers
	numbers map[string][]int // by control id: the numbers under which it came
}

func newCountingReceiver(t *testing.T) receiver {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &countingReceiver{address: listener.Addr().String(), numbers: map[string][]int{}}
	var group sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); group.Wait() })
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { r.serve(conn) })
		}
	})
	return r
}

func (r *countingReceiver) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		raw, err := in.ReadBytes(0x1c)
		if err != nil {
			return
		}
		raw = bytes.TrimSuffix(bytes.TrimLeft(raw, "\r\x0b"), []byte{0x1c})
		if _, err := io.WriteString(conn, "\x0b"+r.take(string(raw))+"\x1c\r"); err != nil {
			return
		}
	}
}

func (r *countingReceiver) take(raw string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	head, body, _ := strings.Cut(raw, "\r")
	fields := append(strings.Split(head, "|"), make([]string, 13)...)
	control, code := fields[9], "AA"
	n, err := strconv.Atoi(fields[12])
	switch {
	case err == nil && n == 0 && body == "": // it asks
	case err != nil || int64(n) != r.last+1:
		code = "AE"
	default:
		r.last = int64(n)
		r.took = append(r.took, control)
	}
	if body != "" {
		r.numbers[control] = append(r.numbers[control], n)
	}
	return fmt.Sprintf("MSH|^~\\&|R|R|E|E|20260105||ACK|A%d|P|2.5.1\rMSA|%s|%s||%d\r", len(r.took), code, control, r.last+1)
}

func (r *countingReceiver) to() string {
	return fmt.Sprintf(`{ mllp: { address: "%s", timeout: 2s, sequence: true } }`, r.address)
}

// arrived is what the receiver took, and what came of it a second time: that it
// holds to the numbers alone.
func (r *countingReceiver) arrived(t *testing.T) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for control, numbers := range r.numbers {
		if len(slices.Compact(slices.Clone(numbers))) > 1 {
			t.Errorf("%s came under the numbers %d", control, numbers)
		}
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(r.took))); len(unique) != len(r.took) {
		t.Errorf("the receiver took a message twice: %q", r.took)
	}
	return slices.Clone(r.took)
}
