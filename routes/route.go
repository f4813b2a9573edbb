package routes

import (
	"fmt"
	"time"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/parsers"
)

// routes checks and decodes the routes of a channel.
func (b *channelBuilder) routes() {
	list := b.n.get("routes")
	if list == nil || list.form != sequence {
		return
	}
	if len(list.items) == 0 {
		b.problem(list, "routes: the list is empty: a channel has at least one route; { to: { drop: { reason: … } } } drops")
	}
	taken := map[string]Place{}
	var nodes []*node
	for i, n := range list.items {
		if n.tagged {
			continue
		}
		if n.form != object {
			b.in("routes").problem(n, "a route is wanted, not %s", formName(n))
			continue
		}
		r := b.route(n)
		if first, twice := taken[r.Name]; twice && r.Name != "" {
			b.in("route "+r.Name).problem(n, "the name is taken in %s: give it a name", first)
		}
		taken[r.Name] = n.at
		if r.Otherwise && i < len(list.items)-1 {
			b.in("route "+r.Name).problem(n.get("otherwise"), "otherwise: true has to be the last route")
		}
		b.c.Routes = append(b.c.Routes, r)
		nodes = append(nodes, n)
	}
	b.next(nodes)
}

// next checks the routes that retry names.
func (b *channelBuilder) next(nodes []*node) {
	for i, r := range b.c.Routes {
		for class, retry := range r.Retry {
			if retry.Next == "" {
				continue
			}
			known := false
			for _, other := range b.c.Routes {
				if other.Name == retry.Next && other != r {
					known = true
					other.Failure = true
					b.takesOver(nodes, other, retry.Next)
				}
			}
			if !known {
				at := nodes[i].get("retry").get(class)
				b.in("route "+r.Name).in("retry").in(class).problem(at, "next: route %q is no other route of this channel", retry.Next)
			}
		}
	}
}

// takesOver checks that a route can take over what another one failed to send:
// the same bytes, queued.
func (b *channelBuilder) takesOver(nodes []*node, other *Route, name string) {
	for i, r := range b.c.Routes {
		if r != other {
			continue
		}
		s := b.in("route " + name)
		if isEffect(other.Kind) {
			s.problem(nodes[i].get("to"), "it takes over from another route, and %s is never queued", other.Kind)
		}
		if m := nodes[i].get("map"); m != nil {
			s.problem(m, "map: it takes over from another route, which hands its own bytes over")
		}
	}
}

// route decodes one route.
func (b *channelBuilder) route(n *node) *Route {
	r := &Route{
		Name: str(n, "name", kindOf(n.get("to"))), Was: str(n, "was", ""), Kind: kindOf(n.get("to")),
		Otherwise: yes(n, "otherwise", false), Strict: yes(n, "strict", false), Retired: yes(n, "retired", false),
		Order: Order(str(n, "order", "")), Place: n.at,
	}
	label := "route"
	if r.Name != "" {
		label += " " + r.Name
	}
	s := scope{l: b.l, prefix: b.prefix, key: "route"}.in(label)
	s.words(n, routeWords())
	r.When = b.expression(s.in("when"), n.get("when"), expression.Bool)
	r.Key = b.expression(s.in("key"), n.get("key"), expression.Text)
	if r.When != nil && r.Otherwise {
		s.problem(n.get("otherwise"), "when and otherwise: one or the other")
	}
	if each := n.get("each"); each != nil && each.form == scalar {
		r.Each = b.path(s.in("each"), each)
	}
	mapped := false
	if m := n.get("map"); m != nil && m.form == scalar && m.text == "original" {
		r.Original = true
	} else {
		r.Map, mapped = b.steps(s.in("map"), m)
	}
	b.to(s, n, r, mapped)
	b.retry(n, r)
	b.batch(s, n, r)
	if hours := n.get("hours"); hours != nil && hours.get("open") != nil {
		var err error
		if r.Hours, err = parseHours(hours.get("open").text); err != nil {
			s.in("hours").in("open").problem(hours.get("open"), "%s", err)
		}
	}
	alert := n.get("alert")
	r.Alert = Alert{Waiting: span(alert, "waiting", 0), Depth: number(alert, "depth", 0), Parked: number(alert, "parked", 1)}
	return r
}

