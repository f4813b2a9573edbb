package routes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func mustLoad(t *testing.T, file string, everything bool) *Config {
	t.Helper()
	config, problems := load(t, LoadOptions{File: file}, everything)
	if len(problems) > 0 {
		t.Fatalf("\n%s", problems.Error())
	}
	return config
}

func TestValues(t *testing.T) {
	config := mustLoad(t, "testdata/full.good.yaml", false)
	t.Run("channels are those of all files, templates and rows", func(t *testing.T) {
		var names []string
		for _, c := range config.Channels {
			names = append(names, c.Name)
		}
		want := []string{
			"acme-results", "west-results", "east-results", "north-results", "south-results", "everything", "anchored",
			"from-include", "from-glob",
		}
		if !slices.Equal(names, want) {
			t.Errorf("got %v, want %v", names, want)
		}
	})
	t.Run("all that was read is watched", func(t *testing.T) {
		for _, f := range []string{"full.good.yaml", "included.yaml", "sites/one.yaml", "labs.csv", "tables/acme.csv", "maps/acme.yaml", "secrets/food"} {
			if !slices.Contains(config.Files, filepath.Join("testdata", f)) {
				t.Errorf("%s is not among %v", f, config.Files)
			}
		}
	})
	t.Run("options are decoded with their units", func(t *testing.T) {
		c := config.Channel("everything")
		o, ok := c.Source.(*mllpOptions)
		if !ok || o.Idle != 90*time.Second || o.Buffer != 64<<10 || len(o.Peers) != 2 || o.TLS == nil || o.TLS.Cert != "certs/a.pem" {
			t.Errorf("got %+v", c.Source)
		}
		if o.TLS.Key.Reveal() != "not-a-real-food" {
			t.Error("the secret is not that of its file")
		}
	})
	t.Run("keys of a channel are decoded", func(t *testing.T) {
		c := config.Channel("everything")
		if c.Was != "all-of-it" || c.Title != "Everything" || c.Note != "Two lines\nof text." || !c.Enabled || c.SourceKind != "mllp" ||
			c.Parse != "hl7v2" || c.Ack != AckProcessed || c.Zone.String() != "America/New_York" || c.Order != OrderChannel ||
			c.Deliver != DeliverFirst || c.Unrouted != UnroutedPark || c.OnError != OnErrorPark || c.Duplicates != DuplicatesRefuse ||
			c.Limits != (Limits{Size: 64 << 20, Connections: 12}) || c.Keep != 90*24*time.Hour || len(c.Map) != 2 {
			t.Errorf("got %+v", c)
		}
		if c.Filter.String() != `type == "ORU^R01" and valued(PID-3.1)` || len(c.Require) != 2 || c.Require[0].Else != ElseRefuse ||
			c.Require[0].Say != "no patient number" || c.Require[1].Else != ElsePark {
			t.Errorf("filter %q, require %+v", c.Filter, c.Require)
		}
		if c.Place != (Place{"testdata/full.good.yaml", 24, 5}) {
			t.Errorf("place %s", c.Place)
		}
	})
	t.Run("routes are decoded", func(t *testing.T) {
		r := config.Channel("everything").Routes
		if len(r) != 3 || r[0].Name != "store" || r[0].Kind != "ehr" || r[0].When == nil || !r[1].Original || r[1].Kind != "mllp" ||
			r[1].Destination == nil || !r[2].Otherwise || r[2].Kind != "drop" || r[2].DropReason != "nobody wants these" {
			t.Errorf("got %+v %+v %+v", r[0], r[1], r[2])
		}
	})
	t.Run("defaults hold where a channel is silent", func(t *testing.T) {
		c := config.Channel("anchored")
		if c.Limits.Size != 2<<20 || c.Unrouted != UnroutedFilter || c.Zone.String() != "Europe/Berlin" || c.Ack != AckStored {
			t.Errorf("got %+v", c)
		}
	})
}

