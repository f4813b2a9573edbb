package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// A candidate is one way to name a resource, compiled.
type candidate struct {
	parts []keyPart
	// fallback is true when the candidate holds only the message's own place:
	// a control id, a set number.
	fallback bool
	// ordinal is true when the candidate counts equals.
	ordinal bool
	// identifier is true for a path alone: an identifier with its system.
	identifier bool
	// all asks for every repetition after the one named, for patients.
	all getter
	// otherwise is true for what names the resource only where nothing before
	// it does (else; PID-2).
	otherwise bool
}

// A keyPart is one piece of a candidate: an identifier, a text, the keys of
// another resource.
type keyPart struct {
	get      getter
	shape    idShape
	optional bool
	making   int32 // {report}: number of the making; -1 for none
	role     string
}

// An idShape says where in a composite the number and its authority stand.
type idShape struct {
	id, authority, kind int
	flat                bool // the authority is components n, n+1, n+2, not subcomponents
}

// shapes of the identifier data types. HL7 v2.5.1, 2A.14, 2A.28, 2A.88, 2A.89.
func shapes(dataType string) (idShape, bool) {
	switch dataType {
	case "CX":
		return idShape{id: 1, authority: 4, kind: 5}, true
	case "EI":
		return idShape{id: 1, authority: 2, flat: true}, true
	case "XCN":
		return idShape{id: 1, authority: 9, kind: 13}, true
	case "XON":
		return idShape{id: 10, authority: 6, kind: 7}, true
	}
	return idShape{}, false
}

// appendPart adds one part with its length in front, so that no two lists of
// parts give the same key.
func appendPart(key []byte, part string) []byte {
	key = strconv.AppendInt(key, int64(len(part)), 10)
	key = append(key, ':')
	return append(key, part...)
}

// keysOf gives the keys of a resource: all candidates the sender uses, and
// only where there is none the first that is the message's own place.
func (r *run) keysOf(resource string, candidates []candidate, f *frame) (keys []string, fallback bool) {
	for i := range candidates {
		c := &candidates[i]
		if c.fallback || c.otherwise && len(keys) > 0 {
			continue
		}
		before := len(keys)
		keys, fallback = r.candidate(keys, resource, c, f, fallback)
		if c.all != nil && len(keys) > before {
			continue
		}
	}
	for i := range candidates {
		if c := &candidates[i]; c.all != nil {
			keys = r.everyRep(keys, resource, c, f)
			break
		}
	}
	if len(keys) > 0 {
		return keys, fallback
	}
	for i := range candidates {
		c := &candidates[i]
		if keys, _ = r.candidate(keys, resource, c, f, false); len(keys) > 0 {
			return keys, true
		}
	}
	return nil, true
}

// candidate adds the keys that one candidate gives: one, or with {NAME} one for
// each key of that resource.
func (r *run) candidate(keys []string, resource string, c *candidate, f *frame, fallback bool) ([]string, bool) {
	head := appendPart(r.head[:0], resource)
	if c.fallback {
		head = appendPart(head, "message:"+r.senderScope())
	}
	tail := r.scratch[:0]
	var above []string
	split := -1 // where in tail the key of the other resource belongs
	for i := range c.parts {
		p := &c.parts[i]
		if p.making >= 0 {
			other := r.nearest(f.env, p.making)
			if other < 0 {
				return keys, fallback
			}
			fallback = fallback || r.insts[other].fallback
			of := r.insts[other].keys
			if split < 0 {
				above, split = of[:min(len(of), maxAbove)], len(tail)
			} else {
				tail = appendPart(tail, of[0])
			}
			continue
		}
		v := r.take()
		ok := p.get(r, f, v) && !v.null()
		r.give(1) // v is read on below, before anything else takes its place
		before := len(tail)
		if ok {
			tail = r.identity(tail, v, p)
		}
		if len(tail) == before {
			if !p.optional {
				return keys, fallback
			}
			tail = appendPart(tail, "")
		}
	}
	r.head, r.scratch = head, tail
	if split < 0 {
		return r.finishKey(keys, c, append(head, tail...)), fallback
	}
	for _, key := range above {
		whole := slices.Concat(head, tail[:split])
		whole = append(appendPart(whole, key), tail[split:]...)
		keys = r.finishKey(keys, c, whole)
	}
	return keys, fallback
}

