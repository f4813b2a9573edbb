package fhir

import (
	"bytes"
	"strconv"
	"time"
)

// Stamped puts meta.versionId and meta.lastUpdated into a resource as the store
// keeps it: content begins with resourceType and id, in this order, and its
// meta, if it has one, has neither of the two (Unstamped).
func Stamped(content []byte, version int, updated time.Time) []byte {
	stamp := make([]byte, 0, 80)
	stamp = append(stamp, `"versionId":"`...)
	stamp = strconv.AppendInt(stamp, int64(version), 10)
	stamp = append(stamp, `","lastUpdated":"`...)
	stamp = updated.UTC().AppendFormat(stamp, "2006-01-02T15:04:05.000Z")
	stamp = append(stamp, '"')
	out := make([]byte, 0, len(content)+len(stamp)+12)
	if at := bytes.Index(content, []byte(`,"meta":{`)); at >= 0 && at == headEnd(content) {
		cut := at + len(`,"meta":{`)
		out = append(out, content[:cut]...)
		out = append(out, stamp...)
		if content[cut] != '}' {
			out = append(out, ',')
		}
		return append(out, content[cut:]...)
	}
	at := headEnd(content)
	out = append(out, content[:at]...)
	out = append(out, `,"meta":{`...)
	out = append(out, stamp...)
	out = append(out, '}')
	return append(out, content[at:]...)
}

// headEnd is where resourceType and id end: `{"resourceType":"X","id":"Y"`.
func headEnd(content []byte) int {
	quotes := 0
	for i, c := range content {
		if c == '"' {
			if quotes++; quotes == 8 {
				return i + 1
			}
		}
	}
	return len(content)
}

// Unstamped is a resource as the store keeps it: resourceType and id first,
// then meta without versionId and lastUpdated, then the rest in its order.
func Unstamped(n *Node, typ, id string) *Node {
	out := &Node{Kind: Object, Members: make([]Member, 0, len(n.Members)+2)}
	out.Members = append(out.Members, Member{"resourceType", Text(typ)}, Member{"id", Text(id)})
	if meta := n.Get("meta"); meta != nil && meta.Kind == Object {
		kept := &Node{Kind: Object}
		for _, m := range meta.Members {
			if m.Name != "versionId" && m.Name != "lastUpdated" {
				kept.Members = append(kept.Members, m)
			}
		}
		if len(kept.Members) > 0 {
			out.Members = append(out.Members, Member{"meta", kept})
		}
	}
	for _, m := range n.Members {
		if m.Name != "resourceType" && m.Name != "id" && m.Name != "meta" {
			out.Members = append(out.Members, m)
		}
	}
	return out
}

// IdentityKey is the canonical form of a business identity: resource type,
// system and value, each with its length, so that no two are alike by chance.
func IdentityKey(typ, system, value string) string {
	return strconv.Itoa(len(typ)) + ":" + typ + strconv.Itoa(len(system)) + ":" + system + strconv.Itoa(len(value)) + ":" + value
}

// OfDocument reports whether an identifier is the number of a document that a
// person carries (HL7 table 0203: driver's licence, passport), by its type. Such
// numbers are given by many authorities under one system, and name no record.
func OfDocument(identifier *Node) bool {
	codings := identifier.Get("type").Get("coding")
	if codings == nil {
		return false
	}
	for _, c := range codings.Items {
		if code := c.Get("code"); code != nil && (code.Text == "DL" || code.Text == "PPN") {
			return true
		}
	}
	return false
}
