package fhir

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

func TestHeaders(t *testing.T) {
	p := &Parser{}
	for file, want := range map[string]message.Header{
		"service_request_lab.json":       {Type: "ServiceRequest", Sender: "urn:oid:2.999.1", Control: "ServiceRequest/order-1/_history/1", Key: "Patient/pat-1"},
		"service_request_two_codes.json": {Type: "ServiceRequest", Control: "ServiceRequest/so-4711/_history/2", Sender: "https://ehr.northclinic.example.org", Key: "Patient/p-100"},
		"patient.json":                   {Type: "Patient", Control: "Patient/p-100/_history/1", Key: "Patient/p-100", Key2: "Patient/p-099", Merge: true},
		"patient_merged.json":            {Type: "Patient", Control: "Patient/pat-old/_history/4", Key: "Patient/pat-1", Key2: "Patient/pat-old", Merge: true},
		"practitioner.json":              {Type: "Practitioner", Control: "Practitioner/doc-1/_history/1", Key: "resource:Practitioner/doc-1"},
		"claim_two_lines.json":           {Type: "Claim", Control: "Claim/claim-1/_history/2", Key: "Patient/pat-1"},
		"coverage.json":                  {Type: "Coverage", Control: "Coverage/cov-1/_history/1", Key: "Patient/p-100"},
		"medication_request.json":        {Type: "MedicationRequest", Control: "MedicationRequest/rx-1/_history/1", Key: "Patient/urn:oid:2.999.1.1|MRN-77"},
		"immunization.json":              {Type: "Immunization", Control: "Immunization/im-1/_history/1", Key: "Patient/https://northclinic.example.org/mrn|MRN-100200"},
		"bundle_transaction.json":        {Type: "Bundle", Structure: "transaction", Control: "B-500", Key: "Patient/urn:uuid:0b8f4c3e-6f3c-4b8e-9f61-0a6a0c7f2d11"},
		"bundle_order.json":              {Type: "Bundle", Structure: "transaction", Control: "TX-1", Key: "Patient/https://northclinic.example.org/mrn|MRN-100201"},
		"bundle_message.json": {
			Type: "Bundle", Structure: "message", Control: "b-2", Sender: "https://ehr.northclinic.example.org/out", Receiver: "https://lab.acme.example.org/in", Key: "Patient/p-101",
		},
	} {
		got, err := p.Scan(sample(t, file), nil)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		got.Hash = [32]byte{}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", file, got, want)
		}
	}
}

func TestKeys(t *testing.T) {
	for raw, want := range map[string]message.Header{
		`{"resourceType":"Patient","link":[{"type":"seealso","other":{"reference":"Patient/2"}}],"id":"1"}`:                   {Key: "Patient/1"},
		`{"resourceType":"Patient","id":"1","link":[{"type":"replaced-by","other":{"reference":"http://x/fhir/Patient/2"}}]}`: {Key: "Patient/2", Key2: "Patient/1", Merge: true},
		`{"resourceType":"Patient","id":"1","link":[{"type":"replaces","other":{"reference":"Patient/2"}}]}`:                  {Key: "Patient/1", Key2: "Patient/2", Merge: true},
		`{"resourceType":"Patient"}`: {Key: "sender:"},
		`{"resourceType":"Patient","identifier":[{"system":"s","value":"v"}]}`:                                                       {Key: "Patient/s|v"},
		`{"resourceType":"Observation","id":"o","subject":{"reference":"#p"}}`:                                                       {Key: "resource:Observation/o"},
		`{"resourceType":"Observation","subject":{"reference":"urn:uuid:1"}}`:                                                        {Key: "Patient/urn:uuid:1"},
		`{"resourceType":"Observation","subject":{"reference":"Patient/1/_history/4"}}`:                                              {Key: "Patient/1"},
		`{"resourceType":"Observation","subject":{"reference":"Group/1"},"id":"9"}`:                                                  {Key: "resource:Observation/9"},
		`{"resourceType":"Task","for":{"reference":"Patient/7"}}`:                                                                    {Key: "Patient/7"},
		`{"resourceType":"Account","subject":[{"reference":"Patient/7"},{"reference":"Patient/8"}]}`:                                 {Key: "Patient/7"},
		`{"resourceType":"Account","subject":[]}`:                                                                                    {Key: "sender:"},
		`{"resourceType":"Bundle","type":"batch"}`:                                                                                   {Key: "sender:"},
		`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Basic"}},{"resource":{"resourceType":"Patient","id":"2"}}]}`: {Key: "Patient/2"},
		`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:1"}}},{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","id":"2"}}]}`: {Key: "Patient/2"},
	} {
		h, err := (&Parser{}).Scan([]byte(raw), nil)
		if err != nil || h.Key != want.Key || h.Key2 != want.Key2 || h.Merge != want.Merge {
			t.Errorf("%s: got %q, %q, %v, %v", raw, h.Key, h.Key2, h.Merge, err)
		}
	}
}

