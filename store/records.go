package store

import (
	"context"
	"io"
	"time"

	"github.com/plexus-health/plexus/fhir"
)

// Records is the FHIR store: resources with versions, their search index and
// their business identities.
type Records interface {
	// Read returns the current version. ErrNotFound, ErrDeleted (with the
	// version that deleted it in the Resource).
	Read(ctx context.Context, typ, id string) (Resource, error)
	// ReadVersion returns one version.
	ReadVersion(ctx context.Context, typ, id string, version int) (Resource, error)
	// History returns versions of a resource, of a type or of all, the newest
	// first. ErrNotFound when the resource was never there.
	History(ctx context.Context, q HistoryQuery) (HistoryPage, error)
	// Changes returns what was written behind a position, the oldest first: who
	// goes on from the last one it was given misses nothing.
	Changes(ctx context.Context, after int64, limit int) ([]Change, error)
	// Identify returns, for every key that is owned, the resource that owns
	// it, with its content; merged ones give the survivor.
	Identify(ctx context.Context, keys []Identity) (map[Identity]Resource, error)
	// Search returns the resources that match q. ErrCostly when it has too many
	// values.
	Search(ctx context.Context, q Query) (Page, error)
	// More reports whether there are more resources of a type than so many; "*"
	// for any type.
	More(ctx context.Context, typ string, than int) (bool, error)
	// Write is a transaction of the API: all of them or none, synced when it
	// returns. ErrConflict when an expectation did not hold. With by.Key not
	// empty the outcome is kept under it in the same transaction, also when
	// there is nothing to write; ErrRepeated or ErrKeyUsed when there is one
	// already.
	Write(ctx context.Context, w []Write, by Author) ([]Resource, error)
	// Outcome is what a write has kept under by.Key. ErrNotFound when the key
	// was not used yet, ErrKeyUsed when it was for a request of another hash.
	Outcome(ctx context.Context, by Author) (string, error)
	// Part writes part n, from 0, of the bytes of a resource, at most MaxChunk
	// of them, before Write refers to it (Write.Parts). Parts that no version
	// refers to are deleted after an hour.
	Part(ctx context.Context, id string, n int, data []byte) error
	// Data reads the bytes of a version (Resource.Parts), a part at a time.
	Data(ctx context.Context, parts string) io.Reader
	// Unindexed is how many resources a search may miss, because their index
	// rows are those of an older version of the engine: they are made anew in
	// the background.
	Unindexed() int64
	// Secret is the key of ids made from identities (HMAC-SHA256), made once
	// when the store is created.
	Secret() []byte
}

// An Author is who writes through the API.
type Author struct {
	Actor string
	// Key is the idempotency key, or empty.
	Key string
	// Hash is the SHA-256 of the request that came under Key.
	Hash [32]byte
	// Outcome makes what is kept under Key from what was written, inside the
	// transaction and again when that is tried again. Nil: nothing is kept but
	// that the key was used.
	Outcome func(written []Resource) string
}

// An Identity is a business identifier of a resource type in canonical form.
type Identity struct {
	Type string
	Key  string
}

// A Resource is one version of a resource.
type Resource struct {
	Type    string
	ID      string
	Version int
	Updated time.Time
	Deleted bool
	// Content is the JSON without meta.versionId and meta.lastUpdated; the
	// reader adds them (fhir.Stamped). Nil when deleted.
	Content []byte
	// Hash is the SHA-256 of Content.
	Hash [32]byte
	// SourceAt is the source time of the message that wrote it; zero when none.
	SourceAt time.Time
	// Parts is the id of the bytes that belong to it and are not in Content
	// (a large Binary), or empty; Size is their number.
	Parts string
	Size  int64
	// Contained are the places of the contained resources that Query.Name asks
	// for.
	Contained []int
}

