package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// routes is the configuration that is measured: one channel that only journals,
// one that maps into the store, two that send what they get on (over one
// connection, over 32), two that map into the store and send it on as well.
const routes = `zone: America/New_York
channels:
  - name: intake
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    filter: type == "ORU^R99"
    map: v2-to-fhir
    routes: [ { to: { ehr: {} } } ]
  - name: results
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    map: v2-to-fhir
    routes: [ { to: { ehr: {} } } ]
  - name: one
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    routes: [ { name: out, to: { mllp: { address: "%s" } } } ]
  - name: many
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    routes: [ { name: out, to: { mllp: { address: "%s", connections: 32 } } } ]
  - name: both
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    map: v2-to-fhir
    routes:
      - { to: { ehr: {} } }
      - { name: out, map: original, to: { mllp: { address: "%s" } } }
  - name: wide
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    map: v2-to-fhir
    routes:
      - { to: { ehr: {} } }
      - { name: out, map: original, to: { mllp: { address: "%s", connections: 32 } } }
`

// An Engine is a child process that serves the measured routes.
type Engine struct {
	// Intake, Results, One, Many, Both and Wide are the MLLP addresses of the channels.
	Intake, Results, One, Many, Both, Wide string
	// Started is how long it took from its start until it was ready.
	Started time.Duration

	http   string
	cmd    *exec.Cmd
	output bytes.Buffer
	done   chan error
	client http.Client
}

// Start runs the program in folder and waits until it is ready. An empty
// database means the embedded store.
//
// What its channels send on goes to the receiver's address.
func Start(ctx context.Context, program, folder, database, receiver string) (*Engine, error) {
	addresses, err := freeAddresses(7)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		Intake: addresses[0], Results: addresses[1], One: addresses[2], Many: addresses[3], Both: addresses[4], Wide: addresses[5],
		http: addresses[6], done: make(chan error, 1),
	}
	e.client.Timeout = 10 * time.Second
	file := filepath.Join(folder, "routes.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, routes, e.Intake, e.Results, e.One, receiver, e.Many, receiver, e.Both, receiver, e.Wide, receiver), 0o600); err != nil {
		return nil, err
	}
	args := []string{"run", "--routes", file, "--data", filepath.Join(folder, "data"), "--http", e.http}
	if database != "" {
		args = append(args, "--database", database)
	}
	e.cmd = exec.CommandContext(ctx, program, args...)
	e.cmd.Dir = folder
	e.cmd.Stdout, e.cmd.Stderr = &e.output, &e.output
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { e.done <- e.cmd.Wait() }()
	if err := e.ready(ctx); err != nil {
		_ = e.cmd.Process.Kill() // it may have ended already
		return nil, err
	}
	e.Started = time.Since(began)
	return e, nil
}

// ready waits until the engine takes messages.
func (e *Engine) ready(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		select {
		case err := <-e.done:
			return fmt.Errorf("the engine ended at once: %w\n%s", err, e.output.String())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
		if _, err := e.get(ctx, "/readyz"); err == nil {
			return nil
		}
	}
	return errors.New("the engine was not ready within a minute")
}

func (e *Engine) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.http+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := e.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return io.ReadAll(response.Body)
}

// Messages returns how many messages of a channel stand in a state.
func (e *Engine) Messages(ctx context.Context, channel, state string) (int, error) {
	body, err := e.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		text, found := strings.CutPrefix(lines.Text(), "plexus_journal_messages{")
		labels, value, _ := strings.Cut(text, "} ")
		if found && strings.Contains(labels, `channel="`+channel+`"`) && strings.Contains(labels, `state="`+state+`"`) {
			n, err := strconv.ParseFloat(value, 64)
			return int(n), err
		}
	}
	return 0, lines.Err()
}

// Drained waits until n messages of a channel stand in state, and returns the
// time that was reached.
func (e *Engine) Drained(ctx context.Context, channel, state string, n int) (time.Time, error) {
	last, moved := 0, time.Now()
	for {
		have, err := e.Messages(ctx, channel, state)
		if err != nil {
			return time.Time{}, err
		}
		now := time.Now()
		switch {
		case have >= n:
			return now, nil
		case have > last:
			last, moved = have, now
		case now.Sub(moved) > 30*time.Second:
			return time.Time{}, fmt.Errorf("channel %s: %d of %d messages are %s, and none has been added for 30s", channel, have, n, state)
		}
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// CPU is the processor time the engine has used.
func (e *Engine) CPU() (time.Duration, error) { return processTime(e.cmd.Process.Pid) }

func processTime(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// proc(5): utime and stime are fields 14 and 15; the name before may hold spaces.
	_, rest, _ := bytes.Cut(data, []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) < 13 {
		return 0, errors.New("stat of the process is not readable")
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil // USER_HZ is 100 on every Linux we run on
}

// Memory is the resident memory of the engine in bytes.
func (e *Engine) Memory() (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if text, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("status of the process has no VmRSS")
}

// Stop ends the engine in order.
func (e *Engine) Stop() error {
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-e.done:
		if err != nil {
			return fmt.Errorf("%w\n%s", err, e.output.String())
		}
		return nil
	case <-time.After(time.Minute):
		_ = e.cmd.Process.Kill() // it may have ended now
		return errors.New("the engine did not end within a minute")
	}
}

func freeAddress() (string, error) {
	addresses, err := freeAddresses(1)
	return strings.Join(addresses, ""), err
}

// freeAddresses are n addresses, no two of them the same.
func freeAddresses(n int) ([]string, error) {
	addresses := make([]string, 0, n)
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // taken until there are n
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
