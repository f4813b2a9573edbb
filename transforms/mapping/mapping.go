// Package mapping is the map language: rows as data, compiled at load to
// closures, that turn HL7 v2 messages into FHIR resources, and FHIR resources
// into HL7 v2 messages, and know of every value where it came from and which
// row made it.
package mapping

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
)

// Options are what every map sees.
type Options struct {
	// Maps holds the shipped maps: FAMILY/*.yaml.
	Maps fs.FS
	// Tables are the code tables and systems.
	Tables *tables.Set
	// Records is the store that gather reads: nil for maps that see only what
	// the message brings.
	Records transforms.Records
}

// maxMapFile bounds a map file of a site.
const maxMapFile = 16 << 20

// Kind returns the sort of step whose `use:` is a family of shipped maps
// ("v2-to-fhir"), one map of it ("v2-to-fhir/results"), or a file (*.yaml).
func Kind(o Options) transforms.Kind {
	return transforms.Kind{
		Name: "map",
		Takes: func(use string) bool {
			if ext := path.Ext(use); ext == ".yaml" || ext == ".yml" {
				return true
			}
			family, _, _ := strings.Cut(use, "/")
			if family == "" || !fs.ValidPath(family) {
				return false
			}
			info, err := fs.Stat(o.Maps, family)
			return err == nil && info.IsDir() || familyOf(o.Maps, use) != ""
		},
		Make: func(s transforms.Step) (transforms.Transform, []string, []transforms.Problem) {
			m, files, problems := New(o, s)
			if len(problems) > 0 {
				return nil, files, problems
			}
			return m, files, nil
		},
	}
}

// A Map is a step compiled. It is safe for use from several goroutines.
type Map struct {
	use        string
	outbound   *v2Program // set for a map to HL7 v2; the structures are empty then
	structures map[string]*program
	any        *program // the map that names no structure
	zone       *time.Location
}

var (
	_ transforms.Transform = (*Map)(nil)
	_ transforms.Reader    = (*Map)(nil)
)

// Reads is the format of what the map takes: "hl7v2" or "fhir".
func (m *Map) Reads() string {
	if m.outbound != nil {
		return "fhir"
	}
	return "hl7v2"
}

// Makes is the format of what the map gives: "hl7v2" or "fhir".
func (m *Map) Makes() string {
	if m.outbound != nil {
		return "hl7v2"
	}
	return "fhir"
}

// New compiles a step, or says everything that is wrong with it. The files are
// those read from the site's folder.
func New(o Options, s transforms.Step) (*Map, []string, []transforms.Problem) {
	probs := &problems{}
	b := &stepBuilder{o: o, step: s, probs: probs}
	lib := b.library()
	if d := b.outbound(lib); d != nil {
		return b.newOutbound(lib, d)
	}
	if s.Format != "" && s.Format != "hl7v2" && !probs.unreadable {
		probs.list = append(probs.list, transforms.Problem{Field: "use", Text: "the map reads hl7v2, but the channel parses " + s.Format})
	}
	if len(s.Set) > 0 {
		probs.list = append(probs.list, transforms.Problem{Field: "set", Text: "maps to FHIR take no parameters"})
	}
	if probs.unreadable {
		probs.sort()
		return nil, b.files, probs.list
	}
	m := &Map{use: s.Use, structures: map[string]*program{}, zone: s.Zone}
	used := map[string]bool{}
	for _, d := range lib.messageMaps(b.family) {
		if b.only != "" && d.name != b.only {
			continue
		}
		m.take(lib, d, used, probs)
	}
	if len(m.structures) == 0 && m.any == nil && len(probs.list) == 0 {
		probs.list = append(probs.list, transforms.Problem{Field: "use", Text: "no message map in " + s.Use})
	}
	lib.checkUnused(used, probs)
	if len(probs.list) > 0 {
		probs.sort()
		return nil, b.files, probs.list
	}
	return m, b.files, nil
}

// take compiles one message map for its structures.
func (m *Map) take(lib *library, d *definition, used map[string]bool, probs *problems) {
	p := lib.compile(d, used, probs)
	if p == nil {
		return
	}
	structures := lib.structuresOf(d)
	if len(structures) == 0 {
		if m.any != nil {
			probs.add(d.at, "%snames no structure, nor does %s", d.prefix(), m.any.name)
		}
		m.any = p
	}
	for _, s := range structures {
		if old := m.structures[s]; old != nil {
			probs.add(d.at, "%stakes structure %s, which %s takes", d.prefix(), s, old.name)
			continue
		}
		m.structures[s] = p
	}
}

// A stepBuilder reads the files of a step.
type stepBuilder struct {
	o      Options
	step   transforms.Step
	probs  *problems
	files  []string
	family string // maps of this family take messages; "" for all that were read
	only   string // the one message map that does
}

