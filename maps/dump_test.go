package maps_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

func TestDump(t *testing.T) {
	f := os.Getenv("DUMP")
	if f == "" {
		t.Skip()
	}
	m := shipped(t)
	data, _ := os.ReadFile(f)
	data = bytes.ReplaceAll(data, []byte("\n"), []byte("\r"))
	b, doc, err := mapped(m, data)
	if err != nil {
		t.Fatal(err)
	}
	var o bytes.Buffer
	_ = json.Indent(&o, b, "", " ")
	os.WriteFile("/tmp/dump.json", o.Bytes(), 0o600)
	for _, w := range doc.Warnings() {
		t.Log(w.Where, w.Code, w.Text)
	}
}
