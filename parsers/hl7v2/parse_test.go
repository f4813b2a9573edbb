package hl7v2

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/internal/corpus"
	"github.com/plexus-health/plexus/parsers/parsertest"
)

func TestParser(t *testing.T) {
	parsertest.Run(t, parsertest.Case{
		Parser:  New(Options{}),
		Samples: filepath.Join("..", "..", "testdata", "messages", "hl7v2"),
		Ext:     ".hl7",
		Paths: []string{
			"PID-3", "PID-3.1", "PID-3[2].4.2", "PID-3[5=MR].1", "PID-3[*].1", "OBX", "OBX[2]", "OBX[2]-5", "OBX[*]-3.1", "NTE[*]-3",
			"ORDER_OBSERVATION", "ORDER_OBSERVATION[2]/OBX-5", "PATIENT_RESULT[1]/ORDER_OBSERVATION[*]/OBX[*]-5.1", "PATIENT/VISIT/PV1-19", "ZLB-1",
			"MSH-2", "MSH-9.2",
		},
		Wrong: []string{
			"PID-0", "PID-3.0", "PID-3[0]", "PID-3[x]", "PID-", "PID-3.1.2.3", "PID-1000", "PI-3", "pid-3", "PID[0]-3", "PDI-3", "ORDER_OBSERVATIONS/OBX-5", "PID - 3",
			"ORDER_OBSERVATION-5", "PID-3[*",
		},
		Refused: map[string]string{
			"nothing":                            "",
			"line ends only":                     "\r\n\r\n",
			"no header":                          "PID|1||" + parsertest.Canary,
			"a header that ends after its name":  "MSH",
			"a header without delimiters":        "MSH|",
			"a letter as field separator":        "MSHx^~\\&xA",
			"no delimiters in MSH-2":             "MSH||A|B",
			"a letter among the delimiters":      "MSH|^~A&|A",
			"a delimiter twice":                  "MSH|^^\\&|A",
			"the field separator among the rest": "MSH^^~\\&^A",
			"NUL bytes":                          "MSH|^~\\&|A|B|C|D|20260105||ADT^A01|1|P|2.5\rPID|1||7\x00\r",
			"UTF-16":                             "\xff\xfeM\x00S\x00H\x00|\x00",
			"XML":                                "<ADT_A01/>",
		},
	})
}

// TestCorpus reads messages that nobody here wrote.
func TestCorpus(t *testing.T) {
	root := corpus.Dir(t, "hl7v2")
	index, err := os.ReadFile(filepath.Join(root, "SOURCES.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	reader := csv.NewReader(bytes.NewReader(index))
	reader.Comma, reader.LazyQuotes, reader.FieldsPerRecord = '\t', true, -1
	rows, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	// Broken in MSH-2, although they stand among the others.
	broken := map[string]bool{
		"edge/ADT_A01_v25_hapi_extendedminlowerlayerprotocoltest-1.hl7": true, // a separator that is no single byte
		"edge/ORU_R01_v251_cdcdex_lyme-withbaddelimiters.hl7":           true, // &&&&
	}
	files, parsed, rebuilt, refused := 0, 0, 0, 0
	p := New(Options{})
	for _, row := range rows[1:] {
		name := row[0]
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
			continue
		}
		files++
		if strings.HasPrefix(name, "mllp-frames/") {
			continue // bytes of a connection, not of a message
		}
		loose := strings.HasPrefix(name, "malformed/") || strings.Contains(row[7], "no-msh") && !strings.Contains(row[7], "no-msh9") && !strings.Contains(row[7], "no-msh12")
		_, _ = p.Scan(raw, nil) // no panic
		m, err := Parse(raw)
		if err != nil {
			refused++
			if !loose && !broken[name] {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		parsed++
		m.Groups()
		walk(m)
		if again := m.Rebuild(nil); bytes.Equal(again, raw) {
			rebuilt++
		} else {
			t.Errorf("%s: Rebuild gives other bytes", name)
		}
	}
	t.Logf("%d files: %d parsed, %d rebuilt byte for byte, %d refused", files, parsed, rebuilt, refused)
	if parsed < 700 {
		t.Errorf("only %d files parsed", parsed)
	}
}
