package hl7v2

import (
	"strings"
	"testing"
)

func TestEscapes(t *testing.T) {
	for name, c := range map[string]struct{ raw, want string }{
		"delimiters":                         {`\F\\S\\T\\R\\E\`, `|^&~\`},
		"truncation where there is none":     {`\P\`, `\P\`},
		"hexadecimal":                        {`a\X0D0A\b`, "a\r\nb"},
		"hexadecimal of one digit":           {`a\X0\b`, `a\X0\b`},
		"hexadecimal that is none":           {`a\Xyz\b`, `a\Xyz\b`},
		"hexadecimal NUL":                    {`a\X00\b`, "a\uFFFDb"},
		"highlighting":                       {`\H\loud\N\`, "loud"},
		"line break":                         {`a\.br\b`, "a\nb"},
		"line break in capitals":             {`a\.BR\b`, "a\nb"},
		"two lines down":                     {`a\.sp2\b`, "a\n\nb"},
		"two lines down, signed":             {`a\.sp+2\b`, "a\n\nb"},
		"skip three":                         {`a\.sk3\b`, "a   b"},
		"indent":                             {`\.in+4\a\.ti-2\b\.fi\c\.nf\`, "abc"},
		"centre":                             {`a\.ce\b`, "a\nb"},
		"a command there is not":             {`a\.xy\b`, `a\.xy\b`},
		"a local one":                        {`a\Zabc\b`, `a\Zabc\b`},
		"a local one before a letter":        {`a\Z1\T\T\`, `a\Z1\T&`},
		"one that is none":                   {`C:\temp\file`, `C:\temp\file`},
		"one that is none before one":        {`C:\temp\T\file`, `C:\temp&file`},
		"alone":                              {`5 \ 6`, `5 \ 6`},
		"at the end":                         {`end\`, `end\`},
		"twice":                              {`a\\b`, `a\\b`},
		"not nested":                         {`\X5C\F\`, `\F\`},
		"a switch of character set and back": {`\M2442\` + "\x3b\x33" + `\C2842\ yes`, "山 yes"},
		"Cyrillic":                           {`\C2D4C\` + "\xb0" + `\C2842\`, "А"},
		"a switch to what is not known":      {`\C9999\a`, `\C9999\a`},
	} {
		t.Run(name, func(t *testing.T) {
			m := body(t, "NTE|1||"+c.raw+"\r")
			nte := m.find("NTE", 1).Field(3)
			if got := nte.Text(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if string(nte.Raw()) != c.raw {
				t.Errorf("the bytes are %q", nte.Raw())
			}
		})
	}
}

func TestEscapesOfOtherDelimiters(t *testing.T) {
	m := parsed(t, "MSH:-+?*#:A\rNTE:1::?F??S??T??R??E??P?\\T\\\r")
	if got := m.find("NTE", 1).Field(3).Text(); got != `:-*+?#\T\` {
		t.Errorf("%q", got)
	}
}

func TestWhatIsEscapedIsReadAgain(t *testing.T) {
	for _, d := range []Delims{
		{'|', '^', '~', '\\', '&', 0},
		{'|', '^', '~', '\\', '&', '#'},
		{':', '-', '+', '?', '*', 0},
	} {
		text := `a|b^c~d\e&f#g:h-i+j?k*l` + "\nm"
		raw := "MSH" + string([]byte{d.Field, d.Component, d.Repetition, d.Escape, d.Subcomponent})
		if d.Truncation != 0 {
			raw += string(d.Truncation)
		}
		f := string(d.Field)
		m := parsed(t, raw+f+"A\rNTE"+f+"1"+f+f+string(d.escape(nil, text))+f+"end\r")
		if got := m.find("NTE", 1).Field(3).Text(); got != text {
			t.Errorf("%q, want %q", got, text)
		}
		if got := m.find("NTE", 1).Field(4).Text(); got != "end" {
			t.Errorf("the field behind is %q", got)
		}
	}
	if got := string(Delims{Field: '|', Component: '^'}.escape(nil, "a|b^c\rd")); strings.ContainsAny(got, "|^\r") {
		t.Errorf("without an escape character: %q", got)
	}
}
