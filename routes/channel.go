package routes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// A channelBuilder makes one channel of its node, which has been checked
// against its shape.
type channelBuilder struct {
	scope
	n       *node
	c       *Channel
	grammar message.Grammar
	parsed  bool // whether the parser is known, so that paths can be checked
	digests []string
	mapped  bool // a step was asked for
}

// channel checks and decodes a channel; nil when it cannot be named.
func (l *loader) channel(n *node) *Channel {
	label := "channel"
	if name := n.get("name"); name != nil && name.form == scalar {
		label += " " + name.text
	}
	b := &channelBuilder{scope: scope{l: l, key: "channel"}.in(label), n: n}
	b.words(n, channelWords())
	b.c = &Channel{
		Name: str(n, "name", ""), Was: str(n, "was", ""), Title: str(n, "title", ""), Note: str(n, "note", ""),
		Enabled: yes(n, "enabled", true), Ack: Ack(str(n, "ack", string(AckStored))), Zone: l.location(n.get("zone")),
		Order: Order(str(n, "order", string(OrderPatient))), Deliver: Deliver(str(n, "deliver", string(DeliverAll))),
		Unrouted: Unrouted(str(n, "unrouted", string(UnroutedPark))), OnError: OnError(str(n, "on_error", string(OnErrorPark))),
		Duplicates: Duplicates(str(n, "duplicates", string(DuplicatesAnswer))),
		Keep:       span(n, "keep", DefaultKeep), Place: n.at,
	}
	limits := n.get("limits")
	b.c.Limits = Limits{Size: 8 << 20, Connections: number(limits, "connections", 100)}
	if s := limits.get("size"); s != nil {
		if v, err := parseSize(s.text); err == nil {
			b.c.Limits.Size = v
		}
	}
	if r := limits.get("rate"); r != nil {
		b.c.Limits.Rate, _ = parseRate(r.text)
	}
	b.unique()
	b.source()
	b.parse()
	b.conditions()
	b.insideConditions()
	b.c.Map, _ = b.steps(b.in("map"), n.get("map"))
	b.routes()
	b.reply()
	b.acknowledge()
	b.rules()
	b.semantics()
	b.c.Hash, b.c.Work = b.hash(), b.hash("source")
	return b.c
}

// str is the text of a key, or what holds where the file is silent.
func str(n *node, key, silent string) string {
	if v := n.get(key); v != nil && v.form == scalar {
		return v.text
	}
	return silent
}

func yes(n *node, key string, silent bool) bool {
	if v := n.get(key); v != nil && v.form == scalar {
		if b, err := parseBoolean(v.text); err == nil {
			return b
		}
	}
	return silent
}

func number(n *node, key string, silent int) int {
	if v := n.get(key); v != nil && v.form == scalar {
		if i, err := parseWhole(v.text); err == nil {
			return i
		}
	}
	return silent
}

func span(n *node, key string, silent time.Duration) time.Duration {
	if v := n.get(key); v != nil && v.form == scalar {
		if d, err := parseDuration(v.text); err == nil {
			return d
		}
	}
	return silent
}

// unique reports a name that another channel has.
func (b *channelBuilder) unique() {
	name := b.n.get("name")
	if name == nil || name.form != scalar {
		return
	}
	if first, twice := b.l.names[name.text]; twice {
		b.problem(name, "the name is taken in %s", first)
		return
	}
	b.l.names[name.text] = name.at
}

// conditions compiles filter, require, key and split.
func (b *channelBuilder) conditions() {
	b.c.Filter = b.expression(b.in("filter"), b.n.get("filter"), expression.Bool)
	b.c.Key = b.expression(b.in("key"), b.n.get("key"), expression.Text)
	if n := b.n.get("split"); n != nil && n.form == scalar && n.text != "none" {
		b.c.Split = b.path(b.in("split"), n)
	}
	list := b.n.get("require")
	if list == nil {
		return
	}
	for _, item := range list.items {
		if item.form != object {
			continue
		}
		s := b.in("require")
		r := Require{Else: Else(str(item, "else", string(ElsePark))), Say: str(item, "say", "")}
		r.That = b.expression(s.in("that"), item.get("that"), expression.Bool)
		if r.Else == ElseRefuse && b.c.Ack == AckStored {
			s.problem(item.get("else"), "else: refuse needs ack: processed, since nothing can be refused after a positive answer")
		}
		b.c.Require = append(b.c.Require, r)
	}
}

// expression compiles one expression of the channel.
func (b *channelBuilder) expression(s scope, n *node, want expression.Want) *expression.Program {
	if !b.parsed {
		b.formless(s, n, want)
		return nil
	}
	return b.expressionOf(s, n, b.grammar, want)
}

// foreign is what may be a path of a format that nobody here knows, such as
// 2010AA/NM1-09 or //observation.
var foreign = regexp.MustCompile(`[0-9][A-Za-z_]|[/*@$]`)

