// Package patch applies a JSON Patch (RFC 6902), a FHIRPath Patch (R4) or an XML
// Patch (RFC 5261) to a tree of package fhir, so that what it leaves alone stays
// as it was written.
package patch

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
)

// Bounds of a patch.
const (
	mostOperations = 1000
	maxDepth       = 64 // that of fhir.Parse
	maxItems       = 100_000
	maxSize        = 16 << 20 // of all that is added, in bytes of JSON
)

// An Error says which operation is wrong. It holds nothing of its values.
type Error struct {
	// Operation is its number, from 0; -1 when the patch itself is wrong.
	Operation int
	// Failed is true when the operation is a good one but does not fit the
	// document: its place is not there, or a test failed.
	Failed bool
	Text   string
}

// Error gives place and reason.
func (e *Error) Error() string {
	if e.Operation < 0 {
		return "the patch " + e.Text
	}
	return "operation " + strconv.Itoa(e.Operation) + " " + e.Text
}

// An operation is one of a patch as it was read.
type operation struct {
	name       string
	path, from []string
	value      *fhir.Node
}

// Apply returns the document with all operations of the patch done to it, or an
// *Error, or that of ctx. Neither of the two trees is changed.
func Apply(ctx context.Context, document, patch *fhir.Node) (*fhir.Node, error) {
	operations, err := read(patch)
	if err != nil {
		return nil, err
	}
	s := &state{root: document.Clone(), left: maxSize, work: workOf(ctx)}
	for i, o := range operations {
		if err := s.do(o); err != nil || s.work.err != nil {
			return nil, s.work.because(i, err)
		}
	}
	return s.root, nil
}

// read takes the operations apart (RFC 6902, 3 and 4). Members that are not
// defined are ignored.
func read(patch *fhir.Node) ([]operation, error) {
	if patch == nil || patch.Kind != fhir.Array {
		return nil, &Error{Operation: -1, Text: "is no list of operations"}
	}
	if len(patch.Items) > mostOperations {
		return nil, &Error{Operation: -1, Text: "has more than 1000 operations"}
	}
	out := make([]operation, 0, len(patch.Items))
	for i, item := range patch.Items {
		o, err := readOne(item)
		if err != nil {
			return nil, &Error{Operation: i, Text: err.Error()}
		}
		out = append(out, o)
	}
	return out, nil
}

