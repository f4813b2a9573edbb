package patch

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/fhirpath"
)

// ApplyFHIRPath returns the resource with all operations of a FHIRPath Patch done
// to it (fhirpatch.html of R4), or an *Error, or that of ctx. The patch is a
// Parameters resource.
// Neither of the two trees is changed.
func ApplyFHIRPath(ctx context.Context, resource, parameters *fhir.Node) (*fhir.Node, error) {
	if parameters == nil || text(parameters.Get("resourceType")) != "Parameters" {
		return nil, &Error{Operation: -1, Text: "is no Parameters resource"}
	}
	var operations []*fhir.Node
	if list := parameters.Get("parameter"); list != nil {
		operations = list.Items
	}
	if len(operations) > mostOperations {
		return nil, &Error{Operation: -1, Text: "has more than 1000 operations"}
	}
	p := &pathPatch{ctx: ctx, root: resource.Clone(), work: workOf(ctx), steps: mostPathSteps}
	for i, o := range operations {
		op, err := pathOperationOf(o.Clone())
		if err != nil {
			return nil, &Error{Operation: i, Text: err.Error()}
		}
		err = p.do(op)
		if errors.Is(err, errPath) {
			return nil, &Error{Operation: i, Text: err.Error()}
		}
		if err != nil || p.work.err != nil {
			return nil, p.work.because(i, err)
		}
	}
	if last := max(len(operations)-1, 0); !p.work.shallow(p.root, maxDepth) {
		return nil, p.work.because(last, errDeep)
	}
	return p.root, nil
}

// A pathOperation is one parameter "operation" taken apart.
type pathOperation struct {
	typ, path, name            string
	value                      *fhir.Node // the part
	index, source, destination int        // -1 where not given
}

func text(n *fhir.Node) string {
	if n != nil && n.Kind == fhir.String {
		return n.Text
	}
	return ""
}

// given is the member value[x] of a part with its type.
func given(part *fhir.Node) (v value) {
	for i := range part.Members {
		m := &part.Members[i]
		if typ, ok := strings.CutPrefix(m.Name, "value"); ok {
			v.node, v.typ = m.Value, typ
		} else if typ, ok := strings.CutPrefix(m.Name, "_value"); ok {
			v.beside, v.typ = m.Value, typ
		}
	}
	return v
}

func pathOperationOf(parameter *fhir.Node) (o pathOperation, err error) {
	if text(parameter.Get("name")) != "operation" {
		return o, errors.New("is a parameter that is not called operation")
	}
	o.index, o.source, o.destination = -1, -1, -1
	parts := parameter.Get("part")
	if parts == nil || parts.Kind != fhir.Array {
		return o, errors.New("has no parts")
	}
	for _, part := range parts.Items {
		v := given(part).node
		switch text(part.Get("name")) {
		case "type":
			o.typ = text(v)
		case "path":
			o.path = text(v)
		case "name":
			o.name = text(v)
		case "value":
			o.value = part
		case "index":
			o.index, err = count(v)
		case "source":
			o.source, err = count(v)
		case "destination":
			o.destination, err = count(v)
		default:
			err = errors.New("has a part that is not type, path, name, value, index, source or destination")
		}
		if err != nil {
			return o, err
		}
	}
	return o, o.complete()
}

func count(v *fhir.Node) (int, error) {
	if v != nil && v.Kind == fhir.Number {
		if n, err := strconv.Atoi(v.Text); err == nil && n >= 0 {
			return n, nil
		}
	}
	return 0, errors.New("has an index that is no number from 0")
}

// complete holds an operation against what its type needs.
func (o *pathOperation) complete() error {
	needs := map[string]bool{"path": o.path == ""}
	switch o.typ {
	case "add":
		needs["name"], needs["value"] = o.name == "", o.value == nil
	case "insert":
		needs["index"], needs["value"] = o.index < 0, o.value == nil
	case "replace":
		needs["value"] = o.value == nil
	case "move":
		needs["source"], needs["destination"] = o.source < 0, o.destination < 0
	case "delete":
	default:
		return errors.New("is not add, insert, delete, replace or move")
	}
	for _, part := range []string{"path", "name", "value", "index", "source", "destination"} {
		if needs[part] {
			return errors.New("has no " + part)
		}
	}
	return nil
}

// Errors of operations.
var (
	errPath    = errors.New("has a path that is no FHIRPath")
	errEval    = errors.New("has a path that cannot be evaluated on the resource")
	errNone    = errors.New("has a path that finds nothing")
	errSeveral = errors.New("has a path that finds several elements")
	errMade    = errors.New("has a path that finds no element of the resource")
	errUnknown = errors.New("names an element that is not defined there")
	errThere   = errors.New("adds an element that is there and does not repeat")
	errIndex   = errors.New("has an index beyond the list")
	errNoList  = errors.New("has a path that does not name a whole list")
	errEmpty   = errors.New("has a value that is empty")
)

