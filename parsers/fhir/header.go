package fhir

import (
	"crypto/sha256"
	"io"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
)

// Scan finds type, control id, keys and hash. Of a large content only the head
// is looked at for what stands on its first level.
func (p *Parser) Scan(head []byte, rest io.Reader) (message.Header, error) {
	sum := sha256.New()
	sum.Write(head)
	if rest != nil {
		n, err := io.Copy(sum, rest)
		if err != nil {
			return message.Header{Key: "sender:"}, err
		}
		if n > 0 {
			h := headerOf(peek(head))
			sum.Sum(h.Hash[:0])
			if !known(h.Type) {
				return h, &message.Failure{Kind: message.Malformed, Where: "resourceType", Code: 200, Err: errNoType}
			}
			return h, nil
		}
	}
	tree, err := read(strip(head))
	if err != nil {
		tree = peek(head)
	}
	h := headerOf(tree)
	sum.Sum(h.Hash[:0])
	return h, err
}

func strip(raw []byte) (text []byte, offset int) {
	if len(raw) >= 3 && string(raw[:3]) == string(byteOrderMark) {
		return raw[3:], 3
	}
	return raw, 0
}

// headerOf is the header of a tree; of an empty one only the key.
func headerOf(n *fhir.Node) message.Header {
	h := message.Header{Type: str(n, "resourceType"), Sender: str(n.Get("meta"), "source")}
	id, version := str(n, "id"), str(n.Get("meta"), "versionId")
	switch {
	case h.Type == "Bundle":
		h.Structure = str(n, "type")
		if h.Control = str(n.Get("identifier"), "value"); h.Control == "" {
			h.Control = id
		}
	case id != "" && version != "":
		h.Control = h.Type + "/" + id + "/_history/" + version
	}
	h.Key, h.Key2, h.Merge = keysOf(n)
	switch {
	case h.Key != "":
	case id != "":
		h.Key = "resource:" + h.Type + "/" + id
	default:
		h.Key = "sender:" + h.Sender
	}
	return h
}

// str is a text member of an object, "" when there is none.
func str(n *fhir.Node, name string) string {
	if n == nil {
		return ""
	}
	if v := n.Get(name); v != nil && v.Kind == fhir.String {
		return v.Text
	}
	return ""
}

// subjects are the elements that name the patient a resource is about, by how
// near they are.
var subjects = []string{"patient", "subject", "beneficiary", "for", "individual"}

// keysOf are the keys of order: the patient a resource is about, and the other
// one of a merge.
func keysOf(n *fhir.Node) (key, key2 string, merge bool) {
	switch str(n, "resourceType") {
	case "Patient":
		return patientKeys(n)
	case "Bundle":
		for _, r := range entries(n) {
			if key, key2, merge = keysOf(r); strings.HasPrefix(key, "Patient/") {
				return key, key2, merge
			}
		}
		return "", "", false
	}
	for _, name := range subjects {
		if k := patientOf(n.Get(name)); k != "" {
			return k, "", false
		}
	}
	return "", "", false
}

// patientKeys are those of a Patient: itself, and the one it was merged into or
// that was merged into it.
func patientKeys(n *fhir.Node) (key, key2 string, merge bool) {
	id := str(n, "id")
	if id == "" {
		return "", "", false
	}
	key = "Patient/" + id
	links := n.Get("link")
	if links == nil {
		return key, "", false
	}
	for _, l := range links.Items {
		other := patientOf(l.Get("other"))
		switch {
		case other == "" || other == key:
		case str(l, "type") == "replaced-by":
			return other, key, true
		case str(l, "type") == "replaces":
			return key, other, true
		}
	}
	return key, "", false
}

// patientOf is the patient a reference leads to: "Patient/id", or the
// identifier it gives.
func patientOf(ref *fhir.Node) string {
	if ref == nil || ref.Kind != fhir.Object {
		return ""
	}
	text := str(ref, "reference")
	text, _, _ = strings.Cut(text, "/_history/")
	parts := strings.Split(text, "/")
	if n := len(parts); n >= 2 && parts[n-2] == "Patient" {
		return "Patient/" + parts[n-1]
	}
	if strings.HasPrefix(text, "urn:") {
		return "Patient/" + text
	}
	if id := ref.Get("identifier"); id != nil && str(id, "value") != "" {
		return "Patient/" + str(id, "system") + "|" + str(id, "value")
	}
	return ""
}

// peek reads what stands on the first level of the beginning of an object, as
// far as it is whole.
func peek(head []byte) *fhir.Node {
	out := fhir.NewObject()
	at := skip(head, 0)
	if at >= len(head) || head[at] != '{' {
		return out
	}
	at++
	for len(out.Members) < 1000 {
		name, next, ok := member(head, at)
		if !ok {
			return out
		}
		from := skip(head, next)
		to := valueEnd(head, from)
		if to < 0 {
			return out
		}
		if value, err := fhir.Parse(head[from:to]); err == nil && out.Get(name) == nil {
			out.Members = append(out.Members, fhir.Member{Name: name, Value: value})
		}
		if at = skip(head, to); at >= len(head) || head[at] != ',' {
			return out
		}
		at++
	}
	return out
}

func skip(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t' || b[at] == '\r' || b[at] == '\n' || b[at] == 0xef || b[at] == 0xbb || b[at] == 0xbf) {
		at++
	}
	return at
}

// member reads a name and its colon.
func member(b []byte, at int) (name string, next int, ok bool) {
	at = skip(b, at)
	end := valueEnd(b, at)
	if end < 0 || b[at] != '"' {
		return "", 0, false
	}
	n, err := fhir.Parse(b[at:end])
	if err != nil {
		return "", 0, false
	}
	if next = skip(b, end); next >= len(b) || b[next] != ':' {
		return "", 0, false
	}
	return n.Text, next + 1, true
}

// valueEnd is where a JSON value ends that begins at a place; below 0 when it
// does not end in b.
func valueEnd(b []byte, at int) int {
	depth := 0
	for i := at; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if i >= len(b) {
				return -1
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}
