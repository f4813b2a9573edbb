package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// largeFiles writes a batch and a file of frames, and returns the length of the
// batch.
func largeFiles(t *testing.T, folder string, size int) int64 {
	t.Helper()
	one, err := os.ReadFile(filepath.Join("..", "..", "testdata", "messages", "hl7v2", "oru_r01_cbc.hl7"))
	if err != nil {
		t.Fatal(err)
	}
	batch, framed := []byte("FHS|^~\\&|A|B\rBHS|^~\\&|A|B\r"), []byte(nil)
	n := 0
	for ; len(batch) < size; n++ {
		batch = append(batch, one...)
		framed = append(append(append(framed, 0x0b), one...), 0x1c, '\r')
	}
	batch = append(batch, fmt.Sprintf("BTS|%d\rFTS|1\r", n)...)
	for name, content := range map[string][]byte{"batch.hl7": batch, "frames.bin": framed} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return int64(len(batch))
}

// TestLargeFilesAreInspectedInLittleMemory goes through a batch and a file of
// frames message by message: what is in use does not grow with the file.
func TestLargeFilesAreInspectedInLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it reads large files")
	}
	const size, bound = 30 << 20, 48 << 20
	folder := t.TempDir()
	sum := largeFiles(t, folder, size)
	again := filepath.Join(folder, "again")
	for name, args := range map[string][]string{
		"inspect":        {"inspect", "batch.hl7"},
		"inspect frames": {"inspect", "frames.bin"},
		"emit":           {"inspect", "--emit", again, "batch.hl7"},
		"tree":           {"inspect", "--tree", "batch.hl7"},
		"values":         {"inspect", "--json", "--get", "PID-3[*].1", "batch.hl7"},
		"diff":           {"diff", "batch.hl7", "frames.bin"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, arg := range args {
				if ext := filepath.Ext(arg); ext == ".hl7" || ext == ".bin" {
					args[i] = filepath.Join(folder, arg)
				}
			}
			var stats runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&stats)
			before, most := stats.HeapAlloc, uint64(0)
			var errs bytes.Buffer
			ended := make(chan int)
			go func() { ended <- run(context.Background(), args, io.Discard, &errs) }()
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for code := -1; code < 0; {
				select {
				case code = <-ended:
					if code != exitOK || errs.Len() > 0 {
						t.Errorf("exit code %d: %s", code, errs.String())
					}
				case <-tick.C:
					runtime.ReadMemStats(&stats)
					most = max(most, stats.HeapAlloc)
				}
			}
			if most > before+bound {
				t.Errorf("%d MB were in use, %d MB before", most>>20, before>>20)
			}
			t.Logf("at most %d MB in use, %d MB before", most>>20, before>>20)
		})
	}
	if info, err := os.Stat(filepath.Join(again, "batch.hl7")); err != nil || info.Size() != sum {
		t.Errorf("made again: %v, %v", info, err)
	}
}
