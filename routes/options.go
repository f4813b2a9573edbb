package routes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/transforms"
)

// source decodes the kind of source and its options.
func (b *channelBuilder) source() {
	n := b.n.get("source")
	if n == nil || n.form != object {
		return
	}
	s := b.in("source")
	word := kindOf(n)
	if word == "" {
		s.problem(n, "one kind with its options is wanted, such as { mllp: { listen: \"127.0.0.1:2575\" } }")
		return
	}
	inside := insideSources()
	if _, ok := inside[word]; ok {
		b.insideSource(s, word, n.members[0].value)
		return
	}
	var known []string
	for kind := range inside {
		known = append(known, kind)
	}
	for _, k := range b.l.o.Parts.Connectors {
		if k.Source == nil {
			continue
		}
		known = append(known, k.Name)
		if k.Name != word {
			continue
		}
		options := k.Source()
		d := b.decoder("source " + word)
		if d.options(n.members[0].value, options) {
			d.validated(n.members[0], options.Validate())
		}
		b.c.Source, b.c.SourceKind = options, word
		return
	}
	sort.Strings(known)
	b.at(n.members[0].at, n.from, "source: %s is not known; known: %s", word, strings.Join(known, ", "))
}

// destination decodes the kind of destination and its options.
func (b *channelBuilder) destination(s scope, n *node) connectors.DestinationOptions {
	word := kindOf(n)
	if word == "" {
		s.in("to").problem(n, "one kind with its options is wanted, such as { ehr: {} }")
		return nil
	}
	known := []string{"channel", "drop", "ehr"}
	for _, k := range b.l.o.Parts.Connectors {
		if k.Destination == nil {
			continue
		}
		known = append(known, k.Name)
		if k.Name != word {
			continue
		}
		options := k.Destination()
		d := b.decoder("to " + word)
		d.scope.prefix = s.prefix + "to " + word + ": "
		if d.options(n.members[0].value, options) {
			d.validated(n.members[0], options.Validate())
		}
		return options
	}
	sort.Strings(known)
	s.at(n.members[0].at, n.from, "to: %s is not known; known: %s", word, strings.Join(known, ", "))
	return nil
}

// parse decodes the format and opens its parser.
func (b *channelBuilder) parse() {
	n := b.n.get("parse")
	if n == nil || n.form != scalar && n.form != object {
		return
	}
	word, m := n.text, member{at: n.at, value: &node{form: nothing, at: n.at}}
	if n.form == object {
		if word = kindOf(n); word == "" {
			b.in("parse").problem(n, "one format with its options is wanted, such as { hl7v2: { charset: windows-1252 } }")
			return
		}
		m = n.members[0]
	}
	var known []string
	for _, k := range b.l.o.Parts.Parsers {
		known = append(known, k.Name)
		if k.Name == word {
			b.open(k, m)
			return
		}
	}
	sort.Strings(known)
	b.at(m.at, n.from, "parser %q is not known; known: %s", word, strings.Join(known, ", "))
}

func (b *channelBuilder) open(k parsers.Kind, m member) {
	options := k.Options()
	d := b.decoder("parse " + k.Name)
	before := len(b.l.problems)
	if !d.options(m.value, options) {
		return
	}
	var problems []connectors.Problem
	for _, p := range options.Validate() {
		problems = append(problems, connectors.Problem(p))
	}
	if d.validated(m, problems) || len(b.l.problems) > before {
		return
	}
	parser, err := b.openParser(options)
	if err != nil {
		d.at(m.at, "", "%s", err)
		return
	}
	b.c.Parser, b.c.Parse = parser, k.Name
	b.grammar, b.parsed = parser.Grammar(), true
}

