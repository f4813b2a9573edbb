package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// maxInspect bounds the files that inspect reads.
const maxInspect = 512 << 20

// An inspection is what inspect says of one file.
type inspection struct {
	File      string            `json:"file"`
	OK        bool              `json:"ok"`
	Format    string            `json:"format"`
	Type      string            `json:"type"`
	Control   string            `json:"control"`
	Roundtrip bool              `json:"roundtrip"`
	Warnings  []message.Warning `json:"warnings"`
	Error     string            `json:"error,omitempty"`
}

// rebuilder is a document that can be written again from its nodes alone.
type rebuilder interface{ Rebuild(dst []byte) []byte }

type inspector struct {
	a      *app
	format string
	emit   string
	get    string
	json   bool
	bad    bool
}

func inspectCommand(a *app) *cobra.Command {
	i := &inspector{a: a}
	cmd := &cobra.Command{
		Use:   "inspect FILE...",
		Short: "Read files of messages and say what is in them and what is wrong",
		Long: "Read files of messages: one line for each. A file is ok when it is readable with a\n" +
			"complete header; warnings are findings with their places. Exit code 1 when one is not ok.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
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
		},
	}
	f := cmd.Flags()
	f.StringVar(&i.format, "format", "", "the format (default: by the content)")
	f.BoolVar(&i.json, "json", false, "print a line of JSON for each file")
	f.StringVar(&i.emit, "emit", "", "write files of the same names, made again from every node of the tree, into this folder")
	f.StringVar(&i.get, "get", "", "print the values at this path in place of the line")
	return cmd
}

// file inspects one file. What is wrong with the file is no error.
func (i *inspector) file(name string) error {
	out := inspection{File: name, Warnings: []message.Warning{}}
	raw, err := readBounded(name)
	var doc message.Document
	if err == nil {
		doc, err = i.parse(raw, &out)
	}
	if err != nil {
		out.Error = err.Error()
	}
	if doc != nil {
		if err := i.rebuild(name, raw, doc, &out); err != nil {
			return &exit{code: exitFailed, err: err}
		}
	}
	i.bad = i.bad || !out.OK
	if i.get != "" && doc != nil {
		return i.values(doc)
	}
	return i.print(&out)
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

// parse finds the parser and reads the file; MLLP frames are taken off.
func (i *inspector) parse(raw []byte, out *inspection) (message.Document, error) {
	kind, err := i.kind(raw)
	if err != nil {
		return nil, err
	}
	out.Format = kind.Name
	parser, err := kind.Options().Open()
	if err != nil {
		return nil, err
	}
	content := unframed(raw, out)
	doc, err := parser.Parse(content)
	if err != nil {
		return nil, err
	}
	header := doc.Header()
	out.Type, out.Control = header.Type, header.Control
	out.Warnings = append(out.Warnings, doc.Warnings()...)
	out.OK = true
	if keyer, ok := parser.(parsers.Keyer); ok {
		if _, err := keyer.Scan(content, nil); err != nil {
			out.OK = false
			return doc, err
		}
	}
	return doc, nil
}

// kind is the format asked for, or the one the content looks like.
func (i *inspector) kind(raw []byte) (parsers.Kind, error) {
	var names []string
	for _, k := range parserKinds() {
		if i.format == "" || k.Name == i.format {
			return k, nil // with one format there is nothing to choose
		}
		names = append(names, k.Name)
	}
	return parsers.Kind{}, fmt.Errorf("format %q is not known; known: %s", i.format, strings.Join(names, ", "))
}

// unframed takes MLLP framing off (0B … 1C 0D), with a warning.
func unframed(raw []byte, out *inspection) []byte {
	start := bytes.IndexByte(raw, 0x0b)
	if start < 0 || (start > 0 && bytes.HasPrefix(raw, []byte("MSH"))) {
		return raw
	}
	content := raw[start+1:]
	text := "the message stands in an MLLP frame"
	if end := bytes.IndexByte(content, 0x1c); end >= 0 {
		if bytes.IndexByte(content[end:], 0x0b) > 0 {
			text = "the file holds several MLLP frames; the first is read"
		}
		content = content[:end]
	} else {
		text = "the MLLP frame has no end"
	}
	out.Warnings = append(out.Warnings, message.Warning{Offset: start, Code: "mllp-frame", Text: text})
	return content
}

// rebuild compares the message made again with the file, and emits it.
func (i *inspector) rebuild(name string, raw []byte, doc message.Document, out *inspection) error {
	r, ok := doc.(rebuilder)
	if !ok {
		return nil
	}
	again := r.Rebuild(make([]byte, 0, len(raw)))
	if at := bytes.IndexByte(raw, 0x0b); at >= 0 && len(again) < len(raw) {
		whole := append(append(append([]byte(nil), raw[:at+1]...), again...), raw[min(len(raw), at+1+len(again)):]...)
		again = whole // the frame around it is no part of the message
	}
	out.Roundtrip = bytes.Equal(again, raw)
	if i.emit == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(i.emit, filepath.Base(name)), again, 0o600)
}

// values prints what stands at a path.
func (i *inspector) values(doc message.Document) error {
	kind, err := i.kind(nil)
	if err != nil {
		return &exit{code: exitUsage, err: err}
	}
	parser, err := kind.Options().Open()
	if err != nil {
		return &exit{code: exitFailed, err: err}
	}
	path, err := parser.Grammar().Compile(i.get)
	if err != nil {
		return &exit{code: exitUsage, err: fmt.Errorf("--get: %w", err)}
	}
	switch path.Kind() {
	case message.One:
		fmt.Fprintln(i.a.stdout, path.Text(doc.Root()))
	case message.Several:
		for _, v := range path.Texts(doc.Root()) {
			fmt.Fprintln(i.a.stdout, v)
		}
	default:
		return &exit{code: exitUsage, err: errors.New("--get: the path names a segment or group; name a field of it")}
	}
	return nil
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
	fmt.Fprintf(i.a.stdout, "%s: %s %s %s control %s", out.File, state, out.Format, printable(out.Type), printable(out.Control))
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
