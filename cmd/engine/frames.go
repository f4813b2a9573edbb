package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/plexus-health/plexus/message"
)

// frames hands over what stands in the MLLP frames of a file (0B … 1C 0D), with
// the byte it begins at and a warning for each frame that is not as it should be.
// A file without a start block before the first header is one content. around
// takes the bytes of the frames themselves and those between them.
func frames(r *bufio.Reader, out *inspection, around func([]byte), content func(r io.Reader, at int) error) error {
	head, err := r.Peek(peeked)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	start := bytes.IndexByte(head, 0x0b)
	if header := bytes.Index(head, []byte("MSH")); start < 0 || header >= 0 && header < start {
		return content(r, 0)
	}
	for at := 0; ; {
		n, text, err := outside(r, around)
		if text {
			out.warn(message.Warning{Offset: at, Code: "mllp-outside", Text: "bytes stand outside of MLLP frames"})
		}
		if at += n; errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		framed := &frame{r: r, left: maxInspect}
		raw, err := io.ReadAll(framed)
		if err != nil {
			return err
		}
		if len(raw) > 0 || !framed.ended {
			if err := content(bytes.NewReader(raw), at); err != nil {
				return err
			}
		}
		if !framed.ended {
			out.warn(message.Warning{Offset: at - 1, Code: "mllp-no-end", Text: "the MLLP frame has no end"})
			out.fault(0, errors.New("the MLLP frame has no end: the message did not arrive whole"))
			return nil
		}
		around([]byte{0x1c})
		at += len(raw) + 1
		if next, _ := r.Peek(1); len(next) == 1 && next[0] == '\r' {
			around([]byte{'\r'})
			at++
			_, _ = r.Discard(1) // it is in the buffer
		} else {
			out.warn(message.Warning{Offset: at - 1, Code: "mllp-no-cr", Text: "the end block of the MLLP frame has no CR"})
		}
	}
}

// outside reads to behind the next start block, and reports how many bytes that
// are and whether anything but white space stands before it.
func outside(r *bufio.Reader, around func([]byte)) (n int, text bool, err error) {
	for {
		part, err := r.ReadSlice(0x0b)
		around(part)
		n += len(part)
		text = text || len(bytes.TrimSpace(bytes.TrimSuffix(part, []byte{0x0b}))) > 0
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, text, err
		}
	}
}

// A frame reads the content of one MLLP frame, to its end block.
type frame struct {
	r     *bufio.Reader
	left  int
	ended bool
}

// Read gives the next bytes of the frame.
func (f *frame) Read(p []byte) (int, error) {
	if f.ended {
		return 0, io.EOF
	}
	if _, err := f.r.Peek(1); err != nil {
		return 0, err
	}
	held, _ := f.r.Peek(min(f.r.Buffered(), len(p)))
	n := len(held)
	if end := bytes.IndexByte(held, 0x1c); end >= 0 {
		n, f.ended = end, true
	}
	if f.left -= n; f.left < 0 {
		return 0, errors.New("the MLLP frame is too large")
	}
	n = copy(p, held[:n])
	skip := n
	if f.ended {
		skip++
	}
	_, err := f.r.Discard(skip)
	if err == nil && f.ended {
		err = io.EOF
	}
	return n, err
}
