package fhir

import (
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
)

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
	if about := first(n.Get("entry")).Get("resource"); h.Structure == "message" && str(about, "resourceType") == "MessageHeader" {
		if said := str(about.Get("source"), "endpoint"); said != "" {
			h.Sender = said
		}
		h.Receiver = str(first(about.Get("destination")), "endpoint")
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
			if key, key2, merge = keysOf(r); key != "" {
				return bundled(n, key), key2, merge
			}
		}
		return "", "", false
	}
	for _, name := range subjects {
		if k := patientOf(first(n.Get(name))); k != "" {
			return k, "", false
		}
	}
	return "", "", false
}

// first is the first item of a list; another value itself.
func first(n *fhir.Node) *fhir.Node {
	if n == nil || n.Kind != fhir.Array {
		return n
	}
	if len(n.Items) == 0 {
		return nil
	}
	return n.Items[0]
}

// bundled is the key of the Patient in a Bundle that a reference leads to by
// the address of its entry; the key itself where there is none.
func bundled(bundle *fhir.Node, key string) string {
	address, urn := strings.CutPrefix(key, "Patient/urn:")
	if !urn {
		return key
	}
	for _, entry := range bundle.Get("entry").Items {
		if r := entry.Get("resource"); str(entry, "fullUrl") == "urn:"+address && str(r, "resourceType") == "Patient" {
			if own, _, _ := patientKeys(r); own != "" {
				return own
			}
		}
	}
	return key
}

// patientKeys are those of a Patient: itself, and the one it was merged into or
// that was merged into it.
func patientKeys(n *fhir.Node) (key, key2 string, merge bool) {
	if id := str(n, "id"); id != "" {
		key = "Patient/" + id
	} else if key = identified(first(n.Get("identifier"))); key == "" {
		return "", "", false
	}
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
	return identified(ref.Get("identifier"))
}

// identified is the key of a patient by one of his identifiers.
func identified(identifier *fhir.Node) string {
	if value := str(identifier, "value"); value != "" {
		return "Patient/" + str(identifier, "system") + "|" + value
	}
	return ""
}
