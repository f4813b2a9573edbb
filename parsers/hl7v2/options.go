package hl7v2

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/internal/spelling"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// Options are those of `parse: { hl7v2: … }`.
type Options struct {
	// Charset is used in place of what MSH-18 declares, such as windows-1252.
	Charset string `yaml:"charset"`
	// Tolerate lists oddities of this sender that are not worth a warning,
	// such as no-final-cr or segment-end-lf, and rules of validate that are not
	// looked at, such as length.
	Tolerate []string `yaml:"tolerate"`
	// Strict lists oddities, and rules of validate that only warn, which keep a
	// message of this sender from being processed, such as charset-undeclared: it
	// is parked or refused as for an error of validate. Always among them, where
	// lenient does not name them: charset-wrong and charset-unknown.
	Strict []string `yaml:"strict"`
	// Lenient lists what would keep a message of this sender from being processed
	// and is to be a warning only: charset-wrong (bytes that are not of the
	// declared character set), charset-unknown (MSH-18 names a set that is not
	// known), and rules of validate that are errors, such as data-type.
	Lenient []string `yaml:"lenient"`
	// Level is how much of each message is checked: syntax, structure,
	// types, tables or profile; each includes those before it. What is an error
	// parks the message, or where the sender waits for the outcome (ack:
	// processed or delivered) refuses it with the reasons. Default: nothing is
	// checked.
	Level string `yaml:"validate"`
	// Profile lays the rules of a partner over the standard: the name of one
	// that comes with the engine, such as vxu, or a file, such as
	// profiles/acme.yaml.
	Profile string `yaml:"profile"`

	// Processing lists what MSH-11 may say, such as P: a message of another
	// processing id is refused (AR or CR, code 202). Default: all are taken.
	Processing []string `yaml:"processing"`
	// Versions lists what MSH-12 may say, such as 2.5.1; known stands for every
	// version of the standard. A message of another is refused (AR or CR, code
	// 203). Default: all are taken, an unknown one is read as 2.5.1.
	Versions []string `yaml:"versions"`
	// Functional answers orders, master files and schedule requests with the
	// reply that the standard has for them (ORR, ORL, MFK, SRR and so on) and a
	// refused query with RSP, in place of ACK. Default: false, ACK.
	Functional bool `yaml:"functional"`
	// Texts are what acknowledgements say to people, in MSA-3 (up to 2.6) and ERR-8
	// (from 2.5 on); the first entry that fits holds. Default: what is wrong, in the
	// engine's words, and nothing in a positive one.
	Texts []AckText `yaml:"texts"`
	// Batch says what a batch that arrives as one content is answered with:
	// each (the default), a batch with the acknowledgement of each message;
	// errors, a batch with those of the messages that were not accepted.
	Batch string `yaml:"batch"`
	// Sequence follows the sequence number protocol with the sender: MSH-13
	// counts its messages, one that is not the next is refused, MSA-4 says which
	// is expected. Default: false, MSH-13 has no meaning.
	Sequence bool `yaml:"sequence"`

	validation Validation
}

// A Check finds what is not as it should be in a message.
type Check func(*Message) []parsers.Finding

// A Validation is what checks messages: package validate, which reads what this
// package makes and so cannot be read by it.
type Validation struct {
	// Levels are the words of `validate:`, Rules those of its findings,
	// Profiles the names of the profiles that come with the engine.
	Levels, Rules, Profiles []string
	// Open makes the check of a level and a profile: none, one of Profiles, or
	// the content of a file.
	Open func(level, profile string, file []byte) (Check, error)
}

// Kind is the word `hl7v2`, with what checks messages where a channel asks for
// that.
func Kind(v Validation) parsers.Kind {
	return parsers.Kind{Name: "hl7v2", Options: func() parsers.Options { return &Options{validation: v} }}
}

var _ parsers.FileOptions = (*Options)(nil)

// codes are the warnings of the parser.
var codes = []string{
	"ack-condition", "batch-count", "charset-doubtful", "charset-undeclared", "charset-unknown", "charset-wrong", "extra-delimiters", "grouping", "leading-bytes", "leading-space", "line-inside",
	"mllp-bytes", "no-final-cr", "not-a-segment", "segment-end-crlf", "segment-end-lf", "several-messages", "short-delimiters",
}

// keeping are those that keep a message from being processed where the channel
// does not say otherwise: what its text means is not known.
var keeping = []string{"charset-unknown", "charset-wrong"}

