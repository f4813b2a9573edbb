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
		`tolerate "lengths" is not a warning; known: ack-condition, `:                   func(o *hl7v2.Options) { o.Tolerate = []string{"length", "lengths"} },
		`strict "charset" is not a warning; known: ack-condition, `:                     func(o *hl7v2.Options) { o.Strict = []string{"charset"} },
		`strict "length" is tolerated, too: it can be one of them`:                      func(o *hl7v2.Options) { o.Tolerate, o.Strict = []string{"length"}, []string{"length"} },
		`lenient "charset" is not a warning; known: ack-condition, `:                    func(o *hl7v2.Options) { o.Lenient = []string{"charset"} },
		`lenient "data-type" is tolerated, too: it can be one of them`:                  func(o *hl7v2.Options) { o.Tolerate, o.Lenient = []string{"data-type"}, []string{"data-type"} },
		`lenient "charset-wrong" is strict, too: it can be one of them`: func(o *hl7v2.Options) {
			o.Strict, o.Lenient = []string{"charset-wrong"}, []string{"charset-unknown", "charset-wrong"}
		},
		`lenient "no-final-cr" only warns: it keeps no message back`: func(o *hl7v2.Options) { o.Lenient = []string{"no-final-cr"} },
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

// TestStrictAndLenientChannels hold that what only warns keeps a message back where the
// channel says so, whatever level it checks; that characters nobody can read do
// so by themselves; and that what does is a warning where the channel says that.
func TestStrictAndLenientChannels(t *testing.T) {
	wrong := strings.Replace(header, "|2.5.1", "|2.5.1||||||UNICODE UTF-8", 1)
	unknown := strings.Replace(wrong, "UNICODE UTF-8", "CANARY-8", 1)
	both := []string{"charset-wrong", "charset-unknown"}
	for name, c := range map[string]struct {
		raw, level      string
		strict, lenient []string
		want            string
	}{
		"bytes of another set":        {wrong + "\rPV1|1|O\rPID|1||7||CAN\xffARY\r", "", nil, nil, "102 charset-wrong!"},
		"a set that nobody knows":     {unknown + "\rPID|1||7\r", "syntax", nil, nil, "103 charset-unknown!"},
		"both, said in words":         {unknown + "~ASCII\rPID|1||CAN\xffARY\r", "syntax", both, nil, "103 charset-unknown!, 102 charset-wrong!"},
		"both, lenient":               {unknown + "~ASCII\rPID|1||CAN\xffARY\r", "syntax", nil, both, ""},
		"one of them, lenient":        {unknown + "~ASCII\rPID|1||CAN\xffARY\r", "", nil, []string{"charset-unknown"}, "102 charset-wrong!"},
		"bytes nobody declared":       {header + "\rPID|1||7||CAN\xffARY\r", "", nil, nil, ""},
		"the same, strict":            {header + "\rPID|1||7||CAN\xffARY\r", "", []string{"charset-undeclared"}, nil, "102 charset-undeclared!"},
		"UTF-8 in Latin-1":            {strings.Replace(wrong, "UNICODE UTF-8", "8859/1", 1) + "\rPID|1||CANÄRY\r", "", nil, nil, ""},
		"the same, too, strict":       {strings.Replace(wrong, "UNICODE UTF-8", "8859/1", 1) + "\rPID|1||CANÄRY\r", "", []string{"charset-doubtful"}, nil, "102 charset-doubtful!"},
		"the order":                   {header + "\rPV1|1|O\rPID|1||7\r", "", []string{"grouping"}, nil, "100 grouping!"},
		"the order, told once":        {header + "\rEVN||20260105\rPID|1||7||X\rPV1|1|O\rEVN||20260105\r", "structure", []string{"grouping"}, nil, "100 grouping!"},
		"a rule that otherwise warns": {header + "\rEVN||20260105\rPID|1||7||X\rPV1|1|O\rQQQ|1\r", "structure", []string{"segment-unknown"}, nil, "100 segment-unknown!"},
		"an error":                    {header + "\rEVN||20260105\rPID|1||7||X||CANARY\rPV1|1|O\r", "types", nil, nil, "102 data-type!"},
		"an error, lenient":           {header + "\rEVN||20260105\rPID|1||7||X||CANARY\rPV1|1|O\r", "types", nil, []string{"data-type"}, "102 data-type"},
	} {
		t.Run(name, func(t *testing.T) {
			parser, err := options(t, func(o *hl7v2.Options) { o.Level, o.Strict, o.Lenient = c.level, c.strict, c.lenient }).Open()
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
				if got = append(got, fmt.Sprint(f.Problem.Code, " ", f.Rule)); strings.Contains(f.Problem.Text+f.Problem.Where, "CAN") {
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