// to decodes the destination.
func (b *channelBuilder) to(s scope, n *node, r *Route, mapped bool) {
	to := n.get("to")
	if to == nil || to.form != object {
		return
	}
	if isEffect(r.Kind) {
		for _, key := range notForEffects {
			if m := n.member(key); m != nil {
				s.at(m.at, n.from, "%s beside to: %s: it is part of the message's own transaction and never queued", key, r.Kind)
			}
		}
	}
	switch r.Kind {
	case "ehr":
		b.noOptions(s.in("to ehr"), to.members[0].value)
		if b.parsed && b.c.Parse != "fhir" && (r.Original || !mapped && b.n.get("map") == nil) {
			s.problem(to, "to: ehr takes FHIR resources: add map:, such as map: v2-to-fhir")
		}
	case "channel":
		options := to.members[0].value
		s = s.in("to channel")
		if options.form != object || options.get("name") == nil {
			s.problem(to, "field \"name\" is missing: to: { channel: { name: … } }")
			return
		}
		s.check(options, with(channelTargetWords()...))
		r.Channel = str(options, "name", "")
		if r.Channel == b.c.Name {
			s.problem(options, "the channel would feed itself")
		}
	case "drop":
		options := to.members[0].value
		s = s.in("to drop")
		if options.form == nothing || options.form == object && options.get("reason") == nil {
			s.problem(to, "field \"reason\" is missing: say why nothing is done with these messages")
			return
		}
		s.check(options, with(dropWords()...))
		r.DropReason = str(options, "reason", "")
	default:
		r.Destination = b.destination(s, to)
	}
}

// dropWords are the options of `to: { drop: … }`.
func dropWords() []word {
	return []word{{name: "reason", shape: is(aText), required: true, text: "Why nothing is done with these messages."}}
}

// noOptions reports options where there are none.
func (b *channelBuilder) noOptions(s scope, n *node) {
	switch {
	case n.form == nothing:
	case n.form != object:
		s.problem(n, "a mapping is wanted, not %s", formName(n))
	default:
		s.words(n, nil)
	}
}

// retry decodes what follows a failed send, by class.
func (b *channelBuilder) retry(n *node, r *Route) {
	r.Retry = map[string]Retry{}
	for i, w := range retryWords() {
		silent := Retry{Do: w.def}
		if w.def == "retry" {
			silent = Retry{Do: "retry", First: time.Second, Max: 5 * time.Minute, Factor: 2, For: 7 * 24 * time.Hour, Then: "park"}
		}
		given := n.get("retry").get(classes[i])
		if given == nil {
			r.Retry[w.name] = silent
			continue
		}
		r.Retry[w.name] = retryOf(given)
	}
}

func retryOf(n *node) Retry {
	out := Retry{Do: "retry", First: time.Second, Max: 5 * time.Minute, Factor: 2, For: 7 * 24 * time.Hour, Then: "park"}
	if n.form == scalar {
		if n.text != "retry" {
			return Retry{Do: n.text}
		}
		return out
	}
	if next := n.get("next"); next != nil {
		return Retry{Do: "next", Next: str(next, "route", "")}
	}
	out.First, out.Max = span(n, "first", out.First), span(n, "max", out.Max)
	out.Attempts, out.Then = number(n, "attempts", 0), str(n, "then", out.Then)
	if f := n.get("for"); f != nil && f.text == "none" {
		out.For = 0
	} else {
		out.For = span(n, "for", out.For)
	}
	if f := n.get("factor"); f != nil {
		_, _ = fmt.Sscan(f.text, &out.Factor)
	}
	return out
}

// batch decodes batch, and answer.
func (b *channelBuilder) batch(s scope, n *node, r *Route) {
	b.answer(s.in("answer"), n, r)
	v := n.get("batch")
	if v == nil || v.form != object || isEffect(r.Kind) {
		return
	}
	s = s.in("batch")
	r.Batch = &Batch{Every: span(v, "every", 0), Max: number(v, "max", mostInFile), At: str(v, "at", ""), By: b.expression(s.in("by"), v.get("by"), expression.Text)}
	if v.get("every") == nil && v.get("max") == nil && v.get("at") == nil {
		s.problem(v, "say when a file is closed: every, max or at")
	}
	if m := v.get("max"); m != nil && m.form == scalar && (r.Batch.Max < 1 || r.Batch.Max > mostInFile) {
		s.in("max").problem(m, "%s is not between 1 and %d", m.text, mostInFile)
	}
	if !b.parsed {
		return
	}
	format := b.sends(r)
	bundler, ok := b.l.bundlerOf(b, format)
	switch {
	case ok:
		r.Batch.Bundler = bundler
	case format != "":
		s.problem(v, "files of format %s cannot be made", format)
	case n.get("map") == nil && b.n.get("map") == nil || len(r.Map) > 0 || len(b.c.Map) > 0:
		s.problem(v, "it is not known in what format the messages are: the last step of map does not say what it makes")
	}
}

// bundlerOf makes files of a format.
func (l *loader) bundlerOf(b *channelBuilder, format string) (parsers.Bundler, bool) {
	if b.c.Parse == format {
		bundler, ok := b.c.Parser.(parsers.Bundler)
		return bundler, ok
	}
	for _, k := range l.o.Parts.Parsers {
		if k.Name == format {
			parser, err := k.Options().Open()
			bundler, ok := parser.(parsers.Bundler)
			return bundler, ok && err == nil
		}
	}
	return nil, false
}
