// Command hl7v2 measures the reader of HL7 v2 on one core beside readers that are
// on npm, which are installed in a temporary folder for the time it runs.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

//go:embed peers.mjs
var peers []byte

// packages are the readers measured beside ours.
var packages = []string{"@medplum/core@5.2.13", "node-hl7-client@4.0.0", "hl7v2@1.8.0"}

var twenty = []string{
	"MSH-3", "MSH-4", "MSH-9.1", "MSH-9.2", "MSH-10", "MSH-12", "PID-3.1", "PID-3.4", "PID-3[5=MR].1", "PID-5.1", "PID-5.2", "PID-7", "PID-8",
	"PV1-2", "ORC-1", "OBR-4.1", "OBR-25", "OBX[1]-3.1", "OBX[2]-5", "OBX[3]-8",
}

func main() {
	log.SetFlags(0)
	file := flag.String("message", "testdata/messages/hl7v2/oru_r01_cbc.hl7", "the message that is read; its results are repeated up to 2 KB")
	during := flag.Duration("time", 3*time.Second, "how long each is measured")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if err := measure(*file, *during); err != nil {
		log.Fatal(err)
	}
}

func measure(file string, during time.Duration) error {
	raw, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return err
	}
	raw = twoKB(raw)
	paths := make([]message.Path, len(twenty))
	for i, text := range twenty {
		if paths[i], err = (hl7v2.Grammar{}).Compile(text); err != nil {
			return err
		}
	}
	fmt.Printf("one message of %d bytes, MB a second of processor time\n", len(raw))
	for _, what := range []struct {
		name string
		does func(*hl7v2.Message) int
	}{{"read", func(m *hl7v2.Message) int { return read(m, paths) }}, {"walk", walk}} {
		rate, err := timed(raw, during, what.does)
		if err != nil {
			return err
		}
		fmt.Printf("%s\t%s\t%.1f\n", "this engine", what.name, rate)
	}
	return beside(raw, during)
}

// twoKB repeats the results of a message until it has 2 KB.
func twoKB(raw []byte) []byte {
	at, end := bytes.Index(raw, []byte("OBX|")), bytes.Index(raw, []byte("NTE|"))
	for at >= 0 && end > at && len(raw) < 2000 {
		raw = append(raw[:end:end], append(bytes.Clone(raw[at:end]), raw[end:]...)...)
	}
	return raw
}

var errNothing = errors.New("nothing was read")

// used is the processor time of this process, its garbage collector included:
// what other programs do on the machine does not count.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timed parses and reads for a while, and returns MB in a second of processor time.
func timed(raw []byte, during time.Duration, does func(*hl7v2.Message) int) (float64, error) {
	began, n := used(), 0
	for used()-began < during {
		for range 200 {
			m, err := hl7v2.Parse(raw)
			if err != nil {
				return 0, err
			}
			if does(m) < 20 {
				return 0, errNothing
			}
			n++
		}
	}
	return float64(n*len(raw)) / (used() - began).Seconds() / 1e6, nil
}

func read(m *hl7v2.Message, paths []message.Path) int {
	total := 0
	for _, p := range paths {
		total += len(p.Text(m))
	}
	return total
}

// walk reads every subcomponent.
func walk(m *hl7v2.Message) int {
	total := 0
	for w := m.Walk(); w.NextSegment(); {
		for w.Next() {
			total += len(w.Value().Text())
		}
	}
	return total
}

// beside measures the peers, where node and the registry are at hand.
func beside(raw []byte, during time.Duration) error {
	folder, err := os.MkdirTemp("", "hl7v2-peers")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }() // what is left there harms nobody
	for name, content := range map[string][]byte{"peers.mjs": peers, "message.hl7": raw} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return err
		}
	}
	ctx, done := context.WithTimeout(context.Background(), 10*time.Minute)
	defer done()
	args := append([]string{"install", "--prefix", folder, "--no-audit", "--no-fund", "--silent", "--ignore-scripts"}, packages...)
	if out, err := exec.CommandContext(ctx, "npm", args...).CombinedOutput(); err != nil {
		fmt.Printf("the peers cannot be installed here: %v %s\n", err, strings.TrimSpace(string(out[:min(len(out), 200)])))
		return nil
	}
	node := exec.CommandContext(ctx, "node", filepath.Join(folder, "peers.mjs"), filepath.Join(folder, "message.hl7"), fmt.Sprint(during.Seconds()))
	node.Dir, node.Stdout, node.Stderr = folder, os.Stdout, os.Stderr
	return node.Run()
}
