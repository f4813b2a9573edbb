package mapping

import (
	"maps"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// identifierFields are the fields whose type says where a number and its
// authority stand (HL7 v2.5.1, chapters 3, 4, 6, 7).
func identifierFields() map[string]string {
	out := map[string]string{}
	for typ, fields := range map[string][]string{
		"CX": {
			"PID-2", "PID-3", "PID-4", "PID-18", "PID-21", "PV1-5", "PV1-19", "PV1-50", "MRG-1", "MRG-2", "MRG-3", "MRG-4",
			"MRG-5", "MRG-6", "NK1-12", "NK1-33", "GT1-2", "IN1-3", "IN1-49", "PD1-6", "PD1-10",
		},
		"EI": {
			"ORC-2", "ORC-3", "ORC-4", "OBR-2", "OBR-3", "OBX-21", "PRT-1", "PRT-10", "SCH-1", "SCH-2", "SCH-5", "ARQ-1", "ARQ-2",
			"TXA-12", "TXA-13", "TXA-14", "IAM-7", "SAC-1", "SAC-3", "SAC-4", "SPM-30", "SPM-31", "IPC-1", "IPC-2", "PRB-4", "GOL-4",
		},
		"XCN": {
			"PV1-7", "PV1-8", "PV1-9", "PV1-17", "PV1-52", "ORC-10", "ORC-11", "ORC-12", "ORC-19", "OBR-10", "OBR-16", "OBR-28",
			"OBX-16", "OBX-25", "PD1-4", "RXA-10", "DG1-16", "PR1-8", "PR1-11", "PR1-12", "TXA-5", "TXA-9", "TXA-10", "TXA-11", "TXA-22",
		},
		"XON": {"OBX-23", "ORC-21", "PD1-3", "MSH-22", "MSH-23", "IN1-4"},
	} {
		for _, f := range fields {
			out[f] = typ
		}
	}
	return out
}

// fieldType is the v2 data type of a field, "" when it is not known. A site's
// own segment says it itself: { 2: CWE primary-language }.
func (c *compiler) fieldType(segment string, field int) string {
	if own, ok := c.lib.segments[segment]; ok {
		typ, _, _ := strings.Cut(own.fields[field], " ")
		return typ
	}
	return c.lib.identifiers[segment+"-"+itoa(field)]
}

// checkPath holds a path to the segments of the standard and of the site.
func (c *compiler) checkPath(cur *cursor, text string, at place) {
	own, declared := c.lib.segments[cur.segment]
	switch {
	case declared && len(own.fields) > 0 && own.fields[cur.field] == "":
		c.wrong(at, "%s: segment %s declares no field %d", text, cur.segment, cur.field)
	case declared:
	case cur.segment[0] == 'Z':
		c.wrong(at, "%s: segment %s is not declared; write segments: { %s: { after: …, fields: … } }", text, cur.segment, cur.segment)
	case !c.lib.standard[cur.segment]:
		c.wrong(at, "%s: %q is not a segment%s", text, cur.segment, near(cur.segment, slices.Collect(maps.Keys(c.lib.standard))))
	case cur.field > 150:
		c.wrong(at, "%s: %s has no field %d", text, cur.segment, cur.field)
	}
}

// checkRequired holds that every element R4 requires of a resource has a row,
// and notes which they are: what is missing in a message is a finding.
func (c *compiler) checkRequired(m *making, out *cmaking) {
	c.def = m.file
	for _, e := range c.lib.model.required(m.resource) {
		number, known := c.numbers[e.name]
		has := false
		for _, cm := range out.maps {
			for _, t := range cm.targets {
				first := t.last.name
				if len(t.steps) > 0 {
					first = t.steps[0].name
				}
				has = has || known && first == number
			}
		}
		if !has {
			c.wrong(m.at, "%s: %s requires %s, and no row makes it", m.name, m.resource, e.name)
			continue
		}
		out.required = append(out.required, number)
	}
}

// checkUnused compiles the maps that no message map uses, so that their
// mistakes do not wait for the one that does.
func (lib *library) checkUnused(used map[string]bool, probs *problems) {
	c := lib.compiler(&definition{}, probs)
	for _, d := range lib.messageMaps("") {
		if d.make != nil {
			c.number(d.make)
		}
	}
	for _, name := range lib.names() {
		d := lib.maps[name]
		from, to := d.sides()
		if used[name] || len(d.rows) == 0 || d.outbound() || lib.partOutbound(d) {
			continue
		}
		switch {
		case to == "":
			c.def = d
			c.wrong(d.at, "a map of rows is named A to B: PID to Patient")
		case segmentName(from) && lib.model.resource(to) && (lib.standard[from] || definitions.ComponentCount(from) == 0):
			c.declared = map[string]int{from: 0}
			c.segmentMap(d, to)
			c.def = d
			c.keys(d, to)
			c.declared = nil
		case to == "value[x]":
			c.dataMap(d, "Observation", "value[x]")
		case lib.model.known(to):
			c.dataMap(d, to, "")
		default:
			c.def = d
			c.wrong(d.at, "%q is not a FHIR type%s", to, near(to, lib.model.resources()))
		}
	}
}
