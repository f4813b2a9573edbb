package rest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/format"
)

const mostEntries = 5000

// bundle takes a batch or transaction (http.html#transaction).
func (c *call) bundle() error {
	n, err := c.body()
	if err != nil {
		return err
	}
	if text(n, "resourceType") != "Bundle" {
		return &fault{http.StatusBadRequest, "invalid", "", "only a Bundle is taken here"}
	}
	entries := n.Get("entry")
	if entries == nil {
		entries = &fhir.Node{Kind: fhir.Array}
	}
	if entries.Kind != fhir.Array || len(entries.Items) > mostEntries {
		return &fault{http.StatusBadRequest, "structure", "Bundle.entry", "must be a list of at most " + strconv.Itoa(mostEntries)}
	}
	switch text(n, "type") {
	case "transaction":
		return c.transaction(entries.Items)
	case "batch":
		return c.batch(entries.Items)
	}
	return &fault{http.StatusBadRequest, "invalid", "Bundle.type", "must be transaction or batch"}
}

// hashID is an id made from a seed: of two writers with the same one finds that
// it is taken.
func (c *call) hashID(seed string) string {
	h := hmac.New(sha256.New, c.Records.Secret())
	h.Write([]byte(seed))
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80 // RFC 9562, 5.8
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// batch does each entry by itself, as if it came alone.
func (c *call) batch(entries []*fhir.Node) error {
	out, err := c.stream(newBundle("batch-response"))
	if err != nil {
		return err
	}
	for i, entry := range entries {
		if err := c.r.Context().Err(); err != nil {
			return err // nobody reads the answer
		}
		it := itemOf(entry, i)
		e := fhir.NewObject()
		key := ""
		if c.key != "" {
			key = c.key + "\n" + strconv.Itoa(i) // no header has a line break
		}
		c.inner(e, it.method, it, entry.Get("resource"), key)
		if err := out.entry(e); err != nil {
			return err
		}
	}
	return out.close()
}

// tooMuch refuses an entry whose answer has no room in the Bundle.
func tooMuch() error {
	return costly("the answers to the entries of the Bundle are too large together: this one was not done, send it in another Bundle")
}

// inner serves one request of a Bundle through the handler itself, so that it
// passes the same checks as one that comes alone.
func (c *call) inner(e *fhir.Node, method string, it *item, resource *fhir.Node, key string) {
	target := url.URL{Path: c.Base + "/" + it.typ, RawQuery: it.criteria}
	if it.id != "" {
		target.Path += "/" + it.id
	}
	media, body, readable := payload(method, resource)
	response := fhir.NewObject()
	e.Set("response", response)
	ctx := c.r.Context()
	if !reads(method) {
		ctx = context.WithoutCancel(ctx)
	}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if c.spent >= c.AnswerLimit {
		refused := faultsOf(tooMuch())
		refused[0].at = it.at
		response.Set("status", fhir.Text("400 Bad Request"))
		response.Set("outcome", outcome(refused))
		return
	}
	if err != nil || it.typ == "" || !readable {
		response.Set("status", fhir.Text("400 Bad Request"))
		response.Set("outcome", outcome(faults{{http.StatusBadRequest, "invalid", it.at + ".request", "is no request of this API"}}))
		return
	}
	r.RemoteAddr, r.Host = c.r.RemoteAddr, c.r.Host
	r.Header.Set("Content-Type", media)
	r.Header.Set("Prefer", c.r.Header.Get("Prefer"))
	since := it.reads[1]
	if at, err := time.Parse(time.RFC3339, since); err == nil {
		since = at.UTC().Format(http.TimeFormat)
	}
	for name, value := range map[string]string{"If-Match": it.match, "If-None-Match": it.reads[0], "If-Modified-Since": since} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if it.asks {
		r.Header.Set("If-None-Exist", it.none)
	}
	w := httptest.NewRecorder()
	(&call{server: c.server, w: w, r: r, format: format.Default(), bundled: true, room: c.AnswerLimit - c.spent, key: key}).serve()
	c.spent += w.Body.Len()
	response.Set("status", fhir.Text(strconv.Itoa(w.Code)+" "+http.StatusText(w.Code)))
	for _, h := range [][2]string{{"location", "Location"}, {"etag", "ETag"}} {
		if v := w.Header().Get(h[1]); v != "" {
			response.Set(h[0], fhir.Text(v))
		}
	}
	if w.Body.Len() == 0 {
		return
	}
	if w.Code >= 400 {
		response.Set("outcome", raw(w.Body.Bytes()))
		return
	}
	e.Set("resource", raw(w.Body.Bytes()))
}
