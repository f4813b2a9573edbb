package fhir

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// seeded gives a fuzz test the samples and contents near the edges of what is read.
func seeded(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join(samples, "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatalf("%d samples, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, text := range []string{
		"", "{", "{}", mark, mark + "{}", `{"resourceType":"Patient"}`, `{"resourceType":"Patient","meta":{"versionId":"`, `{"meta":{"versionId":"1"`, `{"meta":{"versionId":"1\`, `{"meta"`, `{"meta":`,
		`{"resourceType":"Bundle","entry":[{"resource":`, `{"resourceType":"Patient","name":[{"given":[null,"x"],"_given":[{"extension":[]},null]}]}`, "{\"a\":1}\n{\"b\":2}\n", "]}[{", `{"a":"\u00`, "\x00", "<a/>",
		`{"resourceType":"Observation","subject":{"reference":"////"},"id":1}`, `{"resourceType":"Patient","link":[{"type":"replaces","other":{"reference":"#"}}]}`, `{"resourceType":"OperationOutcome"`,
	} {
		f.Add([]byte(text))
	}
}

func FuzzParse(f *testing.F) {
	seeded(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := lenient(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(d.Encode(nil), raw) {
			t.Fatal("not the same bytes again")
		}
		if again, err := lenient(d.Rebuild(nil)); err != nil || !d.Same(again) {
			t.Fatalf("made again it is not the same JSON: %v", err)
		}
		inside(t, d, d.tree)
		for _, w := range d.Warnings() {
			if w.Offset < 0 || w.Offset > len(raw) {
				t.Errorf("%s at byte %d of %d", w.Code, w.Offset, len(raw))
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, text := range []string{
		"Patient.name[0].family", "Patient.identifier[type=MR].value", "Patient.extension[a].value", "Patient.birthDate.extension[x].valueDateTime", "Bundle.entry.resource[Patient].name", "Claim.item[*].net", "Patient",
		"Observation.value.extension.url", "Patient.name[text=']'].id", "Patient.contained[resourceType=Practitioner].name", "Bundle.entry.resource[x]", "Observation.component.value.code", "Patient.name[given.id=x]", "Patient.name[given.extension.url=x][*].use",
	} {
		f.Add(text)
	}
	var nodes []message.Node
	for _, file := range []string{"patient.json", "bundle_order.json", "claim_details.json"} {
		d := parse(f, sample(f, file))
		nodes = append(nodes, d.Root())
		for _, text := range []string{"Patient.name", "Bundle.entry", "Bundle.entry.resource", "Claim.item.detail"} {
			nodes = append(nodes, compile(f, text).Nodes(d.Root())...)
		}
	}
	nodes = append(nodes, nil, (*Place)(nil))
	collections := []message.Path{compile(f, "Patient.name"), compile(f, "Bundle.entry.resource"), compile(f, "Claim.item.detail")}
	f.Fuzz(func(t *testing.T, text string) {
		if n := (Grammar{}).Scan(0, text); n < 0 || n > len(text) {
			t.Fatalf("Scan gives %d of %d", n, len(text))
		}
		compiled, err := Grammar{}.Compile(text)
		if err != nil {
			return
		}
		if compiled.String() != text {
			t.Errorf("%q is written %q", text, compiled.String())
		}
		for _, c := range collections {
			if from, ok := compiled.(message.Nested).Below(c); ok && from.Kind() == message.Several && compiled.Kind() == message.One {
				t.Errorf("%q gives more from the place in hand", text)
			}
		}
		for _, n := range nodes {
			if compiled.Kind() == message.One && len(compiled.Texts(n)) > 1 {
				t.Errorf("%q gives several values", text)
			}
			_ = compiled.Text(n)
			for _, found := range compiled.Nodes(n) {
				if start, end := found.Span(); start < 0 || end <= start {
					t.Errorf("%q leads to %d to %d", text, start, end)
				}
			}
		}
	})
}

func FuzzScan(f *testing.F) {
	seeded(f)
	p := &Parser{}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := p.Scan(raw, nil)
		again, fault := p.Scan(raw, bytes.NewReader(nil))
		if again != h || (err == nil) != (fault == nil) {
			t.Errorf("the same bytes give another header: %v, %v", err, fault)
		}
		d, bad := lenient(raw)
		if (bad == nil) != (err == nil) {
			t.Fatalf("Scan says %v, Parse %v", err, bad)
		}
		if bad == nil {
			want := d.Header()
			if h.Type != want.Type || h.Structure != want.Structure || h.Control != want.Control || h.Sender != want.Sender || h.Receiver != want.Receiver || h.Key == "" {
				t.Errorf("a scan finds another header than the parser")
			}
			// Cut anywhere, the beginning gives no other type.
			for cut := range min(len(raw), 20) {
				if part, err := header(raw[:len(raw)-cut], false); err == nil && part.Type != h.Type {
					t.Errorf("cut by %d bytes the type is %q", cut, part.Type)
				}
			}
		}
		if out := p.Reply(raw, message.Answer{Code: message.Rejected}, parsers.Stamp{}); out != nil {
			if _, err := try(out); err != nil {
				t.Errorf("the answer is not readable: %v", err)
			}
		}
	})
}

func FuzzSplit(f *testing.F) {
	seeded(f)
	p := &Parser{}
	f.Fuzz(func(t *testing.T, raw []byte) {
		rest := raw
		err := p.Split(bytes.NewReader(raw), int64(len(raw))+1, func(part []byte) error {
			at := bytes.Index(rest, part)
			if at < 0 || len(bytes.TrimSpace(bytes.TrimPrefix(rest[:at], []byte(mark)))) > 0 {
				t.Fatal("a part is not what follows in the file")
			}
			rest = rest[at+len(part):]
			return nil
		})
		if err != nil || len(bytes.TrimSpace(bytes.TrimPrefix(rest, []byte(mark)))) > 0 {
			t.Errorf("%d bytes are left over: %v", len(rest), err)
		}
	})
}
