package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/plexus-health/plexus/internal/pgtest"
)

// natsFor starts a NATS server that engines share, and returns its address.
func natsFor(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		JetStreamMaxMemory: 16 << 20, JetStreamMaxStore: 256 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s.ClientURL()
}

// TestEnginesShareTickets has two engines on one database and one NATS server.
// Both take messages, each channel is worked on by its owner, whichever engine
// the message came to; when the owner dies the other takes its channels over.
func TestEnginesShareTickets(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are started")
	}
	database, nats := pgtest.Start(t), "PLEXUS_NATS="+natsFor(t)
	a, b := newSite(t, database), newSite(t, database)
	first := a.mustReady(nats)
	second := b.mustReady(nats)
	control := 0
	send := func(s *site, n int) {
		for range n {
			control++
			if code := s.send(s.results, oru(fmt.Sprint("Q", control), fmt.Sprint("MQ", control%5), fmt.Sprint(control), 1)); code != "AA" {
				t.Fatalf("answered %s, want AA", code)
			}
		}
	}
	for range 5 {
		send(a, 4)
		send(b, 4)
	}
	if got := a.settled(); len(got) != control {
		t.Fatalf("the journal holds %d messages, want %d", len(got), control)
	}
	first.kill()
	send(b, 10)
	for _, r := range b.settled() {
		if r.State != "done" {
			t.Errorf("%s is %s (%s), want done", r.Control, r.State, r.Reason)
		}
	}
	second.stop()
}

// TestQueueFolderGoesAway takes the folder of tickets away under a running
// engine, and before a start: messages are processed all the same.
func TestQueueFolderGoesAway(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are started")
	}
	s := newSite(t, "")
	folder := filepath.Join(s.data, "jetstream")
	l := s.mustReady()
	for life := range 2 {
		for n := range 5 {
			if n == 2 {
				if err := os.RemoveAll(folder); err != nil {
					t.Fatal(err)
				}
			}
			control := fmt.Sprintf("G%d-%d", life, n)
			if code := s.send(s.results, oru(control, "MG", fmt.Sprint(life, n), 1)); code != "AA" {
				t.Fatalf("answered %s, want AA", code)
			}
			s.settled()
			if r := s.one(control); r.State != "done" {
				t.Errorf("%s is %s, want done", control, r.State)
			}
		}
		l.stop()
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		l = s.mustReady()
	}
	l.stop()
}

func TestQueueSettings(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	if err := os.WriteFile("routes.yaml", []byte(fmt.Sprintf(siteRoutes, freeAddress(t), freeAddress(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown queue":   {[]string{"--queue", "paper"}, `--queue "paper" is not known; known: jetstream, memory`},
		"memory and nats": {[]string{"--queue", "memory", "--nats", "nats://127.0.0.1:1"}, "leave one of them out"},
		"no credentials":  {[]string{"--nats", "nats://127.0.0.1:1", "--nats-credentials", "none.creds"}, "none.creds"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, problems bytes.Buffer
			code := run(context.Background(), append([]string{"run", "--http", freeAddress(t)}, c.args...), &out, &problems)
			if code != exitUsage || !strings.Contains(problems.String(), c.want) {
				t.Errorf("exit %d, %q, want %d and %q", code, problems.String(), exitUsage, c.want)
			}
		})
	}
}