// A pathPatch is the resource on its way.
type pathPatch struct {
	ctx   context.Context //nolint:containedctx // lives as long as one call
	root  *fhir.Node
	work  *work
	steps int // that the paths may still take
}

// mostPathSteps bounds the evaluation of all paths of a patch.
const mostPathSteps = 2_000_000

func (p *pathPatch) do(o pathOperation) error {
	if o.typ == "insert" || o.typ == "move" {
		return p.inList(o)
	}
	found, err := p.find(o.path, 1)
	switch {
	case err != nil:
		return err
	case len(found) == 0 && o.typ == "delete":
		return nil // it is not an error that it is gone
	case len(found) == 0:
		return errNone
	case o.typ == "add":
		return p.add(found[0], o)
	case len(found[0]) == 0:
		return errors.New("would replace or delete the resource itself")
	case o.typ == "delete":
		p.work.remove(found[0])
		return nil
	}
	return p.replace(found[0], o)
}

// find evaluates a path; each element is given by the links that lead to it, the
// resource itself by none. More than most are several.
func (p *pathPatch) find(path string, most int) ([][]link, error) {
	e, err := fhirpath.Compile(path)
	if err != nil {
		return nil, errPath
	}
	if p.steps <= 0 {
		return nil, errCostly
	}
	values, err := e.Eval(p.ctx, p.root, fhirpath.Options{MaxSteps: 100_000, Budget: &p.steps})
	if _, ours := errors.AsType[*fhirpath.Error](err); ours {
		if p.steps <= 0 {
			return nil, errCostly
		}
		return nil, errEval
	}
	if err != nil {
		return nil, err
	}
	if len(values) > most {
		return nil, errSeveral
	}
	nodes := make([]*fhir.Node, 0, len(values))
	for _, v := range values {
		node := v.Node()
		if node == nil {
			node = v.Beside()
		}
		if node == nil || node != p.root && v.Kind() != fhirpath.Element {
			return nil, errMade
		}
		nodes = append(nodes, node)
	}
	ways := p.work.locate(p.root, p.spot(), nodes)
	out := make([][]link, 0, len(nodes))
	for _, node := range nodes {
		way, found := ways[node]
		switch {
		case p.work.err != nil:
			return nil, p.work.err
		case !found:
			return nil, errMade
		case len(way) > 0:
			last := &way[len(way)-1]
			last.name = strings.TrimPrefix(last.name, "_") // found by what stands beside it
		}
		out = append(out, way)
	}
	return out, nil
}

func (p *pathPatch) spot() spot { return spotOf(text(p.root.Get("resourceType"))) }

// owner is the object of an element that things are added to, and its spot. A
// primitive has one for its extensions.
func (p *pathPatch) owner(way []link) (*fhir.Node, spot) {
	if len(way) == 0 {
		return p.root, p.spot()
	}
	last := way[len(way)-1]
	held := value{last.object.Get(last.name), last.object.Get("_" + last.name), ""}
	var items *list
	if last.index >= 0 {
		items = p.work.listOf(last.object, last.name)
		held = items.items[last.index]
	}
	if held.node != nil && held.node.Kind == fhir.Object {
		_, below := last.at.child(last.name, held.node)
		return held.node, below
	}
	if held.beside == nil {
		held.beside = fhir.NewObject()
		if items != nil {
			items.items[last.index] = held
			items.store()
		} else {
			set(last.object, last.name, held)
		}
	}
	return held.beside, spotOf("Element")
}

func (p *pathPatch) add(way []link, o pathOperation) error {
	object, at := p.owner(way)
	e := at.named(o.name)
	if e == nil {
		return errUnknown
	}
	v, member, err := p.work.valueFor(at, o.name, o.value)
	if err != nil {
		return err
	}
	if e.Repeats() {
		l := p.work.listOf(object, member)
		l.items = append(l.items, v)
		l.store()
		return nil
	}
	stem, choice := strings.CutSuffix(e.Path[strings.LastIndexByte(e.Path, '.')+1:], "[x]")
	for i := range object.Members {
		name := strings.TrimPrefix(object.Members[i].Name, "_")
		if name == member || choice && strings.HasPrefix(name, stem) && at.named(name) == e {
			return errThere
		}
	}
	set(object, member, v)
	return nil
}

