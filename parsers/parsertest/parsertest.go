// Package parsertest holds what every parser promises, as tests: lossless
// documents, placed errors, no panic on any bytes, no value of a message in an
// error, use from several goroutines, paths that keep the contract of their kind.
package parsertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// Canary is a text that stands for a patient's data: it must never be found in
// an error, a warning or a reply's own words.
const Canary = "Zanzibarski"

// A Case is one parser to be tried.
type Case struct {
	// Parser is the parser with the options that hold by default.
	Parser parsers.Parser
	// Samples is the folder of well-formed messages, Ext the end of their names.
	Samples, Ext string
	// Paths are well-formed paths: at least one of each kind.
	Paths []string
	// Wrong are paths that must not compile.
	Wrong []string
	// Refused are contents that must not parse.
	Refused map[string]string
	// Seed of the damage done to samples; 0 is as good as any.
	Seed uint64
	// Damages is how many damaged copies of each sample are tried. Default 200.
	Damages int
}

// rebuilder is a document that can be made again from its nodes.
type rebuilder interface{ Rebuild(dst []byte) []byte }

// Run runs the suite.
func Run(t *testing.T, c Case) {
	t.Helper()
	if c.Damages == 0 {
		c.Damages = 200
	}
	samples := c.samples(t)
	t.Run("samples come out byte for byte", func(t *testing.T) { c.roundTrip(t, samples) })
	t.Run("what must be refused is refused with its place", func(t *testing.T) { c.refused(t) })
	t.Run("damaged samples are read or refused with their place", func(t *testing.T) { c.damaged(t, samples) })
	t.Run("no value of a message stands in an error or warning", func(t *testing.T) { c.canary(t, samples) })
	t.Run("paths keep the contract of their kind", func(t *testing.T) { c.paths(t, samples) })
	t.Run("wrong paths do not compile", func(t *testing.T) { c.wrong(t) })
	t.Run("one parser serves several goroutines", func(t *testing.T) { c.concurrent(t, samples) })
	if _, ok := c.Parser.(parsers.Keyer); ok {
		t.Run("a scan finds the header of the document", func(t *testing.T) { c.scan(t, samples) })
	}
	if _, ok := c.Parser.(parsers.Replier); ok {
		t.Run("an answer is readable and is not answered", func(t *testing.T) { c.reply(t, samples) })
	}
	if _, ok := c.Parser.(parsers.Splitter); ok {
		t.Run("a file of one message is split into that one", func(t *testing.T) { c.split(t, samples) })
	}
}

// samples reads the folder; a suite without samples proves nothing.
func (c *Case) samples(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(c.Samples, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, c.Ext) {
			return err
		}
		raw, err := os.ReadFile(path)
		found[filepath.Base(path)] = raw
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %d samples %s, %v", c.Samples, len(found), c.Ext, err)
	}
	return found
}

func (c *Case) roundTrip(t *testing.T, samples map[string][]byte) {
	for name, raw := range samples {
		t.Run(name, func(t *testing.T) {
			before := bytes.Clone(raw)
			doc, err := c.Parser.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			prefix := []byte("kept")
			if got := doc.Encode(bytes.Clone(prefix)); !bytes.Equal(got, append(prefix, raw...)) {
				t.Errorf("Encode gives other bytes, or not behind those it was given")
			}
			if again, ok := doc.(rebuilder); ok && !bytes.Equal(again.Rebuild(nil), raw) {
				t.Errorf("Rebuild gives other bytes: %s", firstDifference(again.Rebuild(nil), raw))
			}
			if !bytes.Equal(raw, before) {
				t.Errorf("the parser has modified what it was given")
			}
			if h := doc.Header(); h.Type == "" || h.Control == "" {
				t.Errorf("the header has no type or control id: %+v", h)
			}
			if doc.Format() == "" || doc.Root() == nil {
				t.Errorf("the document has no format or root")
			}
			if start, end := doc.Root().Span(); start != 0 || end != len(raw) {
				t.Errorf("the root spans %d to %d of %d bytes", start, end, len(raw))
			}
		})
	}
}

func firstDifference(a, b []byte) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return fmt.Sprintf("first at byte %d, %d and %d bytes in all", n, len(a), len(b))
}

