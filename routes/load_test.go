package routes

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the checker says into testdata")

// everything are the files whose words this version need not run.
var everything = map[string]bool{"ten.good.yaml": true, "later.good.yaml": true, "meaning.bad.yaml": true, "scalars.bad.yaml": true, "reply.bad.yaml": true}

func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.good.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no good files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if _, problems := load(t, LoadOptions{File: file}, everything[filepath.Base(file)]); len(problems) > 0 {
				t.Errorf("\n%s", problems.Error())
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			o := LoadOptions{File: file}
			if filepath.Base(file) == "env.bad.yaml" {
				o.Env = "absent"
			}
			_, problems := load(t, o, everything[filepath.Base(file)])
			compare(t, strings.TrimSuffix(file, ".yaml")+".txt", problems.Error()+"\n")
		})
	}
}

// compare holds got against a file, or writes it.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s\n got:\n%s\nwant:\n%s", file, got, want)
	}
}
