package format

import (
	"errors"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/xml"
)

func TestNegotiate(t *testing.T) {
	for name, c := range map[string]struct{ accept, sent, media string }{
		"nothing said":             {"", "", "application/fhir+json"},
		"as it was sent":           {"", "text/xml; charset=utf-8", "text/xml"},
		"another was sent":         {"", "image/png", "application/fhir+json"},
		"by weight":                {"application/fhir+json;q=0.4, application/fhir+xml;q=0.5", "", "application/fhir+xml"},
		"by closeness":             {"*/*, application/xml", "", "application/xml"},
		"another release":          {"application/fhir+json; fhirVersion=5.0", "", ""},
		"of none":                  {"image/png", "", ""},
		"weights that are no ones": {"application/fhir+json;q=7", "", ""},
	} {
		f, err := Negotiate(c.accept, c.sent)
		if c.media == "" && errors.Is(err, ErrNotAcceptable) {
			continue
		}
		if err != nil || f.Media != c.media || f.XML != IsXML(c.media) {
			t.Errorf("%s: %v %v, want %q", name, f, err, c.media)
		}
	}
	for asked, media := range map[string]string{"json": "application/fhir+json", "XML": "application/fhir+xml", "application/fhir xml": "application/fhir+xml", "text/json": "text/json", "html": ""} {
		f := Default()
		if err := f.Ask(asked); (err != nil) != (media == "") || err == nil && f.Media != media {
			t.Errorf("%s: %v %v, want %q", asked, f, err, media)
		}
	}
}

// TestBundle: one that is written entry by entry is the one written at once, in
// each format.
func TestBundle(t *testing.T) {
	read := func(text string) *fhir.Node {
		n, err := fhir.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	entry := `{"fullUrl":"http://a/Patient/%","resource":{"resourceType":"Patient","id":"%","active":true}}`
	for _, f := range []Format{{}, {Pretty: true}, {XML: true}, {XML: true, Pretty: true}} {
		for n := range 4 {
			b, err := f.Bundle(read(`{"resourceType":"Bundle","type":"searchset"}`))
			if err != nil {
				t.Fatal(err)
			}
			var entries []string
			for i := range n {
				one := strings.ReplaceAll(entry, "%", string(rune('a'+i)))
				entries = append(entries, one)
				if err := b.Entry(read(one)); err != nil {
					t.Fatal(err)
				}
			}
			b.Close()
			whole := `{"resourceType":"Bundle","type":"searchset"}`
			if n > 0 {
				whole = `{"resourceType":"Bundle","type":"searchset","entry":[` + strings.Join(entries, ",") + `]}`
			}
			want, err := f.Encode([]byte(whole))
			if err != nil || string(b.Out) != string(want) {
				t.Errorf("%+v, %d entries: %v\n%s\nwant\n%s", f, n, err, b.Out, want)
			}
			parse := fhir.Parse
			if f.XML {
				parse = xml.Parse
			}
			if _, err := parse(b.Out); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ media, text, want string }{
		{"application/fhir+json", "\xef\xbb\xbf{}", ""},
		{"application/fhir+json", "[]", "the body is no JSON object"},
		{"application/fhir+json", `{"a":zzcanary}`, "the body is not JSON: byte 5: no JSON value begins here"},
		{"text/xml", `<Patient xmlns="http://hl7.org/fhir"/>`, ""},
	} {
		got := ""
		if _, err := Parse([]byte(c.text), c.media); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
	if _, err := (Format{XML: true}).Encode([]byte(`{"resourceType":"Patient","gender":"\u0001"}`)); !errors.Is(err, ErrNoXML) {
		t.Errorf("what XML cannot hold: %v", err)
	}
}
