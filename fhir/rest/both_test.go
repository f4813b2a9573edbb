package rest

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/internal/pgtest"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/postgres"
)

// onBoth runs a test over each of the stores.
func onBoth(t *testing.T, test func(*testing.T, func(*testing.T) *api)) {
	t.Run("sqlite", func(t *testing.T) { test(t, func(t *testing.T) *api { return newAPI(t) }) })
	t.Run("postgres", func(t *testing.T) {
		pgtest.Start(t) // one cluster for all of it
		test(t, func(t *testing.T) *api {
			t.Helper()
			s, err := postgres.Open(t.Context(), postgres.Options{DSN: pgtest.Start(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			return over(t, s)
		})
	})
}

func over(t *testing.T, s store.Records) *api {
	log := &strings.Builder{}
	return &api{t: t, log: log, handler: New(Options{Records: s, Access: access.Loopback{}, Base: "/fhir", Log: slog.New(slog.NewTextHandler(log, nil)), Limit: 1 << 20})}
}

// put writes resources that carry their type and id.
func (a *api) put(resources ...string) {
	a.t.Helper()
	for _, r := range resources {
		n, err := fhir.Parse([]byte(r))
		if err != nil {
			a.t.Fatal(err)
		}
		a.want(201, "PUT", "/"+text(n, "resourceType")+"/"+text(n, "id"), r)
	}
}

// found are the ids of what a search finds, sorted unless the search sorts.
func (a *api) found(query string) string {
	a.t.Helper()
	w, n := a.do("GET", "/"+query, "", "Prefer", "handling=strict")
	if w.Code != 200 {
		return n.Get("issue").Items[0].Get("code").Text
	}
	var ids []string
	if e := n.Get("entry"); e != nil {
		for _, one := range e.Items {
			ids = append(ids, text(one.Get("resource"), "id"))
		}
	}
	if !strings.Contains(query, "_sort=") {
		slices.Sort(ids)
	}
	return strings.Join(ids, " ")
}
