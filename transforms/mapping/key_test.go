package mapping

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// keysOfPatient are the keys of a patient with PID.
func keysOfPatient(t *testing.T, m *Map, head, pid string) ([]string, bool) {
	t.Helper()
	out, err := applied(t, m, head, pid)
	if err != nil {
		t.Fatal(err)
	}
	d := draft(t, out, "patient")
	return d.Keys, d.Fallback
}

func TestKeysOfAPatient(t *testing.T) {
	m := good(t, onlyPatient("active: = true"))
	t.Run("every number of PID-3, that of the record first", func(t *testing.T) {
		keys, fallback := keysOfPatient(t, m, msh, "PID||9|1^^^A&1.2.3&ISO^SS~2^^^B&1.2.4&ISO^MR")
		want := []string{"7:Patient13:urn:oid:1.2.41:2", "7:Patient13:urn:oid:1.2.31:1"}
		if !slices.Equal(keys, want) || fallback {
			t.Errorf("keys are %q, want %q", keys, want)
		}
	})
	t.Run("PID-2 where PID-3 has none", func(t *testing.T) {
		keys, fallback := keysOfPatient(t, m, msh, "PID||9^^^A")
		if want := []string{"7:Patient11:namespace:A1:9"}; !slices.Equal(keys, want) || fallback {
			t.Errorf("keys are %q, want %q", keys, want)
		}
	})
	t.Run("a number without authority is the sender's", func(t *testing.T) {
		a, _ := keysOfPatient(t, m, msh, "PID|||1")
		b, _ := keysOfPatient(t, m, strings.Replace(msh, "FAC", "OTHER", 1), "PID|||1")
		c, _ := keysOfPatient(t, m, strings.Replace(msh, "|FAC|", "||", 1), "PID|||1")
		if a[0] == b[0] || a[0] == c[0] || b[0] == c[0] {
			t.Errorf("three senders share a key: %q %q %q", a, b, c)
		}
	})
	t.Run("delete is no number", func(t *testing.T) {
		keys, fallback := keysOfPatient(t, m, msh, `PID|||""`)
		if !fallback || len(keys) != 1 {
			t.Errorf("keys are %q", keys)
		}
	})
	t.Run("none: the message and the place", func(t *testing.T) {
		a, fallback := keysOfPatient(t, m, msh, "PID|||")
		b, _ := keysOfPatient(t, m, strings.Replace(msh, "M1", "M2", 1), "PID|||")
		again, _ := keysOfPatient(t, m, msh, "PID|||")
		if !fallback || a[0] == b[0] || a[0] != again[0] {
			t.Errorf("keys are %q, %q and %q", a, b, again)
		}
	})
}

// No two lists of parts give one key.
func TestKeysKeepPartsApart(t *testing.T) {
	maps := "- map: test/admit\n  from: hl7v2 [ADT_A01]\n  to: fhir Bundle\n  make: { patient: Patient from PID }\n" +
		"- map: PID to Patient\n  key: text {PID-5.1}|{PID-5.2}\n  rows: { active: = true }\n"
	m := good(t, maps)
	a, _ := keysOfPatient(t, m, msh, "PID|||||a-|b^c")
	b, _ := keysOfPatient(t, m, msh, `PID|||||a\F\b^c`)
	c, _ := keysOfPatient(t, m, msh, `PID|||||a^b\F\c`)
	if b[0] == c[0] || a[0] == b[0] {
		t.Errorf("a|b and c, a and b|c give one key: %q", b[0])
	}
}

const resultMaps = `
- map: test/results
  from: hl7v2 [ORU_R01]
  to: fhir Bundle
  make:
    for PATIENT_RESULT:
      patient: Patient from PID
      for ORDER_OBSERVATION:
        report: DiagnosticReport from OBR
        for OBSERVATION:
          result: Observation from OBX
- map: PID to Patient
  key: [ "PID-3[1]" ]
  rows: { active: = true }
- map: OBR to DiagnosticReport
  key: [ "text {OBR-3}|{OBR-4.1}", "text {OBR-2}|{OBR-4.1}", "text {MSH-10}|{OBR-1}" ]
  rows:
    status: = final
    code.text: OBR-4.2
    subject: ref patient
    result[+]: refs result
- map: OBX to Observation
  key: text {report}|{OBX-3.1}|{OBX-4?}|{ordinal}
  rows:
    status: = final
    code.text: OBX-3.1
    subject: ref patient
    value[x]: OBX-5 as string
`

const oru = `MSH|^~\&|APP|FAC|||20260105093000||ORU^R01^ORU_R01|M1|P|2.5.1`

