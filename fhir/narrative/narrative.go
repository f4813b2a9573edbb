// Package narrative holds the text of a resource against the rules FHIR R4
// makes for its XHTML (narrative.html). What it says holds no word of the text.
package narrative

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A Fault is one thing that is wrong.
type Fault struct {
	// Rule is the constraint that is broken: "txt-1" (what XHTML may be here),
	// "txt-2" (it has to show something), or empty where it is no XML at all.
	Rule string
	// Minor is true for what everybody takes: a div without its namespace.
	Minor bool
	Text  string
}

// Bounds of one narrative.
const (
	maxDepth  = 100
	maxFaults = 10
)

// namespace is that of XHTML.
const namespace = "http://www.w3.org/1999/xhtml"

// elements are those a narrative may have: chapters 7 to 11 (but not 9.4) and
// 15 of HTML 4.0, images and links.
var elements = set(`a abbr acronym address area b bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt
	em font h1 h2 h3 h4 h5 h6 hr i img ins kbd li map ol p pre q s samp small span strike strong sub sup table tbody td tfoot th thead
	tr tt u ul var`)

// attributes are those they may have. Events have none of these names.
var attributes = set(`abbr accesskey align alt axis background bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff
	charset cite class clear color colspan compact coords datetime dir face frame headers height href hreflang hspace id lang longdesc name
	noshade nowrap rel rev rowspan rules scope shape size span src start style summary tabindex title type usemap valign value vspace width
	xmlns space`)

// refused are elements of HTML that a fault may name.
var refused = set(`applet audio base body button canvas embed form frame frameset head html iframe input label link meta
	noscript object option param script select source style svg template textarea title video`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// Check returns the first faults of a narrative.
func Check(text string) []Fault {
	c := &checker{text: text, shows: -1}
	c.run()
	return c.found
}

// Good reports whether a narrative has no fault at all.
func Good(text string) bool { return len(Check(text)) == 0 }

type checker struct {
	text  string
	at    int
	open  []string // the elements around the place
	spans [8]string
	begun bool
	shows int // where it shows something, or -1
	found []Fault
	over  bool // not well-formed: the rest is not read
}

func (c *checker) fault(rule, text string) {
	if len(c.found) < maxFaults {
		c.found = append(c.found, Fault{Rule: rule, Text: text})
	}
}

// broken ends the check: what follows cannot be told apart.
func (c *checker) broken(text string) {
	if !c.over {
		c.fault("", text+", at byte "+strconv.Itoa(c.at))
	}
	c.over = true
}

func (c *checker) run() {
	c.open = c.spans[:0]
	for !c.over && c.at < len(c.text) {
		next := strings.IndexByte(c.text[c.at:], '<')
		if next < 0 {
			next = len(c.text) - c.at
		}
		c.characters(c.text[c.at : c.at+next])
		c.at += next
		if !c.over && c.at < len(c.text) {
			c.markup()
		}
	}
	switch {
	case c.over:
	case !c.begun:
		c.broken("is no div of XHTML")
	case len(c.open) > 0:
		c.broken("an element of the XHTML does not end")
	case c.shows < 0:
		c.fault("txt-2", "the narrative shows nothing")
	}
}

// characters checks text between tags.
func (c *checker) characters(s string) {
	blank := true
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b == ' ' || b == '\t' || b == '\n' || b == '\r':
		case b == '&':
			blank = false
			i += c.entity(s[i:]) - 1
			if c.over {
				return
			}
		case b < ' ':
			c.at += i
			c.broken("a control character stands in the XHTML")
			return
		default:
			blank = false
		}
	}
	if blank {
		return
	}
	if len(c.open) == 0 {
		c.broken("text stands outside of the div of the XHTML")
		return
	}
	c.shows = c.at
}

// entity reads one and returns its length. XHTML within FHIR has no definition
// of the names of HTML: only those of XML, and numbers.
func (c *checker) entity(s string) int {
	end := strings.IndexByte(s[:min(len(s), 12)], ';')
	if end < 2 {
		c.broken("an ampersand of the XHTML begins no entity")
		return 1
	}
	name := s[1:end]
	switch {
	case name == "amp" || name == "lt" || name == "gt" || name == "quot" || name == "apos":
	case name[0] == '#':
		base, digits := 10, name[1:]
		if strings.HasPrefix(digits, "x") {
			base, digits = 16, digits[1:]
		}
		n, err := strconv.ParseUint(digits, base, 32)
		if err != nil || n == 0 || n > utf8.MaxRune || utf16.IsSurrogate(rune(n)) {
			c.broken("an entity of the XHTML is no character")
		}
	default:
		c.fault("txt-1", "an entity of the XHTML is none of XML: its character or number is to be written")
	}
	return end + 1
}

