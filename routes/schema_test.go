package routes

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// plainValue is a node as JSON would have it: what an editor checks.
func plainValue(n *node) any {
	switch n.form {
	case object:
		out := map[string]any{}
		for _, m := range n.members {
			out[m.key] = plainValue(m.value)
		}
		return out
	case sequence:
		out := []any{}
		for _, item := range n.items {
			out = append(out, plainValue(item))
		}
		return out
	case nothing:
		return nil
	}
	if n.style == plain {
		switch n.text {
		case "true", "false":
			return n.text == "true"
		}
		if _, err := strconv.ParseFloat(n.text, 64); err == nil {
			return json.Number(n.text)
		}
	}
	return n.text
}

func compiledSchema(t *testing.T, everything bool) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(schemaOf(fakeParts(t), everything))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("routes.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("routes.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchema(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// What is wrong in these only shows when the file is understood, or not at all as YAML.
	unseen := map[string]bool{
		"expressions": true, "meaning": true, "variables": true, "tags": true, "anchor": true,
		"env": true, "none": true, "second": true, "empty": true, "percent": true, "was": true, "answers": true, "parts": true, "batch": true, "zone": true, "acknowledge": true,
	}
	for _, file := range files {
		name := filepath.Base(file)
		good := strings.HasSuffix(name, ".good.yaml") || name == "included.yaml"
		if !good && (!strings.HasSuffix(name, ".bad.yaml") || unseen[strings.TrimSuffix(name, ".bad.yaml")]) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			missing := lost{}
			root := readYAML(file, data, missing, func(Place, string) {})
			if root == nil || len(missing) > 0 {
				return
			}
			err = compiledSchema(t, everything[name]).Validate(plainValue(root))
			if good && err != nil {
				t.Errorf("the schema refuses a good file: %v", err)
			}
			if !good && err == nil {
				t.Error("the schema takes a bad file")
			}
		})
	}
}

func TestReference(t *testing.T) {
	page := Reference(fakeParts(t))
	for _, list := range [][]word{topWords(), useWords(), channelWords(), routeWords(), retryWords()} {
		for _, w := range list {
			if !strings.Contains(page, w.name+"` |") {
				t.Errorf("%q is not on the page", w.name)
			}
			if w.text == "" || !strings.HasSuffix(w.text, ".") {
				t.Errorf("%q is not explained by a sentence", w.name)
			}
		}
	}
}

func TestNotYet(t *testing.T) {
	for _, key := range NotYet() {
		key, choice, valued := strings.Cut(key, ": ")
		parts := strings.Split(key, ".")
		words := map[string][]word{"channel": channelWords(), "route": routeWords()}[parts[0]]
		var w *word
		for _, part := range parts[1:] {
			if w = find(words, part); w == nil {
				break
			}
			words = innerWords(w.shape)
		}
		if w == nil {
			t.Errorf("%q is not a word of the language", key)
			continue
		}
		if valued && !contains(w.shape.choices, choice) {
			t.Errorf("%q is not a value of %s", choice, key)
		}
	}
}
