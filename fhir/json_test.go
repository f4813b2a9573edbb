package fhir

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/corpus"
)

func TestParse(t *testing.T) {
	t.Run("what was read is written as it was", func(t *testing.T) {
		for _, text := range []string{
			`{"a":1.50,"b":[true,false,null],"c":{"d":"e"}}`, `[]`, `{}`, `"x"`, `-0.0e+10`, `{"z":1,"a":2}`, `"\u0001\"\\\n"`, `"é😀"`, `[[[[1]]]]`,
		} {
			n, err := Parse([]byte(text))
			if err != nil {
				t.Errorf("%s: %v", text, err)
			} else if got := string(n.AppendJSON(nil)); got != text {
				t.Errorf("%s was written as %s", text, got)
			}
		}
	})
	t.Run("escapes are resolved", func(t *testing.T) {
		n, err := Parse([]byte(`"a\u00e9\ud83d\ude00\/\b\f"`))
		if err != nil || n.Text != "aé😀/\b\f" {
			t.Errorf("got %q %v", n.Text, err)
		}
	})
	t.Run("what is no JSON is refused with its place", func(t *testing.T) {
		for text, at := range map[string]int{
			``: 0, `{`: 1, `{"a"}`: 4, `{"a":1,}`: 7, `[1,]`: 3, `01`: 2, `1.`: 2, `-`: 1, `+1`: 0, `nul`: 0, `"x`: 2, "\"\x01\"": 1, `"\x"`: 2,
			`"\ud800"`: 6, `{"a":1,"a":2}`: 7, `1 2`: 2, "\"\xff\"": 1, `{1:2}`: 1, `[1 2]`: 3, "\xef\xbb\xbf{}": 0, `"\u12"`: 2,
		} {
			_, err := Parse([]byte(text))
			e, ok := err.(*SyntaxError) //nolint:errorlint // it is the error itself
			if !ok {
				t.Errorf("%q: %v, want a SyntaxError", text, err)
			} else if e.Offset != at {
				t.Errorf("%q: byte %d (%s), want %d", text, e.Offset, e.Text, at)
			}
		}
	})
	t.Run("depth and size are bounded", func(t *testing.T) {
		if _, err := Parse([]byte(strings.Repeat("[", 100000))); err == nil {
			t.Error("100000 deep was taken")
		}
		if _, err := Parse([]byte("[" + strings.Repeat("1,", 200000) + "1]")); err == nil {
			t.Error("200001 items were taken")
		}
	})
}

func TestEqualAndClone(t *testing.T) {
	parse := func(s string) *Node {
		n, err := Parse([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	a := parse(`{"a":1,"b":[{"c":"d"}]}`)
	c := a.Clone()
	if !a.Equal(c) || !a.Equal(parse(`{"b":[{"c":"d"}],"a":1}`)) {
		t.Error("equal values differ")
	}
	c.Get("b").Items[0].Set("c", Text("x"))
	if a.Equal(c) || a.Equal(parse(`{"a":1.0,"b":[{"c":"d"}]}`)) || a.Get("b").Items[0].Get("c").Text != "d" {
		t.Error("different values are equal, or a clone shares")
	}
}

func TestStamped(t *testing.T) {
	at := time.Date(2026, 1, 5, 12, 0, 0, 123456789, time.FixedZone("", -5*3600))
	for name, c := range map[string]struct{ in, want string }{
		"without meta":   {`{"resourceType":"P","id":"1","name":"x"}`, `{"resourceType":"P","id":"1","meta":{"versionId":"7","lastUpdated":"2026-01-05T17:00:00.123Z"},"name":"x"}`},
		"with meta":      {`{"resourceType":"P","id":"1","meta":{"source":"s"}}`, `{"resourceType":"P","id":"1","meta":{"versionId":"7","lastUpdated":"2026-01-05T17:00:00.123Z","source":"s"}}`},
		"nothing else":   {`{"resourceType":"P","id":"1"}`, `{"resourceType":"P","id":"1","meta":{"versionId":"7","lastUpdated":"2026-01-05T17:00:00.123Z"}}`},
		"meta elsewhere": {`{"resourceType":"P","id":"1","x":{"meta":{"a":1}}}`, `{"resourceType":"P","id":"1","meta":{"versionId":"7","lastUpdated":"2026-01-05T17:00:00.123Z"},"x":{"meta":{"a":1}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := Stamped([]byte(c.in), 7, at)
			if string(got) != c.want {
				t.Errorf("got %s", got)
			}
			n, err := Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			if back := string(Unstamped(n, "P", "1").AppendJSON(nil)); back != c.in {
				t.Errorf("back %s", back)
			}
		})
	}
}

func TestIdentityKeysKeepPartsApart(t *testing.T) {
	if IdentityKey("Patient", "a", "bc") == IdentityKey("Patient", "ab", "c") {
		t.Error("two identities have one key")
	}
}

// TestCorpus reads every JSON file of the corpus that is JSON, and writes it
// again without loss.
func TestCorpus(t *testing.T) {
	root := corpus.Dir(t, "fhir")
	read, refused := 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n, err := Parse(text)
		if err != nil {
			refused++
			return nil
		}
		read++
		var want bytes.Buffer
		if err := json.Compact(&want, text); err != nil {
			t.Errorf("%s: taken although it is no JSON: %v", d.Name(), err)
			return nil
		}
		again, err := Parse(n.AppendJSON(nil))
		if err != nil || !again.Equal(n) {
			t.Errorf("%s: not the same after it was written: %v", d.Name(), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files read, %d refused", read, refused)
	if read < 100 || refused > read/10 {
		t.Errorf("%d files read, %d refused", read, refused)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"resourceType":"Patient","a":[1.0,"x\u00e9",null]}`, `[`, `"\ud83d\ude00"`, `-1e5`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(data)
		if err != nil {
			return
		}
		again, err := Parse(n.AppendJSON(nil))
		if err != nil || !again.Equal(n) {
			t.Fatalf("not the same after it was written: %v", err)
		}
		if !json.Valid(data) {
			t.Fatal("taken although it is no JSON")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(`{"resourceType":"Observation","id":"o1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin"}]},"subject":{"reference":"Patient/1"},"effectiveDateTime":"2026-01-05T08:30:00-05:00","valueQuantity":{"value":11.9,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"}}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
