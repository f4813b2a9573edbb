package hl7v2

import (
	"io"
	"runtime"
	"testing"
)

// An endless reader repeats content until it has given so many bytes.
type endless struct {
	content []byte
	at      int
	left    int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), e.left)], e.content[e.at:])
	e.at = (e.at + n) % len(e.content)
	e.left -= n
	return n, nil
}

// TestALargeFileNeedsLittleMemory splits a batch of 100 MB as it comes, and
// parses each message of it.
func TestALargeFileNeedsLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads 100 MB")
	}
	const size, bound = 100 << 20, 24 << 20
	one := sample(t, "oru_r01_cbc.hl7")
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before, most, messages := stats.HeapAlloc, uint64(0), 0
	err := New(Options{}).Split(&endless{content: one, left: size / len(one) * len(one)}, 8<<20, func(raw []byte) error {
		messages++
		if _, err := Parse(raw); err != nil {
			return err
		}
		if messages%500 == 0 {
			runtime.ReadMemStats(&stats)
			most = max(most, stats.HeapAlloc)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := size / len(one); messages != want {
		t.Errorf("%d messages, want %d", messages, want)
	}
	if most > before+bound {
		t.Errorf("%d MB were in use, %d MB before", most>>20, before>>20)
	}
	t.Logf("%d messages, at most %d MB in use, %d MB before", messages, most>>20, before>>20)
}
