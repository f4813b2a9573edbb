package hl7v2

import (
	"strings"
	"sync"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// codePages are those of DOS, by their numbers.
var codePages = map[string]*charset{
	"437": {encoding: charmap.CodePage437}, "850": {encoding: charmap.CodePage850}, "852": {encoding: charmap.CodePage852},
	"855": {encoding: charmap.CodePage855}, "858": {encoding: charmap.CodePage858}, "860": {encoding: charmap.CodePage860},
	"862": {encoding: charmap.CodePage862}, "863": {encoding: charmap.CodePage863}, "865": {encoding: charmap.CodePage865},
	"866": {encoding: charmap.CodePage866},
}

// charsetByName finds a set by the words of table 0211 or the common names, in
// the spellings that senders have for them; nil when it is none of them.
func charsetByName(name string) *charset {
	name = strings.ToUpper(strings.TrimSpace(name))
	if c := table0211[name]; c != nil {
		return c
	}
	if c := registered(strings.ReplaceAll(name, "_", "-")); c != nil {
		return c
	}
	if c := registered(name); c != nil {
		return c
	}
	return spelled(bare(name))
}

// registered finds a set by a name of the web's registry.
func registered(name string) *charset {
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil
	}
	canonical, err := htmlindex.Name(e)
	if err != nil {
		return nil
	}
	switch canonical {
	case "utf-8":
		return unicodeSet
	case "utf-16be", "utf-16le", "replacement", "x-user-defined":
		return nil
	case "iso-2022-jp":
		return japaneseG0
	case "shift_jis", "gb18030", "gbk", "big5":
		return &charset{encoding: e, wide: true}
	}
	return &charset{encoding: e}
}

// bare is a name without what parts its words: ISO8859-1 and ISO 8859/1 are one.
func bare(name string) string {
	return strings.NewReplacer(" ", "", "-", "", "_", "", "/", "", ".", "", ":", "").Replace(name)
}

// barely are the words of table 0211, bare.
var barely = sync.OnceValue(func() map[string]*charset {
	out := map[string]*charset{"UNICODEUTF8": unicodeSet}
	for name, c := range table0211 {
		out[bare(name)] = c
	}
	return out
})

// spelled finds a set by its bare name.
func spelled(name string) *charset {
	if c := barely()[name]; c != nil {
		return c
	}
	if c := registered(name); c != nil {
		return c
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(name, "ISO"), "IEC")
	if c := barely()[rest]; c != nil && strings.HasPrefix(rest, "8859") {
		return c
	}
	// The numbers of ISO's registry, as DICOM has them: ISO_IR 100, ISO 2022 IR 87.
	if number, ok := strings.CutPrefix(strings.TrimPrefix(rest, "2022"), "IR"); ok && rest != name {
		switch c := barely()["ISOIR"+number]; {
		case c != nil:
			return c
		case number == "192":
			return unicodeSet
		case number == "166":
			return table0211["8859/11"]
		}
		return registered("iso-ir-" + number)
	}
	for _, prefix := range []string{"WINDOWS", "WIN", "CP", "IBM"} {
		number, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if c := codePages[number]; c != nil {
			return c
		}
		return registered("windows-" + number)
	}
	return nil
}
