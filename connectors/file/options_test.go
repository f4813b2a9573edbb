package file

import (
	"testing"
	"time"
)

func TestValidateSource(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*SourceOptions)
		want   string
	}{
		"no folder":     {func(o *SourceOptions) { o.Folder = "" }, "folder: is missing: the folder"},
		"no match":      {func(o *SourceOptions) { o.Match = "" }, `match: "" is not a pattern of names, such as *.hl7`},
		"bad match":     {func(o *SourceOptions) { o.Match = "[" }, `match: "[" is not a pattern of names, such as *.hl7`},
		"deep match":    {func(o *SourceOptions) { o.Match = "a/*" }, `match: "a/*" is not a pattern of names, such as *.hl7`},
		"negative":      {func(o *SourceOptions) { o.Stable = -1 }, "stable: -1ns is not a time, such as 5s"},
		"at once":       {func(o *SourceOptions) { o.Stable = 0 }, `stable: 0s would take files that are still being written: give a time such as 5s, or say by done how the sender ends a file: "*.ok" or rename`},
		"marker":        {func(o *SourceOptions) { o.Done = "ok" }, `done: "ok" is not the name of a marker, such as "*.ok", and not the word rename`},
		"all markers":   {func(o *SourceOptions) { o.Done = "*.ok"; o.Match = "*.ok" }, `done: "*.ok": every file that match takes would be a marker`},
		"every":         {func(o *SourceOptions) { o.Every = 0 }, "every: 0s is not a time above zero, such as 1s"},
		"then":          {func(o *SourceOptions) { o.Then = "copy" }, `then: "copy" is not known; known: move, delete, keep`},
		"order":         {func(o *SourceOptions) { o.Order = "size" }, `order: "size" is not known; known: name, time`},
		"to itself":     {func(o *SourceOptions) { o.To = "." }, "to: is the folder itself; files would come again"},
		"errors itself": {func(o *SourceOptions) { o.Errors = "done/.." }, "errors: is the folder itself; files would come again"},
		"no to":         {func(o *SourceOptions) { o.To = "" }, "to: is missing: the folder"},
	} {
		t.Run(name, func(t *testing.T) {
			o := DefaultSource().(*SourceOptions)
			o.Folder = "in"
			if problems := o.Validate(); len(problems) > 0 {
				t.Fatalf("the defaults: %v", problems)
			}
			c.change(o)
			got := o.Validate()
			if len(got) != 1 || got[0].Field+": "+got[0].Text != c.want {
				t.Errorf("Validate() = %q, want %q", got, c.want)
			}
		})
	}
	for _, change := range []func(*SourceOptions){
		func(o *SourceOptions) { o.Stable, o.Done = 0, "*.ok" },
		func(o *SourceOptions) { o.Stable, o.Done = 0, "rename" },
		func(o *SourceOptions) { o.Stable, o.Then, o.Order = time.Hour, "keep", "name" },
	} {
		o := DefaultSource().(*SourceOptions)
		o.Folder = "in"
		change(o)
		if problems := o.Validate(); len(problems) > 0 {
			t.Errorf("Validate() = %v, want none", problems)
		}
	}
}
