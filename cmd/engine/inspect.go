package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/parsers/raw"
)

const (
	// maxInspect bounds the files that inspect reads.
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
			"code 1 when one is not ok.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error { return i.run(files) },
	}
	f := cmd.Flags()
	f.StringVar(&i.format, "format", "", "the format (default: by the content)")
	f.BoolVar(&i.json, "json", false, "print a line of JSON for each file")
	f.StringVar(&i.emit, "emit", "", "write files of the same names, made again from every node of the tree, into this folder")
	f.BoolVar(&i.tree, "tree", false, "print each HL7 v2 message as a tree of groups, segments, fields and components with their names, findings in place")
	f.BoolVar(&i.speak, "values", false, "with --tree: print values too")
	f.StringVar(&i.level, "validate", "syntax", "with --tree: how much is checked: syntax, structure, types, tables or profile")
	f.StringSliceVar(&i.laid, "profile", nil, "with --tree: check by these profiles too, shipped ones or files")
	f.StringVar(&i.get, "get", "", "print the values, segments or groups at this path, of each message, in place of the line")
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

// file inspects one file. What is wrong with the file is no error.
func (i *inspector) file(name string) error {
	out := inspection{File: name, Warnings: []message.Warning{}}
	raw, err := readBounded(name)
	if err != nil {
		out.fault(0, err)
		i.bad = true
		return i.print(&out)
	}
	i.choose(raw)
	out.Format = i.kind.Name
	docs, again := i.content(raw, &out)
	slices.SortStableFunc(out.Warnings, func(a, b message.Warning) int { return a.Offset - b.Offset })
	if i.emit != "" && again != nil {
		if err := i.write(name, again); err != nil {
			i.bad = true // the file itself may be as it should
			if out.Error == "" {
				out.Error = err.Error()
			}
		}
	}
	i.bad = i.bad || !out.OK
	if i.path != nil && len(docs) > 0 {
		i.values(docs)
		return nil
	}
	if i.tree {
		return i.trees(docs, &out)
	}
	return i.print(&out)
}

// trees prints the line of a file and the tree of every message in it.
func (i *inspector) trees(docs []message.Document, out *inspection) error {
	out.Warnings = nil // they stand in the tree
	if err := i.print(out); err != nil {
		return err
	}
	for _, doc := range docs {
		m, ok := doc.(*hl7v2.Message)
		if !ok {
			return &exit{code: exitUsage, err: errors.New("--tree is for HL7 v2 alone")}
		}
		if err := printTree(i.a.stdout, m, i.check.findings(m), i.speak); err != nil {
			return &exit{code: exitFailed, err: err}
		}
	}
	return nil
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	raw, err := io.ReadAll(io.LimitReader(f, maxInspect+1))
	if err == nil && len(raw) > maxInspect {
		err = fmt.Errorf("the file is larger than %d bytes", maxInspect)
	}
	return raw, err
}

// content reads every message of a file, frame by frame where there are
// frames. again is the file made again, nil where a part of it cannot be read.
func (i *inspector) content(raw []byte, out *inspection) (docs []message.Document, again []byte) {
	out.OK = true
	c := &contents{inspector: i, out: out, same: true}
	again = make([]byte, 0, len(raw))
	at, whole := 0, true
	all := []frame{{end: len(raw)}}
	if i.kind.Name == "hl7v2" {
		all = frames(raw, out)
	}
	for _, f := range all {
		again = append(again, raw[at:f.start]...) // start and end block, and what stands between
		part, ok := c.part(raw[f.start:f.end], f.start)
		again = append(again, part...)
		at, whole = f.end, whole && ok
		if f.broken {
			out.fault(0, errors.New("the MLLP frame has no end: the message did not arrive whole"))
		}
	}
	if at == 0 && len(raw) > 0 && len(c.docs) == 0 && out.Error == "" {
		out.fault(0, errors.New("the MLLP frame is empty"))
	}
	if again = append(again, raw[at:]...); !whole {
		again = nil
	}
	out.Roundtrip = again != nil && (c.same || bytes.Equal(again, raw))
	return c.docs, again
}

