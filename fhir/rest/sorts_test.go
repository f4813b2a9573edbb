package rest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// TestEverySort puts resources in order by each parameter that gives one, up and
// down, in pages: what has the value of a smaller number comes first, what has
// none last.
func TestEverySort(t *testing.T) { eachStore(t, everySort) }

func everySort(t *testing.T, a *api) {
	records := a.handler.(*server).Records
	sorted := 0
	for _, typ := range definitions.Resources() {
		var writes []store.Write
		orders := map[string]string{} // by sort
		tag := func(code string) string { return `"meta":{"tag":[{"code":"of-` + code + `"}]}` }
		for _, p := range definitions.Params(typ) {
			all := samples(p)
			if p.Kind == "reference" || p.Kind == "composite" || p.Kind == "special" || p.Combined() || len(all) == 0 || all[0].path[0] == "meta" {
				continue
			}
			s := all[0]
			for _, other := range all { // a date rather than a time of one
				if value, _ := s.made(1); value == "" || s.end == "boolean" {
					s = other
				}
			}
			for i := range 4 {
				members := tag(p.Code)
				if value, _ := s.made(4 - i); i > 0 {
					members += "," + s.members(strings.Replace(value, `{"code":"other"},`, "", 1))
				}
				id := fmt.Sprintf("%s-%d", strings.ReplaceAll(p.Code, "_", ""), i)
				n, err := fhir.Parse([]byte(`{"resourceType":"` + typ + `","id":"` + id + `",` + members + `}`))
				if err != nil {
					t.Fatalf("%s %s: %v", typ, p.Code, err)
				}
				writes = append(writes, write(typ, id, n, 0))
			}
			if orders[p.Code], orders["-"+p.Code] = "3 2 1 0", "1 2 3 0"; s.end == "boolean" {
				orders[p.Code], orders["-"+p.Code] = "1 2 3 0", "3 1 2 0" // the last is true
			}
		}
		if len(writes) == 0 {
			continue
		}
		if _, err := records.Write(t.Context(), writes, store.Author{Actor: "test"}); err != nil {
			t.Fatal(err)
		}
		for order, want := range orders {
			var got []string
			for next := "/" + typ + "?_count=3&_tag=of-" + strings.TrimPrefix(order, "-") + "&_sort=" + url.QueryEscape(order); next != ""; {
				_, n := a.want(200, "GET", next, "")
				for _, e := range n.Get("entry").Items {
					id := text(e.Get("resource"), "id")
					got = append(got, id[len(id)-1:])
				}
				next = linkOf(n, "next")
			}
			sorted++
			if typ == "Patient" && strings.HasSuffix(order, "deceased") {
				slices.Sort(got)
				want = "0 1 2 3" // all have one
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s?_sort=%s: %v, want %s", typ, order, got, want)
			}
		}
	}
	t.Logf("%d orders", sorted)
}
