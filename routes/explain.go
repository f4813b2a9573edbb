package routes

import (
	"fmt"
	"strings"
)

// Explain returns the channel of a name in full, as YAML, with the place that
// each value came from behind #: what defaults, templates and variables made
// of it. Problems of the files do not hinder it as long as they can be read.
func Explain(o LoadOptions, name string) (string, error) {
	l := newLoader(o)
	l.load()
	var known []string
	for _, n := range l.channels {
		own := str(n, "name", "")
		known = append(known, own)
		if own != name {
			continue
		}
		var b strings.Builder
		explained(&b, n, "")
		for _, w := range channelWords() {
			if n.get(w.name) == nil && w.def != "" && !notYet["channel."+w.name] {
				fmt.Fprintf(&b, "# %s: %s\n", w.name, w.def)
			}
		}
		return b.String(), nil
	}
	return "", fmt.Errorf("channel %q is not known%s", name, unknown(name, known))
}

// explained writes a value with its places.
func explained(b *strings.Builder, n *node, indent string) {
	switch n.form {
	case object:
		for _, m := range n.members {
			b.WriteString(indent + m.key + ":")
			explainedValue(b, m.value, indent)
		}
	case sequence:
		for _, item := range n.items {
			b.WriteString(indent + "-")
			explainedValue(b, item, indent)
		}
	}
}

func explainedValue(b *strings.Builder, n *node, indent string) {
	switch {
	case n.form == scalar:
		fmt.Fprintf(b, " %s  # %s%s\n", yamlText(n), n.at, origin(n))
	case n.form == nothing, len(n.members)+len(n.items) == 0:
		empty := "{}"
		if n.form == sequence {
			empty = "[]"
		}
		fmt.Fprintf(b, " %s  # %s%s\n", empty, n.at, origin(n))
	default:
		b.WriteString("\n")
		explained(b, n, indent+"  ")
	}
}

func origin(n *node) string {
	switch {
	case n.from != "":
		return ", " + n.from
	case n.filled:
		return ", from a variable"
	}
	return ""
}

// yamlText is a scalar as YAML reads it back.
func yamlText(n *node) string {
	if n.style == plain && !n.filled && !strings.ContainsAny(n.text, "\n#") {
		return n.text
	}
	return "'" + strings.ReplaceAll(n.text, "'", "''") + "'"
}
