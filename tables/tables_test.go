package tables

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const systems = "name,uri,oid,v2\nloinc,http://loinc.org,2.16.840.1.113883.6.1,LN LNC\nlocal,urn:x:local,,99LOC\n"

func load(t *testing.T, files map[string]string) (*Set, string) {
	t.Helper()
	fsys := fstest.MapFS{"systems.csv": {Data: []byte(systems)}}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	set, problems := Load(fsys)
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.Error() + "\n")
	}
	return set, b.String()
}

const local = `table: local
from: { system: local }
to: { system: loinc }
ignore: [ "-" ]
entries:
  - { from: GLU, display: Glucose, to: 2345-7, both: true }
  - { from: GLUC, to: 2345-7 }
  - { from: K, to: 2823-3, both: true, since: 2026-01-01, until: 2027-01-01, units: mmol/L }
  - { from: K, to: 6298-4, both: true, since: 2027-01-01 }
`

func TestLookup(t *testing.T) {
	set, problems := load(t, map[string]string{"local.yaml": local})
	if problems != "" {
		t.Fatal(problems)
	}
	table := set.Table("local")
	day := func(year int) time.Time { return time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC) }
	tests := map[string]struct {
		code string
		at   time.Time
		want string
	}{
		"a code":                      {"GLU", day(2026), "2345-7"},
		"a code in another case":      {"glu", day(2026), "2345-7"},
		"a code at one time":          {"K", day(2026), "2823-3"},
		"the same at another":         {"K", day(2027), "6298-4"},
		"the same before there was":   {"K", day(2025), ""},
		"a code that is not there":    {"NA", day(2026), ""},
		"no code":                     {"", day(2026), ""},
		"a code without a time asked": {"GLU", time.Time{}, "2345-7"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if e, ok := table.Lookup(test.code, test.at); e.To != test.want || ok != (test.want != "") {
				t.Errorf("Lookup(%q) = %q, %t, want %q", test.code, e.To, ok, test.want)
			}
		})
	}
	if e, ok := table.Back("2345-7", day(2026)); !ok || e.From != "GLU" {
		t.Errorf("the way back is %q, want the entry that says both", e.From)
	}
	if e, ok := table.Back("2823-3", day(2028)); ok {
		t.Errorf("the way back of an entry that has ended is %q", e.From)
	}
	if !table.Ignores("-") || !table.Ignores("") || table.Ignores("GLU") {
		t.Error("ignore: is not what is ignored")
	}
	if table.From.URI != "urn:x:local" || table.To.URI != "http://loinc.org" || table.Len() != 4 {
		t.Errorf("table is %+v", table)
	}
	entries := 0
	table.Entries(func(Entry) { entries++ })
	if entries != 4 {
		t.Errorf("%d entries are listed, want 4", entries)
	}
}

func TestOtherwise(t *testing.T) {
	for text, want := range map[string]struct {
		otherwise Otherwise
		code      string
	}{"keep": {Keep, ""}, "none": {Nothing, ""}, "park": {Park, ""}, "{ code: U }": {Default, "U"}} {
		set, problems := load(t, map[string]string{
			"y.yaml": "table: y\notherwise: " + text + "\nentries: [ { from: a, to: b } ]\n",
			"c.csv":  "# otherwise: " + text + "\nfrom,to\na,b\n",
		})
		for _, name := range []string{"y", "c"} {
			if table := set.Table(name); table == nil || table.Otherwise != want.otherwise || table.Default != want.code {
				t.Errorf("%s: otherwise %s gives %+v %s", name, text, table, problems)
			}
		}
	}
}

func TestSystems(t *testing.T) {
	set, _ := load(t, nil)
	for _, text := range []string{"LN", "ln", "LNC", "loinc", "http://loinc.org", "2.16.840.1.113883.6.1", "urn:oid:2.16.840.1.113883.6.1"} {
		if got := set.Systems().V2(text); got == nil || got.Name != "loinc" {
			t.Errorf("V2(%q) = %v", text, got)
		}
	}
	if got := set.Systems().V2("L"); got != nil {
		t.Errorf("V2 of an unknown name = %v", got)
	}
	var none *Set
	if none.Systems().Name("x") != nil || none.Table("x") != nil || none.Names() != nil {
		t.Error("no set is not an empty one")
	}
}

