package relational

import (
	"time"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// A WriteSet are the effects of one message, or of one API transaction.
type WriteSet struct {
	Writes []store.Write
	// Message is messages.seq of the message they come from; 0 for the API.
	Message int64
	Now     time.Time
	Actor   string
	// Extractor is the number of what made the index rows (Extractor).
	Extractor int64

	rows []rows
}

// rows are what one write puts into the tables, as far as it is known before
// the transaction: whoever writes does nothing but write. Index rows lack their
// last columns, rid and comp.
type rows struct {
	codec                               int
	content                             []byte
	keys, drops                         [][]byte
	tokens, dates, texts, refs, numbers [][]any
}

// SetOf prepares writes outside of the transaction.
func SetOf(writes []store.Write, message int64, now time.Time, actor string, extractor int64) WriteSet {
	set := WriteSet{Writes: writes, Message: message, Now: now, Actor: actor, Extractor: extractor, rows: make([]rows, len(writes))}
	for i := range writes {
		if !writes[i].Delete {
			set.rows[i] = rowsOf(&writes[i])
		}
	}
	return set
}

func rowsOf(w *store.Write) rows {
	var r rows
	r.codec, r.content = pack(w.Content)
	for _, k := range w.Keys {
		r.keys = append(r.keys, keyHash(k))
	}
	for _, k := range w.Drops {
		r.drops = append(r.drops, keyHash(k))
	}
	x := &w.Index
	for _, v := range x.Tokens {
		r.tokens = append(r.tokens, []any{int(v.Param), []byte(limit(v.Value)), systemID(v.System)})
	}
	for _, v := range x.Dates {
		r.dates = append(r.dates, []any{int(v.Param), v.Lo, v.Hi})
	}
	for _, v := range x.Strings {
		r.texts = append(r.texts, []any{int(v.Param), noNUL(v.Norm), []byte(limit(v.Exact))})
	}
	for _, v := range x.Refs {
		r.refs = append(r.refs, []any{int(v.Param), definitions.Number(v.Type), noNUL(limit(v.ID))})
	}
	for _, v := range x.Numbers {
		r.numbers = append(r.numbers, []any{int(v.Param), systemID(v.System), noNUL(limit(v.Unit)), v.Value})
	}
	return r
}
