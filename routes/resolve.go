package routes

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// environment reads env/NAME.yaml beside the file, whose variables win.
func (l *loader) environment() {
	if l.o.Env == "" {
		return
	}
	name := filepath.Join(l.folder, "env", l.o.Env+".yaml")
	at := Place{name, 1, 1}
	if !nameForm.MatchString(l.o.Env) {
		l.report(Place{l.o.File, 1, 1}, fmt.Sprintf("environment %q is not a name: write lower-case words joined by -", l.o.Env))
		return
	}
	data, err := l.bytes(name)
	if err != nil {
		l.report(at, fmt.Sprintf("environment %q: %s", l.o.Env, fileError(err)))
		return
	}
	missing := lost{}
	root := readYAML(name, data, missing, l.report)
	if len(missing) > 0 {
		l.lost["variables"] = true
	}
	if root == nil {
		return
	}
	if !l.scope().check(root, openOf(is(aText))) {
		return
	}
	for _, m := range root.members {
		l.variables[m.key] = m.value
	}
}

var (
	reference    = regexp.MustCompile(`\$\{([^}]*)\}`)
	variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
)

// variable finds what ${name} stands for.
func (l *loader) variable(name string) (string, bool) {
	if text, ok := l.o.Environ(environName(name)); ok {
		return text, true
	}
	if n := l.variables[name]; n != nil {
		return n.text, true
	}
	return "", false
}