// hashOf is the hash of a content.
func hashOf(t *testing.T, raw string) [32]byte {
	t.Helper()
	h, err := (&Parser{}).Scan([]byte(raw), nil)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return h.Hash
}

func TestHashLeavesOutWhatAServerChanges(t *testing.T) {
	base := `{"resourceType":"Patient","meta":{"versionId":"1","lastUpdated":"2026-01-04T10:00:00Z","source":"a"},"gender":"male"}`
	for _, same := range []string{strings.Replace(base, `"1"`, `"22"`, 1), strings.Replace(base, "01-04", "02-05", 1)} {
		if hashOf(t, base) != hashOf(t, same) {
			t.Errorf("%s has another hash", same)
		}
	}
	for _, other := range []string{mark + base, base + " ", strings.Replace(base, `"a"`, `"b"`, 1), strings.Replace(base, `"male"`, `"other"`, 1)} {
		if hashOf(t, base) == hashOf(t, other) {
			t.Errorf("%s has the same hash", other)
		}
	}
	inner := `{"resourceType":"Patient","contained":[{"resourceType":"Patient","meta":{"versionId":"1"}}]}`
	if hashOf(t, inner) == hashOf(t, strings.Replace(inner, `"1"`, `"2"`, 1)) {
		t.Error("a contained resource is left out of the hash")
	}
}