func (p *pathPatch) replace(way []link, o pathOperation) error {
	last := way[len(way)-1]
	name := last.name
	if e, _ := last.at.child(name, nil); e != nil {
		if stem, choice := strings.CutSuffix(e.Path[strings.LastIndexByte(e.Path, '.')+1:], "[x]"); choice {
			name = stem
		}
	}
	v, member, err := p.work.valueFor(last.at, name, o.value)
	if err != nil {
		return err
	}
	if last.index >= 0 {
		l := p.work.listOf(last.object, member)
		l.items[last.index] = v
		l.store()
		return nil
	}
	if member != last.name { // a choice of another type takes the place
		for i := range last.object.Members {
			if m := &last.object.Members[i]; strings.TrimPrefix(m.Name, "_") == last.name {
				m.Name = strings.Replace(m.Name, last.name, member, 1)
			}
		}
	}
	set(last.object, member, v)
	return nil
}

// remove takes an element away, and what is empty without it.
func (w *work) remove(way []link) {
	for i := len(way) - 1; i >= 0; i-- {
		l := way[i]
		if l.index >= 0 {
			items := w.listOf(l.object, strings.TrimPrefix(l.name, "_"))
			if beside := strings.HasPrefix(l.name, "_"); beside && items.items[l.index].node != nil {
				items.items[l.index].beside = nil
			} else {
				items.items = slices.Delete(items.items, l.index, l.index+1)
			}
			items.store()
		} else {
			l.object.Delete(l.name)
			if !strings.HasPrefix(l.name, "_") {
				l.object.Delete("_" + l.name)
			}
		}
		if len(l.object.Members) > 0 {
			return
		}
	}
}

var lastStep = regexp.MustCompile(`^(.*)\.([A-Za-z][A-Za-z0-9]*)$`)

// inList inserts into a list or moves within it.
func (p *pathPatch) inList(o pathOperation) error {
	found, err := p.find(o.path, maxItems)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		parts := lastStep.FindStringSubmatch(strings.TrimSpace(o.path))
		if o.typ != "insert" || o.index != 0 || parts == nil {
			return errNone
		}
		return p.do(pathOperation{typ: "add", path: parts[1], name: parts[2], value: o.value}) // the first of a list
	}
	first := found[0]
	if len(first) == 0 || first[len(first)-1].index < 0 {
		return errNoList
	}
	last := first[len(first)-1]
	l := p.work.listOf(last.object, last.name)
	for _, way := range found {
		if len(way) == 0 {
			return errNoList // the resource itself
		}
		if one := way[len(way)-1]; one.object != last.object || one.name != last.name {
			return errNoList
		}
	}
	if len(l.items) != len(found) {
		return errNoList
	}
	if o.typ == "insert" {
		v, _, err := p.work.valueFor(last.at, last.name, o.value)
		if err != nil {
			return err
		}
		if o.index > len(l.items) {
			return errIndex
		}
		l.items = slices.Insert(l.items, o.index, v)
		l.store()
		return nil
	}
	if o.source >= len(l.items) || o.destination >= len(l.items) {
		return errIndex
	}
	v := l.items[o.source]
	l.items = slices.Insert(slices.Delete(l.items, o.source, o.source+1), o.destination, v)
	l.store()
	return nil
}

// valueFor is the value of a part for the element called name, and the member it
// goes to. A value of no type of its own is given by parts for its elements.
func (w *work) valueFor(at spot, name string, part *fhir.Node) (v value, member string, err error) {
	e := at.named(name)
	if e == nil {
		return v, "", errUnknown
	}
	if resource := part.Get("resource"); resource != nil {
		return value{node: resource}, name, nil
	}
	v, member = given(part), name
	if strings.HasSuffix(e.Path, "[x]") && v.typ != "" && strings.HasSuffix(e.Path[strings.LastIndexByte(e.Path, '.')+1:], name+"[x]") {
		member = name + v.typ
	}
	parts := part.Get("part")
	if v.typ != "" || parts == nil {
		if v.node == nil && v.beside == nil {
			return v, "", errEmpty
		}
		return v, member, nil
	}
	object := fhir.NewObject()
	_, below := at.child(member, nil)
	for _, one := range parts.Items {
		if !w.take(1 + len(object.Members)) {
			return v, "", w.err
		}
		inner, innerName, err := w.valueFor(below, text(one.Get("name")), one)
		if err != nil {
			return v, "", err
		}
		if below.named(text(one.Get("name"))).Repeats() {
			l := w.listOf(object, innerName)
			l.items = append(l.items, inner)
			l.store()
			continue
		}
		if object.Get(innerName) != nil {
			return v, "", errThere
		}
		set(object, innerName, inner)
	}
	if len(object.Members) == 0 {
		return v, "", errEmpty
	}
	return value{node: object}, member, nil
}
