package main

import (
	"strings"
	"testing"
)

func TestReadOrigins(t *testing.T) {
	got, err := readOrigins([]string{"https://app.example.org,http://localhost:3000/", "https://b.example.org"})
	if want := "https://app.example.org http://localhost:3000 https://b.example.org"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %q %v, want %q", got, err, want)
	}
	for _, text := range []string{"*", "app.example.org", "https://", "https://a.example/path", "ftp://a.example", "null", "https://u@a.example"} {
		if got, err := readOrigins([]string{text}); err == nil {
			t.Errorf("%q was taken as %q", text, got)
		}
	}
}
