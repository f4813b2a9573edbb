package access

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestLoopback(t *testing.T) {
	for name, c := range map[string]struct {
		remote  string
		allowed bool
	}{
		"a command on the data folder": {"", true},
		"IPv4 loopback":                {"127.0.0.1:5000", true},
		"another loopback address":     {"127.9.9.9:5000", true},
		"IPv6 loopback":                {"[::1]:5000", true},
		"mapped loopback":              {"[::ffff:127.0.0.1]:5000", true},
		"a private address":            {"10.1.2.3:5000", false},
		"a public address":             {"[2001:db8::1]:5000", false},
		"no address at all":            {"pipe", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := Loopback{}.Decide(t.Context(), Request{Remote: c.remote, Action: "fhir.read"})
			if (err == nil) != c.allowed || (err != nil && !errors.Is(err, ErrDenied)) {
				t.Errorf("Decide(%q) = %v, want allowed %v", c.remote, err, c.allowed)
			}
		})
	}
}

func TestLocal(t *testing.T) {
	handler := Local(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{
		"127.0.0.1:8080": 200, "localhost:8080": 200, "LOCALHOST": 200, "[::1]:8080": 200,
		"evil.example": 403, "127.0.0.1.evil.example:8080": 403, "10.0.0.1": 403, "": 403,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/fhir/metadata", nil)
		r.Host = host
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
	}
}
