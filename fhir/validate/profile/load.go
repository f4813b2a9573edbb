package profile

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Bounds of what is loaded.
const (
	maxFile  = 64 << 20
	maxTotal = 1 << 30
)

// Load reads the profiles, value sets and code systems of a place: a folder of
// JSON files, with the folders in it, or a package (.tgz) as packages.fhir.org
// has them. Other resources are passed over. The error names every profile that
// cannot be used.
func Load(place string) (*Set, error) {
	s := empty()
	s.core = ofR4()
	info, err := os.Stat(place)
	switch {
	case err != nil:
		return nil, fmt.Errorf("profiles: %w", err)
	case info.IsDir():
		err = s.folder(place)
	default:
		var f *os.File
		if f, err = os.Open(place); err == nil {
			err = s.archive(place, f)
			_ = f.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	var problems []error
	for _, url := range sorted(s.profiles) {
		for _, p := range s.make(s.profiles[url], 0) {
			problems = append(problems, errors.New("profiles: "+p))
		}
	}
	s.expand()
	return s, errors.Join(problems...)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (s *Set) folder(place string) error {
	root, err := os.OpenRoot(place)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	total := int64(0)
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		packed := strings.HasSuffix(path, ".tgz")
		if err != nil || d.IsDir() || (!packed && !strings.HasSuffix(path, ".json")) {
			return err
		}
		f, err := root.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if packed {
			return s.archive(path, f)
		}
		return s.file(path, f, &total)
	})
}

func (s *Set) archive(path string, f io.Reader) error {
	plain, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	total := int64(0)
	for files := tar.NewReader(plain); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if h.Typeflag == tar.TypeReg && strings.HasSuffix(h.Name, ".json") {
			if err := s.file(path+":"+h.Name, files, &total); err != nil {
				return err
			}
		}
	}
}

// file reads one resource, or a Bundle of them.
func (s *Set) file(name string, r io.Reader, total *int64) error {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if *total += int64(len(data)); len(data) > maxFile || *total > maxTotal {
		return fmt.Errorf("%s: is larger than is read: %d MB a file, %d MB in all", name, maxFile>>20, maxTotal>>20)
	}
	n, err := fhir.Parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if text(n, "resourceType") != "Bundle" {
		return s.take(name, n)
	}
	if list := n.Get("entry"); list != nil {
		for _, e := range list.Items {
			if err := s.take(name, e.Get("resource")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Set) take(name string, n *fhir.Node) error {
	url := text(n, "url")
	s.terms.Add(n)
	switch text(n, "resourceType") {
	case "ValueSet":
		s.values[url] = n
	case "CodeSystem":
		s.systems[url] = n
	case "StructureDefinition":
		kind, word := text(n, "kind"), text(n, "type")
		if text(n, "derivation") != "constraint" || (kind != "resource" && kind != "complex-type") || url == "" {
			return nil // a type of R4 itself, a logical model
		}
		t, ok := definitions.Lookup(word[strings.LastIndexByte(word, '/')+1:])
		if !ok {
			return fmt.Errorf("%s: the type of the profile is none of R4", name)
		}
		base, _, _ := strings.Cut(text(n, "baseDefinition"), "|")
		s.profiles[url] = &profile{url: url, base: base, typ: t, source: n, contexts: contexts(n)}
	}
	return nil
}

// contexts lists where an extension may stand; none where it is said in a way
// that is not looked at.
func contexts(n *fhir.Node) []string {
	list := n.Get("context")
	if list == nil || text(n, "type") != "Extension" {
		return nil
	}
	var out []string
	for _, c := range list.Items {
		if text(c, "type") != "element" {
			return nil
		}
		out = append(out, text(c, "expression"))
	}
	return out
}

// coreKeys are the keys of the invariants of R4, which are held already.
var coreKeys = sync.OnceValue(func() map[string]bool {
	keys := map[string]bool{}
	for _, list := range definitions.AllInvariants() {
		for _, v := range list {
			keys[v.Key] = true
		}
	}
	return keys
})

func text(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil && v.Kind == fhir.String {
		return v.Text
	}
	return ""
}

func number(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil && v.Kind == fhir.Number {
		return v.Text
	}
	return ""
}

func texts(n *fhir.Node, name string) []string {
	list := n.Get(name)
	if list == nil {
		return nil
	}
	var out []string
	for _, v := range list.Items {
		if v.Kind == fhir.String {
			out = append(out, v.Text)
		}
	}
	return out
}
