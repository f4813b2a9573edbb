package expression

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
)

const sample = `MSH|x
PID|1||M1^^^HOSP^MR~R7^^^LAB^RI||DOE^JANE||19800305|F
OBX|1|NM|GLU^Glucose|1|7.5|mmol/L|3-6|HH|||F
OBX|2|ST|TXT|1|TNTC||||||C
NTE|1|L|note`

func testTables(name string) (func(string) bool, func(string) (string, bool), bool) {
	if name != "reportable" {
		return nil, nil, false
	}
	codes := map[string]string{"GLU": "2345-7"}
	find := func(c string) (string, bool) { to, ok := codes[c]; return to, ok }
	return func(c string) bool { _, ok := find(c); return ok }, find, true
}

func options() Options {
	return Options{Grammar: testGrammar{}, Tables: testTables, Vars: map[string]string{"site": "NORTH"}}
}

func testEnv() Env {
	return Env{
		Root: testDoc(sample),
		Message: &message.Message{
			Channel: "lab", Peer: "10.0.0.1", Received: time.Date(2026, 3, 4, 23, 0, 0, 0, time.UTC),
			Header: message.Header{Type: "ORU^R01", Structure: "ORU_R01", Sender: "ACME|LAB", Receiver: "P", Control: "17"},
		},
	}
}

func TestBool(t *testing.T) {
	for text, want := range map[string]bool{
		`type == "ORU^R01" && PID-3.1 != ""`:                                              true,
		`type == "ORU^R01" and not valued(PID-30)`:                                        true,
		`type startsWith "ADT^"`:                                                          false,
		`structure == "ORU_R01" and sender contains "ACME" and receiver == "P"`:           true,
		`control == "17" and channel == "lab" and peer matches "^10[.]"`:                  true,
		`var.site == "NORTH"`:                                                             true,
		`has(PID-3[*].5, "RI")`:                                                           true,
		`has(PID-3[*].5, "XX")`:                                                           false,
		`"MR" in PID-3[*].5`:                                                              true,
		`PID-3.1 in ["M1", "M2"]`:                                                         true,
		`PID-3.1 not in ["M1", "M2"]`:                                                     false,
		`not valued(LAB_GROUP) and none(LAB_GROUP, true)`:                                 true,
		`any(OBX, OBX-8 in ["HH","LL"])`:                                                  true,
		`any(OBX, OBX-3.1 in table("reportable") and OBX-11 in ["F", "C"])`:               true,
		`any(OBX, .OBX-3.1 in table("reportable"))`:                                       true,
		`any(OBX, #.OBX-3.1 not in table("reportable"))`:                                  true,
		`all(OBX, OBX-11 == "F")`:                                                         false,
		`none(OBX, OBX-11 == "X")`:                                                        true,
		`count(OBX, OBX-2 == "NM") == 1`:                                                  true,
		`count(OBX) == 2 and len(OBX) == 2`:                                               true,
		`one(OBX, OBX-2 == "NM")`:                                                         true,
		`any(filter(OBX, OBX-2 == "ST"), OBX-11 == "C")`:                                  true,
		`any(filter(OBX, OBX-2 == "NM"), OBX-11 == "C")`:                                  false,
		`valued(find(OBX, OBX-2 == "NM"))`:                                                true,
		`valued(find(OBX, OBX-2 == "ZZ"))`:                                                false,
		`valued(filter(OBX, OBX-2 == "NM")) and not valued(filter(OBX, false))`:           true,
		`any(PID-3[*].4, # == "LAB")`:                                                     true,
		`any(OBX, any(NTE, NTE-2 == "L" and OBX-2 == "ST"))`:                              true,
		`any(OBX, any(NTE, NTE-2 == "L" and OBX-2 == "XX"))`:                              false,
		`number(OBX-5) > 7`:                                                               true,
		`number(OBX-5) - 1 == 6.5`:                                                        true,
		`number(OBX-6, 0) == 0`:                                                           true,
		`number(OBX-5, 0) > 7 and number(PID-1) == 1`:                                     true,
		`years(PID-7) == 45`:                                                              true,
		`day(PID-7) < day(message.received)`:                                              true,
		`day(PID-7) == day("1980-03-05")`:                                                 true,
		`valued(PID) and valued(PID-3[*].1) and not valued(PV1)`:                          true,
		`lookup("reportable", OBX-3.1) == "2345-7"`:                                       true,
		`lookup("reportable", "no", "none") == "none"`:                                    true,
		`upper("a") + lower("B") + trim(" c ") + digits("a1b2") == "Abc12"`:               true,
		`join(PID-3[*].1, "/") == "M1/R7"`:                                                true,
		`split("a^b", "^")[1] == "b"`:                                                     true,
		`path("PID-3.1") == "M1" and has(paths("PID-3[*].1"), "R7")`:                      true,
		`has(paths("PID-3.1"), "M1")`:                                                     true,
		`"PID-3.1" == "PID-3" + '.1' and PID-3[1].1 == "M1"`:                              true,
		`(valued(PID-3.1) ? "a" : "b") == "a"`:                                            true,
		`PID-5.1 + "," + PID-5.2 == "DOE,JANE"`:                                           true,
		"type ==\n  \"ORU^R01\"":                                                          true,
		`all(PV1, PV1-2 == "I") and "é" == "é" and PID-3.1 == "M1"`:                       true,
		`PID-3[*].4 == ["HOSP", "LAB"]`:                                                   true,
		`not (PV1-2 == "O" and type == "ADT^A08")`:                                        true,
		`has(filter(PID-3[*].4, # != ""), "LAB")`:                                         true,
		`any(OBX, valued(OBX-5) and number(OBX-5, -1) > 7) or valued(PID-3[2])`:           true,
		`"🙂" == "🙂" and any(OBX, OBX-8 == "HH")`:                                          true,
		`count(PID-3[*].1, # startsWith "M") == 1 and message.received > day("19000101")`: true,
	} {
		p, err := Compile(text, options())
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for range 2 {
			if got, err := p.Bool(testEnv(), nil); got != want || err != nil {
				t.Errorf("%s = %v, %v, want %v", text, got, err, want)
			}
		}
		if p.String() != text {
			t.Errorf("String() = %q, want %q", p.String(), text)
		}
	}
}