// maxAbove bounds how many names of the resource above a key is made with.
const maxAbove = 4

func (r *run) finishKey(keys []string, c *candidate, key []byte) []string {
	if c.ordinal {
		n := r.ordinals[string(key)] + 1
		r.ordinals[string(key)] = n
		key = appendPart(key, strconv.Itoa(n))
	}
	return addKey(keys, string(key))
}

func addKey(keys []string, key string) []string {
	for _, have := range keys {
		if have == key {
			return keys
		}
	}
	return append(keys, key)
}

func (r *run) everyRep(keys []string, resource string, c *candidate, f *frame) []string {
	var v val
	if !c.all(r, f, &v) {
		return keys
	}
	var seen map[string]bool // in place of a comparison with each, once there are many
	for _, rep := range v.each() {
		if !rep.valued() || rep.null() {
			continue
		}
		part := r.identity(appendPart(nil, resource), &rep, &c.parts[0])
		switch {
		case len(part) <= len(resource)+4:
		case len(keys) < manyKeys:
			keys = addKey(keys, string(part))
		default:
			if seen == nil {
				seen = make(map[string]bool, 2*manyKeys)
				for _, key := range keys {
					seen[key] = true
				}
			}
			if !seen[string(part)] {
				seen[string(part)] = true
				keys = append(keys, string(part))
			}
		}
	}
	return keys
}

// manyKeys is from where on keys are compared by a table.
const manyKeys = 32

// identity appends system and value of an identifier, or a text. Nothing is
// appended when there is no value.
func (r *run) identity(key []byte, v *val, p *keyPart) []byte {
	if p.shape.id == 0 {
		text := r.text(v)
		if text == "" {
			return key
		}
		return appendPart(key, text)
	}
	id := v.comp(p.shape.id)
	number := r.text(&id)
	if number == "" && p.shape.id == 10 { // XON before 2.5 has the number in component 3
		id = v.comp(3)
		number = r.text(&id)
	}
	if number == "" {
		return key
	}
	var space, universal, sort string
	auth := v.comp(p.shape.authority)
	if p.shape.flat {
		two, three := v.comp(p.shape.authority+1), v.comp(p.shape.authority+2)
		space, universal, sort = r.text(&auth), r.text(&two), r.text(&three)
	} else {
		one, two, three := auth.comp(1), auth.comp(2), auth.comp(3)
		space, universal, sort = r.text(&one), r.text(&two), r.text(&three)
	}
	system := r.authority(space, universal, sort)
	if system == "" {
		kind := ""
		if p.shape.kind > 0 {
			k := v.comp(p.shape.kind)
			kind = k.String()
		}
		system = string(appendPart(appendPart(appendPart([]byte("sender:"), r.senderScope()), p.role), kind))
	}
	return appendPart(appendPart(key, system), number)
}

// authority is the system of an assigning authority: a universal id as a URI,
// else the name it has with its users.
func (r *run) authority(space, universal, sort string) string {
	if uri := authorityURI(r.prog.systems, space, universal, sort); uri != "" {
		return uri
	}
	if space != "" {
		return "namespace:" + space
	}
	return ""
}

// senderScope names the sender of a number without an authority: MSH-4, else
// MSH-3.
func (r *run) senderScope() string {
	msh := r.doc.Segment(0)
	for _, field := range [...]int{4, 3} {
		v := val{level: fieldLevel, v: msh.Field(field)}
		one, two := v.comp(1), v.comp(2)
		if text := one.String() + "\x00" + two.String(); len(text) > 1 {
			return text
		}
	}
	return ""
}

// placeKey names a resource that nothing names: by the message and its place.
func (r *run) placeKey(in *instance) string {
	key := appendPart([]byte(nil), in.resource)
	key = appendPart(key, "message:"+r.senderScope())
	key = appendPart(key, r.header.Control)
	key = appendPart(key, in.name)
	return string(appendPart(key, strconv.Itoa(in.ordinal)))
}

