package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/internal/corpus"
	"github.com/plexus-health/plexus/message"
)

// notOK are files of the corpus, outside of its folder of malformed ones, that
// are not ok, with the reason that they get. Files that only lack MSH-10 are
// not listed.
var notOK = map[string]string{
	"edge/ADT_A01_v25_hapi_extendedminlowerlayerprotocoltest-1.hl7": "cannot be a separator", // U+FFFD in MSH-2
	"edge/ORU_R01_v251_cdcdex_lyme-withbaddelimiters.hl7":           "stands there twice",    // &&&&
	"batch/ADT_A0X_v24_ballerina_parser-tests-2.hl7":                "message 2: MSH-2",      // a list of segment names, MSH| among them
	"batch/ADT_A0X_v27_ballerina_parser-tests-2.hl7":                "message 2: MSH-2",
	"batch/ADT_A01_v25_cosyte_malformed-mid-batch.hl7":              "message 2: MSH-9: the message type is missing",
	"batch/NOMSH_vx_amida_samples.hl7":                              "does not begin with MSH", // comments between messages
	"mllp-frames/eof-mid-message.bin":                               "has no end",
	"mllp-frames/empty-block.bin":                                   "is empty",
}

// TestInspectCorpus reads what nobody here wrote: no crash, well-formed files
// ok and made again byte for byte, the others with a reason.
func TestInspectCorpus(t *testing.T) {
	root, out := corpus.Dir(t, "hl7v2"), t.TempDir()
	folders, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	files, same := 0, 0
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		name := folder.Name()
		args := []string{"inspect", "--json", "--emit", filepath.Join(out, name)}
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				args = append(args, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		said, errs, _ := command(t, args...)
		lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
		if len(lines) != len(args)-4 || errs != "" {
			t.Fatalf("%s: %d lines of %d files; %s", name, len(lines), len(args)-4, errs)
		}
		for _, line := range lines {
			files++
			if inspected(t, root, filepath.Join(out, name), line) {
				same++
			}
		}
	}
	t.Logf("%d files, %d made again byte for byte", files, same)
	if same < 790 {
		t.Errorf("only %d of %d files are made again byte for byte", same, files)
	}
}

// inspected compares a line with its file, and the file made again with both.
func inspected(t *testing.T, root, out, line string) bool {
	t.Helper()
	var got inspection
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	name, err := filepath.Rel(root, got.File)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(got.File)
	if err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(out, filepath.Base(name)))
	if got.Roundtrip != (err == nil && bytes.Equal(again, raw)) {
		t.Errorf("%s: roundtrip is %v, which is not so", name, got.Roundtrip)
	}
	want, listed := notOK[filepath.ToSlash(name)]
	malformed := strings.HasPrefix(name, "malformed")
	switch {
	case got.OK == (got.Error != ""):
		t.Errorf("%s: ok is %v, the error %q", name, got.OK, got.Error)
	case listed && (got.OK || !strings.Contains(got.Error, want)):
		t.Errorf("%s: ok is %v, the error %q, want %q", name, got.OK, got.Error, want)
	case !listed && !malformed && !got.OK && got.Error != "MSH-10: the control id is missing":
		t.Errorf("%s: %s", name, got.Error)
	case !listed && !malformed && !got.Roundtrip:
		t.Errorf("%s: is not made again byte for byte", name)
	case !got.OK && !strings.ContainsAny(got.Error, "0123456789") && !strings.Contains(got.Error, "MSH") && !listed && !strings.Contains(got.Error, "empty"):
		t.Errorf("%s: the error has no place: %s", name, got.Error)
	}
	for _, w := range got.Warnings {
		if w.Code == "" || w.Text == "" || w.Offset < 0 || w.Offset > len(raw) {
			t.Errorf("%s: %+v of %d bytes", name, w, len(raw))
		}
	}
	if !slices.IsSortedFunc(got.Warnings, func(a, b message.Warning) int { return a.Offset - b.Offset }) {
		t.Errorf("%s: warnings are not in the order of their bytes", name)
	}
	return got.Roundtrip
}

// FuzzInspect: one line of JSON with all keys, whatever stands in the file.
func FuzzInspect(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "messages", "hl7v2", "*.hl7"))
	if err != nil || len(files) == 0 {
		f.Fatalf("%d samples, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(append(append([]byte("x\x0b"), raw...), "\x1c\x0bMSH*~^\\&*A\r\x1c\r\x0b"...))
	}
	file := filepath.Join(f.TempDir(), "in.hl7")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		said, errs, code := command(t, "inspect", "--json", file)
		var got map[string]any
		if err := json.Unmarshal([]byte(said), &got); err != nil || errs != "" || len(got) != 8 {
			t.Fatalf("%v, %q, %q", err, said, errs)
		}
		if got["ok"] != (code == exitOK) || got["ok"] != (got["error"] == "") {
			t.Errorf("exit code %d: %s", code, said)
		}
		if values, errs, code := command(t, "inspect", "--get", "PID-3[*].1", file); code == exitUsage || errs != "" {
			t.Errorf("exit code %d: %s%s", code, values, errs)
		}
	})
}