func TestWrong(t *testing.T) {
	type wrong struct {
		column int
		text   string
	}
	for text, want := range map[string]wrong{
		``:                                {1, `the expression is empty`},
		`PID-3[*].4 == "MRN"`:             {1, `PID-3[*].4 has several values: write has(PID-3[*].4, "MRN")`},
		`"MRN" != PID-3[*].4`:             {10, `PID-3[*].4 has several values: write not has(PID-3[*].4, "MRN")`},
		`PID-3[*].4 > 3`:                  {1, `PID-3[*].4 has several values: write any(PID-3[*].4, number(#) > 3)`},
		`true and OBX-5 > 7`:              {10, `OBX-5 is text: write number(OBX-5) > 7`},
		`7 < OBX-5`:                       {5, `OBX-5 is text: write 7 < number(OBX-5)`},
		`OBX-5 == day("20200101")`:        {1, `OBX-5 is text: write day(OBX-5) == day("20200101")`},
		`OBX-5 == true`:                   {1, `OBX-5 is text: write valued(OBX-5)`},
		`OBX-5 < "7"`:                     {1, `OBX-5 is text and has no order: write number(…) or day(…) around both sides`},
		`OBX == "x"`:                      {1, `OBX is a place in the message, not a value: name a field of it, or write valued(OBX)`},
		`PID - 3 == 1`:                    {1, `PID is a place in the message and cannot be reckoned with: write a path of it without spaces, PID-…`},
		`OBX-5 + 1 == 2`:                  {1, `OBX-5 is text: write number(OBX-5)`},
		`PID-3[*].1 + "a" == "b"`:         {1, `PID-3[*].1 has several values and cannot be reckoned with: name one of them`},
		`PID-3`:                           {1, `PID-3 is text: write valued(PID-3)`},
		`PID-3[*].4 in ["A"]`:             {1, `PID-3[*].4 has several values: write any(PID-3[*].4, # in ["A"])`},
		`"A" in PID-3`:                    {8, `PID-3 has one value: write PID-3 == "A", or PID-3 contains "A"`},
		`"A" in OBX`:                      {8, `OBX is a place in the message, not a list of values`},
		`OBX in ["A"]`:                    {1, `OBX is a place in the message, not a value: name a field of it`},
		`PID-3[*].4 contains "A"`:         {1, `PID-3[*].4 has several values: write any(PID-3[*].4, # contains "A")`},
		`OBX contains "A"`:                {1, `OBX is a place in the message, not a value: name a field of it`},
		`PID-3 matches PID-4`:             {15, `the pattern of matches has to be a text in quotes`},
		`not PID-3`:                       {5, `PID-3 is text: write valued(PID-3)`},
		`type == "A" and OBX`:             {17, `OBX is a place in the message: write valued(OBX)`},
		`valued(ZZZ-1)`:                   {8, `segment "ZZZ" is not known`},
		`any(OBX, ZZZ-1 == "")`:           {10, `segment "ZZZ" is not known`},
		`any(PID-3, # == "")`:             {5, `PID-3 has one value; any wants a list, a segment, a group or a loop`},
		`tipe == "ORU^R01"`:               {1, `"tipe" is not known, did you mean "type"?`},
		`valed(PID-3)`:                    {1, `function "valed" is not known, did you mean "valued"?`},
		`type() == "x"`:                   {1, `type is the type of the message, not a function: write type == "ORU^R01"`},
		`sender() == "x"`:                 {1, `sender is a value, not a function`},
		`valued == "x"`:                   {1, `valued is a function: write valued(path)`},
		`any == "x"`:                      {1, `any is a function: write any(list, condition)`},
		`len == 1`:                        {1, `len is a function: write len(list)`},
		`now() > day(PID-7)`:              {1, `now() is not allowed: there is no clock here, so that a replay gives the same; use message.received`},
		`date == ""`:                      {1, `there is no clock here, so that a replay gives the same: use message.received`},
		`var == "x"`:                      {1, `var needs a name: var.name`},
		`var.sitte == "x"`:                {5, `variable "sitte" is not set, did you mean "site"?`},
		`message == "x"`:                  {1, `message needs a name: message.received`},
		`message.sent == day("20200101")`: {9, `message.sent is not known; known: message.received`},
		`valued()`:                        {1, `valued has 0 arguments: write valued(path)`},
		`has(PID-3, "x")`:                 {5, `PID-3 has one value: write PID-3 == …`},
		`join(PID-3, "x") == ""`:          {6, `PID-3 has one value; join wants a list`},
		`number(PID-3[*].1) == 1`:         {8, `PID-3[*].1 has several values; number wants one: name one of them, or write any(PID-3[*].1, …)`},
		`number(OBX) == 1`:                {8, `OBX is a place in the message, not a value: name a field of it`},
		`number(OBX-5, OBX-6) == 1`:       {15, `OBX-6 is text: write number(OBX-6)`},
		`OBX-3 in table("reportabel")`:    {10, `table "reportabel" is not known`},
		`OBX-3 in table(type)`:            {10, `the table has to be named in quotes: table("name")`},
		`table("reportable")`:             {1, `table("…") stands behind in: write code in table("name")`},
		`lookup("x", OBX-3) == ""`:        {1, `table "x" is not known`},
		`lookup(type, OBX-3) == ""`:       {8, `lookup wants a text in quotes here: write lookup("table", code) or lookup("table", code, else)`},
		`path("PID-3[*]") == ""`:          {1, `PID-3[*] has several values: write paths("PID-3[*]")`},
		`path(type) == ""`:                {1, `path wants a text in quotes: the path is checked when the file is read`},
		`path("nope") == ""`:              {1, `"nope" is not a path`},
		`OBX-5.received`:                  {7, `OBX-5.received is not a path of this format (OBX-5 is text)`},
		`(type).x == ""`:                  {8, `type has no part called "x"`},
		`find(OBX, true).Span() == 1`:     {17, `find(OBX, true).Span cannot be called`},
		`nil == type`:                     {1, `nil is not used here: an absent value is the empty text, write valued(…)`},
		`let a = type; a == ""`:           {5, `"let" and ";" are not allowed: an expression is one condition`},
		`PID.3.1 == ""`:                   {1, `PID.3 is not a path: "." does not lead from PID to a field of it`},
		`LAB_GROUP == ""`:                 {1, `LAB_GROUP is a place in the message, not a value: name a field of it, or write valued(LAB_GROUP)`},
		`any(OBX-5 > 7)`:                  {14, `too few arguments: any, all and the like are written any(list, condition)`},
		`type[1:2] == ""`:                 {5, `[from:to] is not allowed: name one value with [n], or use filter(…)`},
		`any(1..9, true)`:                 {6, `a range (..) is not allowed: list the values`},
		`1 ?? 2`:                          {3, `?? is not part of the language`},
		`{a: 1} == 1`:                     {1, `{…}, b"…" and ?. are not part of the language`},
		`map(OBX, OBX-1) == 1`:            {1, `map(…) is not part of the language`},
		`any(OBX, #index == 1)`:           {10, `#index is not known: # is the one in hand`},
		`any(OBX, any(OBX, any(OBX, any(OBX, any(OBX, true)))))`: {37, `any(…) stands more than 4 deep`},
		`type == "`:                           {9, `the text that begins here has no closing "`},
		`$env == 1`:                           {1, `"$" has no meaning here: variables are ${name} in the file and var.name in an expression`},
		`type // == ""`:                       {6, `comments are not allowed in an expression: put them behind # in the file`},
		`len(type, type) == 1`:                {1, `len takes one value: len(list)`},
		`len(type)`:                           {1, `the expression gives a number, not true or false`},
		`type == "é" and tipe == ""`:          {17, `"tipe" is not known, did you mean "type"?`},
		`PID-3.1 == "a" and `:                 {19, `the expression ends too early`},
		`PID-3.1 = "a"`:                       {9, `unexpected "="`},
		`true == "a"`:                         {6, `invalid operation: == (mismatched types bool and string)`},
		`PID-3.1 == "a" PID-4.1`:              {16, `unexpected "PID-4.1"`},
		strings.Repeat("not ", 3000) + "true": {1, `the expression has 12004 bytes; at most 8192 are allowed`},
	} {
		_, err := Compile(text, options())
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("%s: %v, want an *Error", text, err)
			continue
		}
		if e.Column != want.column || e.Text != want.text {
			t.Errorf("%.60s\n got %d: %s\nwant %d: %s", text, e.Column, e.Text, want.column, want.text)
		}
	}
}