// markup reads one tag or comment.
func (c *checker) markup() {
	rest := c.text[c.at:]
	switch {
	case strings.HasPrefix(rest, "<!--"):
		end := strings.Index(rest[4:], "-->")
		if end < 0 {
			c.broken("a comment of the XHTML does not end")
			return
		}
		c.at += 4 + end + 3
	case strings.HasPrefix(rest, "</"):
		name := nameAt(rest[2:])
		end := 2 + len(name)
		for end < len(rest) && blank(rest[end]) {
			end++
		}
		if len(c.open) == 0 || c.open[len(c.open)-1] != name || end >= len(rest) || rest[end] != '>' {
			c.broken("an end tag of the XHTML does not match its start")
			return
		}
		c.open = c.open[:len(c.open)-1]
		c.at += end + 1
	case strings.HasPrefix(rest, "<!") || strings.HasPrefix(rest, "<?"):
		c.broken("a declaration or instruction stands in the XHTML")
	default:
		c.start(rest)
	}
}

func blank(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }

// nameAt is the name that a text begins with.
func nameAt(s string) string {
	i := 0
	for i < len(s) && (s[i] == ':' || s[i] == '_' || s[i] == '-' || s[i] == '.' || s[i] >= 0x80 ||
		s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z' || s[i] >= '0' && s[i] <= '9') {
		i++
	}
	return s[:i]
}

// start reads a start tag.
func (c *checker) start(rest string) {
	name := nameAt(rest[1:])
	if name == "" {
		c.broken("a less-than sign of the XHTML begins no tag")
		return
	}
	if len(c.open) == 0 {
		if c.begun || name != "div" {
			c.broken("the XHTML is not one div")
			return
		}
		c.begun = true
	}
	if !elements[name] {
		c.element(name)
	}
	if name == "img" {
		c.shows = c.at
	}
	root := len(c.open) == 0
	c.at += 1 + len(name)
	space, closed := c.attributes(name)
	if c.over {
		return
	}
	if root && space != namespace {
		if space != "" {
			c.fault("txt-1", "the div is not in the namespace of XHTML")
		} else if len(c.found) < maxFaults {
			c.found = append(c.found, Fault{Minor: true, Text: "the div does not name the namespace of XHTML"})
		}
	}
	if closed {
		return
	}
	if c.open = append(c.open, name); len(c.open) > maxDepth {
		c.broken("the XHTML is nested more than " + strconv.Itoa(maxDepth) + " deep")
	}
}

func (c *checker) element(name string) {
	if refused[name] {
		c.fault("txt-1", "the XHTML has an element that a narrative must not have: "+name)
		return
	}
	c.fault("txt-1", "the XHTML has an element that a narrative must not have")
}

// attributes reads those of a tag up to its end.
func (c *checker) attributes(element string) (space string, closed bool) {
	for {
		from := c.at
		c.blanks()
		rest := c.text[c.at:]
		switch {
		case strings.HasPrefix(rest, "/>"):
			c.at += 2
			return space, true
		case strings.HasPrefix(rest, ">"):
			c.at++
			return space, false
		}
		name := nameAt(rest)
		if name == "" || from == c.at {
			c.broken("a tag of the XHTML does not end")
			return space, false
		}
		c.at += len(name)
		value, ok := c.value()
		if !ok {
			return space, false
		}
		if name == "xmlns" {
			space = value
		}
		c.attribute(element, name, value)
	}
}

// value reads what an attribute is set to, with its entities decoded.
func (c *checker) value() (string, bool) {
	c.blanks()
	if c.at >= len(c.text) || c.text[c.at] != '=' {
		c.broken("an attribute of the XHTML is set to nothing")
		return "", false
	}
	c.at++
	c.blanks()
	if c.at >= len(c.text) || (c.text[c.at] != '"' && c.text[c.at] != '\'') {
		c.broken("an attribute of the XHTML has no value in quotation marks")
		return "", false
	}
	end := strings.IndexByte(c.text[c.at+1:], c.text[c.at])
	if end < 0 {
		c.broken("an attribute of the XHTML does not end")
		return "", false
	}
	c.at++
	value := c.text[c.at : c.at+end]
	if strings.IndexByte(value, '<') >= 0 {
		c.broken("a less-than sign stands in an attribute of the XHTML")
		return "", false
	}
	for rest := value; ; {
		next := strings.IndexByte(rest, '&')
		if next < 0 {
			c.at += len(rest) + 1
			return html.UnescapeString(value), true
		}
		c.at += next
		n := c.entity(rest[next:])
		if c.over {
			return "", false
		}
		c.at += n
		rest = rest[next+n:]
	}
}

// blanks passes over white space.
func (c *checker) blanks() {
	for c.at < len(c.text) && blank(c.text[c.at]) {
		c.at++
	}
}

func (c *checker) attribute(element, name, value string) {
	name = strings.TrimPrefix(name, "xml:")
	if !attributes[name] || (strings.HasPrefix(name, "xmlns") && name != "xmlns") {
		c.fault("txt-1", "the XHTML has an attribute that a narrative must not have")
		return
	}
	if name != "href" && name != "src" {
		return
	}
	if s := scheme(value); s == "javascript" || s == "vbscript" || (element == "a" && s == "data") {
		c.fault("txt-1", "the XHTML has a link that runs a program")
	}
}

// scheme is that of an address in small letters. Browsers read it without the
// white space and control characters in it.
func scheme(address string) string {
	before, _, ok := strings.Cut(address, ":")
	if !ok {
		return ""
	}
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, before))
}
