package rest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/store"
)

// A result is what came of one entry of a request: its status and the version
// that is answered with. An entry that only reads has no status, and one that
// deletes no version.
type result struct {
	status  int
	typ, id string
	version int
}

// resultsText is how results are kept under an idempotency key: a line for each.
func resultsText(list []result) string {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "%d %s %s %d\n", r.status, r.typ, r.id, r.version)
	}
	return b.String()
}

// resultsOf reads what resultsText has written.
func resultsOf(text string) ([]result, error) {
	var out []result
	for line := range strings.Lines(text) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(parts) != 4 {
			return nil, errors.New("what is kept under an idempotency key is damaged")
		}
		status, wrong := strconv.Atoi(parts[0])
		version, bad := strconv.Atoi(parts[3])
		if err := errors.Join(wrong, bad); err != nil {
			return nil, fmt.Errorf("what is kept under an idempotency key: %w", err)
		}
		out = append(out, result{status, parts[1], parts[2], version})
	}
	return out, nil
}

// author is who writes, with the idempotency key and what is kept under it. The
// hash is of all that says what is to be done: another request may not come
// under the same key.
func (c *call) author(outcome func([]store.Resource) []result) store.Author {
	by := store.Author{Actor: "local", Key: c.key}
	if c.key == "" {
		return by
	}
	h := sha256.New()
	for _, part := range []string{c.r.Method, c.r.URL.Path, c.r.URL.RawQuery} {
		fmt.Fprintf(h, "%q\n", part)
	}
	for _, name := range []string{"Content-Type", "If-Match", "If-None-Match", "If-None-Exist", "X-Security-Context"} {
		fmt.Fprintf(h, "%q\n", c.r.Header.Values(name))
	}
	h.Write(c.sent[:])
	copy(by.Hash[:], h.Sum(nil))
	if outcome != nil {
		by.Outcome = func(out []store.Resource) string { return resultsText(outcome(out)) }
	}
	return by
}

// commit writes; what comes of it is kept under the idempotency key.
func (c *call) commit(ctx context.Context, writes []store.Write, outcome func([]store.Resource) []result) ([]store.Resource, error) {
	if err := c.lead(writes); err != nil {
		return nil, err
	}
	if err := c.relate(writes); err != nil {
		return nil, err
	}
	return c.Records.Write(ctx, writes, c.author(outcome))
}

// commitOne writes one resource and is answered with a status.
func (c *call) commitOne(status int, w store.Write) (store.Resource, error) {
	out, err := c.commit(c.r.Context(), []store.Write{w}, func(out []store.Resource) []result {
		r := result{status, w.Type, w.ID, out[0].Version}
		if w.Delete {
			r.version = 0
		}
		return []result{r}
	})
	if errors.Is(err, store.ErrIdentity) {
		err = placed(err, w.Type+".identifier")
	}
	if err != nil {
		return store.Resource{}, err
	}
	return out[0], nil
}

// note keeps under the idempotency key what is answered where nothing is written.
func (c *call) note(r result) error {
	if c.key == "" {
		return nil
	}
	_, err := c.commit(c.r.Context(), nil, func([]store.Resource) []result { return []result{r} })
	return err
}

// repeated answers what was done before under the idempotency key like the first
// time, and reports whether it was.
func (c *call) repeated(again func([]result) error) (bool, error) {
	if c.key == "" {
		return false, nil
	}
	text, err := c.Records.Outcome(c.r.Context(), c.author(nil))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	list, err := resultsOf(text)
	if err != nil {
		return false, err
	}
	return true, again(list)
}

// again answers a repeat of what concerns one resource.
func (c *call) again(list []result) error {
	if len(list) != 1 {
		return errors.New("what is kept under an idempotency key is not of one resource")
	}
	r := list[0]
	if r.version == 0 {
		return c.gone()
	}
	res, err := c.Records.ReadVersion(c.r.Context(), r.typ, r.id, r.version)
	if err != nil {
		return err
	}
	return c.written(r.status, res)
}

// transactionAgain answers a repeat of a transaction. What it only reads is read
// anew.
func (c *call) transactionAgain(entries []*fhir.Node, list []result) error {
	items, err := c.items(entries)
	if err != nil {
		return err
	}
	if len(items) != len(list) {
		return errors.New("what is kept under an idempotency key is not of this transaction")
	}
	for i, it := range items {
		if list[i].version == 0 {
			continue
		}
		it.id = list[i].id
		if it.current, err = c.Records.ReadVersion(c.r.Context(), it.typ, it.id, list[i].version); err != nil {
			return err
		}
	}
	return c.answerTransaction(items, list, nil)
}

// reads reports whether a method only reads.
func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }
