package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/parsers/hl7v2"
)

const (
	convertADT = "MSH|^~\\&|APP|FAC|EHR|CLINIC|20260105093000+0100||ADT^A01^ADT_A01|M1|P|2.5.1\rEVN|A01|20260105093000+0100\r" +
		"PID|1||7^^^FAC^MR||ROWAN^ALIX||19790412|F\rPV1|1|I\r"
	convertOther = "MSH|^~\\&|APP|FAC|EHR|CLINIC|20260105093000+0100||QRY^Z99^QRY_Z99|M2|P|2.5.1\rQRD|1\r"
)

// converted runs the command over files and gives what it says.
func converted(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := convertCommand(&app{stdout: &out, stderr: &errs})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	if e, ok := errors.AsType[*exit](err); ok {
		if e.err != nil {
			errs.WriteString(e.err.Error() + "\n")
		}
		return e.code, errs.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return exitOK, errs.String()
}

func TestConvert(t *testing.T) {
	in := t.TempDir()
	file := func(name, text string) string {
		full := filepath.Join(in, name)
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return full
	}
	one, two := file("one.hl7", convertADT), file("two.hl7", convertADT+convertOther+convertADT)
	bad, other := file("bad.hl7", "not a message\r"), file("other.hl7", convertOther)
	order := `{"resourceType":"ServiceRequest","id":"o-1","status":"active","intent":"order","code":{"text":"Glucose"},"subject":{"reference":"#p"},` +
		`"contained":[{"resourceType":"Patient","id":"p","identifier":[{"value":"7"}],"name":[{"family":"Rowan"}]}]}`
	out1, out2 := file("order.json", order), file("orders.ndjson", order+"\n"+strings.Replace(order, "o-1", "o-2", 1)+"\n")

	t.Run("a map from FHIR gives a message that can be sent", func(t *testing.T) {
		out := t.TempDir()
		if code, errs := converted(t, "--map", "fhir-to-orm-o01", "--out", out, "--provenance", out1, out2); code != exitOK {
			t.Fatalf("code %d: %s", code, errs)
		}
		for name, want := range map[string]string{"order.hl7": "\rORC|NW|o-1\r", "orders-1.hl7": "\rORC|NW|o-1\r", "orders-2.hl7": "\rORC|NW|o-2\r"} {
			data, err := os.ReadFile(filepath.Join(out, name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := hl7v2.New(hl7v2.Options{}).Scan(data, strings.NewReader("")); err != nil || !strings.Contains(string(data), want) {
				t.Errorf("%s: %v in %q", name, err, data)
			}
		}
		side, err := os.ReadFile(filepath.Join(out, "order.provenance.json"))
		if err != nil || !strings.Contains(string(side), `"source": "patient.name[0].family"`) {
			t.Errorf("provenance %v: %s", err, side)
		}
	})
	t.Run("an order whose patient is not there is named", func(t *testing.T) {
		lone := file("lone.json", strings.Replace(order, "#p", "Patient/7", 1))
		code, errs := converted(t, "--map", "fhir-to-orm-o01", "--out", t.TempDir(), lone)
		if code != exitSome || !strings.Contains(errs, "ServiceRequest.subject") {
			t.Errorf("code %d: %s", code, errs)
		}
	})

	t.Run("a file of one message gives its bundle and where it came from", func(t *testing.T) {
		out := t.TempDir()
		if code, errs := converted(t, "--map", "v2-to-fhir", "--out", out, "--provenance", one); code != exitOK {
			t.Fatalf("code %d: %s", code, errs)
		}
		var bundle struct {
			ResourceType, Type string
			Entry              []struct {
				FullURL  string
				Resource struct{ ResourceType string }
				Request  struct{ Method, URL string }
			}
		}
		read(t, filepath.Join(out, "one.json"), &bundle)
		if bundle.Type != "transaction" || len(bundle.Entry) < 3 || bundle.Entry[0].Resource.ResourceType != "MessageHeader" {
			t.Errorf("bundle is %+v", bundle)
		}
		for _, e := range bundle.Entry {
			if !strings.HasPrefix(e.FullURL, "urn:uuid:") || e.Request.Method != http.MethodPost || e.Request.URL != e.Resource.ResourceType {
				t.Errorf("entry is %+v", e)
			}
		}
		var side struct {
			Values []struct{ Target, Source, Map, File string }
		}
		read(t, filepath.Join(out, "one.provenance.json"), &side)
		if len(side.Values) == 0 || side.Values[0].Map == "" {
			t.Errorf("provenance is %+v", side)
		}
	})
	t.Run("a batch gives a bundle for each, and says what failed", func(t *testing.T) {
		out := t.TempDir()
		code, errs := converted(t, "--out", out, two)
		if want := two + ": message 2: MSH-9: no map for structure QRY_Z99 in v2-to-fhir\n"; code != exitSome || errs != want {
			t.Errorf("code %d, %q, want %q", code, errs, want)
		}
		for name, want := range map[string]bool{"two-1.json": true, "two-2.json": false, "two-3.json": true, "two.json": false} {
			if _, err := os.Stat(filepath.Join(out, name)); (err == nil) != want {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("the others are converted when some fail", func(t *testing.T) {
		out := t.TempDir()
		code, errs := converted(t, "--out", out, bad, other, filepath.Join(in, "none.hl7"), one)
		if code != exitSome || strings.Count(errs, "\n") != 3 || !strings.Contains(errs, "none.hl7: no such file") {
			t.Errorf("code %d: %s", code, errs)
		}
		if _, err := os.Stat(filepath.Join(out, "one.json")); err != nil {
			t.Error(err)
		}
	})
	t.Run("two files of one name do not overwrite each other", func(t *testing.T) {
		if err := os.Mkdir(filepath.Join(in, "b"), 0o700); err != nil {
			t.Fatal(err)
		}
		again := file(filepath.Join("b", "one.hl7"), convertADT)
		if code, errs := converted(t, "--out", t.TempDir(), one, again); code != exitSome || !strings.Contains(errs, "its output one.json is that of") {
			t.Errorf("code %d: %s", code, errs)
		}
	})
	t.Run("an unknown map", func(t *testing.T) {
		for _, use := range []string{"nothing", "v2-to-fhir/nothing"} {
			if code, errs := converted(t, "--map", use, "--out", t.TempDir(), one); code != exitUsage || !strings.Contains(errs, "is not known") {
				t.Errorf("code %d: %s", code, errs)
			}
		}
	})
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
