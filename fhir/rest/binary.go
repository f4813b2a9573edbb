package rest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/format"
	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/store"
)

// isContent reports whether the content of a Binary is sent: what comes under
// another type than those of FHIR (binary.html#rest).
func (c *call) isContent() bool {
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	return c.typ == "Binary" && err == nil && !strings.HasPrefix(media, "application/fhir+")
}

// uploaded reads the content of a Binary. What is larger than a part is written
// to the store while it comes, and belongs to nobody until the resource is
// written.
func (c *call) uploaded(id string) (w store.Write, err error) {
	n := fhir.NewObject()
	n.Set("resourceType", fhir.Text("Binary"))
	n.Set("id", fhir.Text(id))
	n.Set("contentType", fhir.Text(c.r.Header.Get("Content-Type")))
	if around := c.r.Header.Get("X-Security-Context"); around != "" {
		reference := fhir.NewObject()
		reference.Set("reference", fhir.Text(around))
		n.Set("securityContext", reference)
	}
	sum := sha256.New()
	in := io.TeeReader(http.MaxBytesReader(c.w, c.r.Body, c.BinaryLimit), sum)
	part := make([]byte, store.MaxChunk)
	first, err := fill(in, part)
	if err != nil {
		return w, c.cutOff(err)
	}
	if first < len(part) {
		sum.Sum(c.sent[:0])
		n.Set("data", fhir.Text(base64.StdEncoding.EncodeToString(part[:first])))
		if first == 0 {
			n.Delete("data")
		}
		if err := check(n, "Binary"); err != nil {
			return w, err
		}
		return write("Binary", id, n, 0), nil
	}
	if err := check(n, "Binary"); err != nil {
		return w, err
	}
	name, size := newID(c.Now()), int64(0)
	for i, got := 0, first; got > 0; i++ {
		size += int64(got)
		if err := c.Records.Part(c.r.Context(), name, i, part[:got]); err != nil {
			return w, err
		}
		if got, err = fill(in, part); err != nil {
			return w, c.cutOff(err)
		}
	}
	sum.Sum(c.sent[:0])
	w = write("Binary", id, n, 0)
	keep(&w, n, store.Resource{Parts: name, Size: size})
	return w, nil
}

// fill reads until a part is full or all has come.
func fill(in io.Reader, part []byte) (int, error) {
	n, err := io.ReadFull(in, part)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

func (c *call) cutOff(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &fault{http.StatusRequestEntityTooLarge, "too-long", "", "the content is larger than " + strconv.FormatInt(c.BinaryLimit, 10) + " bytes"}
	}
	return &fault{http.StatusBadRequest, "incomplete", "", "the body did not arrive whole"}
}

// keep gives the write of a resource the bytes of another version, unless it has
// its own.
func keep(w *store.Write, n *fhir.Node, from store.Resource) {
	if from.Parts == "" || n.Get("data") != nil || n.Get("_data") != nil {
		return
	}
	w.Parts, w.Size = from.Parts, from.Size
	w.Hash = sha256.Sum256(append(append([]byte(nil), w.Content...), w.Parts...))
}

// upload creates or replaces a Binary by its content. The answer has no body.
func (c *call) upload() error {
	if c.r.Header.Get("If-None-Exist") != "" {
		return &fault{http.StatusBadRequest, "not-supported", "", "If-None-Exist is not supported with the content of a Binary: send the resource"}
	}
	done, err := c.uploadedBefore()
	if done || err != nil {
		return err
	}
	id := c.id
	if id == "" {
		id = newID(c.Now())
	}
	w, err := c.uploaded(id)
	if err != nil {
		return err
	}
	return c.compete(c.again, func() error {
		current, err := c.current(c.typ, id)
		if err != nil {
			return err
		}
		if err := c.ifMatch(current); err != nil {
			return err
		}
		status := replaced(current)
		w.Expect = current.Version
		out, err := c.commitOne(status, w)
		if err != nil {
			return err
		}
		return c.written(status, out)
	})
}

