package mapping

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/transforms"
)

var update = flag.Bool("update", false, "write the expected words of testdata anew")

func words(problems []transforms.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s%s:%d:%d: %s\n", p.Field, p.File, p.Line, p.Column, p.Text)
	}
	return b.String()
}

// Every message of the checker, in its exact words, all of a file at once.
func TestEachBadFileIsSaidWhatIsWrongWithIt(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.bad.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no bad files")
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".bad.yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, problems := compiled(t, string(data))
			got := words(problems)
			want := filepath.Join("testdata", name+".bad.txt")
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			expected, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(expected) {
				t.Errorf("got\n%swant\n%s", got, expected)
			}
			if m != nil {
				t.Error("it compiled")
			}
		})
	}
}