// placed complains about an error that breaks the contract.
func placed(err error) error {
	f, ok := errors.AsType[*message.Failure](err)
	switch {
	case !ok:
		return fmt.Errorf("the error is no *message.Failure but %T", err)
	case f.Kind != message.Malformed:
		return fmt.Errorf("the error is of kind %s", f.Kind)
	case f.Where == "" && f.Offset == 0:
		return fmt.Errorf("the error has no place: %w", err)
	case f.Err == nil:
		return errors.New("the error gives no reason")
	}
	return nil
}

func (c *Case) refused(t *testing.T) {
	if len(c.Refused) == 0 {
		t.Error("the case names nothing that must be refused")
	}
	for name, raw := range c.Refused {
		t.Run(name, func(t *testing.T) {
			doc, err := c.Parser.Parse([]byte(raw))
			if err == nil {
				t.Fatalf("it parses, with warnings %v", doc.Warnings())
			}
			if fault := placed(err); fault != nil {
				t.Error(fault)
			}
		})
	}
}

// damage changes a sample as bad senders and networks do.
func damage(r *rand.Rand, raw []byte) []byte {
	out := bytes.Clone(raw)
	for range 1 + r.IntN(4) {
		if len(out) == 0 {
			return out
		}
		at := r.IntN(len(out))
		switch r.IntN(6) {
		case 0:
			out = out[:at]
		case 1:
			out[at] = byte(r.IntN(256))
		case 2:
			out = append(out[:at:at], out[at+1:]...)
		case 3: // a delimiter, an escape or a line end too many
			out = append(out[:at:at], append([]byte{"|^~\\&*:<>\"\r\n\x1b\x0b\x1c~"[r.IntN(16)]}, out[at:]...)...)
		case 4: // a part twice
			end := at + r.IntN(min(64, len(out)-at))
			out = append(out[:end:end], out[at:]...)
		case 5: // a part elsewhere
			end := at + r.IntN(min(64, len(out)-at))
			part := bytes.Clone(out[at:end])
			out = append(append(out[:at:at], out[end:]...), part...)
		}
	}
	return out
}

// each hands damaged copies of every sample to try.
func (c *Case) each(samples map[string][]byte, try func(name string, raw []byte)) {
	r := rand.New(rand.NewPCG(c.Seed, 1))
	for name, raw := range samples {
		for cut := range min(len(raw), 300) {
			try(fmt.Sprintf("%s cut at %d", name, cut), raw[:cut])
		}
		for n := range c.Damages {
			try(fmt.Sprintf("%s, damage %d", name, n), damage(r, raw))
		}
	}
}

func (c *Case) damaged(t *testing.T, samples map[string][]byte) {
	paths := c.compiled(t)
	c.each(samples, func(name string, raw []byte) {
		c.exercise(raw)
		doc, err := c.Parser.Parse(raw)
		if err != nil {
			if fault := placed(err); fault != nil {
				t.Errorf("%s: %v", name, fault)
			}
			return
		}
		if !bytes.Equal(doc.Encode(nil), raw) {
			t.Errorf("%s: Encode gives other bytes", name)
		}
		for _, p := range paths {
			read(p, doc.Root())
		}
		for _, w := range doc.Warnings() {
			if w.Text == "" || w.Offset < 0 || w.Offset > len(raw) {
				t.Errorf("%s: warning %q at byte %d of %d", name, w.Code, w.Offset, len(raw))
			}
		}
	})
}

// exercise calls the further powers: they must not panic either.
func (c *Case) exercise(raw []byte) {
	if k, ok := c.Parser.(parsers.Keyer); ok {
		_, _ = k.Scan(raw, nil) // refused or not
		_, _ = k.Scan(raw[:len(raw)/2], bytes.NewReader(raw[len(raw)/2:]))
	}
	if r, ok := c.Parser.(parsers.Replier); ok {
		_ = r.Reply(raw, message.Answer{Code: message.Rejected, Problems: []message.Problem{{Where: "X[", Code: 100, Text: "|^~\\&\r"}}}, stamp())
	}
	if s, ok := c.Parser.(parsers.Splitter); ok {
		_ = s.Split(bytes.NewReader(raw), 1<<20, func([]byte) error { return nil })
	}
}

