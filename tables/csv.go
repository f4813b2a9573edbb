package tables

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"path"
	"strings"
)

// rows reads a CSV file with a head line and calls take with each further line.
// Lines that begin with # are settings ("# from: acme-lab") or remarks.
func (l *loader) rows(file string, data []byte, known []string, setting func(key string, p place) bool, take func(get func(string) place)) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte(byteOrderMark))))
	r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace = '#', -1, true
	for n, line := range strings.Split(string(data), "\n") {
		text, ok := strings.CutPrefix(line, "#")
		if !ok {
			continue
		}
		if key, value, ok := strings.Cut(strings.TrimSpace(text), ":"); ok && setting != nil {
			setting(strings.TrimSpace(key), place{strings.TrimSpace(value), n + 1, 1})
		}
	}
	head, err := r.Read()
	if err != nil {
		l.problem(Problem{File: file, Line: 1, Column: 1, Text: "no head line with the names of the columns"})
		return
	}
	column := map[string]int{}
	for i, name := range head {
		name = strings.TrimSpace(name)
		line, col := r.FieldPos(i)
		if !contains(known, name) {
			l.problem(Problem{file, line, col, "unknown column " + quote(name) + near(name, known)})
			continue
		}
		if _, twice := column[name]; twice {
			l.problem(Problem{file, line, col, "column " + quote(name) + " stands twice"})
		}
		column[name] = i
	}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			line, col := 1, 1
			if parse, ok := errors.AsType[*csv.ParseError](err); ok {
				line, col = parse.Line, parse.Column
			}
			l.problem(Problem{file, line, col, "not readable as CSV: quotes do not match"})
			return
		}
		take(func(name string) place {
			i, ok := column[name]
			if !ok || i >= len(record) {
				line, _ := r.FieldPos(0)
				return place{line: line, column: 1}
			}
			line, col := r.FieldPos(i)
			return place{strings.TrimSpace(record[i]), line, col}
		})
	}
}

func (l *loader) systemsCSV(file string, data []byte) {
	l.rows(file, data, []string{"name", "uri", "oid", "v2", "note"}, nil, func(get func(string) place) {
		l.addSystem(file, get("name"), get("uri"), get("oid"), splitNames(get("v2").text))
	})
}

func splitNames(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ';' || r == '|' || r == ',' })
}

func (l *loader) addSystem(file string, name, uri, oid place, v2 []string) {
	switch {
	case name.text == "":
		l.problem(Problem{file, name.line, name.column, "a code system without a name"})
	case uri.text == "":
		l.problem(Problem{file, name.line, name.column, "code system " + quote(name.text) + " has no uri"})
	default:
		clash := l.set.systems.add(&System{Name: name.text, URI: uri.text, OID: strings.TrimPrefix(oid.text, "urn:oid:"), V2: v2})
		if clash != "" {
			l.problem(Problem{file, name.line, name.column, clash})
		}
	}
}

func (l *loader) tableCSV(file string, data []byte) {
	d := &draft{line: 1, column: 1}
	d.table.Name = strings.TrimSuffix(path.Base(file), path.Ext(file))
	setting := func(key string, p place) bool {
		switch key {
		case "table":
			d.table.Name = p.text
		case "from":
			d.from = p
		case "to":
			d.to = p
		case "otherwise":
			d.other = p
		case "ignore":
			d.ignore = splitNames(p.text)
		default:
			return false
		}
		return true
	}
	columns := []string{"from", "display", "to", "to-display", "system", "units", "both", "since", "until", "note"}
	l.rows(file, data, columns, setting, func(get func(string) place) {
		d.entries = append(d.entries, entry{
			get("from"), get("display"), get("to"), get("to-display"), get("system"),
			get("units"), get("both"), get("since"), get("until"),
		})
	})
	l.otherwise(file, d)
	l.add(file, d)
}

// otherwise reads the word, or the code in braces, of `otherwise:`.
func (l *loader) otherwise(file string, d *draft) {
	text := d.other.text
	code, braced := strings.CutPrefix(text, "{")
	switch {
	case text == "" || text == "keep":
	case text == "none":
		d.table.Otherwise = Nothing
	case text == "park":
		d.table.Otherwise = Park
	case braced && strings.HasSuffix(code, "}"):
		code = strings.TrimSpace(strings.TrimSuffix(code, "}"))
		if value, ok := strings.CutPrefix(code, "code:"); ok {
			code = strings.TrimSpace(value)
		}
		d.table.Otherwise, d.table.Default = Default, code
	default:
		l.problem(Problem{file, d.other.line, d.other.column, "table " + d.table.Name + ": otherwise is keep, none, park or {code: X}, not " + quote(text)})
	}
}
