package routes

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
)

// mllpOptions are like those of the listener the engine has.
type mllpOptions struct {
	Listen string        `yaml:"listen"`
	Idle   time.Duration `yaml:"idle"`
	Buffer int64         `yaml:"buffer" unit:"size"`
	Peers  []string      `yaml:"peers"`
	TLS    *tlsOptions   `yaml:"tls"`
}

type tlsOptions struct {
	Cert string            `yaml:"cert"`
	CA   string            `yaml:"ca"`
	Key  connectors.Secret `yaml:"key"`
}

func (o *mllpOptions) Validate() []connectors.Problem {
	var problems []connectors.Problem
	_, port, _ := strings.Cut(o.Listen, ":")
	if n := 0; port != "" {
		if _, err := fmt.Sscan(port, &n); err != nil || n > 65535 {
			problems = append(problems, connectors.Problem{Field: "listen", Text: "port " + port + " is not between 1 and 65535"})
		}
	}
	if o.TLS != nil && o.TLS.Cert == "" {
		problems = append(problems, connectors.Problem{Field: "tls.cert", Text: "is missing: the file of the certificate"})
	}
	for i, p := range o.Peers {
		if strings.Contains(p, " ") {
			problems = append(problems, connectors.Problem{Field: fmt.Sprintf("peers[%d]", i), Text: fmt.Sprintf("%q is not an address", p)})
		}
	}
	return problems
}

func (o *mllpOptions) Open(connectors.Environment) (connectors.Source, error) { return nil, nil }

// sendOptions stand for every destination of the reference's ten routes.
type sendOptions struct {
	Address    string            `yaml:"address"`
	URL        string            `yaml:"url"`
	Host       string            `yaml:"host"`
	Folder     string            `yaml:"folder"`
	Name       string            `yaml:"name"`
	SOAP       string            `yaml:"soap"`
	Weight     float64           `yaml:"weight"`
	Headers    map[string]string `yaml:"headers"`
	Window     uint16            `yaml:"window"`
	Compress   bool              `yaml:"compress"`
	Credential connectors.Secret `yaml:"credential"`
	TLS        *struct {
		CA   string            `yaml:"ca"`
		Cert connectors.Secret `yaml:"cert"`
	} `yaml:"tls"`
}

func (o *sendOptions) Validate() []connectors.Problem { return nil }
func (o *sendOptions) Open(connectors.Environment) (connectors.Destination, error) {
	return nil, nil
}

func (o *sendOptions) Limits() connectors.SendLimits { return connectors.SendLimits{Connections: 1} }

// anyOptions stand for every source of the ten routes.
type anyOptions struct {
	On         string            `yaml:"on"`
	When       string            `yaml:"when"`
	Host       string            `yaml:"host"`
	Folder     string            `yaml:"folder"`
	Credential connectors.Secret `yaml:"credential"`
	Then       string            `yaml:"then"`
	Listen     string            `yaml:"listen"`
	Path       string            `yaml:"path"`
	At         string            `yaml:"at"`
	Query      string            `yaml:"query"`
	Match      string            `yaml:"match"`
	Stable     time.Duration     `yaml:"stable"`
}

func (o *anyOptions) Validate() []connectors.Problem                         { return nil }
func (o *anyOptions) Open(connectors.Environment) (connectors.Source, error) { return nil, nil }

// parseOptions are those of a format that takes any path of its form.
type parseOptions struct {
	Charset string `yaml:"charset"`
	grammar message.Grammar
	whole   bool // its messages cannot be taken apart
}

func (o *parseOptions) Validate() []parsers.Problem {
	if o.Charset == "klingon" {
		return []parsers.Problem{{Field: "charset", Text: "is not a known character set"}}
	}
	return nil
}

func (o *parseOptions) Open() (parsers.Parser, error) {
	if o.whole {
		return struct{ parsers.Parser }{o}, nil
	}
	return o, nil
}

func (o *parseOptions) Divide(message.Document, message.Path, func(message.Document) error) error {
	return nil
}

func (o *parseOptions) Bundle([][]byte, parsers.Stamp) ([]byte, error) { return nil, nil }

func (o *parseOptions) Rename(message.Document, string) (message.Document, error) { return nil, nil }

func (o *parseOptions) ReplyAccept([]byte, message.Answer, parsers.Stamp) []byte { return nil }

func (o *parseOptions) ReplyApart([]byte, message.Answer, parsers.Stamp) []byte { return nil }

func (o *parseOptions) Grammar() message.Grammar { return o.grammar }

func (o *parseOptions) Parse(raw []byte) (message.Document, error) { return nil, nil }

// A form is a grammar by pattern: one value, several or a place by its look.
type formGrammar struct {
	pattern *regexp.Regexp
	several func(string) bool
	places  func(string) bool
}

func (g formGrammar) Scan(before byte, text string) int {
	if before == '_' || before == '"' || before >= '0' && before <= '9' || before >= 'A' && before <= 'Z' || before >= 'a' && before <= 'z' {
		return 0
	}
	return len(g.pattern.FindString(text))
}

func (g formGrammar) Compile(text string) (message.Path, error) {
	if g.pattern.FindString(text) != text {
		return nil, fmt.Errorf("%q is not a path", text)
	}
	if strings.HasPrefix(text, "ZZZ") {
		return nil, fmt.Errorf("segment %q is not known", "ZZZ")
	}
	p := formPath{text: text}
	switch {
	case g.places(text):
		p.kind = message.Places
	case g.several(text):
		p.kind = message.Several
	}
	return p, nil
}