func TestTextAndList(t *testing.T) {
	o := options()
	o.Want = Text
	p, err := Compile(`PID-3.1 + "|" + type`, o)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Text(testEnv(), nil); got != "M1|ORU^R01" || err != nil {
		t.Errorf("Text = %q, %v", got, err)
	}
	o.Want = List
	if p, err = Compile(`PID-3[*].1`, o); err != nil {
		t.Fatal(err)
	}
	if got, err := p.List(testEnv(), nil); len(got) != 2 || err != nil {
		t.Errorf("List = %q, %v", got, err)
	}
	for text, want := range map[string]string{
		`PID-3[*].1`:   `PID-3[*].1 has several values: name one of them, or write join(PID-3[*].1, ",")`,
		`PID`:          `PID is a place in the message, not a text: name a field of it`,
		`type == "A"`:  `the expression gives true or false, not a text`,
		`day(PID-7)`:   `the expression gives a day, not a text`,
		`[type, type]`: `the expression gives a list, not a text`,
	} {
		o.Want = Text
		if _, err := Compile(text, o); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	o.Want = List
	if _, err := Compile("type", o); err == nil || err.Error() != "the expression gives a text, not a list of texts" {
		t.Errorf("got %v", err)
	}
}

func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		`any(OBX, number(OBX-5) > 8)`:         `OBX-5 is not a number`,
		`number(OBX-20) > 7`:                  `OBX-20 is empty, not a number`,
		`number(trim(OBX-2)) > 7`:             `trim(OBX-2) is not a number`,
		`day(PID-5) < day("20200101")`:        `PID-5 is not a day (YYYYMMDD or YYYY-MM-DD)`,
		`years(PID-30) > 3`:                   `PID-30 is empty, not a day`,
		`lookup("reportable", PID-5.1) == ""`: `PID-5.1 is not in table "reportable"`,
		`split(PID-5.1, "^")[9] == ""`:        `the expression cannot be worked out on this message`,
		`split(PID-5.1, "") == ["a"]`:         `split wants a text between the parts`,
	} {
		p, err := Compile(text, options())
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		_, err = p.Bool(testEnv(), nil)
		if message.KindOf(err) != message.Malformed || err == nil || err.Error() != want {
			t.Errorf("%s: %v, want malformed: %s", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "TNTC") || strings.Contains(err.Error(), "DOE")) {
			t.Errorf("%s: a value is in the text of its fault", text)
		}
	}
}

