package relational

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/store"
)

// A cursor is where a page ended.
type cursor struct {
	Values []any
	RID    int64
}

func (r *Reader) sealCursor(c cursor) string {
	for i, v := range c.Values {
		if n, ok := v.(int64); ok {
			c.Values[i] = strconv.FormatInt(n, 10) + "#"
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return "" // texts and numbers always marshal
	}
	return base64.RawURLEncoding.EncodeToString(append(r.sign(text), text...))
}

func (r *Reader) sign(text []byte) []byte {
	h := hmac.New(sha256.New, r.secret)
	h.Write([]byte("cursor"))
	h.Write(text)
	return h.Sum(nil)[:16]
}

func (r *Reader) openCursor(s string) (cursor, error) {
	var c cursor
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(data) < 16 || !hmac.Equal(data[:16], r.sign(data[16:])) {
		return c, store.ErrCursor
	}
	if err := json.Unmarshal(data[16:], &c); err != nil {
		return c, store.ErrCursor
	}
	for i, v := range c.Values {
		text, ok := v.(string)
		if !ok {
			continue
		}
		if digits, ok := strings.CutSuffix(text, "#"); ok {
			if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
				c.Values[i] = n
			}
		}
	}
	return c, nil
}
