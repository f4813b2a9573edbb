package main

import "log"

// A mend is a fact that the dictionary has wrong in some versions.
type mend struct {
	segment, field, from, to string
	typ, opt                 string // empty: as it is
}

// mends are facts in which the dictionary is alone: the versions before and after,
// and what nHapi generates from the standard's own tables, have them otherwise.
// From 2.7 on it calls every type that varies a text (2.A, "Varies").
var mends = []mend{
	{segment: "MFA", field: "5", from: "2.7", to: "2.9", typ: "VARIES"},
	{segment: "MFE", field: "4", from: "2.7", to: "2.9", typ: "VARIES"},
	{segment: "OBX", field: "5", from: "2.7", to: "2.9", typ: "VARIES"},
	{segment: "QPD", field: "3", from: "2.7", to: "2.9", typ: "VARIES"},
	{segment: "RDT", field: "1", from: "2.7", to: "2.9", typ: "VARIES"},
	{segment: "OBR", field: "27", from: "2.3", to: "2.3", opt: "O"},
	{segment: "OBX", field: "4", from: "2.3.1", to: "2.3.1", opt: "O"},
}

// mend puts them right.
func (d dictionary) mend() {
	for _, m := range mends {
		within, changed := false, 0
		for _, v := range versions {
			within = within || v == m.from
			if p, ok := d[v].Segments[m.segment].Fields[m.field]; within && ok {
				if m.typ != "" && p.Type != m.typ {
					p.Type = m.typ
					changed++
				}
				if m.opt != "" && p.Opt != m.opt {
					p.Opt = m.opt
					changed++
				}
				d[v].Segments[m.segment].Fields[m.field] = p
			}
			within = within && v != m.to
		}
		if changed == 0 {
			log.Fatalf("%s-%s needs no mend any more", m.segment, m.field)
		}
	}
}
