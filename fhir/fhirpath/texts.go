package fhirpath

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/plexus-health/plexus/fhir"
)

// textFunctions are those of strings (FHIRPath N1, 5.6).
var textFunctions = map[string]function{
	"indexOf":        {least: 1, most: 1, run: textWith(func(s, part string) Value { return integer(runes(s, strings.Index(s, part))) })},
	"lastIndexOf":    {least: 1, most: 1, run: textWith(func(s, part string) Value { return integer(runes(s, strings.LastIndex(s, part))) })},
	"startsWith":     {least: 1, most: 1, run: textWith(func(s, part string) Value { return Boolean(strings.HasPrefix(s, part)) })},
	"endsWith":       {least: 1, most: 1, run: textWith(func(s, part string) Value { return Boolean(strings.HasSuffix(s, part)) })},
	"contains":       {least: 1, most: 1, run: textWith(func(s, part string) Value { return Boolean(strings.Contains(s, part)) })},
	"upper":          {run: textOnly(func(s string) Value { return Text(strings.ToUpper(s)) })},
	"lower":          {run: textOnly(func(s string) Value { return Text(strings.ToLower(s)) })},
	"trim":           {run: textOnly(func(s string) Value { return Text(strings.TrimSpace(s)) })},
	"length":         {run: textOnly(func(s string) Value { return integer(int64(utf8.RuneCountInString(s))) })},
	"substring":      {least: 1, most: 2, run: substring},
	"replace":        {least: 2, most: 2, run: replace},
	"matches":        {least: 1, most: 1, pattern: true, run: matches},
	"matchesFull":    {least: 1, most: 1, pattern: true, run: matches},
	"replaceMatches": {least: 2, most: 2, pattern: true, run: replaceMatches},
	"toChars":        {run: toChars},
	"split":          {least: 1, most: 1, run: split},
	"join":           {most: 1, run: join},
	"encode":         {least: 1, most: 1, run: coded(encodings)},
	"decode":         {least: 1, most: 1, run: coded(decodings)},
	"escape":         {least: 1, most: 1, run: coded(escapes)},
	"unescape":       {least: 1, most: 1, run: coded(unescapes)},
}

// text is the one string a function applies to.
func (m *machine) text(c *call) (string, bool, error) {
	v, ok, err := oneOf(c.in, String, c.n.at, "what "+c.n.name+"() applies to")
	if err != nil || !ok {
		return "", false, err
	}
	return v.text, true, m.work(len(v.text)/64, c.n.at)
}

func textOnly(f func(s string) Value) func(*machine, *call) ([]Value, error) {
	return func(m *machine, c *call) ([]Value, error) {
		s, ok, err := m.text(c)
		if err != nil || !ok {
			return nil, err
		}
		return []Value{f(s)}, nil
	}
}

// textWith serves functions of a string and one more.
func textWith(f func(s, part string) Value) func(*machine, *call) ([]Value, error) {
	return func(m *machine, c *call) ([]Value, error) {
		s, ok, err := m.text(c)
		if err != nil {
			return nil, err
		}
		part, given, err := m.argOf(c, 0, String)
		if err != nil || !given || !ok {
			return nil, err
		}
		return []Value{f(s, part.text)}, nil
	}
}

// runes is a place in a string in characters; -1 for none.
func runes(s string, at int) int64 {
	if at < 0 {
		return -1
	}
	return int64(utf8.RuneCountInString(s[:at]))
}

// bytesOf is where the n-th character begins.
func bytesOf(s string, n int64) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

func substring(m *machine, c *call) ([]Value, error) {
	s, ok, err := m.text(c)
	if err != nil || !ok {
		return nil, err
	}
	start, given, err := m.argOf(c, 0, Integer)
	if err != nil || !given || start.num < 0 {
		return nil, err
	}
	from := bytesOf(s, start.num)
	if from >= len(s) {
		return nil, nil
	}
	s = s[from:]
	if len(c.n.args) == 2 {
		length, given, err := m.argOf(c, 1, Integer)
		if err != nil {
			return nil, err
		}
		if given { // an empty length is as none
			s = s[:bytesOf(s, max(0, length.num))]
		}
	}
	return []Value{Text(s)}, nil
}

