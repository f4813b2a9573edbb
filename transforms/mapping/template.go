package mapping

import "strings"

// A piece is a part of a text template: fixed text before a place, or after
// the last one.
type piece struct {
	text     string // stands when the place beside it does
	place    string // a source; empty for fixed text at the end
	optional bool
}

// template takes text {A} x{B?} apart. The word that touches an optional place
// goes with it: it is the text between the last space and the brace.
func (c *compiler) template(text string, at place) []piece {
	var out []piece
	for text != "" {
		open := strings.IndexByte(text, '{')
		if open < 0 {
			out = append(out, piece{text: text})
			break
		}
		end := strings.IndexByte(text[open:], '}')
		if end < 0 {
			c.wrong(at, "a brace is open in %q", text)
			break
		}
		end += open
		p := piece{text: text[:open], place: strings.TrimSpace(text[open+1 : end])}
		if inner, ok := strings.CutSuffix(p.place, "?"); ok {
			p.place, p.optional = strings.TrimSpace(inner), true
		}
		if p.place == "" {
			c.wrong(at, "nothing stands between the braces of %q", text)
		}
		out = append(out, p)
		text = text[end+1:]
	}
	return out
}

// A tpiece is a piece, compiled.
type tpiece struct {
	free, word string // text before: what stands always, and what goes with the place
	get        getter
	optional   bool
}

// textTemplate compiles a template to a source.
func (c *compiler) textTemplate(s source) getter {
	var pieces []tpiece
	for _, p := range c.template(s.text, s.at) {
		t := tpiece{free: p.text, optional: p.optional}
		if p.optional {
			cutAt := strings.LastIndexByte(p.text, ' ') + 1
			t.free, t.word = p.text[:cutAt], p.text[cutAt:]
		}
		if p.place != "" {
			var sources []source
			for _, one := range cutSentence(p.place) {
				sources = append(sources, parseSource(one.text, s.at, c.probs))
			}
			t.get = c.sources(sources)
		}
		pieces = append(pieces, t)
	}
	return func(r *run, f *frame, out *val) bool { return runTemplate(r, f, pieces, out) }
}

func runTemplate(r *run, f *frame, pieces []tpiece, out *val) bool {
	var stack [64]byte
	text := stack[:0]
	result := val{constant: true}
	filled, places, given := false, false, false
	for i := range pieces {
		p := &pieces[i]
		if p.get == nil {
			text = append(text, p.free...)
			continue
		}
		places = true
		v := r.take()
		piece := ""
		if p.get(r, f, v) && !v.null() {
			piece = r.text(v)
		}
		r.give(1) // v is read on below, before anything else takes its place
		if piece == "" && !p.optional {
			return false
		}
		text = append(text, p.free...)
		if piece == "" {
			continue
		}
		given = true
		text = append(append(text, p.word...), piece...)
		if !filled {
			result.start, result.end = v.span()
		} else {
			r.touch(v)
		}
		filled = filled || !v.constant
		result.constant = result.constant && v.constant
	}
	result.text = squeeze(text)
	*out = result
	return result.text != "" && (given || !places)
}

// squeeze joins the words with one space each: what an absent place leaves is
// no gap.
func squeeze(text []byte) string {
	var out strings.Builder
	out.Grow(len(text))
	gap := false
	for _, c := range text {
		if c == ' ' {
			gap = out.Len() > 0
			continue
		}
		if gap {
			out.WriteByte(' ')
			gap = false
		}
		out.WriteByte(c)
	}
	return out.String()
}
