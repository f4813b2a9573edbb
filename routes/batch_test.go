package routes

import (
	"testing"
	"time"
)

func TestBatchCloses(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		made, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	for name, c := range map[string]struct {
		b          Batch
		made, want string
	}{
		"every":                      {Batch{Every: 30 * time.Minute}, "2026-03-01 14:00", "2026-03-01 14:30"},
		"at, the same day":           {Batch{At: "02:00"}, "2026-03-01 01:59", "2026-03-01 02:00"},
		"at, the next day":           {Batch{At: "02:00"}, "2026-03-01 02:00", "2026-03-02 02:00"},
		"the earlier of both":        {Batch{Every: time.Hour, At: "14:30"}, "2026-03-01 14:00", "2026-03-01 14:30"},
		"and the other way":          {Batch{Every: time.Hour, At: "16:30"}, "2026-03-01 14:00", "2026-03-01 15:00"},
		"a day on which it is twice": {Batch{At: "01:30"}, "2026-10-31 12:00", "2026-11-01 01:30"},
		"a day without that time":    {Batch{At: "02:30"}, "2026-03-08 00:00", "2026-03-08 03:30"},
		"only its number closes it":  {Batch{Max: 5}, "2026-03-01 14:00", ""},
	} {
		got := c.b.Closes(at(c.made))
		if c.want == "" && !got.IsZero() || c.want != "" && !got.Equal(at(c.want)) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