func TestValuesNotRunYet(t *testing.T) {
	config := mustLoad(t, "testdata/later.good.yaml", true)
	c := config.Channel("rich")
	if c.Key == nil || c.Split == nil || c.OnError != OnErrorStop || c.Keep != 30*24*time.Hour || c.Limits.Rate != (Rate{50, time.Second}) ||
		len(c.Check) != 2 || c.Check[0] != (Check{"claim-edits", "warn", 7 * 24 * time.Hour}) || c.Check[1].On != OnBlock {
		t.Errorf("got %+v", c)
	}
	late := config.Channel("late")
	if late.Reply == nil || late.Reply.From != "http" || late.Reply.Within != 20*time.Second || len(late.Reply.Map) != 1 || late.Ack != AckDelivered || late.Routes[0].Within != 20*time.Second {
		t.Errorf("reply %+v", late.Reply)
	}
	r := c.Routes[0]
	if r.Each == nil || r.Order != OrderNone || !r.Strict || r.Hours.String() != "Mon-Fri 06:00-22:00" || r.Alert != (Alert{15 * time.Minute, 1000, 1}) ||
		r.Batch == nil || r.Batch.Every != 5*time.Minute || r.Batch.Max != 500 || r.Batch.At != "02:00" || r.Batch.By == nil ||
		r.Answer == nil || r.Answer.To != "worklist" || r.Answer.When == nil {
		t.Errorf("got %+v", r)
	}
	want := map[string]Retry{
		"down":       {Do: "next", Next: "other"},
		"unknown":    {Do: "park"}, // the default for routes
		"busy":       {Do: "retry", First: time.Second, Max: 5 * time.Minute, Factor: 1.5, Attempts: 9, Then: "stop"},
		"refused":    {Do: "park"},
		"unreadable": {Do: "retry", First: time.Second, Max: 5 * time.Minute, Factor: 2, For: 7 * 24 * time.Hour, Then: "park"},
	}
	for class, w := range want {
		if r.Retry[class] != w {
			t.Errorf("%s: %+v, want %+v", class, r.Retry[class], w)
		}
	}
}

const small = `zone: Europe/Berlin
variables: { why: x }
channels:
  - name: a
    title: A
    source: { mllp: { listen: "127.0.0.1:1" } }
    parse: hl7v2
    routes: [ { to: { drop: { reason: "${why}" } } } ]
  - name: b
    source: { mllp: { listen: "127.0.0.1:2" } }
    parse: hl7v2
    map: { use: v2-to-fhir, with: [ local.yaml ] }
    routes: [ { to: { ehr: {} } } ]
`

func TestSecretsStayOutOfTheVersion(t *testing.T) {
	read := func(secret string) *Config {
		config, problems := Load(LoadOptions{File: "routes.yaml", SecretsFolder: "secrets", Parts: fakeParts(t), ReadFile: func(name string) ([]byte, error) {
			if name == "routes.yaml" {
				return []byte(`channels: [ { name: a, source: { mllp: { tls: { cert: c, key: { secret: k } } } }, parse: hl7v2, routes: [ { to: { drop: { reason: x } } } ] } ]`), nil
			}
			return []byte(secret + "\n"), nil
		}})
		if len(problems) > 0 {
			t.Fatal(problems.Error())
		}
		return config
	}
	one, two := read("one"), read("two")
	if one.Version != two.Version {
		t.Error("the version tells of a secret")
	}
	if len(Diff(one, two).Changed) != 1 {
		t.Error("another secret does not restart its channel")
	}
	o, ok := two.Channels[0].Source.(*mllpOptions)
	if !ok || o.TLS.Key.Reveal() != "two" {
		t.Error("the secret is not the content of its file")
	}
}

func TestVariablesLaterWins(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("routes.yaml", small)
	write("env/prod.yaml", "why: from the environment\n")
	reason := func(env string, environ func(string) (string, bool)) string {
		config, problems := Load(LoadOptions{File: filepath.Join(folder, "routes.yaml"), Env: env, Environ: environ, Parts: fakeParts(t)})
		if len(problems) > 0 {
			t.Fatal(problems.Error())
		}
		return config.Channels[0].Routes[0].DropReason
	}
	process := func(name string) (string, bool) { return "from the process", name == "PLEXUS_VAR_WHY" }
	for _, c := range []struct {
		env     string
		environ func(string) (string, bool)
		want    string
	}{{"", nil, "x"}, {"prod", nil, "from the environment"}, {"prod", process, "from the process"}} {
		if got := reason(c.env, c.environ); got != c.want {
			t.Errorf("env %q: %q, want %q", c.env, got, c.want)
		}
	}
}

// TestAByteOrderMarkSaysNothing: some editors write one in front of all they save.
func TestAByteOrderMarkSaysNothing(t *testing.T) {
	for name, text := range map[string]string{"marked": "\ufeff", "unmarked": ""} {
		files := map[string]string{
			"routes.yaml":   "zone: Europe/Berlin\ninclude: more.yaml\ntables: { sex: sex.csv }\nchannels: []\n",
			"more.yaml":     "channels:\n  - { name: a, source: { mllp: { listen: \"127.0.0.1:2575\" } }, parse: hl7v2, filter: 'PID-8 in table(\"sex\")', map: v2-to-fhir, routes: [ { to: { ehr: {} } } ] }\n",
			"sex.csv":       "from,to\n1,male\n",
			"misspelt.yaml": "zonne: Europe/Berlin\n",
		}
		for file, problem := range map[string]string{"routes.yaml": "", "misspelt.yaml": "misspelt.yaml:1:1: unknown field \"zonne\", did you mean \"zone\"?"} {
			_, problems := Load(LoadOptions{File: file, Parts: fakeParts(t), ReadFile: func(name string) ([]byte, error) {
				return []byte(text + files[name]), nil
			}})
			if got := problems.Error(); got != problem {
				t.Errorf("%s, %s: %s, want %s", name, file, got, problem)
			}
		}
	}
}