// openParser opens a parser with the files that its options name, which are part
// of the channel: it is another when one of them changes.
func (b *channelBuilder) openParser(options parsers.Options) (parsers.Parser, error) {
	named, ok := options.(parsers.FileOptions)
	if !ok {
		return options.Open()
	}
	files := map[string][]byte{}
	for _, name := range named.Files() {
		path := name
		if !filepath.IsAbs(name) {
			path = filepath.Join(b.l.folder, name)
		}
		data, err := b.l.bytes(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", name, fileError(err))
		}
		sum := sha256.Sum256(data)
		b.digests = append(b.digests, hex.EncodeToString(sum[:]))
		files[name] = data
	}
	return named.OpenWith(files)
}

// steps compiles the steps of one `map:`; given says that there are any.
func (b *channelBuilder) steps(s scope, n *node) (steps []transforms.Transform, given bool) {
	return b.stepsOf(s, n, b.c.Parse)
}

// stepsOf compiles steps that read a format; empty where it is not known yet.
func (b *channelBuilder) stepsOf(s scope, n *node, format string) (steps []transforms.Transform, given bool) {
	if n == nil || n.form == nothing {
		return nil, false
	}
	list := []*node{n}
	if n.form == sequence {
		list = n.items
	}
	for _, item := range list {
		step := transforms.Step{Zone: b.c.Zone, Format: format, Folder: b.l.folder}
		switch item.form {
		case scalar:
			step.Use = item.text
		case object:
			step.Use = str(item, "use", "")
			for _, w := range listItems(item.get("with")) {
				step.With = append(step.With, w.text)
			}
			step.Tables, step.Set = textMap(item.get("tables")), textMap(item.get("set"))
		}
		if step.Use == "" {
			continue
		}
		b.mapped = true
		if made := b.step(s, item, step); made != nil {
			steps = append(steps, made)
		}
	}
	return steps, true
}

func listItems(n *node) []*node {
	if n == nil {
		return nil
	}
	return n.items
}

func textMap(n *node) map[string]string {
	if n == nil || n.form != object {
		return nil
	}
	out := map[string]string{}
	for _, m := range n.members {
		out[m.key] = m.value.text
	}
	return out
}

// step makes one step, or takes one that another channel has alike.
func (b *channelBuilder) step(s scope, n *node, step transforms.Step) transforms.Transform {
	for name, file := range b.l.siteFiles {
		if step.Tables == nil {
			step.Tables = map[string]string{}
		}
		if _, replaced := step.Tables[name]; !replaced {
			absolute, err := filepath.Abs(file)
			if err != nil {
				absolute = file
			}
			step.Tables[name] = absolute
		}
	}
	key := fmt.Sprintf("%q %q %q %q %s %s", step.Use, step.With, step.Tables, step.Set, step.Zone, step.Format)
	made, known := b.l.steps[key]
	if !known {
		made = b.l.make(step)
		b.l.steps[key] = made
	}
	b.digests = append(b.digests, made.digest)
	for _, p := range made.problems {
		if p.File != "" {
			b.l.report(Place{p.File, p.Line, p.Column}, p.Text)
			continue
		}
		at := n
		if found := n.find(p.Field); found != nil {
			at = found
		}
		s.problem(at, "%s", p.Text)
	}
	return made.step
}

// make compiles a step.
func (l *loader) make(step transforms.Step) madeStep {
	for _, k := range l.o.Parts.Transforms {
		if !k.Takes(step.Use) {
			continue
		}
		made, files, problems := k.Make(step)
		h := sha256.New()
		for _, f := range files {
			data, _ := l.bytes(f) // a file that cannot be read is among the problems
			fmt.Fprintf(h, "%q %d\n", filepath.Base(f), len(data))
			h.Write(data)
		}
		if len(problems) > 0 {
			made = nil
		}
		return madeStep{step: made, problems: problems, digest: hex.EncodeToString(h.Sum(nil))}
	}
	return madeStep{problems: []transforms.Problem{{Field: "use", Text: fmt.Sprintf("%q is not the name of a map, nor a file of a known sort", step.Use)}}}
}

