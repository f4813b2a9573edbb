package mapping

import (
	"context"
	"sort"
	"strconv"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
)

// An Output is what a map to FHIR makes of a message: resources, and where each
// of their values came from. It is read by one goroutine at a time.
type Output struct {
	run    *run
	drafts []fhir.Draft
	insts  []int32 // of each draft
}

var (
	_ message.Document     = (*Output)(nil)
	_ transforms.Drafter   = (*Output)(nil)
	_ transforms.Explainer = (*Output)(nil)
)

// apply runs the program over one message.
func (p *program) apply(ctx context.Context, doc *hl7v2.Message, header message.Header, zone *time.Location) (*Output, error) {
	r := &run{
		ctx: ctx, prog: p, doc: doc, header: header, zone: zone, byKey: map[string]int32{}, ordinals: map[string]int{}, cache: map[string]int32{},
	}
	r.whole = plainText(doc)
	r.fieldsAt = make([]fieldsOf, doc.Len())
	room := min(doc.Len(), roomSegments)
	r.fields = make([]hl7v2.Value, 0, room*18)
	r.reset(64 + room*56)
	r.plan()
	r.fillInstances()
	switch {
	case r.parked != nil:
		return nil, r.parked
	case len(r.insts) >= maxInstances || len(r.nodes) > maxNodes:
		return nil, &message.Failure{Kind: message.Malformed, Err: errTooLarge}
	}
	out := &Output{run: r}
	out.draft()
	return out, nil
}

// draft turns the instances into drafts, in the order they were made.
func (o *Output) draft() {
	r := o.run
	b := newBuilder(&r.arena, len(r.insts))
	sent := r.stampOf("MSH", 7, r.zone)
	for i := range r.insts {
		in := &r.insts[i]
		if in.into >= 0 {
			continue
		}
		tree := b.build(&r.arena, r.prog.names, in.root, in.resource)
		d := fhir.Draft{
			Name: in.name, Type: in.resource, URN: in.urn, Keys: in.keys, Fallback: in.fallback, Tree: tree,
			SourceAt: r.sourceAt(in, sent), Existing: in.making != nil && in.making.existing,
		}
		for _, path := range in.deletes {
			if !r.has(in.root, r.memberOf(path)) {
				d.Deletes = append(d.Deletes, path)
			}
		}
		o.drafts = append(o.drafts, d)
		o.insts = append(o.insts, int32(i))
	}
}

// memberOf is the number of a member name, -1 when no row makes it.
func (r *run) memberOf(name string) int32 {
	for i, known := range r.prog.names {
		if known == name {
			return int32(i)
		}
	}
	return -1
}

// sourceAt is the time the sender gives to the state of a resource: of a
// result the later of OBX-14 and OBR-22, of a report OBR-22, else MSH-7.
func (r *run) sourceAt(in *instance, sent time.Time) time.Time {
	var at time.Time
	if in.making == nil {
		return sent
	}
	later := func(seg segment, field int) {
		if !seg.Valid() {
			return
		}
		v := val{level: fieldLevel, v: r.field(seg, field)}
		s, ok := parseStamp(v.String())
		if t := s.time(r.zone); ok && t.After(at) {
			at = t
		}
	}
	switch in.resource {
	case "Observation":
		later(in.segment("OBX"), 14)
		fallthrough
	case "DiagnosticReport":
		obr := in.segment("OBR")
		if slot := r.prog.slotOf("OBR"); !obr.Valid() && slot >= 0 {
			obr = in.env.near[slot]
		}
		later(obr, 22)
	}
	if at.IsZero() {
		return sent
	}
	return at
}

func (in *instance) segment(name string) segment {
	for i := range in.decl {
		if in.decl[i].Valid() && in.decl[i].Name() == name {
			return in.decl[i]
		}
	}
	return segment{}
}

// stampOf reads a time of the message; zero when there is none.
func (r *run) stampOf(segment string, field int, zone *time.Location) time.Time {
	for i := range r.doc.Len() {
		seg := r.doc.Segment(i)
		if seg.Name() != segment {
			continue
		}
		v := val{level: fieldLevel, v: seg.Field(field)}
		if s, ok := parseStamp(v.String()); ok {
			return s.time(zone)
		}
		break
	}
	return time.Time{}
}

// Drafts returns the resources, the message's header first when the map makes one.
func (o *Output) Drafts() []fhir.Draft { return o.drafts }

// Format is "fhir".
func (o *Output) Format() string { return "fhir" }

// Header is that of the message the output was made of.
func (o *Output) Header() message.Header { return o.run.header }

// Root is the whole output: it has no place in bytes.
func (o *Output) Root() message.Node { return nowhere{} }

type nowhere struct{}

func (nowhere) Span() (start, end int) { return 0, 0 }

// Encode appends the Bundle as JSON.
func (o *Output) Encode(dst []byte) []byte { return o.Bundle().AppendJSON(dst) }

