package validate

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

//go:embed profiles/*.yaml
var shipped embed.FS

// A Profile is what a partner asks for beyond the standard, laid over it.
type Profile struct {
	// Name is what findings call it.
	Name string `yaml:"name"`
	// Source says where its facts are from.
	Source string `yaml:"source"`
	// Types are the messages it is for, such as VXU^V04. Default: all.
	Types []string `yaml:"types"`
	// Segments say how often a segment stands in the message.
	Segments map[string]Count `yaml:"segments"`
	// Rules are checked in every segment of their name.
	Rules []Rule `yaml:"rules"`
}

// A Count bounds how often a segment may stand in a message.
type Count struct {
	// Min is the least number. Default: 0.
	Min int `yaml:"min"`
	// Max is the largest number. Default: 0, any.
	Max int `yaml:"max"`
}

// A Rule is about a field, component or subcomponent.
type Rule struct {
	// At is the place: PID-3.4, ZPI-2.
	At string `yaml:"at"`
	// When makes the rule conditional on the same segment: "RXA-20 = CP,PA",
	// "RXA-20 != CP", "OBX-2 valued" or "OBX-2 empty", joined by "and".
	When string `yaml:"when"`
	// Required asks for a value in every segment and repetition.
	Required bool `yaml:"required"`
	// Absent asks for no value, in every segment and repetition.
	Absent bool `yaml:"absent"`
	// Length is the most characters. Default: 0, any.
	Length int `yaml:"length"`
	// Table is the table a code must stand in: "0001".
	Table string `yaml:"table"`
	// Values are the only values that may stand there; one is a constant.
	Values []string `yaml:"values"`
	// Form is a regular expression that all of a value fits: "[0-9]{8}.*".
	Form string `yaml:"form"`
	// Warning makes findings warnings, not errors. Default: false.
	Warning bool `yaml:"warning"`

	at   spot
	when condition
	form *regexp.Regexp // nil: any
}

// A spot is a place in a segment.
type spot struct {
	segment          string
	field, comp, sub int
}

var spotForm = regexp.MustCompile(`^([A-Z][A-Z0-9]{2})-([1-9][0-9]{0,2})(?:\.([1-9][0-9]?))?(?:\.([1-9][0-9]?))?$`)

func parseSpot(text string) (spot, error) {
	parts := spotForm.FindStringSubmatch(text)
	if parts == nil {
		return spot{}, fmt.Errorf("%q is not a place such as PID-3.4", text)
	}
	n := func(i int) int { v, _ := strconv.Atoi(parts[i]); return v } // "" is 0
	return spot{parts[1], n(2), n(3), n(4)}, nil
}

func decoded(text []byte) (p *Profile, err error) {
	defer func() {
		if recover() != nil { // the parser's, on bytes it did not expect
			p, err = nil, errors.New("not readable as YAML")
		}
	}()
	p = &Profile{}
	return p, yaml.UnmarshalWithOptions(text, p, yaml.Strict())
}

// ReadProfile reads a profile.
func ReadProfile(text []byte) (*Profile, error) {
	p, err := decoded(text)
	if err != nil {
		return nil, err
	}
	var wrong []error
	for name, count := range p.Segments {
		if _, err := parseSpot(name + "-1"); err != nil || count.Min < 0 || count.Max < 0 || count.Max > 0 && count.Max < count.Min {
			wrong = append(wrong, fmt.Errorf("segments: %s: not a segment, or min and max do not go together", name))
		}
	}
	for i := range p.Rules {
		if err := p.Rules[i].compile(); err != nil {
			wrong = append(wrong, fmt.Errorf("rule %d: %w", i+1, err))
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return p, nil
}

func (r *Rule) compile() (err error) {
	if r.at, err = parseSpot(r.At); err != nil {
		return err
	}
	bound := r.Required || r.Length > 0 || r.Table != "" || len(r.Values) > 0 || r.Form != ""
	if bound == r.Absent {
		return fmt.Errorf("%s: the rule asks for nothing, or for a value and for none", r.At)
	}
	if _, _, known := definitions.Code(r.Table, ""); r.Table != "" && !known {
		return fmt.Errorf("%s: the codes of table %q are not at hand", r.At, r.Table)
	}
	if r.Form != "" {
		if r.form, err = regexp.Compile(`^(?:` + r.Form + `)$`); err != nil {
			return fmt.Errorf("%s: form: %w", r.At, err)
		}
	}
	r.when, err = parseCondition(r.When, r.at.segment)
	return err
}

// Shipped returns a profile that comes with the engine.
func Shipped(name string) (*Profile, error) {
	text, err := shipped.ReadFile("profiles/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("%q is not a shipped profile; known: %s", name, strings.Join(ShippedNames(), ", "))
	}
	return ReadProfile(text)
}

// ShippedNames lists the profiles that come with the engine, sorted.
func ShippedNames() []string {
	files, err := fs.Glob(shipped, "profiles/*.yaml")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(f, "profiles/"), ".yaml")
	}
	return files
}