// urnOf gives a key a form that references may carry: a UUID of version 8
// (RFC 9562, 5.8) of its SHA-256.
func urnOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	var b [45]byte
	copy(b[:], "urn:uuid:")
	hex.Encode(b[9:17], sum[0:4])
	b[17] = '-'
	hex.Encode(b[18:22], sum[4:6])
	b[22] = '-'
	hex.Encode(b[23:27], sum[6:8])
	b[27] = '-'
	hex.Encode(b[28:32], sum[8:10])
	b[32] = '-'
	hex.Encode(b[33:45], sum[10:16])
	return string(b[:])
}

// keys compiles the candidates of a map.
func (c *compiler) keys(d *definition, resource string) []candidate {
	c.looking = true
	defer func() { c.looking = false }()
	var out []candidate
	for _, def := range d.keys {
		sources := def.sources
		cand := candidate{otherwise: def.otherwise}
		first := sources[0]
		if len(sources) == 1 && first.kind == fromTemplate {
			if !c.keyTemplate(&cand, first) {
				continue
			}
		} else {
			cand.identifier = true
			cand.parts = []keyPart{c.keyPath(&cand, sources)}
			if resource == "Patient" && first.kind == fromPath {
				c.patientKey(&cand, first)
			}
		}
		out = append(out, cand)
	}
	return out
}

func (c *compiler) patientKey(cand *candidate, s source) {
	cur, err := parseCursor(s.text)
	if err != nil || cur.segment == "" {
		return
	}
	if cur.segment == "PID" && cur.field == 2 {
		cand.otherwise = true
		return
	}
	if cur.rep > 0 || cur.byComp > 0 {
		all := cursor{segment: cur.segment, field: cur.field}
		cand.all = c.absolute(&all)
	}
}

// keyTemplate compiles text {A}|{B?}: the parts are the places, the text
// between them is only for people. It reports false for a candidate that needs
// a resource this message map never makes.
func (c *compiler) keyTemplate(cand *candidate, s source) bool {
	for _, piece := range c.template(s.text, s.at) {
		if piece.place == "" {
			continue
		}
		if piece.place == "ordinal" {
			cand.ordinal = true
			continue
		}
		if making, ok := c.makingNumber(piece.place); ok {
			cand.parts = append(cand.parts, keyPart{making: making})
			continue
		}
		if c.lib.makes(piece.place) {
			return false
		}
		var sources []source
		for _, cutPiece := range cutSentence(piece.place) {
			sources = append(sources, parseSource(cutPiece.text, s.at, c.probs))
		}
		part := c.keyPath(cand, sources)
		part.optional = piece.optional
		cand.parts = append(cand.parts, part)
	}
	if len(cand.parts) == 0 {
		c.wrong(s.at, "the key %q names nothing of the message", s.text)
	}
	return true
}

// keyPath compiles one place of a key.
func (c *compiler) keyPath(cand *candidate, sources []source) keyPart {
	part := keyPart{making: -1, get: c.sources(sources)}
	if sources[0].kind != fromPath {
		return part
	}
	cur, err := parseCursor(sources[0].text)
	if err != nil {
		return part
	}
	if cur.segment == "MSH" && (cur.field == 10 || cur.field == 7) {
		cand.fallback = true
	}
	part.role = role(&cur)
	dataType := c.relativeType
	if cur.segment != "" {
		dataType = c.fieldType(cur.segment, cur.field)
	}
	shape, ok := shapes(dataType)
	switch {
	case !ok:
	case len(cur.parts) == 0:
		part.shape = shape
	case len(cur.parts) == 1 && cur.parts[0] == shape.id && len(sources) == 1:
		// The number alone still counts within its authority.
		whole := sources[0]
		whole.text = strings.TrimSuffix(whole.text, "."+strconv.Itoa(shape.id))
		if whole.text == "" {
			whole.text = "."
		}
		part.get, part.shape = c.sources([]source{whole}), shape
	}
	return part
}

// role names the set of numbers an identifier without authority is of: that of
// placers, of fillers, of patients.
func role(c *cursor) string {
	name := c.segment + "-" + strconv.Itoa(c.field)
	switch name {
	case "PID-2", "PID-4", "MRG-1":
		return "PID-3"
	case "ORC-2":
		return "OBR-2"
	case "ORC-3":
		return "OBR-3"
	}
	if c.segment == "" {
		return ""
	}
	return strings.Clone(name)
}