// TestLarge: of a content that does not fit only the beginning is read.
func TestLarge(t *testing.T) {
	entry := `{"resource":{"resourceType":"Observation","subject":{"reference":"Patient/p-5"},"valueString":"` + strings.Repeat("x", 1000) + `"}}`
	raw := []byte(`{"resourceType":"Bundle","id":"big","type":"collection","entry":[` + strings.Repeat(entry+",", 3000) + entry + "]}")
	p := &Parser{}
	whole, err := p.Scan(raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := p.Scan(raw[:enough], bytes.NewReader(raw[enough:]))
	if err != nil || parts != whole || whole.Key != "Patient/p-5" || whole.Control != "big" || whole.Structure != "collection" {
		t.Errorf("got %+v, %v, want %+v", parts, err, whole)
	}
	if _, err := p.Scan(bytes.Repeat([]byte(" "), enough), bytes.NewReader(raw)); err == nil {
		t.Error("white space of a megabyte is a header")
	}
	if h, err := p.Scan([]byte(`{"id":"`+strings.Repeat("x", enough)), strings.NewReader("y")); message.KindOf(err) != message.Malformed || h.Hash == [32]byte{} {
		t.Errorf("without a type: %+v, %v", h, err)
	}
	broken := errors.New("line lost")
	if _, err := p.Scan(raw[:enough], io.MultiReader(strings.NewReader("x"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("the fault of the stream is %v", err)
	}
}

// TestHostile: what is built to keep a reader busy is refused, or read, in the
// time its length takes.
func TestHostile(t *testing.T) {
	p := &Parser{}
	for name, raw := range map[string]string{
		"brackets":      `{"resourceType":"Patient","x":` + strings.Repeat("[", 1<<20),
		"objects":       strings.Repeat(`{"a":`, 1<<18),
		"a long name":   `{"resourceType":"Patient","` + strings.Repeat("A", 1<<20) + `":1}`,
		"many names":    `{"resourceType":"Patient"` + names(1<<15) + "}",
		"commas":        `{"resourceType":"Patient",` + strings.Repeat(",", 1<<20),
		"escapes":       `{"resourceType":"Patient","id":"` + strings.Repeat(`\`, 1<<20),
		"a long path":   `{"resourceType":"Bundle","entry":[` + strings.Repeat(`{"resource":{"resourceType":"Bundle","entry":[`, 20) + strings.Repeat("]}}", 20) + "]}",
		"many entries":  `{"resourceType":"Bundle","entry":[` + strings.Repeat(`{"resource":{"resourceType":"Basic"}},`, 1<<14) + "{}]}",
		"a late member": `{"x":"` + strings.Repeat("y", 1<<20) + `","resourceType":"Patient"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Scan([]byte(raw), nil)
			_, _ = p.Scan([]byte(raw[:len(raw)/2]), strings.NewReader(raw[len(raw)/2:]))
			_, fault := p.Parse([]byte(raw))
			if err != nil && fault == nil {
				t.Errorf("Scan says %v", err)
			}
			if _, bad := lenient([]byte(raw)); (bad == nil) != (err == nil) {
				t.Errorf("Scan says %v, Parse %v", err, bad)
			}
		})
	}
}

// names are members of many names.
func names(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"x` + strings.Repeat("y", i%30) + strconv.Itoa(i) + `":1`)
	}
	return b.String()
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestReply(t *testing.T) {
	p := &Parser{}
	for _, c := range []struct {
		answer message.Answer
		want   string
	}{
		{message.Answer{Code: message.Accepted}, `{"resourceType":"OperationOutcome","id":"A-1","issue":[{"severity":"information","code":"informational","diagnostics":"taken"}]}`},
		{
			message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "Patient.name", Code: 102, Text: "is not a JSON list"}, {Code: 207, Text: "send again"}}},
			`{"resourceType":"OperationOutcome","id":"A-1","issue":[{"severity":"error","code":"structure","diagnostics":"is not a JSON list","expression":["Patient.name"]},{"severity":"error","code":"transient","diagnostics":"send again"}]}`,
		},
		{message.Answer{Code: message.Rejected}, `{"resourceType":"OperationOutcome","id":"A-1","issue":[{"severity":"error","code":"processing","diagnostics":"not taken"}]}`},
		{message.Answer{Code: message.Rejected, Problems: []message.Problem{{Code: -1}}}, `{"resourceType":"OperationOutcome","id":"A-1","issue":[{"severity":"error","code":"processing"}]}`},
	} {
		out := p.Reply(sample(t, "patient.json"), c.answer, parsers.Stamp{Control: "A 1"})
		if string(out) != c.want {
			t.Errorf("got %s, want %s", out, c.want)
		}
		if _, err := try(out); err != nil {
			t.Errorf("%s: %v", out, err)
		}
	}
	for _, outcome := range []string{`{"resourceType":"OperationOutcome"}`, mark + ` { "id": {"a":["x}"]} , "resourceType" : "OperationOutcome", "issue"`} {
		if out := p.Reply([]byte(outcome), message.Answer{Code: message.Accepted}, parsers.Stamp{}); out != nil {
			t.Errorf("%s is answered %s", outcome, out)
		}
	}
}

func TestSplit(t *testing.T) {
	for name, c := range map[string]struct {
		raw  string
		want []string
	}{
		"nothing":                {"", nil},
		"white space":            {" \n\n", nil},
		"one":                    {`{"a":1}`, []string{`{"a":1}`}},
		"one and its line end":   {"{\"a\":1}\n", []string{`{"a":1}`}},
		"lines":                  {"{\"a\":1}\n{\"b\":{}}\r\n\n{\"c\":[]}", []string{`{"a":1}`, `{"b":{}}`, `{"c":[]}`}},
		"empty lines first":      {"\n\r\n{\"a\":1}\n{\"b\":2}\n", []string{"\n\r\n{\"a\":1}", `{"b":2}`}},
		"a broken line":          {"{\"a\":1}\n{\"b\":\n{\"c\":3}\n", []string{`{"a":1}`, `{"b":`, `{"c":3}`}},
		"a value of many lines":  {"{\n \"a\": \"}\n\n{\" }\n", []string{"{\n \"a\": \"}\n\n{\" }\n"}},
		"brackets in a text":     {"{\"a\":\"{\\\"[\"}\n{\"b\":1}\n", []string{`{"a":"{\"["}`, `{"b":1}`}},
		"a mark":                 {mark + "{\"a\":1}\n{\"b\":1}\n", []string{mark + `{"a":1}`, `{"b":1}`}},
		"a mark alone":           {mark, nil},
		"what is no JSON at all": {"Dear laboratory\nhello\n", []string{"Dear laboratory\nhello\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.raw), &byteWise{c.raw}} {
				var got []string
				err := (&Parser{}).Split(r, 1<<20, func(raw []byte) error {
					got = append(got, string(raw))
					return nil
				})
				if err != nil || strings.Join(got, "§") != strings.Join(c.want, "§") {
					t.Errorf("got %q, %v, want %q", got, err, c.want)
				}
			}
		})
	}
	t.Run("a line above the limit", func(t *testing.T) {
		n := 0
		err := (&Parser{}).Split(strings.NewReader("{\"a\":1}\n{\"a\":\""+strings.Repeat("x", 1<<20)+"\"}\n"), 100, func([]byte) error { n++; return nil })
		if message.KindOf(err) != message.Malformed || n != 1 {
			t.Errorf("%d messages, %v", n, err)
		}
	})
	t.Run("a fault of the file", func(t *testing.T) {
		broken := errors.New("disk lost")
		if err := (&Parser{}).Split(io.MultiReader(strings.NewReader("{"), failing{broken}), 100, func([]byte) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	})
}

// byteWise gives one byte a read.
type byteWise struct{ rest string }

func (b *byteWise) Read(p []byte) (int, error) {
	if b.rest == "" {
		return 0, io.EOF
	}
	n := copy(p[:1], b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func TestOptions(t *testing.T) {
	kind := Kind(npi)
	o, ok := kind.Options().(*Options)
	if !ok || kind.Name != Format || o.Structure != "refuse" || len(o.Validate()) != 0 {
		t.Fatalf("%s %+v", kind.Name, o)
	}
	p, err := o.Open()
	if err != nil {
		t.Fatal(err)
	}
	path, err := p.Grammar().Compile("Practitioner.identifier[system=npi].value")
	if err != nil {
		t.Fatal(err)
	}
	if got := path.Text(parse(t, sample(t, "practitioner_two_ids.json")).Root()); got != "1999999984" {
		t.Errorf("got %q", got)
	}
	o.Structure = "maybe"
	if problems := o.Validate(); len(problems) != 1 || problems[0].Field != "structure" {
		t.Errorf("%+v", problems)
	}
	o.Structure = "warn"
	if p, err = o.Open(); err != nil {
		t.Fatal(err)
	}
	doc, err := p.Parse([]byte(`{"resourceType":"Patient","nameX":[{"family":"x"}]}`))
	if err != nil || len(doc.Warnings()) != 1 || doc.Warnings()[0].Where != "Patient.nameX" {
		t.Errorf("%v %v", doc, err)
	}
}
