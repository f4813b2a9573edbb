package mapping_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// result is a message of a laboratory; the fields in braces are replaced.
const result = "MSH|^~\\&|LAB|NORTH LAB|EHR|NORTH CLINIC|{sent}||ORU^R01^ORU_R01|{control}|P|2.5.1\r" +
	"PID|1||70001^^^NORTH&2.999.1&ISO^MR||TEST^PATIENT||19700101|F\r" +
	"ORC|RE|P-1|F-1\rOBR|1|P-1|F-1|24323-8^Panel^LN|||20260105110000|||||||||||||||{issued}||LAB|{state}\r" +
	"OBX|1|NM|2345-7^Glucose^LN||{value}|mmol/L|||||{state}\rOBX|2|NM|2951-2^Sodium^LN||140|mmol/L|||||{state}\r"

// departed are the entries of the transaction that a message leaves as.
func departed(t *testing.T, m *mapping.Map, fields ...string) (entries map[string]*fhir.Node, out *mapping.Output) {
	t.Helper()
	raw := strings.NewReplacer(append(fields, "{sent}", "20260105120000", "{control}", "C1", "{issued}", "20260105115500", "{state}", "F", "{value}", "5")...).Replace(result)
	doc, err := hl7v2.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	made, err := m.Apply(context.Background(), &message.Message{Doc: doc, Header: doc.Header()})
	if err != nil {
		t.Fatal(err)
	}
	out, _ = made[0].Doc.(*mapping.Output)
	bundle, err := fhir.Parse(out.Departing(nil))
	if err != nil {
		t.Fatal(err)
	}
	entries = map[string]*fhir.Node{}
	for _, e := range bundle.Get("entry").Items {
		name := e.Get("resource").Get("resourceType").Text
		if name == "Observation" {
			name = e.Get("resource").Get("code").Get("coding").Items[0].Get("code").Text
		}
		entries[name] = e
	}
	return entries, out
}

// asks is what an entry is looked for by, empty when it is not.
func asks(e *fhir.Node) string {
	if n := e.Get("request").Get("ifNoneExist"); n != nil {
		return n.Text
	}
	return ""
}

// What goes to another server can be told from what came there before: the same
// is not made twice, and what is new is.
func TestARepeatThatLeavesIsNotMadeAgain(t *testing.T) {
	m := shipped(t, transforms.Step{Use: "v2-to-fhir"})
	first, out := departed(t, m)
	for name, e := range first {
		search := asks(e)
		if name == "MessageHeader" {
			continue // it has no identifier
		}
		if search == "" {
			t.Errorf("%s is made without a search", name)
			continue
		}
		value, err := url.QueryUnescape(strings.TrimPrefix(search, "identifier="))
		if err != nil {
			t.Fatal(err)
		}
		system, id, _ := strings.Cut(value, "|")
		borne := false
		for _, i := range e.Get("resource").Get("identifier").Items {
			borne = borne || i.Get("system") != nil && i.Get("system").Text == system && i.Get("value").Text == id
		}
		if !borne {
			t.Errorf("%s is looked for by %s, which it does not bear", name, search)
		}
	}
	for _, d := range out.Drafts() {
		if strings.Contains(string(d.Tree.AppendJSON(nil)), "urn:ietf:rfc:3986") {
			t.Errorf("the draft of %s bears what is for others", d.Name)
		}
	}
	const glucose, sodium, report, order, lab = "2345-7", "2951-2", "DiagnosticReport", "ServiceRequest", "Organization"
	for text, test := range map[string]struct {
		fields    []string
		same, new []string
	}{
		"sent again":                          {nil, []string{glucose, sodium, report, order, lab}, nil},
		"sent again under another id":         {[]string{"{control}", "C2"}, []string{glucose, sodium, report, order}, []string{lab}},
		"corrected":                           {[]string{"{control}", "C2", "{sent}", "20260105130000", "{issued}", "20260105125500", "{state}", "C", "{value}", "6"}, nil, []string{glucose, sodium, report, order}},
		"one value, and nothing else, is new": {[]string{"{control}", "C2", "{value}", "6"}, []string{sodium, report, order}, []string{glucose}},
		"the same said later":                 {[]string{"{control}", "C2", "{issued}", "20260105125500"}, nil, []string{glucose, sodium, report}},
	} {
		now, _ := departed(t, m, test.fields...)
		for _, name := range test.same {
			if asks(now[name]) != asks(first[name]) {
				t.Errorf("%s: %s is made again", text, name)
			}
		}
		for _, name := range test.new {
			if asks(now[name]) == asks(first[name]) {
				t.Errorf("%s: %s is not told", text, name)
			}
		}
	}
	if asks(first[glucose]) == asks(first[sodium]) {
		t.Error("two results are looked for by the same identifier")
	}
}
