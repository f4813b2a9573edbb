package message

import (
	"errors"
	"testing"
)

// TestBytesAreCountedFrom0: a byte that is named is the same one in the text of
// a failure and at a warning.
func TestBytesAreCountedFrom0(t *testing.T) {
	f := &Failure{Kind: Malformed, Offset: 44 + 1, Err: errors.New("a NUL byte")}
	if got, want := f.Error(), "byte 44: a NUL byte"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	w := Warning{Offset: 44, Text: "a NUL byte"}
	if got, want := w.Place(), "byte 44"; got != want {
		t.Errorf("Place() = %q, want %q", got, want)
	}
	if w.Where = "PID-3"; w.Place() != w.Where {
		t.Errorf("Place() = %q, want %q", w.Place(), w.Where)
	}
}
