package hl7v2

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// page reads the page of the format.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "formats", "hl7v2.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows are the cells of the page's table that begins with a header.
func rows(t *testing.T, header string) [][]string {
	t.Helper()
	_, after, found := strings.Cut(page(t), "\n"+header+"\n")
	if !found {
		t.Fatalf("the page has no table %s", header)
	}
	var out [][]string
	for line := range strings.Lines(after) {
		line = strings.TrimSpace(line)
		if line == "" {
			break
		}
		if strings.HasPrefix(line, "|-") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		out = append(out, cells)
	}
	return out
}

func TestPageListsEveryWarning(t *testing.T) {
	var listed []string
	for _, row := range rows(t, "| code | what was found |") {
		listed = append(listed, strings.Trim(row[0], "`"))
	}
	if !slices.Equal(listed, codes) {
		t.Errorf("the page lists %q, the parser knows %q", listed, codes)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var given []string
	call := regexp.MustCompile(`\.warn\((?:"[^"]*"|[^,"]+|[^,]*"[^,]*), [^"]*"([a-z-]+)"`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range call.FindAllSubmatch(source, -1) {
			given = append(given, string(found[1]))
		}
	}
	slices.Sort(given)
	if given = slices.Compact(given); !slices.Equal(given, codes) {
		t.Errorf("the source gives %q, the list has %q", given, codes)
	}
}

// acknowledged builds a message and its answer, and reads the answer.
func acknowledged(t *testing.T, version, fifteen, sixteen string, code message.AnswerCode, problem message.Problem) *Message {
	t.Helper()
	raw := "MSH|^~\\&|LAB|NORTH|EHR|CLINIC|20260105||ADT^A01|M1|P|" + version + "|||" + fifteen + "|" + sixteen + "\rPID|1\r"
	answer := message.Answer{Code: code}
	if code != message.Accepted {
		answer.Problems = []message.Problem{problem}
	}
	out := New(Options{}).Reply([]byte(raw), answer, parsers.Stamp{Time: "20260105133700", Control: "R1"})
	if len(out) == 0 {
		return nil
	}
	m, err := Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPageTellsWhatIsAnswered(t *testing.T) {
	outcomes := []message.AnswerCode{message.Accepted, message.Erroneous, message.Rejected}
	problems := []message.Problem{{}, {Where: "PID-3", Code: 101, Text: "missing"}, {Where: "MSH-12", Code: 203, Text: "another"}}
	for _, row := range rows(t, "| MSH-15 | MSH-16 | accepted | error in the message, or a fault of ours | MSH-9, 11 or 12 is not taken |") {
		for i, outcome := range outcomes {
			got, want, problem := "-", row[2+i], problems[i]
			if m := acknowledged(t, "2.5.1", row[0], row[1], outcome, problem); m != nil {
				got = m.find("MSA", 1).Field(1).Text()
				if own := m.find("MSH", 1).Field(15).Text() + m.find("MSH", 1).Field(16).Text(); got[0] == 'C' && own != "" {
					t.Errorf("MSH-15 %q, MSH-16 %q: the accept acknowledgement asks for answers itself", row[0], row[1])
				}
			}
			if got != want {
				t.Errorf("MSH-15 %q, MSH-16 %q, %s: answered %s, the page says %s", row[0], row[1], outcome, got, want)
			}
		}
	}
}

func TestPageTellsWhatVersionsGet(t *testing.T) {
	for _, row := range rows(t, "| version | MSH-9 | MSA-3 | ERR |") {
		m := acknowledged(t, row[0], "", "", message.Erroneous, message.Problem{Where: "PID-3", Code: 101, Text: "missing"})
		if m == nil {
			t.Fatalf("%s: no answer", row[0])
		}
		err := m.find("ERR", 1)
		fields, three := "ERR-2 to 8", "no"
		if err.Fields() == 1 {
			fields = "ERR-1"
		}
		if m.find("MSA", 1).Field(3).Valued() {
			three = "yes"
		}
		got := []string{row[0], m.find("MSH", 1).Field(9).Text(), three, fields}
		if !slices.Equal(got, row) {
			t.Errorf("got %q, the page says %q", got, row)
		}
		if fields == "ERR-1" {
			if one := err.Field(1).Text(); one != "PID^1^3^101&Required field missing" {
				t.Errorf("%s: ERR-1 is %s", row[0], one)
			}
			continue
		}
		want := "|PID^1^3^1|101^Required field missing^HL70357|E||||missing"
		if one := string(err.Raw()); one != "ERR|"+want {
			t.Errorf("%s: %s", row[0], one)
		}
	}
}