func TestKeysOfResults(t *testing.T) {
	m := good(t, resultMaps)
	t.Run("with each name of the report, and counted among equals", func(t *testing.T) {
		out, _ := made(t, m, oru, "PID|||1", "OBR|1|P1^X|F1^Y|C", "OBX|1|ST|A||1", "OBX|2|ST|A||2", "OBX|3|ST|A|s|3")
		var keys []string
		for _, d := range out.Drafts() {
			if d.Name == "result" {
				if len(d.Keys) != 2 || d.Fallback {
					t.Errorf("keys are %q, fallback %t", d.Keys, d.Fallback)
				}
				keys = append(keys, d.Keys...)
			}
		}
		slices.Sort(keys)
		if len(slices.Compact(keys)) != 6 {
			t.Errorf("results share a key: %q", keys)
		}
	})
	t.Run("a correction finds its result", func(t *testing.T) {
		first, _ := made(t, m, oru, "PID|||1", "OBR|1||F1^Y|C", "OBX|1|ST|A||1", "OBX|2|ST|B||2")
		second, _ := made(t, m, strings.Replace(oru, "M1", "M2", 1), "PID|||1", "OBR|1||F1^Y|C", "OBX|1|ST|B||3")
		if a, b := first.Drafts()[3], second.Drafts()[2]; a.URN != b.URN || !slices.Equal(a.Keys, b.Keys) {
			t.Errorf("%q and %q differ", a.Keys, b.Keys)
		}
	})
	t.Run("a control id is a fallback, and its results' keys too", func(t *testing.T) {
		out, _ := made(t, m, oru, "PID|||1", "OBR|1|||C", "OBX|1|ST|A||1")
		for _, name := range []string{"report", "result"} {
			if d := draft(t, out, name); !d.Fallback || len(d.Keys) != 1 {
				t.Errorf("%s: keys %q, fallback %t", name, d.Keys, d.Fallback)
			}
		}
	})
	t.Run("reports that share a placer's number stay two", func(t *testing.T) {
		out, _ := made(t, m, oru, "PID|||1", "OBR|1|P1^X|F1^Y|C", "OBX|1|ST|A||1", "OBR|2|P1^X|F2^Y|C", "OBX|1|ST|A||2")
		reports := 0
		seen := map[string]bool{}
		for _, d := range out.Drafts() {
			if d.Type == "DiagnosticReport" {
				reports++
			}
			for _, key := range d.Keys {
				if seen[key] {
					t.Errorf("%q stands twice", key)
				}
				seen[key] = true
			}
		}
		if reports != 2 {
			t.Errorf("%d reports, want 2", reports)
		}
	})
	t.Run("two of one key are merged in order, with a finding", func(t *testing.T) {
		out, got := made(t, m, oru, "PID|||1", "OBR|1||F1^Y|C^first", "OBX|1|ST|A||1", "OBR|2||F1^Y|C^second", "OBX|1|ST|B||2")
		d := draft(t, out, "report")
		if strings.Contains(got["report"], "\n") || !strings.Contains(got["report"], "first") || strings.Contains(got["report"], "second") {
			t.Errorf("report is %s", got["report"])
		}
		if n := len(d.Tree.Get("result").Items); n != 2 {
			t.Errorf("%d results, want both: %s", n, got["report"])
		}
		if f := out.Findings(); len(f) != 1 || f[0].Kind != "merged" {
			t.Errorf("findings are %+v", f)
		}
	})
}

func TestReferencesAreTheURNsOfTheDrafts(t *testing.T) {
	out, got := made(t, good(t, resultMaps), oru, "PID|||1", "OBR|1||F1^Y|C", "OBX|1|ST|A||1", "OBX|2|ST|B||2")
	patient, report := draft(t, out, "patient"), draft(t, out, "report")
	if !strings.HasPrefix(patient.URN, "urn:uuid:") || len(patient.URN) != 45 || patient.URN[23] != '8' {
		t.Errorf("URN is %q, want a UUID of version 8", patient.URN)
	}
	if n := strings.Count(got["report"]+got["result"], patient.URN); n != 3 {
		t.Errorf("%d references to the patient, want 3", n)
	}
	if n := len(report.Tree.Get("result").Items); n != 2 {
		t.Errorf("%d results in the report, want 2", n)
	}
}

func TestDeletes(t *testing.T) {
	m := good(t, onlyPatient("gender: PID-8 through administrative-sex\nbirthDate: PID-7 as date\nname[+]: [ PID-5 as XPN, PID-9 as XPN ]\n", dataTypes[:strings.Index(dataTypes, "- map: CX")]))
	out, got := made(t, m, msh, `PID|||7||""||""|""|A`)
	if d := draft(t, out, "patient"); !slices.Equal(d.Deletes, []string{"gender", "birthDate"}) {
		t.Errorf("deletes are %q: what another row gives is not deleted; tree %s", d.Deletes, got["patient"])
	}
}

func TestSourceTimes(t *testing.T) {
	m := good(t, resultMaps)
	obr := "OBR|1||F1^Y|C||||||||||||||||||20260105090000"
	out, _ := made(t, m, oru, "PID|||1", obr, "OBX|1|ST|A||1|||||||||20260105080000", "OBX|2|ST|B||2|||||||||20260105100000")
	zone := time.FixedZone("", 3600)
	for i, want := range []time.Time{
		time.Date(2026, 1, 5, 9, 30, 0, 0, zone), // the patient: MSH-7
		time.Date(2026, 1, 5, 9, 0, 0, 0, zone),  // the report: OBR-22
		time.Date(2026, 1, 5, 9, 0, 0, 0, zone),  // OBR-22 is later than OBX-14
		time.Date(2026, 1, 5, 10, 0, 0, 0, zone), // OBX-14 is later
	} {
		if d := out.Drafts()[i]; !d.SourceAt.Equal(want) {
			t.Errorf("%s: %v, want %v", d.Name, d.SourceAt, want)
		}
	}
}
