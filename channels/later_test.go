package channels

import (
	"testing"
	"time"
)

// TestPutOffIsNotBroughtBackByAnOldRow holds that a row which was read before
// its delivery was put off does not bring it back: it would be sent at once.
func TestPutOffIsNotBroughtBackByAnOldRow(t *testing.T) {
	made := time.Now()
	due := made.Add(time.Hour)
	p := newPostponed()
	p.look++
	p.hold(1, due) // T4 is on its way while the rows are read
	p.sooner(1, made)
	p.written(1)
	p.sooner(1, made) // of the same reading
	if at, some := p.first(); !some || !at.Equal(due) {
		t.Fatalf("it comes back at %v, want %v", at, due)
	}
	p.look++
	p.sooner(1, made) // an operator has decided meanwhile
	if n, some := p.back(made); !some || n != 1 {
		t.Errorf("an operator's retry does not bring it back")
	}
}
