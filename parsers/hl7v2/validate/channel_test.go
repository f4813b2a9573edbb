package validate

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// options returns those of a channel.
func options(t *testing.T, change func(*hl7v2.Options)) *hl7v2.Options {
	t.Helper()
	o, ok := hl7v2.Kind(Validation()).Options().(*hl7v2.Options)
	if !ok {
		t.Fatal("the options are of another kind")
	}
	change(o)
	return o
}

func TestWordsOfAChannel(t *testing.T) {
	for want, change := range map[string]func(*hl7v2.Options){
		`validate "all" is not known; known: syntax, structure, types, tables, profile`: func(o *hl7v2.Options) { o.Level = "all" },
		`profile "vxx" is not a profile; known: `:                                       func(o *hl7v2.Options) { o.Profile = "vxx" },
		`profile is missing: the name of a profile, known: `:                            func(o *hl7v2.Options) { o.Level = "profile" },
		`tolerate "lengths" is not a warning; known: batch-count, `:                     func(o *hl7v2.Options) { o.Tolerate = []string{"length", "lengths"} },
		`strict "charset" is not a warning; known: batch-count, `:                       func(o *hl7v2.Options) { o.Strict = []string{"charset"} },
		`strict "length" is tolerated, too: it can be one of them`:                      func(o *hl7v2.Options) { o.Tolerate, o.Strict = []string{"length"}, []string{"length"} },
	} {
		problems := options(t, change).Validate()
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Field+" "+problems[0].Text, want) {
			t.Errorf("got %+v, want %s", problems, want)
		}
	}
	for _, level := range levels {
		o := options(t, func(o *hl7v2.Options) { o.Level, o.Profile = level, "vxu" })
		if problems := o.Validate(); len(problems) > 0 || len(o.Files()) > 0 {
			t.Errorf("%s: %+v", level, problems)
		}
	}
	o := options(t, func(o *hl7v2.Options) { o.Profile = "sites/acme.yaml" })
	if problems := o.Validate(); len(problems) > 0 || len(o.Files()) != 1 {
		t.Errorf("%+v", problems)
	}
	if _, err := o.OpenWith(map[string][]byte{"sites/acme.yaml": []byte("rulez: []")}); err == nil {
		t.Error("a profile that is none opens")
	}
}

func TestCheckOfAChannel(t *testing.T) {
	raw := strings.Join([]string{header, "EVN||20260105", "PID|1||7||X||CANARY", "EVN||20260105", "PV1|1|O"}, "\n")
	for level, want := range map[string]string{
		"":          "",
		"syntax":    "",
		"structure": "grouping",
		"types":     "grouping data-type!",
	} {
		parser, err := options(t, func(o *hl7v2.Options) { o.Level = level }).Open()
		if err != nil {
			t.Fatal(err)
		}
		doc, err := parser.Parse([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range parser.(parsers.Checker).Check(doc) {
			if f.Severe {
				f.Rule += "!"
			}
			if got = append(got, f.Rule); f.Problem.Code < 100 || f.Problem.Where == "" || strings.Contains(f.Problem.Text, "CANARY") {
				t.Errorf("%+v", f)
			}
		}
		if strings.Join(sorted(got), " ") != want {
			t.Errorf("%q: %q, want %q", level, got, want)
		}
	}
}

// TestStrictChannel holds that what only warns keeps a message back where the
// channel says so, whatever level it checks.
func TestStrictChannel(t *testing.T) {
	wrong := strings.Replace(header, "|2.5.1", "|2.5.1||||||UNICODE UTF-8", 1)
	for name, c := range map[string]struct {
		raw, level string
		strict     []string
		want       string
	}{
		"nothing is strict":           {wrong + "\rPV1|1|O\rPID|1||7||CAN\xffARY\r", "", nil, ""},
		"bytes of another set":        {wrong + "\rPID|1||7||CAN\xffARY\r", "", []string{"charset-wrong"}, "102 charset-wrong!"},
		"a set that nobody knows":     {strings.Replace(wrong, "UNICODE UTF-8", "CANARY-8", 1) + "\rPID|1||7\r", "syntax", []string{"charset-wrong", "charset-unknown"}, "103 charset-unknown!"},
		"bytes nobody declared":       {header + "\rPID|1||7||CAN\xffARY\r", "", []string{"charset-undeclared"}, "102 charset-undeclared!"},
		"the order":                   {header + "\rPV1|1|O\rPID|1||7\r", "", []string{"grouping"}, "100 grouping!"},
		"the order, told once":        {header + "\rEVN||20260105\rPID|1||7||X\rPV1|1|O\rEVN||20260105\r", "structure", []string{"grouping"}, "100 grouping!"},
		"a rule that otherwise warns": {header + "\rEVN||20260105\rPID|1||7||X\rPV1|1|O\rQQQ|1\r", "structure", []string{"segment-unknown"}, "100 segment-unknown!"},
	} {
		t.Run(name, func(t *testing.T) {
			parser, err := options(t, func(o *hl7v2.Options) { o.Level, o.Strict = c.level, c.strict }).Open()
			if err != nil {
				t.Fatal(err)
			}
			doc, err := parser.Parse([]byte(c.raw))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range parser.(parsers.Checker).Check(doc) {
				if f.Severe {
					f.Rule += "!"
				}
				if got = append(got, fmt.Sprint(f.Problem.Code, " ", f.Rule)); strings.Contains(f.Problem.Text+f.Problem.Where, "CANARY") {
					t.Errorf("a value is told: %+v", f)
				}
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// sorted puts the errors behind the warnings.
func sorted(rules []string) []string {
	var mild, severe []string
	for _, r := range rules {
		if strings.HasSuffix(r, "!") {
			severe = append(severe, r)
		} else {
			mild = append(mild, r)
		}
	}
	return append(mild, severe...)
}

// TestEveryRuleHasItsWord holds the list of rules equal to what is found.
func TestEveryRuleHasItsWord(t *testing.T) {
	source := ""
	for _, name := range []string{"validate.go", "types.go", "profile.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source += string(text)
	}
	var given []string
	for _, found := range regexp.MustCompile(`10[0-3], "([a-z-]+)"`).FindAllStringSubmatch(source, -1) {
		given = append(given, found[1])
	}
	slices.Sort(given)
	if given = slices.Compact(given); !slices.Equal(given, rules) {
		t.Errorf("the source gives %q, the list has %q", given, rules)
	}
}