func TestLoopsAreBounded(t *testing.T) {
	env := testEnv()
	env.Root = testDoc(strings.Repeat("OBX|1|NM\nNTE|1\n", 2500))
	p, err := Compile(`any(OBX, any(NTE, type == "XX"))`, options())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Bool(env, nil); err == nil || !strings.Contains(err.Error(), "steps") {
		t.Errorf("6 million turns gave %v, want a fault", err)
	}
}

func TestExplain(t *testing.T) {
	env := testEnv()
	for text, want := range map[string]string{
		`valued(PID-30)`:                                       `false: PID-30 is empty`,
		`valued(PID-3.1)`:                                      `true: PID-3.1 is valued`,
		`type == "ORU^R01" and valued(PID-30)`:                 `false: not valued(PID-30); PID-30 is empty`,
		`valued(PV1) and has(PID-3[*].1, "x") and valued(OBX)`: `false: not valued(PV1); not has(PID-3[*].1, "x"); PV1 is absent, PID-3[*].1 has 2 values, OBX is there 2 times`,
		`number(OBX-30) > 1`:                                   `fault: OBX-30 is empty, not a number: OBX-30 is empty`,
		`any(OBX, OBX-2 == "XX") and true`:                     `false: not any(OBX, OBX-2 == "XX"); OBX is there 2 times`,
	} {
		p, err := Compile(text, options())
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := p.Explain(env, nil).String(); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func BenchmarkBool(b *testing.B) {
	for _, text := range []string{`type == "ORU^R01" && PID-3.1 != ""`, `any(OBX, OBX-3.1 in table("reportable") and OBX-11 in ["X"])`} {
		b.Run(text, func(b *testing.B) {
			p, err := Compile(text, options())
			if err != nil {
				b.Fatal(err)
			}
			env := testEnv()
			for b.Loop() {
				if _, err := p.Bool(env, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		`type == "ORU^R01" && PID-3.1 != ""`, `any(OBX, .OBX-3.1 in table("reportable") and OBX-11 in ["F", "C"])`,
		`number(OBX-5, 0) > 7 or years(PID-7) == 45`, `lookup("reportable", PID-3[*].1[0], "x") matches "^a"`,
		`count(filter(PID-3[*].1, # != "")) > 1 ? "a" : 'b'`, "`raw` == path(\"PID-3\")", `var.site + join(split(type, "^"), "/")`,
	} {
		f.Add(text)
	}
	env := testEnv()
	f.Fuzz(func(t *testing.T, text string) {
		for _, want := range []Want{Bool, Text, List} {
			o := options()
			o.Want = want
			p, err := Compile(text, o)
			if err != nil {
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Column < 1 || e.Column > len(text)+1 || e.Text == "" || strings.Contains(e.Text, "$env") {
					t.Errorf("%q: %#v", text, err)
				}
				continue
			}
			if f := p.Explain(env, nil).Fault; f != nil && message.KindOf(f) != message.Malformed {
				t.Errorf("%q: %v", text, f)
			}
		}
	})
}
