package rest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/store"
)

// tryReads does the reads of a transaction before its commit: where one fails,
// nothing is done (http.html#trules). They are done once more after it, unless
// nothing is written, so that they see what it has written. A read of what the
// transaction itself writes succeeds after it only, and is not tried.
func (c *call) tryReads(items []*item, writes []store.Write) error {
	written := map[place]bool{}
	for i := range writes {
		written[place{writes[i].Type, writes[i].ID}] = !writes[i].Delete
	}
	c.spent = 0
	for _, it := range items {
		id, below, _ := strings.Cut(it.id, "/")
		switch p := (place{it.typ, id}); {
		case !reads(it.method) || written[p]:
			continue
		case c.deleting[p] && below == "":
			return placed(store.ErrDeleted, it.at+".request.url")
		}
		e := fhir.NewObject()
		c.inner(e, it.method, it, nil, "")
		if err := readFault(e.Get("response"), it.at); err != nil {
			return err
		}
		if len(writes) == 0 {
			it.answer = e
		}
	}
	if len(writes) > 0 {
		c.spent = 0
	}
	return nil
}

// readFault is what a response of an entry refuses with, or nil.
func readFault(response *fhir.Node, at string) error {
	code, _, _ := strings.Cut(text(response, "status"), " ")
	status, err := strconv.Atoi(code)
	if err != nil || status < http.StatusBadRequest {
		return err
	}
	at += ".request.url"
	found := response.Get("outcome")
	if found != nil && found.Kind == fhir.Number { // JSON as it goes out
		if found, err = fhir.Parse([]byte(found.Text)); err != nil {
			return err
		}
	}
	var list faults
	if issues := found.Get("issue"); issues != nil {
		for _, one := range issues.Items {
			list = append(list, &fault{status, text(one, "code"), at, text(one, "diagnostics")})
		}
	}
	if len(list) == 0 { // HEAD
		return &fault{status, "processing", at, "cannot be read"}
	}
	return list
}
