package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// built holds the engine binaries of this test run, by build tags.
var built struct {
	sync.Mutex
	folder string
	paths  map[string]string
}

func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"engine": main})
}

// A suite is the tests of this package, and the program itself for scripts.
type suite struct{ m *testing.M }

// Run runs the tests.
func (s suite) Run() int {
	code := s.m.Run()
	if built.folder != "" {
		_ = os.RemoveAll(built.folder) // a temporary folder
	}
	return code
}

// binary builds the engine once for each set of tags.
func binary(t testing.TB, tags string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if path := built.paths[tags]; path != "" {
		return path
	}
	if built.folder == "" {
		folder, err := os.MkdirTemp("", "plexus-test-")
		if err != nil {
			t.Fatal(err)
		}
		built.folder, built.paths = folder, map[string]string{}
	}
	path := filepath.Join(built.folder, "engine-"+strings.ReplaceAll(tags, ",", "-"))
	cmd := exec.CommandContext(context.Background(), "go", "build", "-tags", tags, "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	built.paths[tags] = path
	return path
}

// A site is one engine's folder and addresses over several lives of the process.
type site struct {
	t        testing.TB
	tags     string
	folder   string
	database string // PostgreSQL in place of the embedded store
	http     string
	results  string // MLLP address of channel lab-results
	admit    string // MLLP address of channel admissions
	data     string // folder of the embedded store; default below folder
}

// siteRoutes is the configuration of the fault tests; %s are addresses.
const siteRoutes = `zone: America/New_York
channels:
  - name: lab-results
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    filter: type startsWith "ORU^"
    map: v2-to-fhir
    routes: [ { to: { ehr: {} } } ]
  - name: admissions
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    ack: processed
    filter: type startsWith "ADT^"
    map: v2-to-fhir
    routes: [ { to: { ehr: {} } } ]
`

func newSite(t testing.TB, database string) *site {
	t.Helper()
	s := &site{t: t, folder: t.TempDir(), database: database, http: freeAddress(t), results: freeAddress(t), admit: freeAddress(t)}
	s.data = filepath.Join(s.folder, "data")
	s.configure(fmt.Sprintf(siteRoutes, s.results, s.admit))
	return s
}

func (s *site) configure(routes string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, "routes.yaml"), []byte(routes), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// given are the ports that this run has given away.
var given sync.Map

// freeAddress returns a loopback address that nobody listens on at the moment
// and that no other caller has got. It is below the range from which the system
// takes the ports of outgoing connections.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := 15000 + rand.IntN(17000)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("no free port was found")
	return ""
}

// A life is one process of a site.
type life struct {
	site *site
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{}
	err  error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start begins a life of the engine. It does not wait until it is ready.
func (s *site) start(env ...string) *life {
	s.t.Helper()
	args := []string{"run", "--routes", filepath.Join(s.folder, "routes.yaml"), "--data", s.data, "--http", s.http}
	if s.database != "" {
		args = append(args, "--database", s.database)
	}
	l := &life{site: s, cmd: exec.CommandContext(context.Background(), binary(s.t, s.tags), args...), log: &lockedBuffer{}, done: make(chan struct{})}
	l.cmd.Dir = s.folder
	l.cmd.Env = append(os.Environ(), env...)
	l.cmd.Stdout, l.cmd.Stderr = l.log, l.log
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { l.err = l.cmd.Wait(); close(l.done) }()
	s.t.Cleanup(func() { l.kill() })
	return l
}

// ready waits until the engine takes messages; false when it ended before.
func (l *life) ready() bool {
	l.site.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-l.done:
			return false
		default:
		}
		if status, _ := l.site.get("/readyz", nil); status == http.StatusOK {
			return true
		}
	}
	l.site.t.Fatalf("the engine was not ready within a minute:\n%s", l.log)
	return false
}

// mustReady starts and waits.
func (s *site) mustReady(env ...string) *life {
	s.t.Helper()
	l := s.start(env...)
	if !l.ready() {
		s.t.Fatalf("the engine ended at once: %v\n%s", l.err, l.log)
	}
	return l
}

// kill ends the process at once.
func (l *life) kill() {
	_ = l.cmd.Process.Kill() // it may have ended already
	<-l.done
}

// stop ends the process in order.
func (l *life) stop() {
	l.site.t.Helper()
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		l.site.t.Fatal(err)
	}
	select {
	case <-l.done:
	case <-time.After(60 * time.Second):
		l.site.t.Fatalf("the engine did not stop within a minute:\n%s", l.log)
	}
	if l.err != nil {
		l.site.t.Fatalf("the engine stopped with %v:\n%s", l.err, l.log)
	}
}

// killed waits for the process to end by SIGKILL.
func (l *life) killed() bool {
	select {
	case <-l.done:
	case <-time.After(30 * time.Second):
		return false
	}
	e, ok := errors.AsType[*exec.ExitError](l.err)
	if !ok {
		return false
	}
	status, ok := e.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// get asks the engine over HTTP; into takes JSON when it is not nil.
func (s *site) get(path string, into any) (status int, body []byte) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+s.http+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	if into != nil && response.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, into); err != nil {
			s.t.Errorf("GET %s: %v", path, err)
		}
	}
	return response.StatusCode, body
}