// contents collects what stands in the frames of one file.
type contents struct {
	*inspector
	out  *inspection
	docs []message.Document // one for each message
	seen int                // messages, readable or not
	same bool               // each was found to say the same when it was made again
}

// comparer is a document that may be written in several ways.
type comparer interface{ Same(message.Document) bool }

// again makes a document again from its nodes.
func (c *contents) again(doc message.Document, content []byte) (again []byte, ok bool) {
	r, ok := doc.(rebuilder)
	if !ok {
		return nil, false
	}
	again = r.Rebuild(make([]byte, 0, len(content)))
	by, ok := doc.(comparer)
	if c.same = c.same && ok; c.same && !bytes.Equal(again, content) {
		other, err := c.parser.Parse(again)
		c.same = err == nil && by.Same(other)
	}
	return again, true
}

// part reads the content of one frame, or of a file without frames: a message
// or a batch. It returns the content made again from the tree.
func (c *contents) part(content []byte, offset int) (again []byte, ok bool) {
	whole, err := c.parser.Parse(content)
	if err != nil && c.kind.Name == "fhir" {
		if spans := c.messages(content); len(spans) > 1 {
			return c.lines(content, spans, offset)
		}
	}
	if err != nil {
		if keyer, ok := c.parser.(parsers.Keyer); ok && c.seen == 0 {
			h, _ := keyer.Scan(content, nil) // what the header says all the same
			c.out.Type, c.out.Control = h.Type, h.Control
		}
		c.seen++
		c.out.fault(c.number(content), err)
		return nil, false
	}
	if c.seen == 0 {
		h := whole.Header()
		c.out.Type, c.out.Control = h.Type, h.Control
	}
	again, ok = c.again(whole, content)
	spans := c.messages(content)
	if len(spans) < 2 {
		c.seen++
		c.shifted(whole.Warnings(), offset)
		if len(spans) == 1 { // else the envelope of an empty batch
			c.docs = append(c.docs, whole)
			c.complete(content[spans[0][0]:spans[0][1]], 0)
		}
		return again, ok
	}
	c.envelope(whole.Warnings(), spans, offset, len(content))
	for _, s := range spans {
		c.seen++
		one := content[s[0]:s[1]]
		doc, err := c.parser.Parse(one)
		if err != nil {
			c.out.fault(c.seen, err)
			continue
		}
		c.docs = append(c.docs, doc)
		c.shifted(doc.Warnings(), offset+s[0])
		c.complete(one, c.seen)
	}
	return again, ok
}

// lines reads the messages of a file that is none as a whole: NDJSON.
func (c *contents) lines(content []byte, spans [][2]int, offset int) (again []byte, whole bool) {
	at, whole := 0, true
	for _, s := range spans {
		c.seen++
		one := content[s[0]:s[1]]
		again = append(again, content[at:s[0]]...)
		at = s[1]
		doc, err := c.parser.Parse(one)
		if err != nil {
			c.out.fault(c.seen, err)
			whole = false
			continue
		}
		if len(c.docs) == 0 {
			h := doc.Header()
			c.out.Type, c.out.Control = h.Type, h.Control
		}
		c.docs = append(c.docs, doc)
		c.shifted(doc.Warnings(), offset+s[0])
		part, ok := c.again(doc, one)
		again, whole = append(again, part...), whole && ok
	}
	return append(again, content[at:]...), whole
}

// number is that of the message in hand, 0 where the file holds no more.
func (c *contents) number(content []byte) int {
	if c.seen > 1 || len(c.messages(content)) > 1 {
		return c.seen
	}
	return 0
}

// messages are the spans of the messages of a batch, in their order.
func (c *contents) messages(content []byte) [][2]int {
	splitter, ok := c.parser.(parsers.Splitter)
	if !ok {
		return [][2]int{{0, len(content)}}
	}
	var spans [][2]int
	at := 0
	err := splitter.Split(bytes.NewReader(content), maxInspect, func(one []byte) error {
		next := bytes.Index(content[at:], one)
		if next < 0 {
			return errors.New("a message of the batch does not stand in it")
		}
		spans = append(spans, [2]int{at + next, at + next + len(one)})
		at += next + len(one)
		return nil
	})
	if err != nil {
		c.out.fault(0, err)
	}
	return spans
}

