package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/maps"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/fhir"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// maxConvert bounds one message of a file that is converted.
const maxConvert = 64 << 20

// A converter maps the messages of files, without a store.
type converter struct {
	a          *app
	step       transforms.Transform
	parser     parsers.Parser
	makes      string // "json" or "hl7": what files of the output end in
	out        string
	provenance bool
	failed     bool
	at         time.Time         // of the file in hand
	taken      map[string]string // base name of the output to the file it is of
}

func convertCommand(a *app) *cobra.Command {
	var use, out string
	var provenance bool
	cmd := &cobra.Command{
		Use:   "convert --map NAME --out DIR FILE...",
		Short: "Map files of messages to FHIR, or FHIR to messages",
		Long: "Map HL7 v2 files to FHIR: DIR/a.json is the Bundle of a.hl7. A file of several\n" +
			"messages gives DIR/a-1.json, a-2.json. What cannot be mapped is named on the\n" +
			"error output with its place; the others are written. Exit code 1 then.\n" +
			"With a map from FHIR, such as fhir-to-orm-o01, DIR/a.hl7 is the message of a.json:\n" +
			"what the resource refers to has to stand in it or in its Bundle. The message has\n" +
			"the time of the file, and a control id that is made of its content.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			c, err := a.converter(use)
			if err != nil {
				return err
			}
			c.out, c.provenance = out, provenance
			if err := os.MkdirAll(out, 0o750); err != nil {
				return &exit{code: exitFailed, err: err}
			}
			for _, file := range files {
				if err := c.file(cmd.Context(), file); err != nil {
					return err
				}
			}
			if c.failed {
				return &exit{code: exitSome}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&use, "map", "v2-to-fhir", "family of maps, one map of it, or a file")
	f.StringVar(&out, "out", ".", "folder of the output")
	f.BoolVar(&provenance, "provenance", false, "write a.provenance.json: for every value its bytes and its row, and what reached nothing")
	return cmd
}

// converter compiles the map, or says everything that is wrong with it.
func (a *app) converter(use string) (*converter, error) {
	set, wrong := tables.Shipped()
	for _, p := range wrong {
		fmt.Fprintln(a.stderr, p.Error())
	}
	kind := mapping.Kind(mapping.Options{Maps: maps.FS, Tables: set})
	if !kind.Takes(use) {
		return nil, &exit{code: exitUsage, err: fmt.Errorf("map %q is not known", use)}
	}
	step, _, problems := kind.Make(transforms.Step{Use: use})
	for _, p := range problems {
		if p.File == "" {
			fmt.Fprintf(a.stderr, "--map %s: %s\n", use, p.Text)
			continue
		}
		fmt.Fprintf(a.stderr, "%s:%d:%d: %s\n", p.File, p.Line, p.Column, p.Text)
	}
	if len(problems)+len(wrong) > 0 {
		return nil, &exit{code: exitUsage}
	}
	c := &converter{a: a, step: step, parser: hl7v2.New(hl7v2.Options{}), makes: "json", taken: map[string]string{}}
	if m, ok := step.(*mapping.Map); ok && m.Reads() == "fhir" {
		c.parser, c.makes = &fhir.Parser{}, "hl7"
	}
	return c, nil
}

// file converts the messages of one file. The error ends the command: the
// output cannot be written.
func (c *converter) file(ctx context.Context, name string) error {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		c.fault(name, 0, err)
		return nil
	}
	defer f.Close()
	c.at = time.Time{}
	if info, err := f.Stat(); err == nil {
		c.at = info.ModTime()
	}
	base := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	if first, clash := c.taken[base]; clash {
		c.fault(name, 0, fmt.Errorf("its output %s.%s is that of %s", base, c.makes, first))
		return nil
	}
	c.taken[base] = name
	// The first message waits until it is known whether there is a second:
	// the names of the outputs depend on it.
	var first []byte
	n := 0
	write := func(raw []byte) error {
		n++
		if n == 1 {
			first = append([]byte(nil), raw...)
			return nil
		}
		if n == 2 {
			if err := c.message(ctx, name, base+"-1", 1, first); err != nil {
				return err
			}
		}
		return c.message(ctx, name, base+"-"+strconv.Itoa(n), n, raw)
	}
	splitter, ok := c.parser.(parsers.Splitter)
	if !ok {
		return &exit{code: exitFailed, err: errors.New("the format has no files of several messages")}
	}
	err = splitter.Split(f, maxConvert, write)
	var stop *exit
	switch {
	case errors.As(err, &stop):
		return stop
	case err != nil:
		c.fault(name, 0, err)
	case n == 0:
		c.fault(name, 0, errors.New("no message in the file"))
	}
	if n == 1 {
		return c.message(ctx, name, base, 0, first)
	}
	return nil
}

// fault names what could not be converted, and goes on.
func (c *converter) fault(file string, n int, err error) {
	c.failed = true
	if path, ok := errors.AsType[*os.PathError](err); ok {
		err = path.Err
	}
	if n > 0 {
		file += ": message " + strconv.Itoa(n)
	}
	fmt.Fprintf(c.a.stderr, "%s: %s\n", file, err)
}

// message converts one message into base.json, or base.hl7.
func (c *converter) message(ctx context.Context, file, base string, n int, raw []byte) error {
	doc, err := c.parser.Parse(raw)
	if err != nil {
		c.fault(file, n, err)
		return nil
	}
	results, err := c.step.Apply(ctx, &message.Message{Raw: raw, Size: int64(len(raw)), Doc: doc})
	if err != nil {
		c.fault(file, n, err)
		return nil
	}
	for _, result := range results {
		var err error
		switch out := result.Doc.(type) {
		case *mapping.Output:
			err = c.write(base+"."+c.makes, append(out.Bundle().AppendIndent(nil, "  "), '\n'))
		case *mapping.Message:
			sum := sha256.Sum256(raw)
			out.Stamp(hex.EncodeToString(sum[:10]), c.at)
			err = c.write(base+"."+c.makes, out.Encode(nil))
		}
		if explainer, ok := result.Doc.(transforms.Explainer); ok && c.provenance && err == nil {
			err = c.write(base+".provenance.json", explained(explainer))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *converter) write(name string, data []byte) error {
	if err := os.WriteFile(filepath.Join(c.out, name), data, 0o600); err != nil {
		return &exit{code: exitFailed, err: err}
	}
	return nil
}

// explained is the side file of --provenance.
func explained(e transforms.Explainer) []byte {
	origins, unmapped, findings := e.Provenance(), e.Unmapped(), e.Findings()
	if origins == nil {
		origins = []transforms.Origin{}
	}
	if unmapped == nil {
		unmapped = []string{}
	}
	if findings == nil {
		findings = []transforms.Finding{}
	}
	data, err := json.MarshalIndent(struct {
		Values   []transforms.Origin  `json:"values"`
		Unmapped []string             `json:"unmapped"`
		Findings []transforms.Finding `json:"findings"`
	}{origins, unmapped, findings}, "", "  ")
	if err != nil {
		panic(err) // texts and numbers alone
	}
	return append(data, '\n')
}