func stamp() parsers.Stamp { return parsers.Stamp{Time: "20260105133700.123+0000", Control: "P1"} }

func read(p message.Path, from message.Node) []message.Node {
	switch p.Kind() {
	case message.One:
		_ = p.Text(from)
	case message.Several:
		_ = p.Texts(from)
	case message.Places:
		return p.Nodes(from)
	}
	return nil
}

// canary puts the canary into samples, damages them, and looks for it.
func (c *Case) canary(t *testing.T, samples map[string][]byte) {
	r := rand.New(rand.NewPCG(c.Seed, 2))
	look := func(name, what string) {
		if strings.Contains(strings.ToLower(what), strings.ToLower(Canary)) {
			t.Errorf("%s: a value of the message stands in %q", name, what)
		}
	}
	for name, raw := range samples {
		for n := range c.Damages {
			marked := bytes.Clone(raw)
			for range 3 {
				at := r.IntN(len(marked))
				marked = append(marked[:at:at], append([]byte(Canary), marked[at:]...)...)
			}
			if n%2 == 0 {
				marked = damage(r, marked)
			}
			doc, err := c.Parser.Parse(marked)
			if err != nil {
				look(name, fmt.Sprintf("%v %+v", err, message.Explain(err)))
			} else {
				look(name, fmt.Sprintf("%+v", doc.Warnings()))
			}
			if k, ok := c.Parser.(parsers.Keyer); ok {
				if _, err := k.Scan(marked, nil); err != nil {
					look(name, fmt.Sprintf("%v %+v", err, message.Explain(err)))
				}
			}
		}
	}
}

func (c *Case) compiled(t *testing.T) []message.Path {
	t.Helper()
	grammar := c.Parser.Grammar()
	var out []message.Path
	for _, text := range c.Paths {
		p, err := grammar.Compile(text)
		if err != nil {
			t.Fatalf("path %s: %v", text, err)
		}
		out = append(out, p)
	}
	return out
}

func (c *Case) paths(t *testing.T, samples map[string][]byte) {
	grammar := c.Parser.Grammar()
	kinds := map[message.PathKind]bool{}
	for i, p := range c.compiled(t) {
		text := c.Paths[i]
		kinds[p.Kind()] = true
		if p.String() != text {
			t.Errorf("String of path %s is %s", text, p.String())
		}
		if p.Anchor() == "" || !strings.HasPrefix(text, p.Anchor()) {
			t.Errorf("the anchor of %s is %q", text, p.Anchor())
		}
		if n := grammar.Scan(0, text); n != len(text) {
			t.Errorf("Scan of %s gives %d", text, n)
		}
		if n := grammar.Scan('(', text+" == 1"); n != len(text) {
			t.Errorf("Scan of %s in an expression gives %d", text, n)
		}
		if n := grammar.Scan('x', text); n != 0 {
			t.Errorf("Scan of x%s gives %d: a path does not begin inside a word", text, n)
		}
		for name, raw := range samples {
			doc, err := c.Parser.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range read(p, doc.Root()) {
				if start, end := n.Span(); start < 0 || start > end || end > len(raw) {
					t.Errorf("%s: %s leads to bytes %d to %d of %d", name, text, start, end, len(raw))
				}
				for _, inner := range c.compiled(t) {
					read(inner, n)
				}
			}
		}
	}
	for kind, word := range map[message.PathKind]string{message.One: "One", message.Several: "Several", message.Places: "Places"} {
		if !kinds[kind] {
			t.Errorf("the case has no path of kind %s", word)
		}
	}
}

func (c *Case) wrong(t *testing.T) {
	for _, text := range append([]string{"", " ", "???"}, c.Wrong...) {
		if p, err := c.Parser.Grammar().Compile(text); err == nil {
			t.Errorf("%q compiles to a path of kind %v", text, p.Kind())
		} else if err.Error() == "" {
			t.Errorf("%q: the error says nothing", text)
		}
	}
}

func (c *Case) concurrent(t *testing.T, samples map[string][]byte) {
	paths := c.compiled(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for name, raw := range samples {
				doc, err := c.Parser.Parse(raw)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				for _, p := range paths {
					read(p, doc.Root())
				}
				c.exercise(raw)
			}
		})
	}
	all.Wait()
}