// environName is the process variable that sets a variable.
func environName(name string) string {
	return "PLEXUS_VAR_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// allVariables are the variables that var.name gives to expressions.
func (l *loader) allVariables() map[string]string {
	all := map[string]string{}
	for name := range l.variables {
		all[name], _ = l.variable(name)
	}
	return all
}

// A filling replaces ${…} in a copy of a value.
type filling struct {
	l      *loader
	params map[string]string
	from   string
	lost   bool // a variable of the value in hand is not set
}

func (l *loader) fill(n *node, f *filling) *node {
	if f == nil {
		f = &filling{l: l}
	}
	return f.copy(n)
}

func (f *filling) copy(n *node) *node {
	out := *n
	if out.from == "" {
		out.from = f.from
	}
	if n.form == scalar && strings.Contains(n.text, "${") {
		out.text = reference.ReplaceAllStringFunc(n.text, func(ref string) string { return f.replace(&out, ref[2:len(ref)-1]) })
		out.filled, out.column = true, 0
		if f.lost {
			f.l.unset[out.at], f.lost = true, false
		}
	}
	if len(n.members) > 0 {
		out.members = make([]member, len(n.members))
		for i, m := range n.members {
			out.members[i] = member{key: m.key, at: m.at, value: f.copy(m.value)}
		}
	}
	if len(n.items) > 0 {
		out.items = make([]*node, len(n.items))
		for i, item := range n.items {
			out.items[i] = f.copy(item)
		}
	}
	return &out
}

func (f *filling) replace(n *node, name string) string {
	if text, ok := f.params[name]; ok {
		return text
	}
	if text, ok := f.l.variable(name); ok {
		return text
	}
	s := f.l.scope()
	if !variableForm.MatchString(name) {
		s.problem(n, "${%s} is not a variable: write ${name}", name)
		f.lost = true
		return ""
	}
	known := make([]string, 0, len(f.l.variables)+len(f.params))
	for name := range f.l.variables {
		known = append(known, name)
	}
	for name := range f.params {
		known = append(known, name)
	}
	sort.Strings(known)
	if f.lost = true; f.l.lost.has("variables") {
		return ""
	}
	s.problem(n, "variable %q is not set%s; set it in variables, env/NAME.yaml or %s", name, near(name, known), environName(name))
	return ""
}

// A template is channels with parameters.
type template struct {
	at       Place
	params   []param
	channels *node
}

// A param is one parameter of a template.
type param struct {
	name, sort string
	def        string
	optional   bool
}

var (
	paramForm  = regexp.MustCompile(`^([a-z]+)(?:\s*=\s*(.*))?$`)
	paramSorts = []string{"file", "name", "number", "port", "text"}
)

// template takes the definition of a template.
func (l *loader) template(s scope, m member) {
	if first, twice := l.templates[m.key]; twice {
		s.at(m.at, "", "defined twice, first in %s", first.at)
		return
	}
	t := template{at: m.at, channels: m.value.get("channels")}
	for _, p := range members(m.value.get("params")) {
		if p.value.form != scalar {
			continue
		}
		parts := paramForm.FindStringSubmatch(p.value.text)
		if parts == nil || !contains(paramSorts, parts[1]) {
			s.in("params").in(p.key).problem(p.value, "%q is not a kind of parameter; known: %s; a default follows =", p.value.text, strings.Join(paramSorts, ", "))
			continue
		}
		t.params = append(t.params, param{
			name: p.key, sort: parts[1], def: strings.Trim(parts[2], `"'`),
			optional: strings.Contains(p.value.text, "="),
		})
	}
	if t.channels != nil && t.channels.form != sequence {
		s.problem(t.channels, "channels: a list is wanted, not %s", formName(t.channels))
		t.channels = nil
	}
	l.templates[m.key] = t
}

// resolve makes the channels of all entries.
func (l *loader) resolve() {
	for _, entry := range l.entries {
		if entry.get("use") == nil {
			l.add(l.fill(entry, nil))
			continue
		}
		l.use(entry)
	}
}

// add takes a channel whose references have been replaced.
func (l *loader) add(n *node) {
	s := l.scope()
	if n.tagged {
		return
	}
	if n.form != object {
		s.problem(n, "channels: a channel is wanted, not %s", formName(n))
		return
	}
	l.channels = append(l.channels, l.withDefaults(n))
}

// use makes the channels of one entry that uses a template.
func (l *loader) use(entry *node) {
	s := l.scope().in("channels")
	if !s.check(entry, with(useWords()...)) {
		return
	}
	filled := l.fill(entry, nil)
	name := filled.get("use").text
	t, ok := l.templates[name]
	if !ok && l.lost.has("templates") {
		return
	}
	if !ok {
		known := make([]string, 0, len(l.templates))
		for n := range l.templates {
			known = append(known, n)
		}
		sort.Strings(known)
		if len(known) == 0 {
			known = []string{"none"}
		}
		s.problem(filled.get("use"), "template %q is not known%s", name, unknown(name, known))
		return
	}
	s = l.scope().in("template " + name)
	common := map[string]string{}
	for _, m := range members(filled.get("with")) {
		common[m.key] = m.value.text
	}
	rows := l.rows(s, filled, name)
	for _, row := range rows {
		params := map[string]string{}
		for k, v := range common {
			params[k] = v
		}
		for k, v := range row.params {
			params[k] = v
		}
		l.instance(s, t, row, params)
	}
}

// A row is one set of parameters and where it stands.
type row struct {
	at     Place
	from   string
	params map[string]string
}

// rows are those of `for:`, or the one of `with:`.
func (l *loader) rows(s scope, entry *node, name string) []row {
	source := entry.get("for")
	if source == nil {
		return []row{{at: entry.at, from: fmt.Sprintf("template %s, %s:%d", name, entry.at.File, entry.at.Line)}}
	}
	if source.form == scalar {
		return l.csv(s, source)
	}
	var rows []row
	for _, item := range source.items {
		r := row{at: item.at, from: fmt.Sprintf("template %s, %s:%d", name, item.at.File, item.at.Line), params: map[string]string{}}
		for _, m := range item.members {
			r.params[m.key] = m.value.text
		}
		rows = append(rows, r)
	}
	return rows
}

// csv reads the rows of a CSV file whose columns are the parameters.
func (l *loader) csv(s scope, n *node) []row {
	name := l.inFolder(n.text)
	data, err := l.bytes(name)
	if err != nil {
		s.problem(n, "for: %q: %s", n.text, fileError(err))
		return nil
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(data), byteOrderMark)))
	r.Comment, r.TrimLeadingSpace = '#', true
	columns, err := r.Read()
	if err != nil {
		l.report(Place{name, 1, 1}, s.prefix+"the first line has to name the columns")
		return nil
	}
	var rows []row
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			at := Place{name, 1, 1}
			if bad, ok := errors.AsType[*csv.ParseError](err); ok {
				at.Line, at.Column = bad.Line, max(1, bad.Column)
				err = bad.Err
			}
			l.report(at, s.prefix+err.Error())
			return rows
		}
		line, _ := r.FieldPos(0)
		params := map[string]string{}
		for i, column := range columns {
			params[strings.TrimSpace(column)] = strings.TrimSpace(record[i])
		}
		rows = append(rows, row{at: Place{name, line, 1}, from: fmt.Sprintf("%s:%d", name, line), params: params})
	}
}