// formless reports what is wrong with an expression whatever the format is: what
// the grammars of all formats say of it, in the same words.
func (b *channelBuilder) formless(s scope, n *node, want expression.Want) {
	if n == nil || n.form != scalar || n.tagged || foreign.MatchString(n.text) {
		return
	}
	said, same := "", true
	for i, k := range b.l.o.Parts.Parsers {
		parser, err := k.Options().Open()
		if err != nil {
			return
		}
		text := ""
		if _, err := b.compile(n, parser.Grammar(), want); err != nil {
			text = err.Error()
		}
		same = same && text != "" && (i == 0 || text == said)
		said = text
	}
	if same && said != "" {
		parser, _ := b.l.o.Parts.Parsers[0].Options().Open() // it was opened above
		b.expressionOf(s, n, parser.Grammar(), want)
	}
}

func (b *channelBuilder) compile(n *node, grammar message.Grammar, want expression.Want) (*expression.Program, error) {
	return expression.Compile(n.text, expression.Options{
		Grammar: grammar, Want: want, Vars: b.l.allVariables(), Zone: b.c.Zone,
		Tables: b.l.lookup, TableNames: b.l.tables.Names(),
	})
}

// expressionOf compiles an expression over documents of any format.
func (b *channelBuilder) expressionOf(s scope, n *node, grammar message.Grammar, want expression.Want) *expression.Program {
	if n == nil || n.form != scalar || n.tagged {
		return nil
	}
	p, err := b.compile(n, grammar, want)
	if err == nil {
		return p
	}
	if b.l.lost.has("variables") && strings.Contains(n.text, "var.") || b.l.lost.has("tables") && strings.Contains(n.text, "table(") {
		return nil // it may name one that is lost
	}
	at, text := n.at, err.Error()
	if e, ok := errors.AsType[*expression.Error](err); ok && n.column > 0 {
		at.Column = n.column + e.Column - 1
	}
	if cut := commentIn(n); cut {
		text += `; " #" begins a comment: put the whole expression in quotes`
	}
	s.at(at, n.from, "%s", text)
	return nil
}

// commentIn reports whether the line of a plain scalar goes on with a comment.
func commentIn(n *node) bool {
	return n.style == plain && !n.filled && strings.Contains(n.line, n.text+" #")
}

// path compiles the path of a group or loop.
func (b *channelBuilder) path(s scope, n *node) message.Path {
	if !b.parsed {
		return nil
	}
	p, err := b.grammar.Compile(n.text)
	if err != nil {
		s.problem(n, "%s", err)
		return nil
	}
	if p.Kind() != message.Places {
		s.problem(n, "%s is a value: name a segment, group or loop", n.text)
		return nil
	}
	if _, ok := b.c.Parser.(parsers.Divider); !ok {
		s.problem(n, "messages of format %s cannot be taken apart", b.c.Parse)
		return nil
	}
	return p
}

// lookup finds a code table for expressions: entries without an end count.
func (l *loader) lookup(name string) (func(string) bool, func(string) (string, bool), bool) {
	t := l.tables.Table(name)
	if t == nil {
		return nil, nil, false
	}
	find := func(code string) (string, bool) {
		e, ok := t.Lookup(code, time.Time{})
		return e.To, ok
	}
	return func(code string) bool { _, ok := find(code); return ok }, find, true
}

// semantics checks what concerns several keys of a channel.
func (b *channelBuilder) semantics() {
	if order, key := b.n.get("order"), b.n.get("key"); order != nil && key != nil {
		b.problem(key, "key and order: one or the other")
	}
	if b.mapped && b.c.Zone == nil && b.n.get("zone") == nil && b.l.zone == nil && !b.l.lost.has("zone") { // one that is said, but wrong, is told already
		b.problem(b.n, `zone is not said, and maps need it for times without an offset: write zone: America/New_York, or your own, at the top`)
	}
	if b.c.Was != "" && b.c.Was == b.c.Name {
		b.problem(b.n.get("was"), "was is the name it has now")
	}
}

// hash is a digest of all that the running channel has to be told of, but for
// some keys.
func (b *channelBuilder) hash(but ...string) string {
	h := sha256.New()
	for _, m := range b.n.members {
		if m.key != "title" && m.key != "note" && !slices.Contains(but, m.key) {
			fmt.Fprintf(h, "%q:", m.key)
			m.value.canonical(h)
		}
	}
	if b.c.Zone != nil {
		fmt.Fprintf(h, "zone %q", b.c.Zone)
	}
	for _, d := range b.digests {
		fmt.Fprintf(h, "%q", d)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// canonical writes a value without its place.
func (n *node) canonical(w io.Writer) {
	switch n.form {
	case scalar:
		fmt.Fprintf(w, "%q", n.text)
	case object:
		io.WriteString(w, "{") //nolint:errcheck // a hash
		for _, m := range n.members {
			fmt.Fprintf(w, "%q:", m.key)
			m.value.canonical(w)
		}
		io.WriteString(w, "}") //nolint:errcheck // a hash
	case sequence:
		io.WriteString(w, "[") //nolint:errcheck // a hash
		for _, item := range n.items {
			item.canonical(w)
		}
		io.WriteString(w, "]") //nolint:errcheck // a hash
	default:
		io.WriteString(w, "~") //nolint:errcheck // a hash
	}
}
