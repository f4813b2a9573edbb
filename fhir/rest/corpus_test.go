package rest

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/internal/corpus"
)

// TestCorpusIsAccepted writes every valid example of the corpus and reads it
// back equal, decimals to the digit.
func TestCorpusIsAccepted(t *testing.T) { eachStore(t, corpusIsAccepted) }

func corpusIsAccepted(t *testing.T, a *api) {
	a.handler = New(Options{Records: a.handler.(*server).Records, Access: a.handler.(*server).Access, Base: "/fhir", Log: a.handler.(*server).Log})
	n, refused := 0, 0
	for _, folder := range []string{"valid", "uscore"} {
		err := filepath.WalkDir(corpus.Dir(t, "fhir", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			tree, err := fhir.Parse(data)
			if err != nil {
				t.Errorf("%s: %v", d.Name(), err)
				return nil
			}
			n++
			typ, id := text(tree, "resourceType"), text(tree, "id")
			if id == "" {
				id = "none"
				tree.Set("id", fhir.Text(id))
			}
			w, back := a.do("PUT", "/"+typ+"/"+id, string(tree.AppendJSON(nil)))
			if w.Code != 201 && w.Code != 200 {
				refused++
				if refused < 15 {
					t.Errorf("%s/%s: %d %s", folder, d.Name(), w.Code, w.Body)
				}
				return nil
			}
			if want := fhir.Unstamped(tree, typ, id); !fhir.Unstamped(back, typ, id).Equal(want) {
				t.Errorf("%s/%s came back changed", folder, d.Name())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d examples, %d refused", n, refused)
}

// left are the queries of the corpus that this API does not answer as the corpus
// says, with the reason.
var left = map[string]string{}

// TestCorpusSearches runs the search cases of the corpus on both stores; what is
// left is exactly what left says.
func TestCorpusSearches(t *testing.T) { onBoth(t, corpusSearches) }

func corpusSearches(t *testing.T, open func(*testing.T) *api) {
	data, err := os.ReadFile(corpus.Dir(t, "fhir", "search", "search_cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name, Type, Scope string
			Resources         []json.RawMessage
			Cases             []struct {
				Query  string
				Expect []int
			}
		}
	}
	number := regexp.MustCompile(`"@NUM:([^"]*)@"`)
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	ran, wrong := 0, map[string]bool{}
	for _, g := range file.Groups {
		a := open(t)
		places := map[string]int{}
		for i, r := range g.Resources {
			body := number.ReplaceAllString(strings.ReplaceAll(string(r), "@TAG@", "tag1"), "$1")
			_, n := a.want(201, "POST", "/"+g.Type, body)
			places[text(n, "id")] = i
		}
		for _, c := range g.Cases {
			query := strings.ReplaceAll(c.Query+"&"+g.Scope, "@TAG@", "tag1")
			w, found := a.do("GET", "/"+g.Type+"?"+query, "")
			ran++
			got := []int{}
			if e := found.Get("entry"); e != nil {
				for _, one := range e.Items {
					got = append(got, places[text(one.Get("resource"), "id")])
				}
			}
			slices.Sort(got)
			if name := g.Type + "?" + c.Query; w.Code != 200 || !slices.Equal(got, c.Expect) {
				wrong[name] = true
				if left[name] != "" {
					continue
				}
				t.Errorf("%s?%s: %d, found %v, want %v", g.Type, c.Query, w.Code, got, c.Expect)
			}
		}
	}
	for name := range left {
		if !wrong[name] {
			t.Errorf("%s is answered now; take it out of the list", name)
		}
	}
	t.Logf("%d queries, %d left", ran, len(wrong))
}