func (b *stepBuilder) library() *library {
	lib := &library{
		maps: map[string]*definition{}, tables: b.siteTables(), segments: map[string]segmentDef{},
		changed: map[string]*row{}, standard: standardSegments(), identifiers: identifierFields(),
	}
	use := b.step.Use
	if ext := path.Ext(use); ext == ".yaml" || ext == ".yml" {
		data, ok := b.read("use", use)
		if !ok {
			return lib
		}
		// A site's file may use the shipped data types and segments.
		lib.loadAll(b.o.Maps, b.probs)
		defs := readFile(use, data, versionOf(data), b.probs)
		lib.apply(defs, b.probs)
		for _, d := range defs {
			if d.make != nil || d.extends != "" || d.outbound() {
				b.only = d.name
				if d.extends != "" && lib.maps[d.extends] != nil {
					b.only = d.extends
				}
			}
		}
	} else if family := familyOf(b.o.Maps, use); family != "" {
		b.family, b.only = family, use
		lib.load(b.o.Maps, family, b.probs)
	} else {
		b.family, _, _ = strings.Cut(use, "/")
		lib.load(b.o.Maps, b.family, b.probs)
		if b.family != use {
			if b.only = use; lib.maps[use] == nil {
				b.probs.list = append(b.probs.list, transforms.Problem{
					Field: "use", Text: "map \"" + use + "\" is not known" + near(use, lib.names()),
				})
			}
		}
	}
	for _, with := range b.step.With {
		if data, ok := b.read("with", with); ok {
			lib.apply(readFile(with, data, versionOf(data), b.probs), b.probs)
		}
	}
	return lib
}

// loadAll reads every family of shipped maps.
func (lib *library) loadAll(fsys fs.FS, probs *problems) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		probs.add(place{file: "maps"}, "not readable: %s", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			lib.load(fsys, e.Name(), probs)
		}
	}
}

// read reads a file of the site.
func (b *stepBuilder) read(field, name string) ([]byte, bool) {
	full := name
	if !filepath.IsAbs(full) {
		full = filepath.Join(b.step.Folder, name)
	}
	b.files = append(b.files, full)
	info, err := os.Stat(full)
	var data []byte
	switch {
	case err == nil && info.Size() > maxMapFile:
		err = errors.New("larger than 16 MiB")
	case err == nil:
		data, err = os.ReadFile(full)
	}
	if err != nil {
		text := err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			text = "there is no such file"
		}
		b.probs.unreadable = true
		b.probs.list = append(b.probs.list, transforms.Problem{Field: field, Text: "\"" + name + "\": " + text})
		return nil, false
	}
	return data, true
}

// siteTables are the tables with those that the step replaces.
func (b *stepBuilder) siteTables() *tables.Set {
	set := b.o.Tables
	for name, with := range b.step.Tables {
		field := "tables." + name
		if ext := path.Ext(with); ext != ".csv" && ext != ".yaml" && ext != ".yml" {
			t := b.o.Tables.Table(with)
			if t == nil {
				b.probs.list = append(b.probs.list, transforms.Problem{
					Field: field, Text: "table \"" + with + "\" is not known" + near(with, b.o.Tables.Names()),
				})
				continue
			}
			set = set.With(name, t)
			continue
		}
		data, ok := b.read(field, with)
		if !ok {
			continue
		}
		_, read, problems := set.Read(with, data)
		for _, p := range problems {
			b.probs.add(place{p.File, p.Line, p.Column}, "%s", p.Text)
		}
		if len(read) == 1 {
			set = set.With(name, read[0])
		} else if len(problems) == 0 {
			b.probs.list = append(b.probs.list, transforms.Problem{Field: field, Text: "\"" + with + "\" holds several tables; one is wanted"})
		}
	}
	return set
}

var (
	errNotHL7   = errors.New("the document is not HL7 v2")
	errTooLarge = errors.New("the message makes more resources than a map may (" + strconv.Itoa(maxInstances) + ")")
	errTooLong  = errors.New("the resource makes more values than a map may (" + strconv.Itoa(maxLeaves) + ")")
)

// Apply maps one message to FHIR resources.
func (m *Map) Apply(ctx context.Context, in *message.Message) ([]*message.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, &message.Failure{Kind: message.Unavailable, Err: err}
	}
	if m.outbound != nil {
		return m.outbound.apply(ctx, in, m.zone)
	}
	doc, ok := in.Doc.(*hl7v2.Message)
	if made, wrapped := in.Doc.(*Message); wrapped {
		doc, ok = made.Message(), true
	}
	if !ok {
		return nil, &message.Failure{Kind: message.Malformed, Err: errNotHL7}
	}
	header := doc.Header()
	p := m.structures[header.Structure]
	if p == nil {
		p = m.any
	}
	if p == nil {
		return nil, &message.Failure{Kind: message.Malformed, Where: "MSH-9", Code: 200, Err: noMapError{header.Structure, m.use}}
	}
	out, err := p.apply(ctx, doc, header, m.zone)
	if err != nil {
		return nil, err
	}
	next := *in
	next.Doc = out
	return []*message.Message{&next}, nil
}

// A noMapError says that a family has no map for a message's structure.
type noMapError struct{ structure, use string }

func (e noMapError) Error() string {
	name := e.structure
	if !structureName(name) {
		name = "of that name"
	}
	return "no map for structure " + name + " in " + e.use
}

// structureName holds what stands in an error to the form of a structure's
// name, so that it is no patient's.
func structureName(s string) bool {
	if s == "" || len(s) > 8 {
		return false
	}
	for i := range len(s) {
		if (s[i] < 'A' || s[i] > 'Z') && (s[i] < '0' || s[i] > '9') && s[i] != '_' {
			return false
		}
	}
	return true
}