// Validate checks words only.
func (o *Options) Validate() []parsers.Problem {
	var problems []parsers.Problem
	wrong := func(field, text string) { problems = append(problems, parsers.Problem{Field: field, Text: text}) }
	if o.Charset != "" && charsetByName(o.Charset) == nil {
		wrong("charset", "is not a known character set; known are the words of table 0211 and names such as utf-8 or windows-1252")
	}
	problems = append(append(problems, o.lists()...), o.texts()...)
	if o.Level != "" && !slices.Contains(o.validation.Levels, o.Level) {
		wrong("validate", spelling.Unknown(o.Level, o.validation.Levels...))
	}
	for _, id := range o.Processing {
		if len(id) != 1 || !upper(id[0]) {
			wrong("processing", "\""+id+"\" is no processing id: a letter, such as P, T or D")
		}
	}
	for _, version := range o.Versions {
		if version != anyVersion && !slices.Contains(standardVersions, version) {
			wrong("versions", "\""+version+"\" is no version of the standard; known: "+strings.Join(standardVersions, ", ")+", known")
		}
	}
	if o.Batch != "" && o.Batch != batchEach && o.Batch != batchErrors {
		wrong("batch", spelling.Unknown(o.Batch, batchEach, batchErrors))
	}
	switch named := slices.Contains(o.validation.Profiles, o.Profile); {
	case o.Profile == "" && o.Level == "profile":
		wrong("profile", "is missing: the name of a profile, known: "+strings.Join(o.validation.Profiles, ", ")+"; or a file")
	case o.Profile == "" || named || file(o.Profile):
	default:
		wrong("profile", "\""+o.Profile+"\" is not a profile; known: "+strings.Join(o.validation.Profiles, ", ")+"; a file ends with .yaml")
	}
	return problems
}

// lists checks the words of tolerate, strict and lenient.
func (o *Options) lists() []parsers.Problem {
	var problems []parsers.Problem
	wrong := func(field, code, text string) {
		problems = append(problems, parsers.Problem{Field: field, Text: "\"" + code + "\" " + text})
	}
	known := slices.Concat(codes, o.validation.Rules)
	for _, list := range []struct {
		field string
		words []string
	}{{"tolerate", o.Tolerate}, {"strict", o.Strict}, {"lenient", o.Lenient}} {
		for _, code := range list.words {
			switch {
			case !slices.Contains(known, code):
				wrong(list.field, code, "is not a warning; known: "+strings.Join(known, ", "))
			case list.field != "tolerate" && slices.Contains(o.Tolerate, code):
				wrong(list.field, code, "is tolerated, too: it can be one of them")
			case list.field != "lenient":
			case slices.Contains(o.Strict, code):
				wrong(list.field, code, "is strict, too: it can be one of them")
			case slices.Contains(codes, code) && !slices.Contains(keeping, code):
				wrong(list.field, code, "only warns: it keeps no message back")
			}
		}
	}
	return problems
}

func file(profile string) bool {
	return strings.HasSuffix(profile, ".yaml") || strings.HasSuffix(profile, ".yml")
}

// Files is the file of the profile.
func (o *Options) Files() []string {
	if file(o.Profile) {
		return []string{o.Profile}
	}
	return nil
}

// Open makes the parser, where the profile is no file.
func (o *Options) Open() (parsers.Parser, error) { return o.OpenWith(nil) }

// OpenWith makes the parser.
func (o *Options) OpenWith(files map[string][]byte) (parsers.Parser, error) {
	p := New(*o)
	level := o.Level
	switch {
	case level == "" && o.Profile == "":
		return p, nil
	case level == "":
		level = "profile"
	}
	if o.validation.Open == nil {
		return nil, errors.New("nothing is at hand that validates")
	}
	var err error
	p.check, err = o.validation.Open(level, o.Profile, files[o.Profile])
	return p, err
}

// Check finds what `validate:`, `profile:`, `strict:` and `lenient:` ask for;
// what is tolerated is not among it.
func (p *Parser) Check(doc message.Document) []parsers.Finding {
	m, ok := doc.(*Message)
	if !ok {
		return nil
	}
	found := p.oddities(m)
	if p.check == nil {
		return found
	}
	for _, f := range p.check(m) {
		strict := slices.Contains(p.options.Strict, f.Rule)
		if slices.Contains(p.options.Tolerate, f.Rule) || strict && f.Rule == "grouping" {
			continue
		}
		f.Severe = (f.Severe || strict) && !slices.Contains(p.options.Lenient, f.Rule)
		found = append(found, f)
	}
	return found
}

// keeps reports whether a warning of the parser keeps messages of this sender
// from being processed.
func (o *Options) keeps(code string) bool {
	return slices.Contains(o.Strict, code) || slices.Contains(keeping, code) && !slices.Contains(o.Lenient, code)
}

// oddities are the warnings of a message that this sender's messages may not have.
func (p *Parser) oddities(m *Message) []parsers.Finding {
	var found []parsers.Finding
	if slices.Contains(p.options.Strict, "grouping") {
		m.Groups() // only then it is known
	}
	for _, w := range m.Warnings() {
		if !p.options.keeps(w.Code) {
			continue
		}
		code, text := 100, w.Text
		if strings.HasPrefix(w.Code, "charset-") {
			code = 102
			text += fmt.Sprintf(", the first at byte %d", w.Offset)
			if at := placeOf(m.raw, w.Offset, m.find("MSH", 1).Raw(), m.delims, m.override); at != "" && w.Where == "MSH-18" {
				text += " in " + at
			}
		}
		if w.Code == "charset-unknown" {
			code, text = 103, w.Text // of table 0211
		}
		found = append(found, parsers.Finding{Problem: message.Problem{Where: w.Where, Code: code, Text: text}, Rule: w.Code, Severe: true})
	}
	return found
}