func readOne(item *fhir.Node) (o operation, err error) {
	if item.Kind != fhir.Object {
		return o, errors.New("is no object")
	}
	name := item.Get("op")
	if name == nil || name.Kind != fhir.String {
		return o, errors.New("has no op")
	}
	o.name, o.value = name.Text, item.Get("value")
	switch o.name {
	case "add", "replace", "test":
		if o.value == nil {
			return o, errors.New("has no value")
		}
	case "move", "copy":
		if o.from, err = pointer(item.Get("from"), "from"); err != nil {
			return o, err
		}
	case "remove":
	default:
		return o, errors.New("is not add, remove, replace, move, copy or test")
	}
	o.path, err = pointer(item.Get("path"), "path")
	return o, err
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// pointer reads a JSON Pointer (RFC 6901).
func pointer(n *fhir.Node, name string) ([]string, error) {
	if n == nil || n.Kind != fhir.String {
		return nil, errors.New("has no " + name)
	}
	if n.Text == "" {
		return nil, nil
	}
	if n.Text[0] != '/' {
		return nil, errors.New("has a " + name + " that does not begin with /")
	}
	parts := strings.Split(n.Text[1:], "/")
	for i, p := range parts {
		for at := 0; at < len(p); at++ {
			if p[at] == '~' && (at+1 == len(p) || (p[at+1] != '0' && p[at+1] != '1')) {
				return nil, errors.New("has a " + name + " with a ~ that is followed by neither 0 nor 1")
			}
		}
		parts[i] = unescape.Replace(p)
	}
	return parts, nil
}

// Errors of operations.
var (
	errNowhere = errors.New("points to a place that is not there")
	errDeep    = errors.New("makes a document that is nested more than 64 deep")
	errLarge   = errors.New("makes a document that is too large")
	errTest    = errors.New("is a test that failed")
	errInside  = errors.New("moves a value into itself")
)

// A state is the document on its way.
type state struct {
	root *fhir.Node
	left int // bytes that may still be added
	work *work
}

func (s *state) do(o operation) error {
	if !s.work.take(1) {
		return s.work.err
	}
	switch o.name {
	case "add":
		return s.add(o.path, o.value)
	case "remove":
		_, err := s.remove(o.path)
		return err
	case "replace":
		return s.replace(o.path, o.value)
	case "copy":
		v := s.find(o.from)
		if v == nil {
			return errNowhere
		}
		return s.add(o.path, v)
	case "move":
		return s.move(o.from, o.path)
	}
	v := s.find(o.path)
	if v == nil {
		return errNowhere
	}
	if !s.work.same(v, o.value) {
		return errTest
	}
	return nil
}

// find returns the value at a place, nil when there is none.
func (s *state) find(path []string) *fhir.Node {
	n := s.root
	for _, token := range path {
		switch {
		case n == nil:
			return nil
		case n.Kind == fhir.Array:
			i, ok := index(token, len(n.Items)-1)
			if !ok {
				return nil
			}
			n = n.Items[i]
		case n.Kind == fhir.Object:
			n = n.Get(token)
		default:
			return nil
		}
	}
	return n
}

// index reads the index of an item up to last (RFC 6901, 4).
func index(token string, last int) (int, bool) {
	if token == "" || len(token) > 9 || (token[0] == '0' && len(token) > 1) {
		return 0, false
	}
	i := 0
	for _, c := range []byte(token) {
		if c < '0' || c > '9' {
			return 0, false
		}
		i = i*10 + int(c-'0')
	}
	return i, i <= last
}

// split finds the value around a place, and the last step to it.
func (s *state) split(path []string) (*fhir.Node, string) {
	if len(path) == 0 {
		return nil, ""
	}
	return s.find(path[:len(path)-1]), path[len(path)-1]
}

// fits holds a value that is to stand at path against the bounds.
func (s *state) fits(path []string, v *fhir.Node) error {
	if err := s.nests(path, v); err != nil {
		return err
	}
	bytes := size(v)
	if s.left -= bytes; s.left < 0 {
		return errLarge
	}
	s.work.take(bytes / 16)
	return nil
}

// nests holds a value that is to stand at path against the depth of a document.
func (s *state) nests(path []string, v *fhir.Node) error {
	if len(path) > maxDepth || !s.work.shallow(v, maxDepth-len(path)) {
		return errDeep
	}
	return nil
}

// shallow reports whether a value nests no more levels than left.
func (w *work) shallow(n *fhir.Node, left int) bool {
	if left < 0 || !w.take(1) {
		return false
	}
	for i := range n.Members {
		if !w.shallow(n.Members[i].Value, left-1) {
			return false
		}
	}
	for _, item := range n.Items {
		if !w.shallow(item, left-1) {
			return false
		}
	}
	return true
}

// size is about what a value takes in memory and as JSON.
func size(n *fhir.Node) int {
	sum := 16 + len(n.Text)
	for i := range n.Members {
		sum += 16 + len(n.Members[i].Name) + size(n.Members[i].Value)
	}
	for _, item := range n.Items {
		sum += size(item)
	}
	return sum
}

// add puts a copy of a value at a place (RFC 6902, 4.1).
func (s *state) add(path []string, v *fhir.Node) error {
	if err := s.fits(path, v); err != nil {
		return err
	}
	return s.put(path, v.Clone())
}

func (s *state) put(path []string, v *fhir.Node) error {
	if len(path) == 0 {
		s.root = v
		return nil
	}
	around, last := s.split(path)
	switch {
	case around == nil:
		return errNowhere
	case around.Kind == fhir.Object:
		if len(around.Members) >= maxItems && around.Get(last) == nil {
			return errLarge
		}
		around.Set(last, v)
		return nil
	case around.Kind != fhir.Array:
		return errNowhere
	}
	i, ok := len(around.Items), last == "-"
	if !ok {
		i, ok = index(last, len(around.Items))
	}
	if !ok {
		return errNowhere
	}
	if len(around.Items) >= maxItems {
		return errLarge
	}
	s.work.take(len(around.Items) / 64)
	around.Items = append(around.Items, nil)
	copy(around.Items[i+1:], around.Items[i:])
	around.Items[i] = v
	return nil
}

// remove takes the value of a place away (RFC 6902, 4.2). What would be left of
// the whole document is null.
func (s *state) remove(path []string) (*fhir.Node, error) {
	v := s.find(path)
	if v == nil {
		return nil, errNowhere
	}
	around, last := s.split(path)
	switch {
	case around == nil:
		s.root = &fhir.Node{}
	case around.Kind == fhir.Object:
		around.Delete(last)
	default:
		i, _ := index(last, len(around.Items)-1) // it was found
		around.Items = append(around.Items[:i], around.Items[i+1:]...)
	}
	return v, nil
}

// replace puts a value where there is one; the member keeps its place.
func (s *state) replace(path []string, v *fhir.Node) error {
	if s.find(path) == nil {
		return errNowhere
	}
	if err := s.fits(path, v); err != nil {
		return err
	}
	around, last := s.split(path)
	switch {
	case around == nil:
		s.root = v.Clone()
	case around.Kind == fhir.Object:
		around.Set(last, v.Clone())
	default:
		i, _ := index(last, len(around.Items)-1) // it was found
		around.Items[i] = v.Clone()
	}
	return nil
}

// move takes a value away and puts it elsewhere (RFC 6902, 4.4).
func (s *state) move(from, path []string) error {
	v := s.find(from)
	if v == nil {
		return errNowhere
	}
	if len(path) >= len(from) {
		within := true
		for i := range from {
			within = within && from[i] == path[i]
		}
		if within && len(path) == len(from) {
			return nil // to where it is
		}
		if within {
			return errInside
		}
	}
	if err := s.nests(path, v); err != nil { // nothing is added
		return err
	}
	if _, err := s.remove(from); err != nil {
		return err
	}
	return s.put(path, v)
}
