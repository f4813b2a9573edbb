// Package bench measures the engine from outside, as its peers see it, beside
// what the machine itself can do: a load generator, a child process and the
// reading of its cost.
package bench

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/plexus-health/plexus/connectors/mllp"
)

// MessageSize is the size of the message that the limits of the machine are
// measured with, in bytes.
const MessageSize = 2 << 10

// AppendSync returns how many appends of MessageSize the disk of folder syncs in
// a second, one after the other: what a journal without grouping could do.
func AppendSync(folder string, d time.Duration) (float64, error) {
	file, err := os.OpenFile(filepath.Join(folder, "append"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	record := make([]byte, MessageSize)
	n := 0
	began := time.Now()
	for time.Since(began) < d {
		if _, err := file.Write(record); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// Loopback returns how many messages of MessageSize go to a peer on this
// machine and are answered with 200 bytes in a second, and the median time of
// one: what a listener that does nothing could do.
func Loopback(connections int, d time.Duration) (rate float64, median time.Duration, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer listener.Close()
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { answer(conn) })
		}
	})
	var times mllp.Latencies
	errs := make(chan error, connections)
	began := time.Now()
	for range connections {
		go func() { errs <- ask(listener.Addr().String(), began.Add(d), &times) }()
	}
	for range connections {
		if e := <-errs; e != nil {
			err = e
		}
	}
	return float64(times.Len()) / time.Since(began).Seconds(), times.Quantile(0.5), err
}

const answerSize = 200

func answer(conn net.Conn) {
	defer conn.Close()
	in, out := make([]byte, MessageSize), make([]byte, answerSize)
	for {
		if _, err := io.ReadFull(conn, in); err != nil {
			return
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

func ask(address string, until time.Time, times *mllp.Latencies) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	out, in := make([]byte, MessageSize), make([]byte, answerSize)
	for now := time.Now(); now.Before(until); {
		if _, err := conn.Write(out); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, in); err != nil {
			return err
		}
		then := now
		now = time.Now()
		times.Add(now.Sub(then))
	}
	return nil
}