// complete checks the header as intake does.
func (c *contents) complete(one []byte, number int) {
	if keyer, ok := c.parser.(parsers.Keyer); ok {
		if _, err := keyer.Scan(one, nil); err != nil {
			c.out.fault(number, err)
		}
	}
}

func (c *contents) shifted(warnings []message.Warning, offset int) {
	for _, w := range warnings {
		w.Offset += offset
		c.out.warn(w)
	}
}

// envelope takes over what was found in a batch outside its messages: each of
// them speaks for itself.
func (c *contents) envelope(warnings []message.Warning, spans [][2]int, offset, size int) {
	end := spans[len(spans)-1][1]
	for _, w := range warnings {
		inside := w.Offset == end && end == size
		for _, s := range spans {
			inside = inside || w.Offset >= s[0] && w.Offset < s[1]
		}
		if !inside {
			w.Offset += offset
			c.out.warn(w)
		}
	}
}

// A frame is the content of an MLLP frame in a file: [start, end).
type frame struct {
	start, end int
	broken     bool // no end block
}

// frames finds the MLLP frames of a file (0B … 1C 0D), with a warning for each
// that is not as it should be. A file without a start block before the first
// header is one content.
func frames(raw []byte, out *inspection) []frame {
	start := bytes.IndexByte(raw, 0x0b)
	if header := bytes.Index(raw, []byte("MSH")); start < 0 || header >= 0 && header < start {
		return []frame{{start: 0, end: len(raw)}}
	}
	var all []frame
	for at := 0; ; {
		if start = bytes.IndexByte(raw[at:], 0x0b); start < 0 {
			if len(bytes.TrimSpace(raw[at:])) > 0 {
				out.warn(message.Warning{Offset: at, Code: "mllp-outside", Text: "bytes stand outside of MLLP frames"})
			}
			return all
		}
		if len(bytes.TrimSpace(raw[at:at+start])) > 0 {
			out.warn(message.Warning{Offset: at, Code: "mllp-outside", Text: "bytes stand outside of MLLP frames"})
		}
		at += start + 1
		end := bytes.IndexByte(raw[at:], 0x1c)
		if end < 0 {
			out.warn(message.Warning{Offset: at - 1, Code: "mllp-no-end", Text: "the MLLP frame has no end"})
			return append(all, frame{start: at, end: len(raw), broken: true})
		}
		if end > 0 {
			all = append(all, frame{start: at, end: at + end})
		}
		if at += end + 1; at < len(raw) && raw[at] == '\r' {
			at++
		} else {
			out.warn(message.Warning{Offset: at - 1, Code: "mllp-no-cr", Text: "the end block of the MLLP frame has no CR"})
		}
	}
}

// write emits a file made again. It overwrites neither what this run wrote nor
// the file it was made from.
func (i *inspector) write(name string, again []byte) error {
	base := filepath.Base(name)
	to := filepath.Join(i.emit, base)
	if i.emitted[base] {
		return errors.New("emit: a file of the same name was written before it")
	}
	from, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	if there, err := os.Stat(to); err == nil && os.SameFile(from, there) {
		return errors.New("emit: the folder is the one the file stands in")
	}
	i.emitted[base] = true
	if err := os.WriteFile(to, again, 0o600); err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	return nil
}

// values prints what stands at the path of --get in each message.
func (i *inspector) values(docs []message.Document) {
	for _, doc := range docs {
		switch i.path.Kind() {
		case message.One:
			fmt.Fprintln(i.a.stdout, printable(i.path.Text(doc.Root())))
		case message.Places:
			i.places(doc)
		case message.Several:
			for _, v := range i.path.Texts(doc.Root()) {
				fmt.Fprintln(i.a.stdout, printable(v))
			}
		}
	}
}

// places prints segments, of groups all of them, as they stand there.
func (i *inspector) places(doc message.Document) {
	raw := doc.Encode(nil)
	for _, n := range i.path.Nodes(doc.Root()) {
		start, end := n.Span()
		for line := range strings.FieldsFuncSeq(string(raw[start:end]), func(r rune) bool { return r == '\r' || r == '\n' }) {
			fmt.Fprintln(i.a.stdout, printable(strings.ToValidUTF8(line, "\uFFFD")))
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