// find follows a field as parts name it: "tls.cert", "peers[1]".
func (n *node) find(field string) *node {
	for field != "" && n != nil {
		var part string
		part, field, _ = strings.Cut(field, ".")
		part, index, indexed := strings.Cut(part, "[")
		if n = n.get(part); n == nil || !indexed {
			continue
		}
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || i < 0 || i >= len(n.items) {
			return nil
		}
		n = n.items[i]
	}
	return n
}

// A decoder fills the options of a part from the file.
type decoder struct {
	scope
	b *channelBuilder
}

func (b *channelBuilder) decoder(label string) *decoder { return &decoder{scope: b.in(label), b: b} }

// options fills a pointer to a struct; no value leaves the defaults. It reports
// whether there are options to be validated: those that do not fit keep their
// defaults, so that the rest can be judged.
func (d *decoder) options(n *node, into any) bool {
	if n.form == nothing {
		return true
	}
	d.value(d.scope, n, reflect.ValueOf(into).Elem(), "")
	return n.form == object
}

// validated reports what a part says of its options, each at its field.
func (d *decoder) validated(m member, problems []connectors.Problem) bool {
	for _, p := range problems {
		at, from := m.at, m.value.from
		if found := m.value.find(p.Field); found != nil && p.Field != "" {
			at, from = found.at, found.from
		} else if last := strings.LastIndexByte(p.Field, '.'); last >= 0 {
			if parent := m.value.find(p.Field[:last]); parent != nil {
				at, from = parent.at, parent.from
			}
		}
		d.at(at, from, "%s", fieldText(p))
	}
	return len(problems) > 0
}

var begins = regexp.MustCompile(`^(is|has|needs|wants|must) `)

// fieldText puts the field in front of a text that needs it.
func fieldText(p connectors.Problem) string {
	switch {
	case p.Field == "":
		return p.Text
	case begins.MatchString(p.Text):
		return p.Field + " " + p.Text
	case strings.HasPrefix(p.Text, `"`):
		return p.Field + ": " + p.Text
	}
	return p.Text
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[connectors.Secret]()
)

// value fills one Go value; it reports everything that does not fit.
func (d *decoder) value(s scope, n *node, v reflect.Value, unit string) bool {
	if v.Type() == secretType {
		return d.secret(s, n, v)
	}
	if n.form == nothing {
		s.problem(n, "no value")
		return false
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return d.value(s, n, v.Elem(), unit)
	case reflect.Struct:
		return d.structure(s, n, v)
	case reflect.Slice:
		return d.slice(s, n, v)
	case reflect.Map:
		return d.texts(s, n, v)
	}
	want := scalarShape(v.Type(), unit)
	if n.form != scalar {
		s.problem(n, "%s is wanted, not %s", describe(want), formName(n))
		return false
	}
	if err := scalarError(n, want); err != nil {
		s.problem(n, "%s", err)
		return false
	}
	return setScalar(s, n, v, want)
}

// scalarShape is the shape of a Go type as an option.
func scalarShape(t reflect.Type, unit string) shape {
	switch {
	case t == durationType:
		return is(aDuration)
	case unit == "size":
		return is(aSize)
	}
	switch t.Kind() {
	case reflect.Bool:
		return is(aBoolean)
	case reflect.Float64:
		return is(aFactor)
	case reflect.Int, reflect.Int64, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return is(aWhole)
	}
	return is(aText)
}

func setScalar(s scope, n *node, v reflect.Value, want shape) bool {
	switch want.sort {
	case aDuration:
		x, _ := parseDuration(n.text)
		v.SetInt(int64(x))
	case aSize:
		x, _ := parseSize(n.text)
		v.SetInt(x)
	case aBoolean:
		v.SetBool(n.text == "true")
	case aFactor:
		x, err := strconv.ParseFloat(n.text, 64)
		if err != nil {
			s.problem(n, "%q is not a number", n.text)
			return false
		}
		v.SetFloat(x)
	case aWhole:
		x, _ := parseWhole(n.text)
		if v.CanInt() {
			v.SetInt(int64(x))
		} else if v.OverflowUint(uint64(x)) {
			s.problem(n, "%d is too large", x)
			return false
		} else {
			v.SetUint(uint64(x))
		}
	default:
		v.SetString(n.text)
	}
	return true
}

