package routes

import (
	"sort"
	"strings"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// An EHRSource starts a message for each resource that is written to the store.
type EHRSource struct {
	// On are the resource types.
	On []string
	// When is asked of the resource; nil means always.
	When *expression.Program
	// By says whose writes count.
	By By
}

// By says whose writes start messages.
type By string

// Everybody's, those that came by the FHIR API, those of messages.
const (
	ByAnyone   By = "anyone"
	ByAPI      By = "api"
	ByMessages By = "messages"
)

// Starts reports whether the source is for resources of a type.
func (s *EHRSource) Starts(typ string) bool { return contains(s.On, typ) }

// insideSources are the kinds of source that are no connectors: rows that
// another transaction writes.
func insideSources() map[string][]word {
	return map[string][]word{
		"channel": {},
		"ehr": {
			{name: "on", shape: is(aText).orElse(listOf(is(aText))), required: true, text: "The resource type, or a list of them."},
			{name: "when", shape: is(aCondition), def: "always", text: "Which resources start a message, as the version just written stands."},
			{name: "by", shape: oneOf(string(ByAnyone), string(ByAPI), string(ByMessages)), def: "anyone", text: "Whose writes start one: api only those that came by the FHIR API, messages only those of channels. What this channel's own answers write never does."},
		},
	}
}

// insideTexts describe the kinds for the schema and the reference page.
var insideTexts = map[string]string{
	"source.channel": "The output of another channel of this file, sent by its to: { channel: { name: … } } or answer: { to: … }.",
	"source.ehr":     "A resource that anybody writes to the store; the message is recorded in the same transaction. The channel's format is fhir.",
	"to.channel":     "A message of another channel whose source is channel: {}.",
}

// channelTargetWords are the options of `to: { channel: … }`.
func channelTargetWords() []word {
	return []word{{name: "name", shape: is(aName), required: true, text: "The channel; its source is channel: {}."}}
}

// insideSource decodes a source that is no connector.
func (b *channelBuilder) insideSource(s scope, kind string, n *node) {
	b.c.SourceKind = kind
	s = s.in(kind)
	if n.form != nothing || len(insideSources()[kind]) > 0 {
		if n.form != object {
			s.problem(n, "its options are wanted, such as { ehr: { on: ServiceRequest } }")
			return
		}
		s.words(n, insideSources()[kind])
	}
	if kind != "ehr" {
		return
	}
	b.c.EHR = &EHRSource{By: By(str(n, "by", string(ByAnyone)))}
	on := n.get("on")
	items := listItems(on)
	if on != nil && on.form == scalar {
		items = []*node{on}
	}
	for _, item := range items {
		if item.form != scalar {
			continue
		}
		if definitions.Number(item.text) == 0 {
			s.in("on").problem(item, "%q is no resource type of FHIR R4", item.text)
			continue
		}
		b.c.EHR.On = append(b.c.EHR.On, item.text)
	}
}

// insideConditions compiles what needs the channel's grammar.
func (b *channelBuilder) insideConditions() {
	if b.c.EHR == nil {
		return
	}
	source := b.n.get("source").members[0].value
	s := b.in("source").in("ehr")
	if b.parsed && b.c.Parse != "fhir" {
		s.problem(b.n.get("parse"), "a resource of the store is fhir: write parse: fhir")
		return
	}
	b.c.EHR.When = b.expression(s.in("when"), source.get("when"), expression.Bool)
}

// feeds checks that what goes to a channel goes to one that takes it.
func (l *loader) feeds() {
	feeds := map[string]bool{}
	for _, c := range l.config.Channels {
		if c.SourceKind == "channel" {
			feeds[c.Name] = true
		}
	}
	var known []string
	for name := range feeds {
		known = append(known, name)
	}
	sort.Strings(known)
	check := func(c *Channel, r *Route, what, name string) {
		if name == "" || feeds[name] || l.lost.has("channels") && l.config.Channel(name) == nil {
			return
		}
		l.report(r.Place, "channel "+c.Name+": route "+r.Name+": "+what+": "+hintOf(l.config.Channel(name), name, known))
	}
	for _, c := range l.config.Channels {
		if name := c.Acknowledge; name != "" && !feeds[name] && (!l.lost.has("channels") || l.config.Channel(name) != nil) {
			l.report(c.Place, "channel "+c.Name+": acknowledge: "+hintOf(l.config.Channel(name), name, known))
		}
		for _, r := range c.Routes {
			check(c, r, "to channel", r.Channel)
			if r.Answer != nil && r.Answer.To != "worklist" {
				check(c, r, "answer", r.Answer.To)
			}
		}
	}
}

func hintOf(c *Channel, name string, known []string) string {
	switch {
	case c != nil:
		return "channel " + name + " has another source; what it is to be fed with needs source: { channel: {} }"
	case len(known) == 0:
		return "there is no channel " + name + " whose source is channel: {}"
	}
	return "there is no channel " + name + "; those with source: { channel: {} }: " + strings.Join(known, ", ")
}
