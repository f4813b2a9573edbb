package raw

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/parsertest"
)

func TestParser(t *testing.T) {
	parsertest.Run(t, parsertest.Case{
		Parser: &Parser{}, Samples: filepath.Join("..", "..", "testdata", "messages", "raw"), Ext: ".csv",
		Paths: []string{"raw", "raw.lines", "raw.line"}, Wrong: []string{"raw.column", "raws", "line"}, Refused: map[string]string{"nothing": ""},
	})
}

func TestPaths(t *testing.T) {
	doc, err := (&Parser{}).Parse([]byte("a;1\r\n\nb;\xff\n"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) message.Path {
		p, err := (Grammar{}).Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if got := read("raw.lines").Texts(doc.Root()); !slices.Equal(got, []string{"a;1", "", "b;\uFFFD"}) {
		t.Errorf("lines are %q", got)
	}
	lines := read("raw.line").Nodes(doc.Root())
	if len(lines) != 3 || read("raw").Text(lines[0]) != "a;1" || read("raw").Text(doc.Root()) != "a;1\r\n\nb;\uFFFD\n" {
		t.Errorf("%d lines", len(lines))
	}
}

// TestLargeContentsAreToldApart by what follows their beginnings.
func TestLargeContentsAreToldApart(t *testing.T) {
	head := []byte(strings.Repeat("x", 100))
	one, err := (&Parser{}).Scan(head, strings.NewReader("1"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := (&Parser{}).Scan(head, strings.NewReader("2"))
	if err != nil || one.Hash == other.Hash {
		t.Errorf("both have the hash %x, %v", one.Hash, err)
	}
	if _, err := (&Parser{}).Scan(nil, nil); message.KindOf(err) != message.Malformed {
		t.Errorf("no content: %v", err)
	}
}
