package mapping

import (
	"bytes"
	"strconv"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
)

// Limits of one message: what would go beyond them cannot be mapped.
const (
	maxNodes     = 4 << 20
	maxInstances = 200_000
)

// A run maps one message.
type run struct {
	arena
	prog     *program
	doc      *hl7v2.Message
	header   message.Header
	zone     *time.Location
	row      int32 // the row that emits now
	insts    []instance
	byKey    map[string]int32
	ordinals map[string]int
	cache    map[string]int32
	findings []transforms.Finding
	unfit    string // text of the last conversion that did not fit
	unfitAt  span
	parked   error
	scratch  []byte
}

// An instance is one resource being made.
type instance struct {
	making   *cmaking // nil for a resource that a data type map makes
	cmap     *cmap
	name     string
	resource string
	env      *env
	decl     []segment
	root     int32
	// build is where rows write now: root, or a place apart for what is
	// merged into root afterwards.
	build    int32
	keys     []string
	fallback bool
	into     int32 // the instance it was merged into; -1 when it stands alone
	deletes  []string
	urn      string
	ordinal  int
	start    int32
	end      int32
}

func (r *run) mark() mark {
	return mark{len(r.nodes), len(r.undos), len(r.insts), len(r.findings), len(r.touched)}
}

// rollback forgets what was made after m; warnings stay.
func (r *run) rollback(m mark) {
	r.back(m.nodes, m.undos)
	if len(r.insts) > m.instances {
		for i := m.instances; i < len(r.insts); i++ {
			for _, key := range r.insts[i].keys {
				if r.byKey[key] == int32(i) {
					delete(r.byKey, key)
				}
			}
		}
		r.insts = r.insts[:m.instances]
		clear(r.cache)
	}
}

// touch notes that a place was read for a value that another place stands for.
func (r *run) touch(v *val) {
	if start, end := v.span(); end > start {
		r.touched = append(r.touched, span{start, end})
	}
}

// finding notes a warning of the row in hand at the place of v.
func (r *run) finding(kind string, v *val, table, code, text string) {
	if len(r.findings) >= 10_000 {
		return
	}
	start, _ := v.span()
	r.findings = append(r.findings, transforms.Finding{
		Kind: kind, Where: r.doc.Where(int(start)), Table: table, Code: code, Text: text,
	})
}

// plan finds the groups and resources of the message.
func (r *run) plan() error {
	root := r.doc.Groups()
	top := &env{scope: r.prog.root, near: make([]segment, len(r.prog.slots))}
	r.fill(top, root)
	r.planScope(top)
	if len(r.insts) > maxInstances {
		return errTooLarge
	}
	return nil
}

// fill finds the segments and inner groups of one group: what stands in groups
// below that make has no word for is its own.
func (r *run) fill(e *env, g hl7v2.Group) {
	for _, part := range g.Parts() {
		if seg, ok := part.Segment(); ok {
			e.own = append(e.own, seg)
			if slot := r.prog.slotOf(seg.Name()); slot >= 0 && !e.hasOwn(slot, seg.Name()) {
				e.near[slot] = seg
			}
			continue
		}
		inner, _ := part.Group()
		if scope := e.scope.find(inner.Name()); scope != nil {
			e.inner = append(e.inner, &env{parent: e, scope: scope})
			r.pending = append(r.pending, pending{e.inner[len(e.inner)-1], inner})
			continue
		}
		r.fill(e, inner)
	}
}

var _ = bytes.Equal
var _ = strconv.Itoa
var _ = fhir.Null