func replace(m *machine, c *call) ([]Value, error) {
	s, ok, err := m.text(c)
	if err != nil {
		return nil, err
	}
	old, givenOld, err := m.argOf(c, 0, String)
	if err != nil {
		return nil, err
	}
	by, givenBy, err := m.argOf(c, 1, String)
	if err != nil || !ok || !givenOld || !givenBy {
		return nil, err
	}
	if n := strings.Count(s, old.text); n*len(by.text)+len(s) > maxString {
		return nil, fault(c.n.at, "a string has more than %d bytes", maxString)
	}
	out := strings.ReplaceAll(s, old.text, by.text)
	return []Value{Text(out)}, m.work(len(out)/64, c.n.at)
}

// Bounds of regular expressions, which are those of RE2 and linear in time.
const (
	maxPattern = 4096
	maxGroups  = 20
	maxMatches = 50_000
	// maxPatterns is how many may be written out in one expression.
	maxPatterns = 64
)

// compilePattern compiles a regular expression; its dot matches line ends too
// (FHIRPath N1, 5.6.9).
func compilePattern(name, pattern string, at int) (*regexp.Regexp, error) {
	if name == "matchesFull" {
		pattern = `\A(?:` + pattern + `)\z`
	}
	if len(pattern) > maxPattern {
		return nil, fault(at, "the regular expression is longer than %d bytes", maxPattern)
	}
	re, err := regexp.Compile("(?s)" + pattern)
	if err != nil || re.NumSubexp() > maxGroups {
		return nil, fault(at, "the regular expression is none of RE2, or has more than %d groups", maxGroups)
	}
	return re, nil
}

// pattern is the regular expression of a call, and its text; nil when empty.
func (m *machine) pattern(c *call) (*regexp.Regexp, string, error) {
	v, ok, err := m.argOf(c, 0, String)
	if err != nil || !ok {
		return nil, "", err
	}
	if c.n.re != nil {
		return c.n.re, v.text, nil
	}
	if err := m.work(100+len(v.text), c.n.at); err != nil {
		return nil, "", err
	}
	re, err := compilePattern(c.n.name, v.text, c.n.at)
	return re, v.text, err
}

func matches(m *machine, c *call) ([]Value, error) {
	s, ok, err := m.text(c)
	if err != nil {
		return nil, err
	}
	re, _, err := m.pattern(c)
	if err != nil || re == nil || !ok {
		return nil, err
	}
	return truthValues(re.MatchString(s), m.work(len(s)/8, c.n.at))
}

func replaceMatches(m *machine, c *call) ([]Value, error) {
	s, ok, err := m.text(c)
	if err != nil {
		return nil, err
	}
	re, pattern, err := m.pattern(c)
	if err != nil {
		return nil, err
	}
	by, given, err := m.argOf(c, 1, String)
	if err != nil || re == nil || !ok || !given {
		return nil, err
	}
	if pattern == "" {
		return []Value{Text(s)}, nil
	}
	template := goTemplate(by.text)
	var out []byte
	at := 0
	found := re.FindAllStringSubmatchIndex(s, maxMatches+1)
	for _, match := range found {
		out = re.ExpandString(append(out, s[at:match[0]]...), template, s, match)
		at = match[1]
		if len(out) > maxString || len(found) > maxMatches {
			return nil, fault(c.n.at, "replaceMatches() makes more than %d bytes or %d replacements", maxString, maxMatches)
		}
		if err := m.work(1+len(template)/64, c.n.at); err != nil {
			return nil, err
		}
	}
	return joined(string(append(out, s[at:]...)), c.n.at)
}

// numbered are groups as others write them: $1.
var numbered = regexp.MustCompile(`\$([0-9]+)`)