// instance makes the channels of one row of a template.
func (l *loader) instance(s scope, t template, r row, params map[string]string) {
	known := make([]string, 0, len(t.params))
	ok := true
	for _, p := range t.params {
		known = append(known, p.name)
		text, given := params[p.name]
		switch {
		case !given && p.optional:
			params[p.name] = p.def
		case !given || text == "":
			s.at(r.at, "", "parameter %q is missing", p.name)
			ok = false
		default:
			if err := p.check(text); err != nil {
				s.at(r.at, "", "%s: %s", p.name, err)
				ok = false
			}
		}
	}
	for _, given := range sortedKeys(params) {
		if !contains(known, given) {
			s.at(r.at, "", "parameter %q is not known%s", given, unknown(given, known))
			ok = false
		}
	}
	if !ok || t.channels == nil {
		return
	}
	f := &filling{l: l, params: params, from: r.from}
	for _, item := range t.channels.items {
		l.add(l.fill(item, f))
	}
}

func sortedKeys(m map[string]string) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	sort.Strings(list)
	return list
}

// check checks the text of a parameter.
func (p param) check(text string) error {
	switch p.sort {
	case "port":
		if n, err := parseWhole(text); err != nil || n < 1 || n > 65535 {
			return wrong("port %s is not between 1 and 65535", text)
		}
	case "number":
		if !numberForm.MatchString(text) {
			return wrong("%q is not a number", text)
		}
	case "name":
		if !nameForm.MatchString(text) {
			return wrong("%q is not a name: write lower-case words joined by -", text)
		}
	}
	return nil
}

// notForEffects are the keys that make no sense beside ehr, channel and drop.
var notForEffects = []string{"order", "key", "strict", "retry", "batch", "hours", "answer"}

// withDefaults adds the defaults that a channel and its routes do not say.
func (l *loader) withDefaults(n *node) *node {
	out := *n
	out.members = append([]member(nil), n.members...)
	for _, m := range members(l.defaults["channel"]) {
		if out.get(m.key) == nil {
			out.members = append(out.members, m)
		}
	}
	for i := range out.members {
		m := &out.members[i]
		if m.key != "routes" || m.value.form != sequence {
			continue
		}
		list := *m.value
		list.items = append([]*node(nil), m.value.items...)
		for k, item := range list.items {
			if item.form == object {
				list.items[k] = l.routeDefaults(item)
			}
		}
		m.value = &list
	}
	return &out
}

func (l *loader) routeDefaults(n *node) *node {
	out := *n
	out.members = append([]member(nil), n.members...)
	effect := isEffect(kindOf(n.get("to")))
	for _, m := range members(l.defaults["route"]) {
		own := out.member(m.key)
		switch {
		case effect && contains(notForEffects, m.key):
		case own == nil:
			if m.key != "when" || out.get("otherwise") == nil {
				out.members = append(out.members, m)
			}
		case m.key == "retry" && own.value.form == object && m.value.form == object:
			merged := *own.value
			merged.members = append([]member(nil), own.value.members...)
			for _, class := range m.value.members {
				if merged.get(class.key) == nil {
					merged.members = append(merged.members, class)
				}
			}
			own.value = &merged
		}
	}
	return &out
}

// kindOf is the word of a kind with its options, "" when there is not one.
func kindOf(n *node) string {
	if n == nil || len(n.members) != 1 {
		return ""
	}
	return n.members[0].key
}

func isEffect(kind string) bool { return kind == "ehr" || kind == "channel" || kind == "drop" }

// checkDefaults checks defaults by themselves, so that a fault in them is told
// once and not for each channel.
func (l *loader) checkDefaults() {
	for key, words := range map[string][]word{"channel": channelWords(), "route": routeWords()} {
		n := l.defaults[key]
		if n == nil {
			continue
		}
		n = l.fill(n, nil)
		l.defaults[key] = n
		s := scope{l: l, prefix: "defaults: " + key + ": ", key: key}
		if n.form != object {
			s.problem(n, "a mapping is wanted, not %s", formName(n))
			delete(l.defaults, key)
			continue
		}
		var good []member
		for _, m := range n.members {
			w := find(words, m.key)
			switch {
			case w == nil:
				s.at(m.at, "", "unknown field %q%s", m.key, unknown(m.key, names(words)))
			case m.key == "name" || m.key == "was" || m.key == "routes":
				s.at(m.at, "", "%q cannot have a default", m.key)
			case notYet[key+"."+m.key] && !l.everything:
				s.at(m.at, "", "%q is not supported yet by this version", m.key)
			case s.under(m.key).in(m.key).check(m.value, w.shape):
				good = append(good, m)
			}
		}
		out := *n
		out.members = good
		l.defaults[key] = &out
	}
}