// Every message, in its exact words.
func TestBadTables(t *testing.T) {
	tests := map[string]struct{ file, text, want string }{
		"an unknown field":        {"a.yaml", "table: a\nform: x\nentries: []\n", "a.yaml:2:1: a table: unknown field \"form\"\n"},
		"a field twice":           {"a.yaml", "table: a\ntable: b\nentries: []\n", "a.yaml:2:1: \"table\" stands twice\n"},
		"no name":                 {"a.yaml", "entries: []\n", "a.yaml:1:1: a table without a name: table: NAME\n"},
		"no mapping":              {"a.yaml", "- x\n", "a.yaml:1:3: a table is a mapping\na.yaml:1:3: a table without a name: table: NAME\n"},
		"an unknown system":       {"a.yaml", "table: a\nto: { system: loink }\nentries: []\n", "a.yaml:2:15: table a: code system \"loink\" is not known; did you mean \"loinc\"?\n"},
		"entries that are none":   {"a.yaml", "table: a\nentries: x\n", "a.yaml:2:10: table a: entries is a list\n"},
		"an entry without from":   {"a.yaml", "table: a\nentries: [ { to: x } ]\n", "a.yaml:2:14: table a: an entry without from\n"},
		"an unknown field within": {"a.yaml", "table: a\nentries: [ { from: x, too: y } ]\n", "a.yaml:2:23: table a: an entry: unknown field \"too\"\n"},
		"both that is no word":    {"a.yaml", "table: a\nentries: [ { from: x, to: y, both: maybe } ]\n", "a.yaml:2:36: table a: both is true or false, not \"maybe\"\n"},
		"both twice":              {"a.yaml", "table: a\nentries:\n - { from: x, to: y, both: true }\n - { from: z, to: y, both: true }\n", "a.yaml:4:1: table a: both is said twice for \"y\", the other in line 3\n"},
		"one code twice":          {"a.yaml", "table: a\nentries:\n - { from: x, to: y }\n - { from: x, to: z }\n", "a.yaml:4:12: table a: \"x\" has two entries for the same time, the other in line 3\n"},
		"a day that is none":      {"a.yaml", "table: a\nentries: [ { from: x, since: 2026-13-01 } ]\n", "a.yaml:2:30: table a: \"2026-13-01\" is not a day like 2026-01-31\n"},
		"an end before its begin": {"a.yaml", "table: a\nentries: [ { from: x, since: 2026-02-01, until: 2026-01-01 } ]\n", "a.yaml:2:49: table a: until is not after since\n"},
		"a word of otherwise":     {"a.yaml", "table: a\notherwise: maybe\nentries: []\n", "a.yaml:2:12: table a: otherwise is keep, none, park or {code: X}, not \"maybe\"\n"},
		"not YAML":                {"a.yaml", "table: [\n", "a.yaml:1:8: not readable as YAML: sequence end token ']' not found\n"},
		"an unknown column":       {"a.csv", "from,too\na,b\n", "a.csv:1:6: unknown column \"too\"; did you mean \"to\"?\n"},
		"a column twice":          {"a.csv", "from,to,to\na,b,c\n", "a.csv:1:9: column \"to\" stands twice\n"},
		"an empty CSV":            {"a.csv", "", "a.csv:1:1: no head line with the names of the columns\n"},
		"quotes in a CSV":         {"a.csv", "from,to\n\"a,b\n", "a.csv:2:6: not readable as CSV: quotes do not match\n"},
		"a system without uri":    {"systems.yaml", "- { name: x }\n", "systems.yaml:1:11: code system \"x\" has no uri\n"},
		"a system without name":   {"systems.yaml", "- { uri: x }\n", "systems.yaml:1:5: a code system without a name\n"},
		"a v2 name twice":         {"systems.yaml", "- { name: x, uri: y, v2: ln }\n", "systems.yaml:1:11: system \"x\": the v2 name \"ln\" is also that of \"loinc\"\n"},
		"a system twice":          {"systems.yaml", "- { name: loinc, uri: y }\n", "systems.yaml:1:11: system \"loinc\" stands twice\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, got := load(t, map[string]string{test.file: test.text}); got != test.want {
				t.Errorf("got  %swant %s", got, test.want)
			}
		})
	}
}

func TestAByteOrderMarkSaysNothing(t *testing.T) {
	for file, text := range map[string]string{"marked.yaml": local, "marked.csv": "from,to\nX,y\n"} {
		set, problems := load(t, map[string]string{file: "\ufeff" + text})
		if len(problems) > 0 || len(set.Names()) != 1 {
			t.Errorf("%s: %v, %q", file, problems, set.Names())
		}
	}
}

func TestReadReplacesATableOfTheSameName(t *testing.T) {
	set, _ := load(t, map[string]string{"local.yaml": local})
	next, added, problems := set.Read("local.csv", []byte("from,to\nX,y\n"))
	if len(problems) > 0 || len(added) != 1 {
		t.Fatal(problems, added)
	}
	if _, ok := next.Table("local").Lookup("X", time.Time{}); !ok {
		t.Error("the new table does not stand")
	}
	if _, ok := set.Table("local").Lookup("X", time.Time{}); ok {
		t.Error("the old set was changed")
	}
	if got := set.With("other", added[0]).Names(); !slices.Equal(got, []string{"local", "other"}) {
		t.Errorf("names are %q", got)
	}
}

func TestShippedTablesHaveNoProblems(t *testing.T) {
	set, problems := Shipped()
	for _, p := range problems {
		t.Error(p.Error())
	}
	if len(set.Names()) < 5 || len(set.Systems().Names()) < 20 {
		t.Errorf("%d tables and %d systems", len(set.Names()), len(set.Systems().Names()))
	}
}
