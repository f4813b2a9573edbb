package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/partner"
)

// listenFor runs the listen command until its count is reached; talk gets the
// address and says the messages.
func listenFor(t *testing.T, args []string, talk func(address string)) (stdout string, code int) {
	t.Helper()
	var out, errs lockedBuffer
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan int, 1)
	go func() { done <- run(ctx, append([]string{"listen"}, args...), &out, &errs) }()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if text := errs.String(); strings.HasSuffix(text, "\n") {
			talk(strings.TrimSpace(text[strings.LastIndexByte(strings.TrimSpace(text), ' '):]))
			break
		}
		select {
		case code := <-done:
			t.Fatalf("it ended with %d: %s", code, errs.String())
		case <-time.After(time.Millisecond):
		}
	}
	select {
	case code = <-done:
	case <-time.After(time.Until(deadline)):
		t.Fatalf("it did not end:\n%s%s", out.String(), errs.String())
	}
	return out.String(), code
}

func TestListen(t *testing.T) {
	log := filepath.Join(t.TempDir(), "ledger")
	out, code := listenFor(t, []string{"127.0.0.1:0", "--answer", "AE", "--err", "207", "--count", "2", "--log", log}, func(address string) {
		for _, control := range []string{"C1", "C2"} {
			p, err := dial(address)
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			if code, err := p.exchange(simple(control)); err != nil || code != "AE" {
				t.Errorf("answer %s, %v; want AE", code, err)
			}
		}
	})
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if !strings.HasPrefix(out, `1  AE  ADT^A01  "C1"  `) || !strings.Contains(out, `2  AE  ADT^A01  "C2"  `) || strings.Contains(out, "PID") {
		t.Errorf("printed %q", out)
	}
	arrivals, err := partner.ReadLog(log)
	if err != nil || len(arrivals) != 2 || arrivals[1].Control != "C2" || arrivals[1].Answer != "AE" {
		t.Errorf("ledger %+v, %v", arrivals, err)
	}
}

func TestListenShows(t *testing.T) {
	talk := func(address string) {
		p, err := dial(address)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		if code, err := p.exchange(simple("C1")); err != nil || code != "AA" {
			t.Errorf("answer %s, %v; want AA", code, err)
		}
	}
	out, _ := listenFor(t, []string{"127.0.0.1:0", "--count", "1", "--show"}, talk)
	if !strings.Contains(out, "\n    PID|1||7^^^N^MR\n") {
		t.Errorf("printed %q", out)
	}
}

func TestListenDials(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var out, errs lockedBuffer
	done := make(chan int, 1)
	go func() {
		done <- run(context.Background(), []string{"listen", listener.Addr().String(), "--dial", "--count", "1", "--json"}, &out, &errs)
	}()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{conn: conn, in: bufio.NewReader(conn)}
	defer p.close()
	if code, err := p.exchange(simple("C1")); err != nil || code != "AA" {
		t.Errorf("answer %s, %v; want AA", code, err)
	}
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	var line struct{ Control, Answer, Content string }
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil || line.Control != "C1" || line.Answer != "accept" || line.Content != "" {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}
