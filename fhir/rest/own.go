package rest

import (
	"bytes"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

// own is the base of this server as the client sees it.
func (c *call) own() string { return strings.TrimRight(c.full("", ""), "/") }

// relate lets references that are written with the address of this server be found
// as relative ones are. What is stored stays as it came.
func (c *call) relate(writes []store.Write) error {
	base := c.own()
	for i := range writes {
		w := &writes[i]
		if !bytes.Contains(w.Content, []byte(`"`+base+"/")) {
			continue
		}
		n, err := fhir.Parse(w.Content)
		if err != nil {
			return err
		}
		w.Index = search.IndexUnder(base, w.Type, n)
	}
	return nil
}