type formPath struct {
	text string
	kind message.PathKind
}

func (p formPath) String() string                    { return p.text }
func (p formPath) Kind() message.PathKind            { return p.kind }
func (p formPath) Anchor() string                    { return p.text[:3] }
func (p formPath) Text(message.Node) string          { return "" }
func (p formPath) Texts(message.Node) []string       { return nil }
func (p formPath) Nodes(message.Node) []message.Node { return nil }

var v2Grammar = formGrammar{
	pattern: regexp.MustCompile(`^[A-Z][A-Z0-9]{2}(-[0-9]+(\[[^\]]+\])?(\.[0-9]+)*)?`),
	several: func(s string) bool { return strings.Contains(s, "[*]") },
	places:  func(s string) bool { return !strings.Contains(s, "-") },
}

var fhirGrammar = formGrammar{
	pattern: regexp.MustCompile(`^[A-Z][A-Za-z]+(\.[A-Za-z]+)*`),
	several: func(s string) bool { return strings.Contains(s, "code") || strings.Contains(s, "category") },
	places:  func(s string) bool { return !strings.Contains(s, ".") },
}

// A noStep says what it reads and makes, as far as its name does.
type noStep struct{ reads, makes string }

func (s noStep) Reads() string { return s.reads }
func (s noStep) Makes() string { return s.makes }

// stepOf is the step of a name such as v2-to-fhir.
func stepOf(name string) noStep {
	format := func(word string) string {
		word, _, _ = strings.Cut(word, "-")
		switch word {
		case "v2", "orm", "oml", "vxu":
			return "hl7v2"
		case "newrx":
			return "script"
		case "837p":
			return "x12"
		case "x12", "fhir":
			return word
		}
		return ""
	}
	reads, makes, _ := strings.Cut(name, "-to-")
	return noStep{format(reads), format(makes)}
}

func (noStep) Apply(_ context.Context, m *message.Message) ([]*message.Message, error) {
	return []*message.Message{m}, nil
}

// fakeMaps knows the maps of the ten routes, and files that exist.
func fakeMaps() transforms.Kind {
	known := map[string]bool{
		"v2-to-fhir": true, "x12-to-fhir": true, "fhir-to-oml-o21": true, "fhir-to-orm-o01": true, "fhir-to-837p": true,
		"fhir-to-newrx": true, "fhir-to-vxu-v04": true,
	}
	return transforms.Kind{
		Name:  "map",
		Takes: func(use string) bool { return known[use] || filepath.Ext(use) != "" },
		Names: func() []string { return slices.Sorted(maps.Keys(known)) },
		Make: func(s transforms.Step) (transforms.Transform, []string, []transforms.Problem) {
			var files []string
			if s.Use == "maps/local.yaml" {
				return nil, nil, []transforms.Problem{{File: "testdata/maps/local.yaml", Line: 7, Column: 3, Text: `map PID to Patient: "birthdate" is not an element of Patient; did you mean "birthDate"?`}}
			}
			for _, with := range s.With {
				if with == "maps/none.yaml" {
					return nil, nil, []transforms.Problem{{Field: "with", Text: `"maps/none.yaml": there is no such file`}}
				}
				files = append(files, filepath.Join(s.Folder, with))
			}
			return stepOf(s.Use), files, nil
		},
	}
}

func fakeParts(t testing.TB) Parts {
	t.Helper()
	set, problems := tables.Load(os.DirFS("testdata/shipped"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	parse := func(name string, g message.Grammar) parsers.Kind {
		return parsers.Kind{Name: name, Options: func() parsers.Options { return &parseOptions{grammar: g, whole: name == "telecom"} }}
	}
	source := func() connectors.SourceOptions { return &anyOptions{} }
	send := func() connectors.DestinationOptions { return &sendOptions{} }
	return Parts{
		Connectors: []connectors.Kind{
			{Name: "mllp", Source: func() connectors.SourceOptions { return &mllpOptions{Listen: "127.0.0.1:2575"} }, Destination: send},
			{Name: "sftp", Source: source, Destination: send},
			{Name: "http", Source: source, Destination: send},
			{Name: "timer", Source: source},
			{Name: "file", Source: source, Destination: send},
		},
		Parsers:    []parsers.Kind{parse("hl7v2", v2Grammar), parse("script", v2Grammar), parse("telecom", v2Grammar), parse("x12", v2Grammar), parse("fhir", fhirGrammar)},
		Transforms: []transforms.Kind{fakeMaps()},
		Tables:     set,
	}
}

func environ(name string) (string, bool) {
	v, ok := map[string]string{"PLEXUS_VAR_FROM_PROCESS": "from-process"}[name]
	return v, ok
}

// load reads a file of testdata as the engine would; everything says that what
// this version does not run yet is taken all the same.
func load(t testing.TB, o LoadOptions, everything bool) (*Config, Problems) {
	t.Helper()
	o.Parts = fakeParts(t)
	o.Environ = environ
	if o.SecretsFolder == "" {
		o.SecretsFolder = "testdata/secrets"
	}
	l := newLoader(o)
	l.everything = everything
	l.load()
	if len(l.problems) > 0 {
		return nil, l.sorted()
	}
	return l.config, nil
}
