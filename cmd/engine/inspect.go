package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/raw"
)

const (
	// maxInspect bounds a message that inspect reads, and a whole file where that
	// is not read message by message.
	maxInspect = 512 << 20
	// maxWarnings bounds what is said of one file.
	maxWarnings = 1000
)

// An inspection is what inspect says of one file: type and control id of its
// first message, warnings of all.
type inspection struct {
	File      string            `json:"file"`
	OK        bool              `json:"ok"`
	Format    string            `json:"format"`
	Type      string            `json:"type"`
	Control   string            `json:"control"`
	Roundtrip bool              `json:"roundtrip"`
	Warnings  []message.Warning `json:"warnings"`
	Error     string            `json:"error"`
}

// warn keeps a finding, as long as there are not too many.
func (out *inspection) warn(w message.Warning) {
	if len(out.Warnings) < maxWarnings {
		out.Warnings = append(out.Warnings, w)
	}
}

// fault keeps the first thing that is wrong. message is the number of the
// message in its file, 0 where it is the only one.
func (out *inspection) fault(number int, err error) {
	out.OK = false
	switch {
	case out.Error != "":
	case number > 0:
		out.Error = fmt.Sprintf("message %d: %v", number, err)
	default:
		out.Error = err.Error()
	}
}

// rebuilder is a document that can be written again from its nodes alone.
type rebuilder interface{ Rebuild(dst []byte) []byte }

type inspector struct {
	a      *app
	format string
	emit   string
	get    string
	json   bool
	tree   bool
	speak  bool // values in the tree
	level  string
	laid   []string // names and files of profiles
	check  *checks
	bad    bool

	kinds []reading // that may be chosen by the content
	reading
	emitted map[string]bool // names already written
}

// A reading is how files of one format are read.
type reading struct {
	kind   parsers.Kind
	parser parsers.Parser
	path   message.Path // of --get; nil when it is none of this format
}

func inspectCommand(a *app) *cobra.Command {
	i := &inspector{a: a, emitted: map[string]bool{}}
	cmd := &cobra.Command{
		Use:   "inspect FILE...",
		Short: "Read files of messages and say what is in them and what is wrong",
		Long: "Read files of messages, batches, MLLP frames, FHIR resources or NDJSON: one line for each\n" +
			"file, with the type and control id of its first message. A file is ok when every message\n" +
			"in it is readable with a complete header; warnings are findings with their places. Exit\n" +
			"code 1 when one is not ok. Bytes are counted from 0.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error { return i.run(files) },
	}
	f := cmd.Flags()
	f.StringVar(&i.format, "format", "", "the format (default: by the content)")
	f.BoolVar(&i.json, "json", false, "print a line of JSON for each file, with --get for each message")
	f.StringVar(&i.emit, "emit", "", "write files of the same names, made again from every node of the tree, into this folder")
	f.BoolVar(&i.tree, "tree", false, "print each HL7 v2 message as a tree of groups, segments, fields and components with their names, findings in place")
	f.BoolVar(&i.speak, "values", false, "with --tree: print values too")
	f.StringVar(&i.level, "validate", "syntax", "with --tree: how much is checked: syntax, structure, types, tables or profile")
	f.StringSliceVar(&i.laid, "profile", nil, "with --tree: check by these profiles too, shipped ones or files")
	f.StringVar(&i.get, "get", "", "print the values, segments or groups at this path, of each message, in place of the line; null is \"\"; with --json a line {file,message,path,values} for each message, where null is null and what is absent is left out")
	return cmd
}

func (i *inspector) run(files []string) error {
	switch {
	case i.speak && !i.tree:
		return &exit{code: exitUsage, err: errors.New("--values is for --tree")}
	case !i.tree && (i.level != "syntax" || len(i.laid) > 0):
		return &exit{code: exitUsage, err: errors.New("--validate and --profile are for --tree")}
	case i.tree && (i.json || i.get != ""):
		return &exit{code: exitUsage, err: errors.New("--tree stands alone: not with --json or --get")}
	}
	var err error
	if i.check, err = openChecks(i.level, i.laid); err != nil {
		return &exit{code: exitUsage, err: err}
	}
	if err := i.open(); err != nil {
		return &exit{code: exitUsage, err: err}
	}
	if i.emit != "" {
		if err := os.MkdirAll(i.emit, 0o750); err != nil {
			return &exit{code: exitFailed, err: err}
		}
	}
	for _, file := range files {
		if err := i.file(file); err != nil {
			return err
		}
	}
	if i.bad {
		return &exit{code: exitSome}
	}
	return nil
}

// open makes the parsers that may be needed and compiles --get.
func (i *inspector) open() error {
	var names []string
	var wrong error
	found := i.get == ""
	for _, k := range parserKinds() {
		names = append(names, k.Name)
		if i.format != "" && k.Name != i.format || i.format == "" && k.Name == raw.Format {
			continue // anything is raw: it has to be asked for
		}
		parser, err := k.Options().Open()
		if err != nil {
			return err
		}
		r := reading{kind: k, parser: parser}
		if i.get != "" {
			p, err := parser.Grammar().Compile(i.get)
			switch {
			case err == nil && p.Kind() == message.Places && k.Name != "hl7v2":
				err = errors.New("the path names an element with members; name a value in it")
			case err == nil:
				r.path, found = p, true
			}
			if wrong == nil || err != nil && parser.Grammar().Scan(0, i.get) > 0 {
				wrong = err // of the format that it looks like a path of, else the first
			}
		}
		i.kinds = append(i.kinds, r)
	}
	switch {
	case len(i.kinds) == 0:
		return fmt.Errorf("--format: %q is not known; known: %s", i.format, strings.Join(names, ", "))
	case !found:
		return fmt.Errorf("--get: %w", wrong)
	}
	return nil
}

// choose takes the format by the content, unless --format says it: JSON is FHIR.
func (i *inspector) choose(raw []byte) {
	word := "hl7v2"
	if text := bytes.TrimLeft(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), " \t\r\n"); len(text) > 0 && text[0] == '{' {
		word = "fhir"
	}
	i.reading = i.kinds[0]
	for _, r := range i.kinds {
		if r.kind.Name == word {
			i.reading = r
		}
	}
}

func (i *inspector) print(out *inspection) error {
	if i.json {
		encoder := json.NewEncoder(i.a.stdout)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(out)
	}
	state := "ok"
	if !out.OK {
		state = "NOT OK"
	}
	fmt.Fprintf(i.a.stdout, "%s: %s", out.File, state)
	if out.Format != "" {
		fmt.Fprintf(i.a.stdout, " %s %s control %s", out.Format, said(out.Type), said(out.Control))
	}
	if out.OK && !out.Roundtrip {
		fmt.Fprint(i.a.stdout, " (does not round-trip)")
	}
	if out.Error != "" {
		fmt.Fprintf(i.a.stdout, ": %s", out.Error)
	}
	fmt.Fprintln(i.a.stdout)
	for _, w := range out.Warnings {
		at := fmt.Sprintf("byte %d", w.Offset)
		if w.Where != "" {
			at = w.Where + ", " + at
		}
		fmt.Fprintf(i.a.stdout, "  %s: %s (%s)\n", at, w.Text, w.Code)
	}
	return nil
}

// said is a word of a message for the terminal, a dash where there is none.
func said(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}
