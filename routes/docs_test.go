package routes

import (
	"os"
	"strings"
	"testing"
)

// TestDocs holds the files of docs/routes.md free of problems.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/routes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("%d examples, want at least 2", len(blocks))
	}
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if !strings.Contains(text, "zone:") {
			text = "zone: America/New_York\n" + text
		}
		_, problems := Load(LoadOptions{File: "routes.yaml", Parts: fakeParts(t), ReadFile: func(name string) ([]byte, error) {
			if name == "labs.csv" {
				return []byte("lab,port\nwest,2602\n"), nil
			}
			return []byte(text), nil
		}})
		if len(problems) > 0 {
			t.Errorf("example %d:\n%s", i+1, problems.Error())
		}
	}
}
