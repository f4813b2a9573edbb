package fhir

import (
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
)

// problemText are problems as one text.
func problemText(problems []connectors.Problem) string {
	var list []string
	for _, p := range problems {
		list = append(list, p.Field+": "+p.Text)
	}
	return strings.Join(list, "\n")
}

func TestSourceOptions(t *testing.T) {
	tests := map[string]struct {
		change func(o *SourceOptions)
		want   string
	}{
		"defaults":    {change: func(*SourceOptions) {}},
		"no base":     {change: func(o *SourceOptions) { o.Base = "" }},
		"unencrypted": {change: func(o *SourceOptions) { o.Listen = ":80" }, want: `listen: ":80" is reachable from other machines and messages would travel unencrypted: add tls, or say insecure: i-understand`},
		"base":        {change: func(o *SourceOptions) { o.Base = "fhir/" }, want: `base: "fhir/" is not a path that begins with a slash and ends with none, such as /fhir`},
		"types":       {change: func(o *SourceOptions) { o.Types = []string{"Patient", "patient"} }, want: `types[1]: "patient" is no resource type of R4, such as ServiceRequest or Bundle`},
	}
	for name, test := range tests {
		o := sourceDefaults()
		test.change(o)
		if got := problemText(o.Validate()); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestDestinationOptions(t *testing.T) {
	const places = "known: {identifier}, {identifier:SYSTEM}, {identifier.value}, {identifier.system}, {id}"
	tests := map[string]struct {
		change func(o *DestinationOptions)
		want   string
	}{
		"defaults":         {change: func(*DestinationOptions) {}},
		"no base":          {change: func(o *DestinationOptions) { o.Base = "" }, want: "base: is missing: where to, such as https://partner.example.org/inbox"},
		"a search":         {change: func(o *DestinationOptions) { o.Base = "https://a/fhir?x=y" }, want: "base: has a part after ?, which does not belong to the base of a server"},
		"unencrypted":      {change: func(o *DestinationOptions) { o.Base = "http://a.example.org/fhir" }, want: `base: "a.example.org" leads to another machine and messages would travel unencrypted: write https, or say insecure: i-understand`},
		"interaction":      {change: func(o *DestinationOptions) { o.Interaction = "upsert" }, want: `interaction: "upsert" is not known; known: auto, create, update, conditional-create, conditional-update, transaction`},
		"no search":        {change: func(o *DestinationOptions) { o.Match = "{identifier}" }, want: `match: "{identifier}": is not a search such as identifier={identifier}`},
		"an empty match":   {change: func(o *DestinationOptions) { o.Match = "" }, want: `match: "": is not a search such as identifier={identifier}`},
		"a blank in it":    {change: func(o *DestinationOptions) { o.Match = "a= {id}" }, want: `match: "a= {id}": is not a search such as identifier={identifier}`},
		"an unknown place": {change: func(o *DestinationOptions) { o.Match = "a={name}" }, want: `match: "a={name}": {name} is not known; ` + places},
		"an open place":    {change: func(o *DestinationOptions) { o.Match = "a={id" }, want: `match: "a={id": {id} is not known; ` + places},
		"no system":        {change: func(o *DestinationOptions) { o.Match = "a={identifier:}" }, want: `match: "a={identifier:}": {identifier:} is not known; ` + places},
	}
	for name, test := range tests {
		o := defaults("127.0.0.1:80")
		test.change(o)
		if got := problemText(o.Validate()); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
	if got, want := defaults("127.0.0.1:80").Limits(), (connectors.SendLimits{Connections: 4, Timeout: 40 * time.Second}); got != want {
		t.Errorf("limits %v, want %v", got, want)
	}
	if k := Kind(); k.Name != "fhir" || k.Source().Validate() != nil || len(k.Destination().Validate()) != 1 {
		t.Errorf("kind %q: its defaults lack nothing but a base", k.Name)
	}
}
