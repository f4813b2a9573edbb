package fhir

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
)

// enough is how much of a large content is read for its header.
const enough = 1 << 20

// Scan finds what intake needs: header, keys of order, hash of the content
// without meta.versionId and meta.lastUpdated. A content that is all at hand is
// refused when it is no JSON or no resource; what else is wrong with it parks it
// later. Of a large one only the beginning is read. The keys may hold
// identifiers of patients: they stay in the database.
func (p *Parser) Scan(head []byte, rest io.Reader) (message.Header, error) {
	sum := sha256.New()
	hash := func(b []byte) { _, _ = sum.Write(b) } // never fails
	from := 0
	for _, s := range volatile(head) {
		hash(head[from:s[0]])
		from = s[1]
	}
	hash(head[from:])
	whole := true
	if rest != nil {
		var err error
		if head, whole, err = drain(head, rest, hash); err != nil {
			return message.Header{Key: "sender:"}, err
		}
	}
	h, fault := header(head, whole)
	sum.Sum(h.Hash[:0])
	return h, fault
}

// drain hashes what follows the head. A short rest is put behind the head.
func drain(head []byte, rest io.Reader, hash func([]byte)) (all []byte, whole bool, err error) {
	all, whole = head[:len(head):len(head)], true
	buf := make([]byte, 64<<10)
	for {
		n, err := rest.Read(buf)
		hash(buf[:n])
		if whole = whole && len(all)+n <= enough; whole {
			all = append(all, buf[:n]...)
		}
		switch {
		case errors.Is(err, io.EOF):
			return all, whole, nil
		case err != nil:
			return all, whole, err
		}
	}
}

// header reads the header of a content, or of the beginning of a large one: as
// far as that is whole.
func header(content []byte, whole bool) (message.Header, error) {
	text, offset := content, 0
	if bytes.HasPrefix(content, []byte(mark)) {
		text, offset = content[len(mark):], len(mark)
	}
	if !whole {
		text = closed(text[:min(len(text), enough)])
	}
	tree, err := read(text, offset)
	if err != nil {
		// What it says all the same.
		if tree, _ = fhir.Parse(closed(text[:min(len(text), enough)])); tree == nil {
			return message.Header{Key: "sender:"}, err
		}
	}
	return headerOf(tree), err
}

// closed cuts a content behind its last member or item that is whole, and
// closes what is open there.
func closed(content []byte) []byte {
	var open []byte // the brackets that close what is open at the cut
	cut := 0
	for i := 0; i < len(content); {
		switch c := content[i]; c {
		case '"':
			i = afterString(content, i)
			continue
		case '{', '[':
			open = append(open, c+2) // } or ]
			cut = i + 1
		case '}', ']':
			if len(open) == 0 || open[len(open)-1] != c {
				return content // Parse says what is wrong
			}
			open = open[:len(open)-1]
			if cut = i + 1; len(open) == 0 {
				return content[:cut]
			}
		case ',':
			cut = i
		}
		i++
	}
	out := append(make([]byte, 0, cut+len(open)), content[:cut]...)
	for i := len(open) - 1; i >= 0; i-- {
		out = append(out, open[i])
	}
	return out
}

// volatile are the places of meta.versionId and meta.lastUpdated, which a
// server changes when it hands a resource out again.
func volatile(head []byte) (spans [][2]int) {
	c := cursor{data: head}
	if len(head) >= len(mark) && string(head[:len(mark)]) == mark {
		c.at = len(mark)
	}
	c.members(func(name string) bool {
		if name != "meta" {
			c.value()
			return true
		}
		c.members(func(name string) bool {
			from := c.at
			c.value()
			if name == "versionId" || name == "lastUpdated" {
				spans = append(spans, [2]int{from, min(c.at, len(head))})
			}
			return true
		})
		return false
	})
	return spans
}

// A cursor passes over JSON of which it believes what it need not know.
type cursor struct {
	data []byte
	at   int
}

// members calls take at the value of each member of the object at the cursor
// until it returns false. It ends where the text is not as it should be.
func (c *cursor) members(take func(name string) bool) {
	if !c.next('{') {
		return
	}
	for {
		c.at = afterSpace(c.data, c.at)
		if c.at >= len(c.data) || c.data[c.at] != '"' {
			c.next('}')
			return
		}
		from := c.at + 1
		c.at = afterString(c.data, c.at)
		name := string(c.data[from:max(from, c.at-1)])
		if !c.next(':') || !take(name) || !c.next(',') {
			c.next('}')
			return
		}
	}
}

// next passes one character and the white space around it.
func (c *cursor) next(want byte) bool {
	c.at = afterSpace(c.data, c.at)
	if c.at >= len(c.data) || c.data[c.at] != want {
		return false
	}
	c.at = afterSpace(c.data, c.at+1)
	return true
}

// value passes one value.
func (c *cursor) value() {
	depth := 0
	for c.at < len(c.data) {
		switch c.data[c.at] {
		case '"':
			c.at = afterString(c.data, c.at)
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return
			}
			if depth--; depth == 0 {
				c.at++
				return
			}
		case ',':
			if depth == 0 {
				return
			}
		}
		c.at++
	}
}
