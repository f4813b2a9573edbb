package routes

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/expression"
)

// Reference returns the reference page of routes.yaml for an engine of these
// parts, as Markdown.
func Reference(p Parts) string {
	var b strings.Builder
	b.WriteString("# Every word of routes.yaml\n\n")
	b.WriteString("This page is made from the code by `go generate ./...`; [routes.md](routes.md) explains how the words are used.\n")
	b.WriteString("Words marked *not yet* belong to the language and are refused by this version.\n\n")
	b.WriteString("Durations are a number with `ms`, `s`, `m`, `h` or `d`; sizes a number with `KB`, `MB` or `GB` (1024).\n")
	section(&b, "The file", topWords(), "")
	section(&b, "An entry of channels that uses a template", useWords(), "")
	section(&b, "A channel", channelWords(), "channel")
	section(&b, "A route", routeWords(), "route")
	b.WriteString("\n## Sources\n")
	for _, k := range p.Connectors {
		if k.Source != nil {
			optionTable(&b, "source: { "+k.Name+": … }", k.Source())
		}
	}
	b.WriteString("\n## Destinations\n\n### `to: { ehr: {} }`\n\nInto the store of this engine, as FHIR resources, in the message's own transaction. No options.\n")
	b.WriteString("\n### `to: { drop: … }`\n\nNothing is done with the message, and the trace says why.\n\n")
	table(&b, dropWords(), "")
	for _, k := range p.Connectors {
		if k.Destination != nil {
			optionTable(&b, "to: { "+k.Name+": … }", k.Destination())
		}
	}
	b.WriteString("\n## Formats\n")
	for _, k := range p.Parsers {
		optionTable(&b, "parse: { "+k.Name+": … }", k.Options())
	}
	b.WriteString("\n## Expressions\n\nValues: ")
	b.WriteString(coded(expression.Values()))
	b.WriteString(".\n\nFunctions: ")
	b.WriteString(coded(expression.Functions()))
	b.WriteString(".\n\nOperators: `and` `or` `not` `==` `!=` `<` `<=` `>` `>=` `in` `matches` `contains` `startsWith` `endsWith` `+` `-` `*` `/` `%` `? :`.\n")
	return b.String()
}

// The marks between which a connector's page has its options.
const (
	pageBegin = "<!-- options: begin -->\n"
	pageEnd   = "<!-- options: end -->\n"
)

// ConnectorPage is the page of a connector with the options that its code has
// now, between the marks.
func ConnectorPage(page string, k connectors.Kind) (string, error) {
	before, rest, begins := strings.Cut(page, pageBegin)
	_, after, ends := strings.Cut(rest, pageEnd)
	if !begins || !ends {
		return "", fmt.Errorf("the page of %s has no place between %q and %q", k.Name, strings.TrimSpace(pageBegin), strings.TrimSpace(pageEnd))
	}
	var b strings.Builder
	b.WriteString(before + pageBegin)
	if k.Source != nil {
		optionTable(&b, "source: { "+k.Name+": … }", k.Source())
	}
	if k.Destination != nil {
		optionTable(&b, "to: { "+k.Name+": … }", k.Destination())
	}
	b.WriteString("\n" + pageEnd + after)
	return b.String(), nil
}

func coded(list []string) string { return "`" + strings.Join(list, "`, `") + "`" }

func section(b *strings.Builder, title string, words []word, key string) {
	fmt.Fprintf(b, "\n## %s\n\n", title)
	table(b, words, key)
}

// table lists words, and those inside them behind a dot.
func table(b *strings.Builder, words []word, key string) {
	b.WriteString("| word | value | default | meaning |\n|---|---|---|---|\n")
	tableRows(b, words, key, "")
}

func tableRows(b *strings.Builder, words []word, key, before string) {
	for _, w := range words {
		full := key + "." + w.name
		text := w.text
		if notYet[full] {
			text = "*Not yet.* " + text
		}
		var missing []string
		for _, s := range w.shape.alternatives() {
			for _, c := range s.choices {
				if notYet[full+": "+c] {
					missing = append(missing, "`"+c+"`")
				}
			}
		}
		if len(missing) > 0 {
			text += " *Not yet:* " + strings.Join(missing, ", ") + "."
		}
		def := w.def
		if w.required {
			def = "required"
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", before, w.name, cell(strings.TrimSuffix(describe(w.shape), ",")), cell(def), cell(text))
		if inner := innerWords(w.shape); len(inner) > 0 && !strings.HasSuffix(before, "retry.") {
			tableRows(b, inner, full, before+w.name+".")
		}
	}
}

// innerWords are the words of a mapping, or of a list of mappings; those of
// steps are told once, in the words about map.
func innerWords(s shape) []word {
	if s.called != "" {
		return nil
	}
	for _, a := range s.alternatives() {
		switch {
		case a.sort == aMapping:
			return a.words
		case a.sort == aList && a.of.sort == aMapping:
			return a.of.words
		}
	}
	return nil
}

func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// optionTable lists the options of a part.
func optionTable(b *strings.Builder, title string, options any) {
	fmt.Fprintf(b, "\n### `%s`\n\n", title)
	var rows []string
	optionRows(reflect.TypeOf(options).Elem(), "", &rows)
	if len(rows) == 0 {
		b.WriteString("No options.\n")
		return
	}
	b.WriteString("| option | value | meaning |\n|---|---|---|\n")
	for _, r := range rows {
		b.WriteString(r)
	}
}

func optionRows(t reflect.Type, before string, rows *[]string) {
	for _, f := range optionFields(t) {
		ft := f.field.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		*rows = append(*rows, fmt.Sprintf("| `%s%s` | %s | %s |\n", before, f.name, optionSort(ft, f.unit), cell(comment(t, f.name))))
		if ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && ft != reflect.TypeFor[connectors.Secret]() {
			optionRows(ft, before+f.name+".", rows)
		}
	}
}

func optionSort(t reflect.Type, unit string) string {
	switch {
	case t == reflect.TypeFor[connectors.Secret]():
		return "`{ secret: name }`"
	case t.Kind() == reflect.Slice:
		return "a list"
	case t.Kind() == reflect.Map, t.Kind() == reflect.Struct:
		return "a mapping"
	}
	return describe(scalarShape(t, unit))
}

// NotYet lists what the language has and this version does not run, sorted.
func NotYet() []string {
	list := make([]string, 0, len(notYet))
	for key := range notYet {
		list = append(list, key)
	}
	sort.Strings(list)
	return list
}