func (c *Case) scan(t *testing.T, samples map[string][]byte) {
	for name, raw := range samples {
		doc, err := c.Parser.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		want := doc.Header()
		got, err := c.Parser.(parsers.Keyer).Scan(raw, nil)
		if err != nil && !strings.Contains(name, "batch") {
			t.Errorf("%s: %v", name, err)
		}
		if got.Type != want.Type || got.Structure != want.Structure || got.Control != want.Control || got.Sender != want.Sender || got.Receiver != want.Receiver {
			t.Errorf("%s: a scan gives %+v, the document %+v", name, got, want)
		}
		if got.Key == "" || got.Hash == [32]byte{} {
			t.Errorf("%s: a scan gives no key or no hash", name)
		}
		again, _ := c.Parser.(parsers.Keyer).Scan(bytes.Clone(raw), strings.NewReader(""))
		if again != got {
			t.Errorf("%s: the same bytes give another header", name)
		}
		longer, _ := c.Parser.(parsers.Keyer).Scan(raw, strings.NewReader("more"))
		whole, _ := c.Parser.(parsers.Keyer).Scan(append(bytes.Clone(raw), "more"...), nil)
		if longer.Hash == got.Hash || longer.Hash != whole.Hash {
			t.Errorf("%s: the hash of what follows the head is not counted as that of the whole", name)
		}
	}
}

func (c *Case) reply(t *testing.T, samples map[string][]byte) {
	replier := c.Parser.(parsers.Replier)
	problem := message.Problem{Where: "", Code: 101, Text: "a field is missing"}
	for name, raw := range samples {
		for _, answer := range []message.Answer{
			{Code: message.Accepted},
			{Code: message.Erroneous, Problems: []message.Problem{problem, problem}},
			{Code: message.Rejected, Problems: []message.Problem{problem}},
		} {
			out := replier.Reply(raw, answer, stamp())
			if len(out) == 0 {
				continue // the message asks for none
			}
			if _, err := c.Parser.Parse(out); err != nil {
				t.Errorf("%s: the answer %s is not readable: %v", name, answer.Code, err)
			}
			if again := replier.Reply(out, message.Answer{Code: message.Accepted}, stamp()); len(again) > 0 {
				t.Errorf("%s: the answer %s is answered", name, answer.Code)
			}
		}
	}
}

func (c *Case) split(t *testing.T, samples map[string][]byte) {
	splitter := c.Parser.(parsers.Splitter)
	for name, raw := range samples {
		var parts [][]byte
		err := splitter.Split(&slowly{raw}, int64(len(raw)), func(part []byte) error {
			parts = append(parts, part)
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if keyer, ok := c.Parser.(parsers.Keyer); ok {
			if _, fault := keyer.Scan(raw, nil); fault != nil {
				continue // a batch
			}
		}
		if len(parts) != 1 || !bytes.Contains(raw, parts[0]) {
			t.Errorf("%s: split into %d parts", name, len(parts))
		}
		stop := errors.New("enough")
		if err := splitter.Split(bytes.NewReader(raw), 1<<30, func([]byte) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%s: the error of take is not returned: %v", name, err)
		}
		err = splitter.Split(bytes.NewReader(raw), 16, func([]byte) error { return nil })
		if err == nil {
			t.Errorf("%s: a message above the limit is taken", name)
		}
		wantPartial(t, name, err, raw)
		err = splitter.Split(io.MultiReader(bytes.NewReader(raw[:len(raw)/2]), iotest.ErrReader(stop)), 1<<30, func([]byte) error { return nil })
		if !errors.Is(err, stop) {
			t.Errorf("%s: the error of reading is not returned: %v", name, err)
		}
		wantPartial(t, name, err, raw)
	}
}

// wantPartial holds that the beginning of what could not be handed over comes
// with the error.
func wantPartial(t *testing.T, name string, err error, raw []byte) {
	t.Helper()
	partial, ok := errors.AsType[*message.Partial](err)
	if !ok || len(partial.Beginning) == 0 || len(partial.Beginning) > 64<<10 || !bytes.Contains(raw, partial.Beginning) {
		t.Errorf("%s: the beginning of the message does not come with %v", name, err)
	}
}

// slowly gives a few bytes a read, as a network does.
type slowly struct{ rest []byte }

func (s *slowly) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(7, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}
