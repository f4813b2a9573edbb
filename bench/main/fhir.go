package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/plexus-health/plexus/bench"
)

// fhirConnections is how many clients of the API call at once.
const fhirConnections = 32

var errMatches = errors.New("a search did not find what is there")

// fhir measures the FHIR API: transactions, creates, reads, searches.
func (r *run) fhir(ctx context.Context, name string, e *bench.Engine, cost func() (time.Duration, error)) error {
	patients := r.count
	if err := r.calls(ctx, name+": FHIR transactions of 7 resources", "≥ 500/s", 500, e, cost, bench.Calls{Count: patients, Make: func(n int) bench.Request {
		return bench.Request{Method: http.MethodPost, Path: "/", Body: bench.Transaction("F", n), Status: http.StatusOK}
	}}); err != nil {
		return err
	}
	if extra := r.fill/7 - patients; extra > 0 {
		f, err := e.Call(ctx, bench.Calls{Connections: fhirConnections, Count: extra, Make: func(n int) bench.Request {
			return bench.Request{Method: http.MethodPost, Path: "/", Body: bench.Transaction("F", patients+n), Status: http.StatusOK}
		}})
		if err != nil {
			return err
		}
		patients += extra
		r.row(fmt.Sprintf("%s: filled up to %d resources", name, 7*patients), perSecond(f.Rate)+" transactions", "", "")
	}
	r.patients, r.ids = patients, nil
	var mu sync.Mutex
	if err := r.calls(ctx, name+": FHIR create", "≥ 3,000/s", 3000, e, cost, bench.Calls{Duration: r.duration, Make: func(n int) bench.Request {
		return bench.Request{Method: http.MethodPost, Path: "/Observation", Body: bench.NewObservation(n), Status: http.StatusCreated, Answer: func(body []byte) error {
			id, err := bench.IDOf(body)
			mu.Lock()
			r.ids = append(r.ids, id)
			mu.Unlock()
			return err
		}}
	}}); err != nil {
		return err
	}
	if err := r.calls(ctx, name+": FHIR read", "≥ 10,000/s", 10000, e, cost, bench.Calls{Duration: r.duration, Make: func(n int) bench.Request {
		return bench.Request{Method: http.MethodGet, Path: "/Observation/" + r.ids[n%len(r.ids)], Status: http.StatusOK}
	}}); err != nil {
		return err
	}
	by := func(n int) string { return url.QueryEscape(bench.System + "|" + r.identifier(n)) }
	if err := r.calls(ctx, name+": FHIR search by identifier", "≥ 5,000/s", 5000, e, cost, bench.Calls{Duration: r.duration, Make: func(n int) bench.Request {
		return bench.Request{Method: http.MethodGet, Path: "/Patient?identifier=" + by(n), Status: http.StatusOK, Answer: one}
	}}); err != nil {
		return err
	}
	results := bench.Calls{Duration: r.duration, Make: func(n int) bench.Request {
		return bench.Request{Method: http.MethodGet, Path: "/Observation?patient.identifier=" + by(n) + "&code=" + url.QueryEscape("http://loinc.org|718-7") + "&date=ge2026-01-01", Status: http.StatusOK, Answer: one}
	}}
	if err := r.calls(ctx, name+": FHIR search by patient, code and date", "", 0, e, cost, results); err != nil {
		return err
	}
	// 32 at once wait for one another: how long one takes is asked with few.
	results.Connections = 4
	f, err := e.Call(ctx, results)
	if err != nil {
		return err
	}
	r.row(name+": the same, 4 at once", queried(f), "p99 < 10 ms", verdict(f.P99 < 10*time.Millisecond))
	return nil
}

// identifier is that of a patient who stands in the store, another for each n.
func (r *run) identifier(n int) string { return fmt.Sprintf("PF%d", n*7919%r.patients) }

// raw runs what the calls came down to as statements, over the same tables after
// the engine has ended.
func (r *run) raw(ctx context.Context, name, folder, database string) error {
	raw, err := bench.OpenRaw(ctx, folder, database)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }() // the store is thrown away
	read, err := raw.Read(ctx, fhirConnections, r.duration, r.ids)
	if err != nil {
		return err
	}
	r.row(name+": raw SQL: read", queried(read), "", "")
	search, err := raw.ByIdentifier(ctx, fhirConnections, r.duration, r.identifier)
	if err != nil {
		return err
	}
	r.row(name+": raw SQL: search by identifier", queried(search), "", "")
	search, err = raw.Results(ctx, fhirConnections, r.duration, r.identifier, "718-7", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		return err
	}
	r.row(name+": raw SQL: search by patient, code and date", queried(search), "", "")
	rate, err := raw.Create(ctx, fhirConnections, r.duration, r.ids[0])
	if err != nil {
		return err
	}
	r.row(fmt.Sprintf("%s: raw SQL: create, %d in one synced transaction", name, fhirConnections), perSecond(rate), "", "")
	return nil
}

func queried(f bench.Figures) string {
	return fmt.Sprintf("%s, p50 %s p99 %s max %s", perSecond(f.Rate), short(f.P50), short(f.P99), short(f.Max))
}

// one holds that a search finds one resource.
func one(body []byte) error {
	matches, err := bench.Matches(body)
	if err == nil && matches != 1 {
		err = fmt.Errorf("%w: %d of 1", errMatches, matches)
	}
	return err
}

// calls measures one row.
func (r *run) calls(ctx context.Context, what, target string, wanted float64, e *bench.Engine, cost func() (time.Duration, error), calls bench.Calls) error {
	calls.Connections = fhirConnections
	before, err := cost()
	if err != nil {
		return err
	}
	f, err := e.Call(ctx, calls)
	if err != nil {
		return err
	}
	after, err := cost()
	if err != nil {
		return err
	}
	met := ""
	if wanted > 0 {
		met = verdict(f.Rate >= wanted)
	}
	r.row(what, figures(f, (after-before)/time.Duration(max(f.Sent, 1))), target, met)
	return nil
}