// goTemplate writes $1 as ${1}, so that letters may follow.
func goTemplate(s string) string { return numbered.ReplaceAllString(s, "$${$1}") }

func toChars(m *machine, c *call) ([]Value, error) {
	s, ok, err := m.text(c)
	if err != nil || !ok {
		return nil, err
	}
	if err := m.size(utf8.RuneCountInString(s), c.n.at); err != nil {
		return nil, err
	}
	var out []Value
	for _, r := range s {
		out = append(out, Text(string(r)))
	}
	return out, m.work(len(out), c.n.at)
}

func split(m *machine, c *call) ([]Value, error) {
	s, ok, err := m.text(c)
	if err != nil || !ok {
		return nil, err
	}
	by, given, err := m.argOf(c, 0, String)
	if err != nil || !given {
		return nil, err
	}
	if err := m.size(strings.Count(s, by.text)+1, c.n.at); err != nil {
		return nil, err
	}
	var out []Value
	for _, part := range strings.Split(s, by.text) {
		out = append(out, Text(part))
	}
	return out, m.work(len(out), c.n.at)
}

func join(m *machine, c *call) ([]Value, error) {
	by, _, err := m.argOf(c, 0, String)
	if err != nil || len(c.in) == 0 {
		return nil, err
	}
	var out strings.Builder
	first := true
	for _, v := range c.in {
		s, ok := v.system()
		if !ok {
			continue
		}
		text, _ := s.asText()
		if !first {
			out.WriteString(by.text)
		}
		first = false
		out.WriteString(text)
		if out.Len() > maxString {
			return nil, fault(c.n.at, "a string has more than %d bytes", maxString)
		}
	}
	return []Value{Text(out.String())}, m.work(len(c.in)+out.Len()/64, c.n.at)
}

// A coding changes a string; ok is false where it cannot.
type coding = func(s string) (out string, ok bool)

var (
	encodings = map[string]coding{
		"base64":    func(s string) (string, bool) { return base64.StdEncoding.EncodeToString([]byte(s)), true },
		"urlbase64": func(s string) (string, bool) { return base64.URLEncoding.EncodeToString([]byte(s)), true },
		"hex":       func(s string) (string, bool) { return hex.EncodeToString([]byte(s)), true },
	}
	decodings = map[string]coding{
		"base64":    func(s string) (string, bool) { return decoded(base64.StdEncoding.DecodeString(s)) },
		"urlbase64": func(s string) (string, bool) { return decoded(base64.URLEncoding.DecodeString(s)) },
		"hex":       func(s string) (string, bool) { return decoded(hex.DecodeString(s)) },
	}
	escapes = map[string]coding{
		"html": func(s string) (string, bool) { return htmlEscape.Replace(s), true },
		"json": func(s string) (string, bool) {
			quoted := fhir.AppendString(nil, s)
			return string(quoted[1 : len(quoted)-1]), true
		},
	}
	unescapes = map[string]coding{
		"html": func(s string) (string, bool) { return html.UnescapeString(s), true },
		"json": func(s string) (string, bool) {
			n, err := fhir.Parse([]byte(`"` + s + `"`))
			if err != nil || n.Kind != fhir.String {
				return "", false
			}
			return n.Text, true
		},
	}
	htmlEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")
)

func decoded(b []byte, err error) (string, bool) { return string(b), err == nil && utf8.Valid(b) }

// coded serves encode, decode, escape and unescape; a form that is not known is
// empty (FHIRPath 2.0, 5.6.13).
func coded(forms map[string]coding) func(*machine, *call) ([]Value, error) {
	return func(m *machine, c *call) ([]Value, error) {
		s, ok, err := m.text(c)
		if err != nil || !ok {
			return nil, err
		}
		form, given, err := m.argOf(c, 0, String)
		if err != nil || !given {
			return nil, err
		}
		f, known := forms[form.text]
		if !known {
			return nil, nil
		}
		out, ok := f(s)
		if !ok {
			return nil, nil
		}
		return joined(out, c.n.at)
	}
}