// structure fills a struct by the yaml tags of its fields.
func (d *decoder) structure(s scope, n *node, v reflect.Value) bool {
	if n.form != object {
		s.problem(n, "a mapping is wanted, not %s", formName(n))
		return false
	}
	fields := optionFields(v.Type())
	known := make([]string, len(fields))
	for i := range fields {
		known[i] = fields[i].name
	}
	ok := true
	for _, m := range n.members {
		f := -1
		for i := range fields {
			if fields[i].name == m.key {
				f = i
			}
		}
		if f < 0 {
			s.at(m.at, n.from, "unknown field %q%s", m.key, unknown(m.key, known))
			ok = false
			continue
		}
		ok = d.value(s.in(m.key), m.value, v.FieldByIndex(fields[f].index), fields[f].unit) && ok
	}
	return ok
}

// An optionField is one option of a part.
type optionField struct {
	name, unit string
	index      []int
	field      reflect.StructField
}

// optionFields are the fields of a struct that have a yaml tag.
func optionFields(t reflect.Type) []optionField {
	var list []optionField
	for _, f := range reflect.VisibleFields(t) {
		name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" || !f.IsExported() || strings.Contains(rest, "inline") {
			continue
		}
		list = append(list, optionField{name: name, unit: f.Tag.Get("unit"), index: f.Index, field: f})
	}
	return list
}

func (d *decoder) slice(s scope, n *node, v reflect.Value) bool {
	if n.form != sequence {
		s.problem(n, "a list is wanted, not %s", formName(n))
		return false
	}
	ok := true
	out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		ok = d.value(s, item, out.Index(i), "") && ok
	}
	v.Set(out)
	return ok
}

func (d *decoder) texts(s scope, n *node, v reflect.Value) bool {
	if n.form != object {
		s.problem(n, "a mapping is wanted, not %s", formName(n))
		return false
	}
	ok := true
	out := reflect.MakeMap(v.Type())
	for _, m := range n.members {
		item := reflect.New(v.Type().Elem()).Elem()
		ok = d.value(s.in(m.key), m.value, item, "") && ok
		out.SetMapIndex(reflect.ValueOf(m.key).Convert(v.Type().Key()), item)
	}
	v.Set(out)
	return ok
}

var secretForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// secret reads the credential that `secret: name` names. A literal is refused
// and never printed.
func (d *decoder) secret(s scope, n *node, v reflect.Value) bool {
	name := n.get("secret")
	if n.form != object || len(n.members) != 1 || name == nil || name.form != scalar {
		s.problem(n, "a credential is wanted as { secret: name }; its value never stands in the file")
		return false
	}
	if !secretForm.MatchString(name.text) {
		s.in("secret").problem(name, "that is not the name of a secret: letters, digits, - _ . only")
		return false
	}
	if d.l.o.SecretsFolder == "" {
		s.in("secret").problem(name, "%q: no folder of secrets is set", name.text)
		return false
	}
	file := filepath.Join(d.l.o.SecretsFolder, name.text)
	// The version is shown to people: a secret is no part of it, not even hashed.
	data, err := d.l.o.ReadFile(file)
	d.l.watch(file)
	text := strings.TrimRight(string(data), "\r\n")
	if err == nil && text == "" {
		err = errors.New("the file is empty")
	}
	if err != nil {
		s.in("secret").problem(name, "%q: %s (%s)", name.text, fileError(err), file)
		return false
	}
	v.Set(reflect.ValueOf(connectors.NewSecret(text)))
	sum := sha256.Sum256(data)
	d.b.digests = append(d.b.digests, hex.EncodeToString(sum[:]))
	return true
}
