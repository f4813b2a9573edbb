package routes

import (
	"strings"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/transforms"
)

// answer decodes what becomes of the peer's answer. Its condition is compiled
// once all channels are known: the format of the answer may be that of another.
func (b *channelBuilder) answer(s scope, route *node, r *Route) {
	n := route.get("answer")
	if n == nil || n.form != object {
		return
	}
	r.Answer = &RouteAnswer{To: str(n, "to", "")}
	r.Answer.Map, _ = b.stepsOf(s.in("map"), n.get("map"), "")
	when, steps := n.get("when"), n.get("map")
	if when == nil && steps == nil || isEffect(r.Kind) {
		return
	}
	b.l.later = append(b.l.later, func() {
		format := b.answerFormat(r)
		if r.Answer.Parser = b.l.parserOf(b, r, format); r.Answer.Parser == nil {
			if !b.told(route, r) {
				s.problem(n, "when and map read the answer, and it is not known in what format it comes: the last step of map does not say what it makes")
			}
			return
		}
		r.Answer.When = b.expressionOf(s.in("when"), when, r.Answer.Parser.Grammar(), expression.Bool)
		if target := b.l.config.Channel(r.Answer.To); target != nil {
			if made := makes(r.Answer.Map); made != "" && target.Parse != "" && made != target.Parse {
				s.in("map").problem(steps, "it makes %s, and channel %s parses %s", made, target.Name, target.Parse)
			}
		}
		b.digests = append(b.digests, format+" "+b.l.parseText(r.Answer.To))
		b.c.Hash, b.c.Work = b.hash(), b.hash("source")
	})
}

// answerFormat is the format that a peer of a route answers in: what the first
// step of the answer's map reads; without a map that of the channel it becomes a
// message of; else what the peer was sent.
func (b *channelBuilder) answerFormat(r *Route) string {
	if len(r.Answer.Map) > 0 {
		if reader, ok := r.Answer.Map[0].(transforms.Reader); ok && reader.Reads() != "" {
			return reader.Reads()
		}
	} else if c := b.l.config.Channel(r.Answer.To); c != nil {
		return c.Parse
	}
	return b.sends(r)
}

// sends is the format of what a route sends, "" where a step does not say it.
func (b *channelBuilder) sends(r *Route) string {
	steps := r.Map
	if len(steps) == 0 && !r.Original {
		steps = b.c.Map
	}
	if len(steps) == 0 {
		return b.c.Parse
	}
	return makes(steps)
}

// makes is what the last of some steps makes, "" where it does not say it.
func makes(steps []transforms.Transform) string {
	if len(steps) == 0 {
		return ""
	}
	if reader, ok := steps[len(steps)-1].(transforms.Reader); ok {
		return reader.Makes()
	}
	return ""
}

// parserOf is the parser of the answers to a route: that of the channel they
// become messages of or of the route's own where the format is the same, so that
// its options hold; else one with defaults.
func (l *loader) parserOf(b *channelBuilder, r *Route, format string) parsers.Parser {
	if c := l.config.Channel(r.Answer.To); c != nil && c.Parse == format {
		return c.Parser
	}
	if b.c.Parse == format {
		return b.c.Parser
	}
	for _, k := range l.o.Parts.Parsers {
		if k.Name == format {
			if parser, err := k.Options().Open(); err == nil {
				return parser
			}
		}
	}
	return nil
}

// told reports whether the format of answers is not known for a fault that is
// told elsewhere.
func (b *channelBuilder) told(n *node, r *Route) bool {
	broken := func(n *node, steps []transforms.Transform) bool {
		return n != nil && n.text != "original" && len(steps) == 0
	}
	c := b.l.config.Channel(r.Answer.To)
	return !b.parsed || c == nil && r.Answer.To != "worklist" ||
		broken(n.get("answer").get("map"), r.Answer.Map) || broken(n.get("map"), r.Map) || broken(b.n.get("map"), b.c.Map)
}

// parseText is `parse:` of a channel as the file gives it: a change of it
// changes those whose answers it reads.
func (l *loader) parseText(name string) string {
	for _, n := range l.channels {
		if str(n, "name", "") == name {
			if parse := n.get("parse"); parse != nil {
				var text strings.Builder
				parse.canonical(&text)
				return text.String()
			}
		}
	}
	return ""
}
