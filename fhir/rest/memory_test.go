package rest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/store"
)

// sampler is a client that keeps nothing, and looks now and then how much is alive.
type sampler struct {
	header http.Header
	// each is how many bytes go by between two looks.
	each, since int
	size, most  uint64
	// tail is the end of what was sent.
	tail []byte
}

func (s *sampler) Header() http.Header { return s.header }

func (s *sampler) WriteHeader(int) {}

func (s *sampler) Write(b []byte) (int, error) {
	s.size += uint64(len(b))
	s.tail = append(s.tail[:0], b[max(0, len(b)-400):]...)
	if s.since += len(b); s.since >= s.each {
		s.since, s.most = 0, max(s.most, alive())
	}
	return len(b), nil
}

func alive() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// most is the size of an answer and how much more than before was alive while it
// was sent.
func (a *api) most(method, path, body string) (size, more uint64, tail string) {
	a.t.Helper()
	before := alive()
	s := &sampler{header: http.Header{}, each: 1 << 20}
	r := httptest.NewRequestWithContext(a.t.Context(), method, "http://127.0.0.1/fhir"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:4000"
	r.Header.Set("Content-Type", "application/fhir+json")
	a.handler.ServeHTTP(s, r)
	s.most = max(s.most, alive())
	if s.most < before {
		return s.size, 0, string(s.tail)
	}
	return s.size, s.most - before, string(s.tail)
}

// fill writes patients of some bytes, by so many in one call.
func (a *api) fill(family string, patients, size, together int) {
	a.t.Helper()
	text := strings.Repeat("word ", size/5)
	for from := 0; from < patients; from += together {
		var writes []store.Write
		for i := from; i < from+together; i++ {
			id := fmt.Sprintf("%s%05d", family, i)
			n, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"` + id + `","active":true,"name":[{"family":"` + family + `"}],"contact":[{"name":{"text":"` + text + `"}}]}`))
			if err != nil {
				a.t.Fatal(err)
			}
			writes = append(writes, write("Patient", id, n, 0))
		}
		if _, err := a.handler.(*server).Records.Write(a.t.Context(), writes, store.Author{Actor: "test"}); err != nil {
			a.t.Fatal(err)
		}
	}
}

// TestMemoryIsFlat: what is alive while a Bundle is sent does not grow with it:
// neither with the size of a page nor with the number of pages.
func TestMemoryIsFlat(t *testing.T) { eachStore(t, memoryIsFlat) }

func memoryIsFlat(t *testing.T, a *api) {
	const (
		small, large = 4 << 10, 192 << 10
		bound        = 24 << 20 // what is held of a page, in several forms
	)
	a.fill("small", 500, small, 100)
	a.fill("large", 500, large, 25)
	entries := strings.Repeat(`,{"request":{"method":"GET","url":"Patient?family=large&_count=50"}}`, 6)[1:]
	for _, c := range []struct {
		method, path, body string
		least              uint64
	}{
		{"GET", "/Patient?family=small&_count=1000", "", 500 * small},
		{"GET", "/Patient?family=large&_count=1000", "", 500 * large},
		{"GET", "/Patient/_history?_count=1000", "", 500 * large},
		{"GET", "/Patient?family=large&_count=1000&_sort=-_id&_format=xml", "", 500 * large},
		{"POST", "", `{"resourceType":"Bundle","type":"batch","entry":[` + entries + `]}`, 300 * large},
		{"POST", "?_format=xml", `{"resourceType":"Bundle","type":"batch","entry":[` + entries + `]}`, 300 * large},
	} {
		size, more, tail := a.most(c.method, c.path, c.body)
		if size < c.least || more > bound || strings.Contains(tail, "too-costly") {
			t.Errorf("%s %s: %d MB were sent with %d MB more alive, want %d MB with %d MB at most; %s", c.method, c.path, size>>20, more>>20, c.least>>20, bound>>20, tail)
		}
	}
	a.fill("many", 20_000, small, 500)
	for _, pages := range []int{2, 20} {
		before, most, next := alive(), uint64(0), "/Patient?family=many&_count=1000"
		for n := 1; n <= pages && next != ""; n++ {
			s := &sampler{header: http.Header{}, each: 1 << 20}
			r := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1/fhir"+next, nil)
			r.RemoteAddr = "127.0.0.1:4000"
			w := httptest.NewRecorder()
			a.handler.ServeHTTP(both{w, s}, r)
			most = max(most, s.most)
			page, err := fhir.Parse(w.Body.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			next = linkOf(page, "next")
			if entries := len(page.Get("entry").Items); entries != 1000 || (next == "") != (n == 20) {
				t.Fatalf("page %d has %d entries, and %q comes next", n, entries, next)
			}
		}
		if most > before+bound {
			t.Errorf("%d pages: %d MB more alive, want %d MB at most", pages, (most-before)>>20, bound>>20)
		}
	}
}

// both is a client that keeps a page, and looks how much is alive.
type both struct {
	*httptest.ResponseRecorder
	s *sampler
}

func (b both) Write(p []byte) (int, error) {
	if _, err := b.s.Write(p); err != nil {
		return 0, err
	}
	return b.ResponseRecorder.Write(p)
}

// linkOf is the path and query of a link of a Bundle below the base, or empty.
func linkOf(n *fhir.Node, relation string) string {
	for _, l := range n.Get("link").Items {
		if text(l, "relation") == relation {
			return strings.TrimPrefix(text(l, "url"), "http://127.0.0.1/fhir")
		}
	}
	return ""
}
