package relational

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// codecs of resource.content.
const (
	codecJSON = 0
	codecZstd = 1
	packAbove = 2048 // bytes: below, the index pages cost more than the text
)

var packer = func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(4))
	if err != nil {
		panic(err) // options that are always right
	}
	return e
}()

var unpacker = func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(4), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		panic(err) // options that are always right
	}
	return d
}()

func pack(content []byte) (int, []byte) {
	if len(content) <= packAbove {
		return codecJSON, content
	}
	return codecZstd, packer.EncodeAll(content, make([]byte, 0, len(content)/3))
}

func unpack(codec int, content []byte) ([]byte, error) {
	if codec == codecJSON {
		return content, nil
	}
	out, err := unpacker.DecodeAll(content, nil)
	if err != nil {
		return nil, errors.New("stored content cannot be unpacked: the row is damaged")
	}
	return out, nil
}

// systemID is the number of a code system in the index tables: the beginning
// of its hash, 0 for none. No dictionary has to be kept in step.
func systemID(uri string) int64 {
	if uri == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(uri))
	return int64(binary.BigEndian.Uint64(sum[:8])&math.MaxInt64 | 1)
}

func keyHash(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// A head is one write on its way into the tables.
type head struct {
	w       *store.Write
	rows    *rows
	set     *WriteSet
	rtype   int
	rid     int64
	comp    int64
	version int
	skip    bool  // nothing about the content changed
	updated int64 // of the version that is current now
}

// ApplyWrites writes several sets in the transaction it is given: all of them,
// or an error (store.ErrConflict when an expectation did not hold) after which
// the caller rolls back. The statements carry many rows each, so that several
// messages share them. A resource may stand in one call once only.
func ApplyWrites(ctx context.Context, tx Tx, sets []WriteSet, led *Ledger) error {
	heads, err := headsOf(sets)
	if err != nil {
		return err
	}
	_, err = applyHeads(ctx, tx, heads, led)
	return err
}

// Triggered fills in which messages the writes start.
func Triggered(t store.Trigger, writes []store.Write, via string) {
	if t == nil {
		return
	}
	for i := range writes {
		writes[i].Starts = t.Starts(&writes[i], writes[i].Expect+1, via)
	}
}

// Started tells after the commit which channels have new messages.
func Started(t store.Trigger, writes []store.Write, intakes []store.Intake) {
	if t == nil {
		return
	}
	told := map[string]bool{}
	tell := func(list []store.Intake) {
		for i := range list {
			if c := list[i].Message.Channel; !told[c] {
				told[c] = true
				t.Started(c)
			}
		}
	}
	tell(intakes)
	for i := range writes {
		tell(writes[i].Starts)
	}
}

// startMessages records what the writes start, in the order they were written.
func startMessages(ctx context.Context, tx Tx, heads []*head, led *Ledger) error {
	for _, h := range heads {
		if h.skip || len(h.w.Starts) == 0 {
			continue
		}
		if err := insertIntakes(ctx, tx, h.w.Starts, h.set.Now, led); err != nil {
			return err
		}
	}
	return nil
}

func headsOf(sets []WriteSet) ([]*head, error) {
	var heads []*head
	seen := map[string]bool{}
	for i := range sets {
		set := &sets[i]
		for j := range set.Writes {
			w := &set.Writes[j]
			h := &head{w: w, rows: &set.rows[j], set: set, rtype: definitions.Number(w.Type)}
			if h.rtype == 0 {
				return nil, fmt.Errorf("%s is no resource type", w.Type)
			}
			if place := w.Type + "/" + w.ID; seen[place] {
				return nil, store.ErrConflict // of two messages in one group: each by itself
			} else {
				seen[place] = true
			}
			heads = append(heads, h)
		}
	}
	return heads, nil
}

// applyHeads writes heads with all that belongs to them; also gives further rows
// once their places are known.
func applyHeads(ctx context.Context, tx Tx, heads []*head, led *Ledger, also ...func([]*head) insertion) ([]*head, error) {
	patients := map[string]int64{}
	var others []*head
	var first []*head
	for _, h := range heads {
		if h.w.Type == "Patient" {
			first = append(first, h)
		} else {
			others = append(others, h)
		}
	}
	if err := writeHeads(ctx, tx, first); err != nil {
		return nil, err
	}
	for _, h := range first {
		patients[h.w.ID] = h.rid
		h.comp = h.rid
	}
	if err := compartments(ctx, tx, others, patients); err != nil {
		return nil, err
	}
	if err := writeHeads(ctx, tx, others); err != nil {
		return nil, err
	}
	if tx.Dialect() == SQLite { // see createMany
		if err := ownComp(ctx, tx, first); err != nil {
			return nil, err
		}
	}
	if err := writeKeys(ctx, tx, heads); err != nil {
		return nil, err
	}
	rows := append(indexOf(heads), logOf(heads))
	for _, f := range also {
		rows = append(rows, f(heads))
	}
	if err := insertAll(ctx, tx, rows...); err != nil {
		return nil, err
	}
	return heads, startMessages(ctx, tx, heads, led)
}

// compartments finds the patients that resources belong to.
func compartments(ctx context.Context, tx Tx, heads []*head, known map[string]int64) error {
	var missing []string
	for _, h := range heads {
		id := h.w.Index.Patient
		if _, ok := known[id]; id != "" && !ok {
			known[id] = 0
			missing = append(missing, id)
		}
	}
	err := inList(missing, func(marks string, args []any) error {
		rows, err := tx.Query(ctx, `SELECT rid, id FROM resource WHERE tenant = 0 AND rtype = ? AND id IN (`+marks+`)`, append([]any{definitions.Number("Patient")}, args...)...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var rid int64
			var id string
			if err := rows.Scan(&rid, &id); err != nil {
				return errors.Join(err, rows.Close())
			}
			known[id] = rid
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	for _, h := range heads {
		h.comp = known[h.w.Index.Patient]
	}
	return err
}

// sizes are how many rows one statement carries: a few, so that prepared
// statements are used again.
var sizes = []int{128, 64, 32, 16, 8, 4, 2, 1}

// inList calls f with lists of marks of a few fixed lengths; the last argument
// fills up.
func inList[T any](values []T, f func(marks string, args []any) error) error {
	for len(values) > 0 {
		n := 1
		for _, s := range []int{1, 8, 32, 128} {
			n = s
			if s >= len(values) {
				break
			}
		}
		args := make([]any, n)
		for i := range n {
			args[i] = values[min(i, len(values)-1)]
		}
		if err := f(strings.TrimSuffix(strings.Repeat("?,", n), ","), args); err != nil {
			return err
		}
		values = values[min(n, len(values)):]
	}
	return nil
}

// insert runs an INSERT of many rows in statements of a few fixed sizes and
// returns how many were inserted.
func insert(ctx context.Context, tx Tx, into string, width int, tail string, args []any) (int64, error) {
	var total int64
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", width), ",") + "),"
	for _, size := range sizes {
		if size*width > 1200 {
			continue
		}
		for len(args) >= size*width {
			n, err := tx.Exec(ctx, into+" VALUES "+strings.TrimSuffix(strings.Repeat(one, size), ",")+tail, args[:size*width]...)
			if err != nil {
				return total, err
			}
			total += n
			args = args[size*width:]
		}
	}
	return total, nil
}

// writeHeads updates resources and inserts the new ones, in one order everywhere:
// writers that meet wait for each other, and not in a circle.
func writeHeads(ctx context.Context, tx Tx, heads []*head) error {
	var fresh []*head
	ordered := slices.Clone(heads)
	slices.SortFunc(ordered, func(a, b *head) int {
		return cmp.Or(cmp.Compare(a.rtype, b.rtype), strings.Compare(a.w.ID, b.w.ID))
	})
	for _, h := range ordered {
		if h.w.Expect > 0 {
			if err := update(ctx, tx, h); err != nil {
				return err
			}
			continue
		}
		if h.w.Delete {
			return store.ErrNotFound
		}
		fresh = append(fresh, h)
	}
	return create(ctx, tx, fresh)
}

const headWidth = 12 // arguments of insertHead

const (
	mostHeads   = 512 // of one statement on PostgreSQL
	headColumns = `rtype, id, version, last_updated, comp, codec, body_hash, source_at, indexed, parts, size, content`
	insertHead  = `INSERT INTO resource (` + headColumns + `)`
)

var headTypes = strings.Fields(`bigint text bigint bigint bigint bigint bytea bigint bigint text bigint bytea`)

// createMany inserts any number of heads on PostgreSQL. A patient is a member of
// its own compartment from the first, so that its row is written once.
var createMany = `INSERT INTO resource (rid, ` + headColumns + `) OVERRIDING SYSTEM VALUE
SELECT rid, rtype, id, version, last_updated, CASE WHEN rtype = ` + strconv.Itoa(definitions.Number("Patient")) + ` THEN rid ELSE comp END, codec, body_hash, source_at, indexed, parts, size, content
FROM (SELECT nextval('resource_rid_seq') AS rid, h.* FROM ` + unnested(headTypes) + ` AS h(` + headColumns + `)) h`

// create inserts heads; one that stands there already is a conflict.
func create(ctx context.Context, tx Tx, heads []*head) error {
	byPlace := make(map[string]*head, len(heads))
	for _, h := range heads {
		byPlace[fmt.Sprint(h.rtype, "/", h.w.ID)] = h
	}
	for len(heads) > 0 {
		size := min(mostHeads, len(heads))
		if tx.Dialect() == SQLite {
			size = sizes[slices.IndexFunc(sizes, func(s int) bool { return s <= len(heads) && s*headWidth <= 1200 })]
		}
		args := make([]any, 0, size*headWidth)
		for _, h := range heads[:size] {
			h.version, h.updated = 1, Micros(h.set.Now)
			args = append(args, h.rtype, h.w.ID, 1, h.updated, h.comp, h.rows.codec, h.w.Hash[:], Micros(h.w.SourceAt), h.set.Extractor, h.w.Parts, h.w.Size, h.rows.content)
		}
		text := insertHead + ` VALUES ` + strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?,?,?,?,?,?),", size), ",")
		if tx.Dialect() == PostgreSQL {
			text, args = createMany, columns(args, headTypes)
		}
		rows, err := tx.Query(ctx, text+` ON CONFLICT (tenant, rtype, id) DO NOTHING RETURNING rid, rtype, id`, args...)
		if err != nil {
			return err
		}
		n := 0
		for rows.Next() {
			var rid int64
			var rtype int
			var id string
			if err := rows.Scan(&rid, &rtype, &id); err != nil {
				return errors.Join(err, rows.Close())
			}
			byPlace[fmt.Sprint(rtype, "/", id)].rid = rid
			n++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if n != size {
			return store.ErrConflict
		}
		heads = heads[size:]
	}
	return nil
}

// update replaces the current version of one resource, which goes to the
// history.
func update(ctx context.Context, tx Tx, h *head) error {
	lock := ""
	if tx.Dialect() == PostgreSQL {
		lock = " FOR UPDATE"
	}
	var version, deleted int
	var hash []byte
	var comp int64
	found, err := one(ctx, tx, `SELECT rid, version, last_updated, deleted, body_hash, comp FROM resource WHERE tenant = 0 AND rtype = ? AND id = ?`+lock, []any{h.rtype, h.w.ID}, &h.rid, &version, &h.updated, &deleted, &hash, &comp)
	if err != nil {
		return err
	}
	if !found || version != h.w.Expect {
		return store.ErrConflict
	}
	h.version = version
	if h.w.Type == "Patient" {
		h.comp = h.rid
	}
	if (deleted == 0 && !h.w.Delete && string(hash) == string(h.w.Hash[:])) || (deleted == 1 && h.w.Delete) {
		h.skip = true
		return nil
	}
	past := Statement{`INSERT INTO resource_history (rid, version, last_updated, deleted, codec, key_id, parts, size, content) SELECT rid, version, last_updated, deleted, codec, key_id, parts, size, content FROM resource WHERE rid = ?`, []any{h.rid}}
	h.version++
	h.updated = Micros(h.set.Now)
	codec, content := h.rows.codec, h.rows.content
	gone := 0
	if h.w.Delete {
		codec, content, gone = codecJSON, nil, 1
	}
	now := Statement{
		`UPDATE resource SET version = ?, last_updated = ?, deleted = ?, comp = ?, codec = ?, body_hash = ?, source_at = ?, indexed = ?, parts = ?, size = ?, content = ? WHERE rid = ?`,
		[]any{h.version, h.updated, gone, h.comp, codec, h.w.Hash[:], Micros(h.w.SourceAt), h.set.Extractor, h.w.Parts, h.w.Size, content, h.rid},
	}
	if err := run(ctx, tx, append(unindexed(h.rid), past, now)...); err != nil {
		return fmt.Errorf("version: %w", err)
	}
	return nil
}

// ownComp makes new patients members of their own compartment.
func ownComp(ctx context.Context, tx Tx, heads []*head) error {
	var rids []int64
	for _, h := range heads {
		if h.w.Expect == 0 {
			rids = append(rids, h.rid)
		}
	}
	return inList(rids, func(marks string, args []any) error {
		_, err := tx.Exec(ctx, `UPDATE resource SET comp = rid WHERE rid IN (`+marks+`)`, args...)
		return err
	})
}

type ownedKey struct {
	rtype int
	hash  []byte
	rid   int64
	set   *WriteSet
}

// writeKeys claims identities. One that is another resource's is a conflict,
// unless that one is deleted.
func writeKeys(ctx context.Context, tx Tx, heads []*head) error {
	var args []any
	var claimed []ownedKey
	for _, h := range heads {
		if h.w.Delete {
			continue
		}
		for _, k := range h.rows.drops {
			if _, err := tx.Exec(ctx, `DELETE FROM identity_key WHERE tenant = 0 AND rtype = ? AND k = ? AND rid = ?`, h.rtype, k, h.rid); err != nil {
				return fmt.Errorf("identities: %w", err)
			}
		}
		for _, k := range h.rows.keys {
			o := ownedKey{h.rtype, k, h.rid, h.set}
			claimed = append(claimed, o)
			args = append(args, o.rtype, o.hash, o.rid)
		}
	}
	// In one order everywhere: writers that meet wait, and do not deadlock.
	rows := insertion{`identities`, `INSERT INTO identity_key (rtype, k, rid)`, `bigint bytea bigint`, ` ON CONFLICT DO NOTHING`, sortKeys(args)}
	claim := func() (bool, error) {
		n, err := rows.insert(ctx, tx)
		return n == int64(len(claimed)), err
	}
	all, err := claim()
	if all && err == nil {
		return nil
	}
	freed := false
	if err == nil {
		freed, err = freeKeys(ctx, tx, claimed)
	}
	if freed && err == nil {
		_, err = claim()
	}
	if err != nil {
		return fmt.Errorf("identities: %w", err)
	}
	return verifyKeys(ctx, tx, claimed)
}

func sortKeys(args []any) []any {
	type triple [3]any
	list := make([]triple, 0, len(args)/3)
	for i := 0; i+2 < len(args); i += 3 {
		list = append(list, triple{args[i], args[i+1], args[i+2]})
	}
	slices.SortFunc(list, func(a, b triple) int {
		x, _ := a[1].([]byte)
		y, _ := b[1].([]byte)
		return bytes.Compare(x, y)
	})
	out := args[:0:0]
	for _, t := range list {
		out = append(out, t[0], t[1], t[2])
	}
	return out
}

func verifyKeys(ctx context.Context, tx Tx, claimed []ownedKey) error {
	want := make(map[string]int64, len(claimed))
	var hashes [][]byte
	for _, c := range claimed {
		key := fmt.Sprint(c.rtype, string(c.hash))
		if other, twice := want[key]; twice && other != c.rid {
			return store.ErrIdentity
		}
		want[key] = c.rid
		hashes = append(hashes, c.hash)
	}
	return inList(hashes, func(marks string, args []any) error {
		rows, err := tx.Query(ctx, `SELECT rtype, k, rid, merged_into FROM identity_key WHERE tenant = 0 AND k IN (`+marks+`)`, args...)
		if err != nil {
			return err
		}
		conflict := false
		for rows.Next() {
			var rtype int
			var k []byte
			var rid int64
			var merged *int64
			if err := rows.Scan(&rtype, &k, &rid, &merged); err != nil {
				return errors.Join(err, rows.Close())
			}
			if merged != nil {
				rid = *merged
			}
			if owner, asked := want[fmt.Sprint(rtype, string(k))]; asked && owner != rid {
				conflict = true
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if conflict {
			return store.ErrIdentity
		}
		return nil
	})
}

// logOf are the lines of the change log.
func logOf(heads []*head) insertion {
	var args []any
	for _, h := range heads {
		if h.skip {
			continue
		}
		op := "U"
		switch {
		case h.w.Delete:
			op = "D"
		case h.version == 1:
			op = "C"
		}
		var from any
		if h.set.Message != 0 {
			from = h.set.Message
		}
		args = append(args, Micros(h.set.Now), h.rtype, h.rid, h.version, op, from)
	}
	return insertion{`change log`, `INSERT INTO change_log (at, rtype, rid, version, op, message)`, `bigint bigint bigint bigint text bigint`, "", args}
}
