package rest

import (
	"testing"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/sqlite"
)

// behind is a store whose index is made anew.
type behind struct{ store.Records }

// Unindexed is always some.
func (behind) Unindexed() int64 { return 7 }

func TestSearchSaysWhatItLacks(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // nothing is written any more
	a := apiOver(t, behind{s})
	a.put(patientJSON("p", "One", ""))
	_, n := a.want(200, "GET", "/Patient?family=one", "")
	if total(n) != 2 || text(n.Get("entry").Items[0].Get("search"), "mode") != "outcome" || text(n.Get("entry").Items[0].Get("resource"), "resourceType") != "OperationOutcome" {
		t.Errorf("got %s", n.AppendJSON(nil))
	}
}