// rows lists the journal.
func (s *site) rows(query string) []row {
	s.t.Helper()
	var rows []row
	if status, body := s.get("/api/messages?limit=10000&"+query, &rows); status != http.StatusOK {
		s.t.Fatalf("messages: %d %s", status, body)
	}
	return rows
}

type row struct {
	ID, Channel, State, Reason, Control, Type string
	Received                                  time.Time
	Seq                                       int64
	Run                                       int
}

// settled waits until no message is in state stored and returns the journal.
func (s *site) settled() []row {
	s.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		if len(s.rows("state=stored")) == 0 {
			return s.rows("")
		}
		if time.Now().After(deadline) {
			s.t.Fatal("messages stayed stored for two minutes")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A bundle is what a FHIR search gives, as far as the tests look at it.
type bundle struct {
	Entry []struct {
		Resource map[string]any `json:"resource"`
	} `json:"entry"`
}

// search asks the FHIR API.
func (s *site) search(typ string, query url.Values) []map[string]any {
	s.t.Helper()
	query.Set("_count", "1000")
	var b bundle
	if status, body := s.get("/fhir/"+typ+"?"+query.Encode(), &b); status != http.StatusOK {
		s.t.Fatalf("search %s: %d %s", typ, status, body)
	}
	var out []map[string]any
	for _, e := range b.Entry {
		out = append(out, e.Resource)
	}
	return out
}

// A peer is one MLLP connection of a sender, written apart from the engine's
// own client so that both would have to be wrong in the same way.
type peer struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(address string) (*peer, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &peer{conn: conn, in: bufio.NewReader(conn)}, nil
}

func (p *peer) close() { _ = p.conn.Close() } // nothing more is expected of it

// exchange sends one message and returns the code of its acknowledgement:
// "AA", "AE", … An error means that nothing is known.
func (p *peer) exchange(raw string) (code string, err error) {
	if err := p.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(p.conn, "\x0b"+raw+"\x1c\r"); err != nil {
		return "", err
	}
	reply, err := p.in.ReadString(0x1c)
	if err != nil {
		return "", err
	}
	if _, err := p.in.ReadByte(); err != nil {
		return "", err
	}
	return ackCode(reply, control10(raw))
}

// ackCode reads MSA-1 and checks MSA-2.
func ackCode(reply, control string) (string, error) {
	for segment := range strings.SplitSeq(strings.Trim(reply, "\x0b\x1c\r"), "\r") {
		fields := strings.Split(segment, "|")
		if fields[0] == "MSA" && len(fields) > 2 {
			if fields[2] != control {
				return "", fmt.Errorf("MSA-2 is %q, want %q", fields[2], control)
			}
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("no MSA in the answer")
}

func control10(raw string) string {
	fields := strings.Split(strings.SplitN(raw, "\r", 2)[0], "|")
	if len(fields) < 10 {
		return ""
	}
	return fields[9]
}

// deliver sends a message until it is acknowledged, over as many connections
// as it takes: what a sender does that must not lose it.
func deliver(ctx context.Context, address, raw string) (code string, tries int, err error) {
	for ctx.Err() == nil {
		tries++
		p, err := dial(address)
		if err == nil {
			code, err = p.exchange(raw)
			p.close()
			if err == nil {
				return code, tries, nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return "", tries, ctx.Err()
}

// oru is a result of one patient with n observations under order number order.
func oru(control, mrn, order string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "MSH|^~\\&|LAB|NORTH LAB|EHR|NORTH CLINIC|20260105120000||ORU^R01^ORU_R01|%s|P|2.5.1\r", control)
	fmt.Fprintf(&b, "PID|1||%s^^^NORTH CLINIC^MR||TEST^PATIENT||19700101|F\r", mrn)
	fmt.Fprintf(&b, "ORC|RE|P%s^EHR|F%s^LAB\r", order, order)
	fmt.Fprintf(&b, "OBR|1|P%s^EHR|F%s^LAB|24323-8^Panel^LN|||20260105110000|||||||||||||||20260105115500||LAB|F\r", order, order)
	for i := range n {
		fmt.Fprintf(&b, "OBX|%d|NM|%d-1^Test %d^LN||%d.%d|mmol/L|1-9|N|||F|||20260105110000\r", i+1, 1000+i, i, i, len(control))
	}
	return b.String()
}

// adt is the n-th update of a patient: the family name says which.
func adt(control, mrn string, n int, event string) string {
	return fmt.Sprintf("MSH|^~\\&|ADT|NORTH CLINIC|EHR|NORTH CLINIC|202601051200%02d||ADT^%s^ADT_A01|%s|P|2.5.1\rEVN|%s|20260105120000\rPID|1||%s^^^NORTH CLINIC^MR||STATE%04d^PATIENT||19700101|F\rPV1|1|I|WARD^1^1||||||||||||||||V%s^^^NORTH CLINIC\r",
		n%60, event, control, event, mrn, n, mrn)
}