func TestDiff(t *testing.T) {
	read := func(text, override string) *Config {
		t.Helper()
		config, problems := Load(LoadOptions{File: "routes.yaml", Parts: fakeParts(t), ReadFile: func(name string) ([]byte, error) {
			if name == "routes.yaml" {
				return []byte(text), nil
			}
			return []byte(override), nil
		}})
		if len(problems) > 0 {
			t.Fatal(problems.Error())
		}
		return config
	}
	old := read(small, "map: one")
	for name, c := range map[string]struct {
		text, override          string
		added, removed, changed string
		sameVersion             bool
	}{
		"nothing":                        {text: small, override: "map: one", sameVersion: true},
		"a title, a comment, an order":   {text: "# x\n" + strings.Replace(small, "title: A", "title: Other", 1), override: "map: one"},
		"a filter":                       {text: strings.Replace(small, "title: A", "filter: valued(PID-3)", 1), override: "map: one", changed: "a"},
		"a variable":                     {text: strings.Replace(small, "why: x", "why: y", 1), override: "map: one", changed: "a"},
		"the zone":                       {text: strings.Replace(small, "Europe/Berlin", "Europe/Paris", 1), override: "map: one", changed: "a b"},
		"a file that a step reads":       {text: small, override: "map: two", changed: "b"},
		"another name":                   {text: strings.Replace(small, "name: a", "name: c", 1), override: "map: one", added: "c", removed: "a"},
		"a default that a channel takes": {text: "defaults: { channel: { unrouted: filter } }\n" + small, override: "map: one", changed: "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			next := read(c.text, c.override)
			d := Diff(old, next)
			got := []string{strings.Join(d.Added, " "), strings.Join(d.Removed, " "), strings.Join(d.Changed, " ")}
			if want := []string{c.added, c.removed, c.changed}; !slices.Equal(got, want) {
				t.Errorf("added, removed, changed = %q, want %q", got, want)
			}
			if same := old.Version == next.Version; same != c.sameVersion {
				t.Errorf("versions %s and %s", old.Version, next.Version)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	o := LoadOptions{File: "testdata/full.good.yaml", Parts: fakeParts(t), Environ: environ, SecretsFolder: "testdata/secrets"}
	for _, name := range []string{"west-results", "everything"} {
		got, err := Explain(o, name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got, "not-a-real") {
			t.Error("a secret is printed")
		}
		compare(t, "testdata/explain-"+name+".txt", got)
	}
	if _, err := Explain(o, "wst-results"); err == nil || !strings.Contains(err.Error(), `did you mean "west-results"?`) {
		t.Errorf("got %v", err)
	}
}

func TestWatch(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "routes.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "one")
	parts := filepath.Join(folder, "parts")
	if err := os.Mkdir(parts, 0o755); err != nil {
		t.Fatal(err)
	}
	changes := make(chan struct{}, 100)
	done := make(chan error, 1)
	go func() {
		done <- Watch(t.Context(), []string{file, filepath.Join(folder, "absent", "x.yaml"), filepath.Join(folder, "part?", "*.yaml")}, func() { changes <- struct{}{} })
	}()
	// The watch may not have begun yet: write until it tells.
	wait := func(what string, change func()) {
		t.Helper()
		for range 100 {
			change()
			select {
			case <-changes:
				return
			case err := <-done:
				t.Fatalf("%s: the watch ended: %v", what, err)
			case <-time.After(3 * settle):
			}
		}
		t.Fatalf("%s: nothing was told", what)
	}
	wait("a write", func() { write(file, "two") })
	wait("a file put in its place", func() {
		write(file+".new", "three")
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	})
	wait("a new file that fits a pattern", func() { write(filepath.Join(parts, "new.yaml"), "one") })
	wait("a removal", func() {
		write(file, "four")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWatchNothing(t *testing.T) {
	if err := Watch(t.Context(), []string{filepath.Join(t.TempDir(), "absent", "routes.yaml")}, func() {}); err == nil {
		t.Error("a folder that is not there is watched")
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	parts := fakeParts(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, problems := Load(LoadOptions{File: "routes.yaml", Parts: parts, Environ: environ, ReadFile: func(name string) ([]byte, error) {
			if name != "routes.yaml" {
				return nil, os.ErrNotExist
			}
			return data, nil
		}, Glob: func(string) ([]string, error) { return nil, nil }})
		for _, p := range problems {
			if p.File == "" || p.Line < 1 || p.Column < 1 || p.Text == "" {
				t.Errorf("a problem without place or text: %+v", p)
			}
		}
	})
}
