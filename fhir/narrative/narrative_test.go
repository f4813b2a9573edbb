package narrative

import (
	"strings"
	"testing"
)

const ns = ` xmlns="http://www.w3.org/1999/xhtml"`

func TestGood(t *testing.T) {
	for text, want := range map[string]bool{
		"<div" + ns + "><p>a &amp; &#160;&#xa0;b</p><!-- c --></div>":         true,
		"<div" + ns + `><img src="#a" alt='x'/></div>`:                        true,
		"<div" + ns + " >a<br /></div >\n":                                    true,
		"<div>a</div>":                                                        false,
		`<div xmlns="urn:x">a</div>`:                                          false,
		"<div" + ns + "><p>a &nbsp;b</p></div>":                               false,
		"<div" + ns + "><p>a & b</p></div>":                                   false,
		"<div" + ns + "><p>a &#0;b</p></div>":                                 false,
		"<div" + ns + "><p>a &#xD800;b</p></div>":                             false,
		"<div" + ns + "> </div>":                                              false,
		"<div" + ns + "/>":                                                    false,
		"<div" + ns + "><script>a</script></div>":                             false,
		"<div" + ns + `><p onclick="a">a</p></div>`:                           false,
		"<div" + ns + `><p class=a>a</p></div>`:                               false,
		"<div" + ns + `><p class="a>a</p></div>`:                              false,
		"<div" + ns + `><a href=" javascript:a">a</a></div>`:                  false,
		"<div" + ns + `><a href="&#106;avascript:a">a</a></div>`:              false,
		"<div" + ns + `><a href="&#x6A;&#x61;vascript&#58;a">a</a></div>`:     false,
		"<div" + ns + `><a href="java&#10;script:a">a</a></div>`:              false,
		"<div" + ns + "><a href=\"java\tscript:a\">a</a></div>":               false,
		"<div" + ns + `><a href="&#1; javascript:a">a</a></div>`:              false,
		"<div" + ns + `><a href="JavaScript:a">a</a></div>`:                   false,
		"<div" + ns + `><img src="&#118;bscript:a"/></div>`:                   false,
		"<div" + ns + `><a href="&#100;ata:text/html,a">a</a></div>`:          false,
		"<div" + ns + `><a href="http://a.example/?javascript:a">a</a></div>`: true,
		"<div" + ns + `><a href="http://a.example/?a=1&amp;b=2">a</a></div>`:  true,
		"<div" + ns + `><a href="http://a.example/?a=1&b=2">a</a></div>`:      false,
		"<div" + ns + `><p title="a & b">a</p></div>`:                         false,
		"<div" + ns + `><p title="a &amp; &#160;b">a</p></div>`:               true,
		"<div" + ns + `><p title="a &nbsp;b">a</p></div>`:                     false,
		"<div" + ns + `><p title"a">a</p></div>`:                              false,
		"<div" + ns + `><p title "a">a</p></div>`:                             false,
		"<div" + ns + `><p title = "a">a</p></div>`:                           true,
		"<div" + ns + `><p title=="a">a</p></div>`:                            false,
		"<p" + ns + ">a</p>":                                                  false,
		"<div" + ns + ">a":                                                    false,
		"<div" + ns + "><b>a</div></b>":                                       false,
		"<div" + ns + "><b a<b></b></div>":                                    false,
		"<div" + ns + ">a</div>b":                                             false,
		"<div" + ns + ">a</div><div>b</div>":                                  false,
		"<div" + ns + ">a\x01</div>":                                          false,
		"<!DOCTYPE html><div" + ns + ">a</div>":                               false,
		"<div" + ns + ">" + strings.Repeat("<b>", 200) + "a</div>":            false,
		"":   false,
		"<":  false,
		"</": false,
	} {
		if got := Good(text); got != want {
			t.Errorf("Good(%q) = %v, want %v: %v", text, got, want, Check(text))
		}
	}
}

func TestFaultsNameNoWordOfTheText(t *testing.T) {
	const canary = "zzcanary"
	for _, text := range []string{
		"<div" + ns + "><" + canary + ">a</" + canary + "></div>", "<div" + ns + " " + canary + `="a">a</div>`,
		"<div" + ns + ">&" + canary + ";</div>", "<" + canary, canary,
	} {
		found := Check(text)
		if len(found) == 0 {
			t.Errorf("%q has no fault", text)
		}
		for _, f := range found {
			if strings.Contains(f.Text, canary) || f.Text == "" {
				t.Errorf("%q: %q", text, f.Text)
			}
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("<div" + ns + `><p class="x">a &amp; b<br/></p></div>`)
	f.Add("<div><a href='javascript:x'>&nbsp;</a>")
	f.Fuzz(func(t *testing.T, text string) {
		if found := Check(text); len(found) > maxFaults+1 {
			t.Errorf("%d faults", len(found))
		}
	})
}
