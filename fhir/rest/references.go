package rest

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// links are the entries of a transaction that others may refer to.
type links struct {
	c      *call
	byFull map[string]*item
	items  []*item
	bySeed map[string][]*item // see made
	// base is what relative references of the entry in hand begin with, or empty
	// (bundle.html#references).
	base string
}

func (c *call) linksOf(items []*item) *links {
	l := &links{c: c, byFull: map[string]*item{}, items: items}
	for _, it := range items {
		if it.full != "" && it.resource != nil {
			l.byFull[it.full] = it
		}
	}
	return l
}

// baseOf is the address of the server that a full URL is of, with a slash, or
// empty.
func baseOf(full string) string {
	if !strings.HasPrefix(full, "http://") && !strings.HasPrefix(full, "https://") {
		return ""
	}
	rest, _, whole := cutLast(full)
	base, typ, found := cutLast(rest)
	if _, known := definitions.Resource(typ); !whole || !found || !known {
		return ""
	}
	return base + "/"
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func isURN(ref string) bool {
	return strings.HasPrefix(ref, "urn:uuid:") || strings.HasPrefix(ref, "urn:oid:")
}

// to is the place on this server that a link to an entry leads to. A version of
// the sender is the one that is there, where that is known before the commit.
func (l *links) to(ref, base string) (string, bool) {
	bare, fragment, fragmented := strings.Cut(ref, "#")
	bare, _, versioned := strings.Cut(bare, "/_history/")
	it := l.byFull[bare]
	if it == nil && base != "" {
		it = l.byFull[base+bare]
	}
	if it == nil || bare == "" {
		return "", false
	}
	out := it.typ + "/" + it.id
	switch {
	case versioned && it.found:
		out += "/_history/" + strconv.Itoa(it.current.Version)
	case versioned && it.current.Version == 0:
		out += "/_history/1"
	}
	if fragmented {
		out += "#" + fragment
	}
	return out, true
}

// resolve replaces what a resource says of entries by the places of their
// resources, and conditional references (Patient?identifier=…) by what they find
// (http.html#trules): references, elements of the types uri, url, oid and uuid,
// and the links of narratives. What names the resource or a system, and what is
// canonical, stays.
func (l *links) resolve(it *item) error {
	l.base = baseOf(it.full)
	return l.node(it.resource, nil, "", it.at+".resource")
}

// node resolves what stands below a node: an element of a type, where it is
// known.
func (l *links) node(n *fhir.Node, t *definitions.Type, path, at string) error {
	for i, one := range n.Items {
		if err := l.node(one, t, path, at+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	if name := text(n, "resourceType"); name != "" {
		if name == "Bundle" {
			return nil // its references are to its own entries
		}
		t, _ = definitions.Resource(name)
		path = ""
	}
	for i := range n.Members {
		if err := l.member(&n.Members[i], t, path, at); err != nil {
			return err
		}
	}
	return nil
}

// uris are the types of what may be a link, and is not canonical.
var uris = []string{"uri", "url", "oid", "uuid"}

func (l *links) member(m *fhir.Member, t *definitions.Type, path, at string) (err error) {
	name, beside := strings.CutPrefix(m.Name, "_")
	typ, below := "", path
	if t != nil {
		if e, one, ok := t.Child(path, name); ok {
			typ, below = one, e.Path
		}
	}
	switch {
	case m.Name == "reference" && m.Value.Kind == fhir.String:
		m.Value, err = l.reference(m.Value, at)
		return err
	case typ == "xhtml" && m.Value.Kind == fhir.String:
		m.Value = fhir.Text(l.narrative(m.Value.Text))
		return nil
	case slices.Contains(uris, typ) && !beside:
		if names := name == "system" || name == "url" && (t.Name == "Extension" || t.Kind == "resource" && path == ""); !names {
			l.uri(m.Value)
		}
		return nil
	case beside:
		t, below = typeOf("Element"), ""
	case t != nil && strings.HasPrefix(typ, "#"):
		below = strings.TrimPrefix(typ, "#"+t.Name+".")
	case t != nil && len(t.Children(below)) == 0:
		t, below = typeOf(typ), ""
	}
	return l.node(m.Value, t, below, at+"."+m.Name)
}

func typeOf(name string) *definitions.Type {
	t, _ := definitions.Lookup(name)
	return t
}

// uri replaces the links among values of a type of URI: those that can be meant
// for nothing but an entry.
func (l *links) uri(n *fhir.Node) {
	for _, one := range n.Items {
		l.uri(one)
	}
	if n.Kind == fhir.String && isURN(n.Text) {
		if to, ok := l.to(n.Text, ""); ok {
			n.Text = to
		}
	}
}

var (
	tags  = regexp.MustCompile(`<[^<>]*>`)
	hrefs = regexp.MustCompile(`(\s(?:href|src)\s*=\s*)("[^"]*"|'[^']*')`)
)

// narrative replaces the links and images of a narrative that are entries.
func (l *links) narrative(div string) string {
	return tags.ReplaceAllStringFunc(div, func(tag string) string {
		return hrefs.ReplaceAllStringFunc(tag, func(one string) string {
			parts := hrefs.FindStringSubmatch(one)
			quote, value := parts[2][:1], parts[2][1:len(parts[2])-1]
			if to, ok := l.to(value, ""); ok {
				return parts[1] + quote + to + quote
			}
			return one
		})
	})
}

// reference resolves the reference of a Reference.
func (l *links) reference(n *fhir.Node, at string) (*fhir.Node, error) {
	if to, ok := l.to(n.Text, l.base); ok {
		return fhir.Text(to), nil
	}
	if isURN(n.Text) {
		return nil, &fault{http.StatusBadRequest, "not-found", at, "refers to an entry that is not in the Bundle"}
	}
	typ, criteria, conditional := strings.Cut(n.Text, "?")
	if _, known := definitions.Resource(typ); !conditional || !known {
		return n, nil
	}
	id, err := l.meant(typ, criteria)
	if err != nil {
		return nil, placed(err, at)
	}
	return fhir.Text(typ + "/" + id), nil
}

// meant is the one resource that a conditional reference finds: in the store, or
// among those that this transaction makes.
func (l *links) meant(typ, criteria string) (string, error) {
	found, err := l.c.matching(typ, criteria)
	if err != nil {
		return "", err
	}
	ids := map[string]bool{}
	for _, res := range found {
		ids[res.ID] = true
	}
	seed, err := l.c.seedOf(typ, criteria)
	if err != nil {
		return "", err
	}
	for _, it := range l.made()[seed] {
		ids[it.id] = true
	}
	if len(ids) != 1 {
		return "", &fault{http.StatusPreconditionFailed, "not-found", "", "a conditional reference finds " + strconv.Itoa(len(ids)) + " resources"}
	}
	for id := range ids {
		return id, nil
	}
	return "", store.ErrNotFound // there is one
}

// made are the entries that make a resource, by what a conditional reference would
// find them by: their own criteria, and an identifier with its system.
func (l *links) made() map[string][]*item {
	if l.bySeed != nil {
		return l.bySeed
	}
	l.bySeed = map[string][]*item{}
	add := func(it *item, criteria string) {
		if seed, err := l.c.seedOf(it.typ, criteria); err == nil {
			l.bySeed[seed] = append(l.bySeed[seed], it)
		}
	}
	for _, it := range l.items {
		if it.resource == nil {
			continue
		}
		add(it, strings.TrimPrefix(it.none, "?"))
		add(it, it.criteria)
		list := it.resource.Get("identifier")
		if list == nil {
			continue
		}
		for _, n := range append([]*fhir.Node{list}, list.Items...) {
			if system, value := text(n, "system"), text(n, "value"); system != "" && value != "" && !strings.ContainsAny(system+value, `,\|$`) {
				add(it, "identifier="+url.QueryEscape(system+"|"+value))
			}
		}
	}
	return l.bySeed
}