// Warnings are the findings of the rows.
func (o *Output) Warnings() []message.Warning {
	out := make([]message.Warning, 0, len(o.run.findings))
	for _, f := range o.run.findings {
		out = append(out, message.Warning{Where: f.Where, Code: f.Kind, Text: f.Text})
	}
	return out
}

// Findings are the warnings of the rows.
func (o *Output) Findings() []transforms.Finding { return o.run.findings }

// Bundle is the output as a transaction: each resource under its URN. Persons,
// organizations, places and visits that the server knows by their identifier
// are not made again.
func (o *Output) Bundle() *fhir.Node {
	entries := &fhir.Node{Kind: fhir.Array}
	for i := range o.drafts {
		d := &o.drafts[i]
		request := fhir.NewObject()
		request.Set("method", fhir.Text("POST"))
		request.Set("url", fhir.Text(d.Type))
		if search := d.IfNoneExist(); search != "" {
			request.Set("ifNoneExist", fhir.Text(search))
		}
		entry := fhir.NewObject()
		entry.Set("fullUrl", fhir.Text(d.URN))
		entry.Set("resource", d.Tree)
		entry.Set("request", request)
		entries.Items = append(entries.Items, entry)
	}
	bundle := fhir.NewObject()
	bundle.Set("resourceType", fhir.Text("Bundle"))
	bundle.Set("type", fhir.Text("transaction"))
	if len(entries.Items) > 0 {
		bundle.Set("entry", entries)
	}
	return bundle
}

// Provenance lists every value of the output in its order.
func (o *Output) Provenance() []transforms.Origin {
	r := o.run
	var out []transforms.Origin
	counts := map[string]int{}
	for _, i := range o.insts {
		in := &r.insts[i]
		prefix := in.resource + "[" + strconv.Itoa(counts[in.resource]) + "]"
		counts[in.resource]++
		out = o.origins(out, prefix, in.root)
	}
	return out
}

func (o *Output) origins(out []transforms.Origin, path string, i int32) []transforms.Origin {
	r := o.run
	n := &r.nodes[i]
	if n.kind != fhir.Object && n.kind != fhir.Array {
		row := &r.prog.rows[n.row]
		origin := transforms.Origin{
			Target: path, Start: int(n.start), End: int(n.end), Map: row.mapName + "@" + row.version, File: row.file, Line: row.line,
		}
		if n.end > n.start {
			origin.Source = r.where(int(n.start))
		}
		return append(out, origin)
	}
	count := 0
	for j := n.first; j != 0; j = r.nodes[j].next {
		below := path + "." + r.prog.names[r.nodes[j].name]
		if n.kind == fhir.Array {
			below = path + "[" + strconv.Itoa(count) + "]"
		}
		count++
		out = o.origins(out, below, j)
	}
	return out
}

// Unmapped lists the places of the input that no value names and no condition
// or key reads.
func (o *Output) Unmapped() []string {
	r := o.run
	var spans []span
	for i := range r.nodes {
		if n := &r.nodes[i]; n.end > n.start {
			spans = append(spans, span{n.start, n.end})
		}
	}
	spans = append(spans, r.touched...)
	sort.Slice(spans, func(i, j int) bool { return spans[i].start < spans[j].start })
	// reach is how far the spans up to each go.
	reach := make([]int32, len(spans))
	for i := range spans {
		reach[i] = spans[i].end
		if i > 0 {
			reach[i] = max(reach[i], reach[i-1])
		}
	}
	covered := func(start, end int) bool {
		i := sort.Search(len(spans), func(i int) bool { return int(spans[i].start) > start })
		for i--; i >= 0 && int(reach[i]) >= end; i-- {
			if int(spans[i].start) <= start && int(spans[i].end) >= end {
				return true
			}
		}
		return false
	}
	var out []string
	for i := range r.doc.Len() {
		seg := r.doc.Segment(i)
		if r.prog.ignored[seg.Name()] || seg.Name() == "MSH" {
			continue
		}
		for f := 1; f <= seg.Fields(); f++ {
			out = o.leaves(out, seg, f, covered)
		}
	}
	return out
}

// leaves lists the parts of a field that are not covered.
func (o *Output) leaves(out []string, seg segment, f int, covered func(start, end int) bool) []string {
	field := seg.Field(f)
	reached := func(v hl7v2.Value) bool {
		start, end := v.Span()
		return !v.Valued() || covered(start, end)
	}
	if reached(field) {
		return out
	}
	for _, rep := range field.EachRep() {
		for comp := 1; comp <= rep.Comps(); comp++ {
			v := rep.Comp(comp)
			if reached(v) || o.run.prog.looked[seg.Name()+"-"+strconv.Itoa(f)+"."+strconv.Itoa(comp)] {
				continue
			}
			all := true
			for sub := 1; sub <= v.Subs(); sub++ {
				all = all && reached(v.Sub(sub))
			}
			if !all {
				start, _ := v.Span()
				out = append(out, o.run.where(start))
			}
		}
	}
	return out
}
