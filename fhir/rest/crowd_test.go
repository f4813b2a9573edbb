package rest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// crowd sends a request many times at once and returns how often each status
// came.
func (a *api) crowd(n int, method, path string, body func(int) string, headers ...string) map[int]int {
	a.t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := map[int]int{}
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			w, _ := a.do(method, path, body(i), headers...)
			mu.Lock()
			defer mu.Unlock()
			codes[w.Code]++
		})
	}
	close(start)
	all.Wait()
	return codes
}

// one counts what a search finds that must find one resource.
func (a *api) one(query string) {
	a.t.Helper()
	if _, n := a.want(200, "GET", query, ""); total(n) != 1 {
		a.t.Errorf("%s finds %d resources, want 1", query, total(n))
	}
}

// TestCrowds: of many that create at once because criteria find nothing one does,
// also where the criteria name no identity, which the store would keep unique.
func TestCrowds(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		whole := a.t
		defer func() { a.t = whole }()
		observation := func(code string) func(int) string {
			return func(i int) string {
				return `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"urn:c","code":"` + code + `"}]},"valueString":"` + fmt.Sprint(i) + `"}`
			}
		}
		entry := func(request, code string) func(int) string {
			return func(i int) string {
				return `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + observation(code)(i) + `,"request":` + request + `}]}`
			}
		}
		t.Run("create", func(t *testing.T) {
			a.t = t
			for round := range 12 {
				code := fmt.Sprint("S", round)
				codes := a.crowd(64, "POST", "/Observation", observation(code), "If-None-Exist", "code="+code)
				if codes[201] != 1 || codes[200] != 63 {
					t.Errorf("answers %v, want one 201 and else 200", codes)
				}
				a.one("/Observation?code=" + code)
			}
		})
		t.Run("update", func(t *testing.T) {
			a.t = t
			for round := range 12 {
				code := fmt.Sprint("U", round)
				codes := a.crowd(32, "PUT", "/Observation?code="+code, observation(code))
				if codes[201] != 1 || codes[200] != 31 {
					t.Errorf("answers %v, want one 201 and else 200", codes)
				}
				a.one("/Observation?code=" + code)
			}
		})
		t.Run("transactions", func(t *testing.T) {
			a.t = t
			for round := range 12 {
				code := fmt.Sprint("T", round)
				request := `{"method":"POST","url":"Observation","ifNoneExist":"code=` + code + `"}`
				if round%2 == 1 {
					request = `{"method":"PUT","url":"Observation?code=` + code + `"}`
				}
				if codes := a.crowd(32, "POST", "", entry(request, code)); codes[200] != 32 {
					t.Errorf("answers %v, want 200 only", codes)
				}
				a.one("/Observation?code=" + code)
			}
		})
	})
}

// TestSpellings: criteria that are written in another order, or escaped otherwise,
// are the same.
func TestSpellings(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		for i, pair := range [][2]string{
			{"code=RM&status=final", "status=final&code=RM"},
			{"code=urn:c|RM", "code=urn%3Ac%7CRM"},
			{"code=RM&status=final", "?status=final&code=RM&_format=json"},
			{"code=RM,RX", "code=RX,RM,RX"},
			{"code=urn:c|RM,urn:c|RX&status=final,amended", "status=amended,final&code=urn:c|RX,urn:c|RM"},
			{"_lastUpdated=gt2000&code=RM", "_lastUpdated=gt2000&code=R%4d"},
			{"date=2020-01-02&code=RM", "code=RM&date=eq2020-01-02"},
			{"subject=Patient/p&code=RM", "code=RM&subject=http://127.0.0.1/fhir/Patient/p"},
			{"code=RM&patient=p", "code=RM&patient=Patient/p"},
			{"code=RM&combo-code=a,RM", "code=RM&combo-code=RM,a"},
			{"code=RM&_security:not=a,b", "code=RM&_security:not=b,a"},
			{"status=final&code=RM&code=urn:c|RM", "code=%75rn:c%7cRM&code=RM&status=final&code=RM"},
		} {
			body := `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"urn:c","code":"RM"}]},"effectiveDateTime":"2020-01-02","subject":{"reference":"Patient/p"}}`
			for _, second := range []string{"If-None-Exist", "PUT"} {
				// The first is written between the search of the second and its write.
				var happen func()
				plain := a.handler
				s := plain.(*server)
				raced := New(Options{Records: between{s.Records, &happen}, Access: s.Access, Base: "/fhir", Log: s.Log})
				happen = func() {
					a.handler = plain
					a.want(201, "POST", "/Observation", body, "If-None-Exist", pair[0])
					a.handler = raced
				}
				a.handler = raced
				if second == "PUT" {
					a.want(200, "PUT", "/Observation?"+strings.TrimPrefix(pair[1], "?"), body)
				} else {
					a.want(200, "POST", "/Observation", body, "If-None-Exist", pair[1])
				}
				a.handler = plain
				a.one("/Observation?code=RM")
				if t.Failed() {
					t.Fatalf("pair %d by %s", i, second)
				}
				a.want(204, "DELETE", "/Observation?code=RM", "")
			}
		}
	})
}