// A ruleset is what the profiles of a message say together.
type ruleset struct {
	rules  map[string][]*Rule
	counts map[string]Count
}

func merged(profiles []*Profile, kind string) ruleset {
	r := ruleset{rules: map[string][]*Rule{}, counts: map[string]Count{}}
	for _, p := range profiles {
		if len(p.Types) > 0 && !slices.Contains(p.Types, kind) {
			continue
		}
		for i := range p.Rules {
			rule := &p.Rules[i]
			r.rules[rule.at.segment] = append(r.rules[rule.at.segment], rule)
		}
		for name, c := range p.Segments { // a later profile takes the place of one before
			r.counts[name] = c
		}
	}
	return r
}

// missing checks how often segments stood there.
func (r ruleset) missing(c *checker) {
	for _, name := range slices.Sorted(maps.Keys(r.counts)) {
		count := r.counts[name]
		switch got := c.counts[name]; {
		case c.full(): // the rest of the message was not looked at
		case got < count.Min:
			c.place(0, name, 100, "profile-segment", Error, "the profile asks for at least "+strconv.Itoa(count.Min))
		case count.Max > 0 && got > count.Max:
			c.place(0, name, 100, "profile-segment", Error, "the profile allows at most "+strconv.Itoa(count.Max))
		}
	}
}

// check applies the rules of a segment.
func (r ruleset) check(c *checker, s hl7v2.Segment) {
	_, end := s.Span()
	for _, rule := range r.rules[c.segment] {
		if c.full() || !rule.when.holds(c) {
			continue
		}
		field := c.value(rule.at.field)
		w := where{field: rule.at.field, comp: rule.at.comp, sub: rule.at.sub}
		if field.Empty() {
			if rule.Required {
				offset := end
				if rule.at.field <= len(c.fields) {
					offset, _ = field.Span()
				}
				rule.say(c, offset, w, 101, "profile-required", "the profile asks for a value")
			}
			continue
		}
		for i, rep := range field.EachRep() {
			if c.full() {
				return
			}
			w.rep = i
			rule.value(c, rep, w)
		}
	}
}

// below is the path of the component in a repetition.
func (s spot) below(where string) string {
	if s.comp > 0 {
		where += "." + strconv.Itoa(s.comp)
	}
	if s.sub > 0 {
		where += "." + strconv.Itoa(s.sub)
	}
	return where
}

func (s spot) in(rep hl7v2.Value) hl7v2.Value {
	if s.comp > 0 {
		rep = rep.Comp(s.comp)
	}
	if s.sub > 0 {
		rep = rep.Sub(s.sub)
	}
	return rep
}

func (r *Rule) say(c *checker, offset int, w where, code int, rule, text string) {
	severity := Error
	if r.Warning {
		severity = Warning
	}
	if !c.full() {
		c.place(offset, c.pathOf(w), code, rule, severity, text)
	}
}

func (r *Rule) value(c *checker, rep hl7v2.Value, w where) {
	v := r.at.in(rep)
	offset, _ := v.Span()
	if !v.Valued() {
		if r.Required {
			if offset == 0 {
				offset, _ = rep.Span()
			}
			r.say(c, offset, w, 101, "profile-required", "the profile asks for a value")
		}
		return
	}
	if r.Absent {
		r.say(c, offset, w, 102, "profile-absent", "the profile has no value here")
		return
	}
	text := v.Text()
	if r.form != nil && !r.form.MatchString(text) {
		r.say(c, offset, w, 102, "profile-form", "has not the form that the profile asks for")
	}
	if r.Length > 0 && len([]rune(text)) > r.Length {
		r.say(c, offset, w, 102, "profile-length", "the profile allows "+strconv.Itoa(r.Length)+" characters")
	}
	if r.Table != "" {
		if _, found, _ := definitions.Code(r.Table, text); !found {
			r.say(c, offset, w, 103, "profile-table", "is not a code of table "+r.Table)
		}
	}
	if len(r.Values) > 0 && !slices.Contains(r.Values, text) {
		r.say(c, offset, w, 103, "profile-value", "is none of the values that the profile allows")
	}
}