// uploadedBefore answers content that comes under an idempotency key that was
// used: it is read for its hash, and not kept.
func (c *call) uploadedBefore() (bool, error) {
	if c.key == "" {
		return false, nil
	}
	if _, err := c.Records.Outcome(c.r.Context(), c.author(nil)); !errors.Is(err, store.ErrKeyUsed) { // of no content yet
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return false, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, http.MaxBytesReader(c.w, c.r.Body, c.BinaryLimit)); err != nil {
		return false, c.cutOff(err)
	}
	sum.Sum(c.sent[:0])
	done, err := c.repeated(c.again)
	if !done && err == nil {
		err = store.ErrKeyUsed // of what was forgotten meanwhile
	}
	return done, err
}

// giveBinary answers with the content of a Binary, or with the resource to who
// asks for a format of FHIR.
func (c *call) giveBinary(res store.Resource) error {
	n, err := fhir.Parse(res.Content)
	if err != nil {
		return err
	}
	media := text(n, "contentType")
	asResource := c.bundled || c.r.URL.Query().Get("_format") != ""
	if accept := strings.Join(c.r.Header.Values("Accept"), ","); !asResource && strings.TrimSpace(accept) != "" {
		base, _, err := mime.ParseMediaType(media)
		q := 0.0
		if err == nil {
			q, _ = format.Quality(accept, base)
		}
		asResource = q == 0 || slices.ContainsFunc(strings.Split(accept, ","), func(one string) bool {
			base, _, err := mime.ParseMediaType(one)
			return err == nil && strings.HasPrefix(base, "application/fhir+")
		})
	}
	if !asResource {
		return c.content(res, n, media)
	}
	if c.unacceptable != nil {
		return c.unacceptable
	}
	if res.Parts == "" || c.bundled {
		c.send(http.StatusOK, stamped(&res))
		return nil
	}
	return c.wholeBinary(res)
}

// content sends the bytes. What a browser makes of them must not act in the name
// of this server.
func (c *call) content(res store.Resource, n *fhir.Node, media string) error {
	size := res.Size
	var in io.Reader
	if res.Parts != "" {
		in = c.Records.Data(c.r.Context(), res.Parts)
	} else {
		data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text(n, "data")), ""))
		if err != nil {
			return &fault{http.StatusNotAcceptable, "not-supported", "", "the content is no base64, ask for the resource"}
		}
		size, in = int64(len(data)), bytes.NewReader(data)
	}
	h := c.w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	c.started = true
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return nil
	}
	return c.copy(c.w, in)
}

// copy sends what the store has.
func (c *call) copy(w io.Writer, in io.Reader) error {
	part := make([]byte, 64<<10)
	for {
		if c.r.Context().Err() != nil {
			return errLeft
		}
		n, err := in.Read(part)
		if n > 0 {
			if _, lost := w.Write(part[:n]); lost != nil {
				return errLeft
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// wholeBinary sends the resource with its bytes in base64, a part at a time: in
// each format data is the last element.
func (c *call) wholeBinary(res store.Resource) error {
	head, err := c.format.Encode(fhir.Stamped(res.Content, res.Version, res.Updated))
	if err != nil {
		return err
	}
	end, before, after := "}", `,"data":"`, `"`
	switch {
	case c.format.XML && c.format.Pretty:
		end, before, after = "\n</Binary>\n", "\n  <data value=\"", `"/>`
	case c.format.XML:
		end, before, after = "</Binary>", `<data value="`, `"/>`
	case c.format.Pretty:
		end, before = "\n}\n", ",\n  \"data\": \""
	}
	c.w.Header().Set("Content-Type", c.format.Media+"; charset=utf-8")
	c.started = true
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return nil
	}
	if _, err := c.w.Write(append(bytes.TrimSuffix(head, []byte(end)), before...)); err != nil {
		return errLeft
	}
	encoder := base64.NewEncoder(base64.StdEncoding, c.w)
	if err := c.copy(encoder, c.Records.Data(c.r.Context(), res.Parts)); err != nil {
		return err
	}
	if err := encoder.Close(); err != nil {
		return errLeft
	}
	if _, err := io.WriteString(c.w, after+end); err != nil {
		return errLeft
	}
	return nil
}

// stamped is a resource as it is shown; a Binary whose bytes are kept in parts
// says that it is not whole.
func stamped(res *store.Resource) []byte {
	out := fhir.Stamped(res.Content, res.Version, res.Updated)
	if res.Parts == "" {
		return out
	}
	n, err := fhir.Parse(out)
	if err != nil {
		return out // it came from the store and was parsed before
	}
	n.Set("meta", query.Subsetted(n.Get("meta")))
	return n.AppendJSON(nil)
}