// A Write is one resource's new state, prepared outside of the transaction:
// nothing is parsed, mapped or hashed inside it.
type Write struct {
	Type string
	ID   string
	// Expect is the version the caller has read: 0 means that there is no
	// such resource (or only a deleted one of version Expect, when Expect is
	// above 0).
	Expect int
	// Delete deletes; Content and Index are empty then.
	Delete  bool
	Content []byte
	Hash    [32]byte
	Index   fhir.Index
	// Keys are the identities this resource owns from now on. One that
	// another resource owns is ErrIdentity, unless that one is deleted: it keeps
	// its identities until they are claimed.
	Keys []string
	// Drops are identities that it owns no more.
	Drops    []string
	SourceAt time.Time
	// Parts and Size are those of the Resource.
	Parts string
	Size  int64
	// Starts are messages that this version starts; they are recorded with it
	// if it changes anything. The store fills them in by its Trigger.
	Starts []Intake
}

// Shape is the shape of a search parameter's index rows.
type Shape uint8

// The shapes.
const (
	ShapeToken Shape = iota
	ShapeDate
	ShapeString
	ShapeRef
	ShapeNumber
	ShapeID          // _id
	ShapeLastUpdated // _lastUpdated
	ShapeNear        // a place on the sphere
)

// A Query is a search of one resource type.
type Query struct {
	// Type is the resource type; "*" for any.
	Type string
	// Where are joined by AND.
	Where []Clause
	Sort  []SortKey
	// Limit is the number of resources of a page; 0 counts only.
	Limit int
	// After is the cursor of the page before, as Page.Next gave it.
	After string
	// Total asks for an accurate count.
	Total bool
	// Bytes bounds the contents that are read along: those beyond it are nil.
	// 0 means no bound.
	Bytes int
	// Name, when there is one, asks which contained resources of each resource of
	// the page match it (Resource.Contained).
	Name *Query
}

// A Clause is one parameter with its alternatives.
type Clause struct {
	Param fhir.Param
	// Also are further parameters whose rows count as well.
	Also  []fhir.Param
	Shape Shape
	// Not: no row matches (:not).
	Not bool
	// Missing asks for resources without (true) or with (false) any row.
	Missing *bool
	// Any are joined by OR.
	Any []Match
	// Chain, for ShapeRef: the reference points to a resource that matches
	// one of these (patient.identifier=…), one for each target type.
	Chain []Query
	// Has: a resource of type Has.Type that matches it points here by
	// Param, a reference parameter of Has.Type (_has).
	Has *Query
	// Or, when there are any, stands for all of the above but Not: one of the
	// lists holds whole.
	Or [][]Clause
	// Together, when there are any, stands for all of the above but Not: one
	// element of the resource has a row for each (search.Part).
	Together []Clause
	// Contained, when there is one, stands for all of the above but Not: the
	// resource contains one that matches it (search.Contained). Chains look at
	// contained resources by themselves.
	Contained *Query
	// Either, when there are any, stands for all of the above: one of the
	// queries finds the resource.
	Either []Query
}

// A Match is one value of a parameter.
type Match struct {
	// Token: System nil means any, "" none. Value nil means any of System.
	System *string
	Value  *string
	// Below takes what begins with Value and goes on with a slash or a bar too.
	Below bool
	// Date: microseconds UTC of the searched period, and number prefix.
	Prefix string // "", eq ne lt gt le ge sa eb
	Lo, Hi int64
	// String: Text folded (prefix match), or as written with Exact, or a part
	// with Contains.
	Text     string
	Exact    bool
	Contains bool
	// Ref: Type and ID as in fhir.RefRow; Type "*" for an id of any type, no ID
	// for any of Type. For ShapeID Type is that of the resource, if given.
	Type, ID string
	// Number: the interval [Low, High) as decimals, or with another prefix than
	// eq and ne both the number itself; System and Unit when given.
	Low, High string
	Unit      string
	// Near: a point of the sphere of radius 1 and the square of the longest
	// chord to it (search.Place).
	Point [3]float64
	Chord float64
}

// A SortKey is one key of _sort.
type SortKey struct {
	Param fhir.Param
	Shape Shape // ShapeDate, ShapeString, ShapeToken, ShapeNumber, ShapeLastUpdated or ShapeID
	Desc  bool
}

// A Page is one page of a search.
type Page struct {
	Resources []Resource
	// Next is the cursor of the next page, or empty.
	Next string
	// Total is the number of all matches; -1 when it was not asked for.
	Total int
}
