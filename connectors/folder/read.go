package folder

import (
	"errors"
	"io"
)

// A reading is a file being read, piece by piece. A piece is handed on only
// when the file was still what it was after the piece had been read; the end
// comes only when the name still is that of the file.
type reading struct {
	place Place
	file  File
	info  Info
	buf   []byte
	rest  []byte // of buf
	total int64

	done    bool
	failure error
}

// pieceSize is how much is read between two looks at the file.
const pieceSize = 1 << 20

func read(place Place, file File, info Info) *reading {
	return &reading{place: place, file: file, info: info, buf: make([]byte, min(pieceSize, info.Size+1))}
}

// Read delivers content.
func (r *reading) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		switch {
		case r.failure != nil:
			return 0, r.failure
		case r.done:
			return 0, io.EOF
		}
		if err := r.fill(); err != nil {
			r.failure = err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fill reads the next piece.
func (r *reading) fill() error {
	n, err := r.file.Read(r.buf)
	ended := errors.Is(err, io.EOF)
	if err != nil && !ended {
		return err
	}
	now, err := r.file.Stat()
	if err != nil {
		return err
	}
	r.total += int64(n)
	if !now.same(r.info) || r.total > r.info.Size || (ended && r.total != r.info.Size) {
		return ErrChanged
	}
	if ended {
		named, err := r.place.Stat(Here, r.info.Name)
		if err != nil {
			return err
		}
		if !named.same(r.info) {
			return ErrChanged
		}
		r.done = true
	}
	r.rest = r.buf[:n]
	return nil
}
