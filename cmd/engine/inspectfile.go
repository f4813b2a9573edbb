package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// peeked is how much of a file is looked at to tell what is in it.
const peeked = 64 << 10

// file inspects one file. What is wrong with the file is no error.
func (i *inspector) file(name string) error {
	out := inspection{File: name, Warnings: []message.Warning{}}
	in, err := openInput(name)
	if err != nil {
		return i.unread(&out, err)
	}
	defer in.close()
	made := i.make(name)
	defer made.drop()
	values := &getting{inspector: i, out: &out}
	err = i.content(in.reader, &out, made, values.take())
	if err != nil {
		return err
	}
	if out.Format == "" {
		return i.unread(&out, errors.New(out.Error))
	}
	slices.SortStableFunc(out.Warnings, func(a, b message.Warning) int { return a.Offset - b.Offset })
	if err := made.keep(); err != nil {
		i.bad = true // the file itself may be as it should
		if out.Error == "" {
			out.Error = err.Error()
		}
	}
	i.bad = i.bad || !out.OK
	switch {
	case values.n > 0:
		return nil // the values were printed as they came
	case !i.tree:
		return i.print(&out)
	}
	out.Warnings = nil // they stand in the tree
	if err := i.print(&out); err != nil {
		return err
	}
	return i.trees(name, in)
}

// unread prints the line of a file that cannot be read.
func (i *inspector) unread(out *inspection, err error) error {
	out.fault(0, err)
	i.bad = true
	return i.print(out)
}

// trees goes through a file again and prints the tree of every message in it.
func (i *inspector) trees(name string, in *input) error {
	if err := in.again(name); err != nil {
		return &exit{code: exitFailed, err: err}
	}
	return i.content(in.reader, &inspection{}, nil, func(_ int, doc message.Document) error {
		m, ok := doc.(*hl7v2.Message)
		if !ok {
			return &exit{code: exitUsage, err: errors.New("--tree is for HL7 v2 alone")}
		}
		if err := printTree(i.a.stdout, m, i.check.findings(m), i.speak); err != nil {
			return &exit{code: exitFailed, err: err}
		}
		return nil
	})
}

// An input is a file that may be read twice: what is no regular file is held.
type input struct {
	file   *os.File
	held   []byte
	reader *bufio.Reader
}

func openInput(name string) (*input, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	in := &input{file: f, reader: bufio.NewReaderSize(f, peeked)}
	info, err := f.Stat()
	switch {
	case err != nil:
		in.close()
		return nil, err
	case info.Mode().IsRegular() || info.IsDir():
		return in, nil
	}
	if in.held, err = bounded(f); err != nil {
		in.close()
		return nil, err
	}
	in.reader = bufio.NewReaderSize(bytes.NewReader(in.held), peeked)
	return in, nil
}

// again goes back to the beginning.
func (in *input) again(name string) error {
	if in.held != nil {
		in.reader.Reset(bytes.NewReader(in.held))
		return nil
	}
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	in.reader.Reset(in.file)
	return nil
}

func (in *input) close() { _ = in.file.Close() } // only read

// bounded reads what is not read message by message.
func bounded(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxInspect+1))
	if err == nil && len(raw) > maxInspect {
		err = fmt.Errorf("the file is larger than %d bytes", maxInspect)
	}
	return raw, err
}

// content reads every message of a file and hands over each that is readable,
// with its number. made is the file made again; nil: it is not wanted.
func (i *inspector) content(r *bufio.Reader, out *inspection, made *made, take taking) error {
	head, err := r.Peek(peeked)
	if err != nil && !errors.Is(err, io.EOF) {
		out.fault(0, err)
		return nil
	}
	i.choose(head)
	out.Format, out.OK = i.kind.Name, true
	if i.kind.Name != "hl7v2" {
		raw, err := bounded(r)
		if err != nil {
			out.fault(0, err)
			return nil
		}
		return i.whole(raw, out, made, take)
	}
	c := &contents{inspector: i, out: out, made: made, take: take, same: true, whole: true}
	empty := true
	err = frames(r, out, c.around, func(r io.Reader, at int) error {
		empty = false
		return c.content(r, at)
	})
	var stop *exit
	switch {
	case errors.As(err, &stop):
		return stop
	case err != nil:
		c.whole = false
		out.fault(0, err)
	case empty && out.Error == "":
		out.fault(0, errors.New("the MLLP frame is empty"))
	}
	out.Roundtrip = c.whole && c.same
	if !c.whole {
		made.drop()
	}
	return nil
}

// taking takes the messages of a file, as they come.
type taking func(number int, doc message.Document) error

// A made is a file that is made again. nil is one that is not wanted.
type made struct {
	i      *inspector
	name   string
	file   *os.File
	writer *bufio.Writer
	err    error
}

// make begins a file of --emit under a name of its own.
func (i *inspector) make(name string) *made {
	if i.emit == "" {
		return nil
	}
	m := &made{i: i, name: name}
	if m.file, m.err = os.CreateTemp(i.emit, ".emit-*"); m.err == nil {
		m.writer = bufio.NewWriterSize(m.file, peeked)
	}
	return m
}

// write adds bytes. The first error is that of keep.
func (m *made) write(b []byte) {
	if m != nil && m.err == nil && m.file != nil {
		_, m.err = m.writer.Write(b)
	}
}

// drop takes the file away, unless it was kept.
func (m *made) drop() {
	if m == nil || m.file == nil {
		return
	}
	_ = m.file.Close()
	_ = os.Remove(m.file.Name()) // a hidden file stays behind where that cannot be
	m.file = nil
}

// keep gives the file the name of the one it was made from. It overwrites neither
// what this run wrote nor that file.
func (m *made) keep() error {
	switch {
	case m == nil || m.file == nil && m.err == nil:
		return nil
	case m.err != nil:
		return fmt.Errorf("emit: %w", m.err)
	}
	base := filepath.Base(m.name)
	to := filepath.Join(m.i.emit, base)
	if m.i.emitted[base] {
		return errors.New("emit: a file of the same name was written before it")
	}
	from, err := os.Stat(m.name)
	if err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	if there, err := os.Stat(to); err == nil && os.SameFile(from, there) {
		return errors.New("emit: the folder is the one the file stands in")
	}
	m.i.emitted[base] = true
	err = m.writer.Flush()
	if closing := m.file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(m.file.Name(), to)
	}
	if err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	m.file = nil
	return nil
}
