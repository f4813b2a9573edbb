package folder

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/message"
)

// A Target is a folder that files are put into. It is used by one goroutine at
// a time. Its errors may be *message.Failures, whose kind then stands.
type Target interface {
	// Create makes an empty file under a name that is ours alone: whatever
	// an earlier attempt left there is removed first.
	Create(name string) (Output, error)
	// Find opens a file to be read and says how long it is; fs.ErrNotExist
	// when there is none, ErrExists when the name is that of something else
	// than a file.
	Find(name string) (file io.ReadCloser, size int64, err error)
	// Publish renames from to name and has that on disk, as far as the place
	// can say so. Without replace it returns ErrExists when name is taken.
	Publish(from, name string, replace bool) error
	// Sync has on disk that name is there.
	Sync(name string) error
	// Remove removes a file.
	Remove(name string) error
}

// An Output is a file being written.
type Output interface {
	io.Writer
	// Sync has what was written on disk, as far as the place can say so.
	Sync() error
	Close() error
}

// A Put is how a delivery is put into a folder.
type Put struct {
	Template Template
	// Temp is the ending of the name a file has until it is whole.
	Temp string
	// Replace writes over a file of the same name.
	Replace bool
	// Step is the first word of the kill points.
	Step string
	// Now tells the time.
	Now func() time.Time
}

// atATime is how much is written between two looks at the context.
const atATime = 256 << 10

// Send puts a delivery into t: under a temporary name made of the delivery's
// id, synced, then renamed. A repeat finds its own file and adds none. The
// error is a *message.Failure: Down and Busy only where the file is not there
// under its name.
func (p *Put) Send(ctx context.Context, t Target, d *message.Delivery) error {
	if err := ctx.Err(); err != nil {
		return &message.Failure{Kind: message.Down, Err: err}
	}
	name := p.Template.Name(d, p.Now())
	temp := Safe(d.ID, maxName-len(p.Temp)) + p.Temp
	switch state, err := compare(t, name, d.Payload); {
	case err != nil:
		return fail(kindOf(err), "look", err)
	case state == same:
		return p.again(t, name, temp)
	case state == other && !p.Replace:
		return refused()
	}
	if err := p.write(ctx, t, temp, d.Payload); err != nil {
		_ = t.Remove(temp) // the repeat removes it too; the error says why
		return fail(kindOf(err), "write", err)
	}
	killpoint.Hit(p.Step + "_written")
	err := t.Publish(temp, name, p.Replace)
	if errors.Is(err, ErrExists) {
		return p.taken(t, name, temp, d.Payload)
	}
	if err != nil {
		if message.KindOf(err) != message.Unknown {
			_ = t.Remove(temp) // as above
		}
		return fail(kindOf(err), "rename", err)
	}
	killpoint.Hit(p.Step + "_renamed")
	return nil
}

// again ends a repeat whose file is there already.
func (p *Put) again(t Target, name, temp string) error {
	if err := t.Sync(name); err != nil {
		return fail(message.Unknown, "sync", err)
	}
	_ = t.Remove(temp) // mostly there is none
	return nil
}

// taken ends a send whose name was taken between the look and the rename, by
// another, or by an attempt of ours whose end was not seen.
func (p *Put) taken(t Target, name, temp string, payload []byte) error {
	state, err := compare(t, name, payload)
	if err == nil && state == same {
		return p.again(t, name, temp)
	}
	_ = t.Remove(temp) // as above
	if err != nil {
		return fail(kindOf(err), "look", err)
	}
	return refused()
}

func refused() error {
	return &message.Failure{Kind: message.RefusedSend, Err: errors.New("another file of this name is there and is not written over")}
}

// kindOf is the class of an error before the file has its name.
func kindOf(err error) message.Kind {
	if Full(err) {
		return message.Busy
	}
	return message.Down
}

// write writes a payload under a temporary name and has it on disk.
func (p *Put) write(ctx context.Context, t Target, temp string, payload []byte) (err error) {
	out, err := t.Create(temp)
	if err != nil {
		return err
	}
	defer func() {
		if closed := out.Close(); err == nil {
			err = closed
		}
	}()
	for rest := payload; len(rest) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := out.Write(rest[:min(len(rest), atATime)])
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return out.Sync()
}

// What a name holds.
type content int

const (
	none content = iota
	same
	other
)

// compare looks at what a name holds, without keeping it.
func compare(t Target, name string, payload []byte) (state content, err error) {
	in, size, err := t.Find(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return none, nil
	case errors.Is(err, ErrExists):
		return other, nil
	case err != nil:
		return none, err
	}
	defer func() {
		if closed := in.Close(); err == nil {
			err = closed
		}
	}()
	if size != int64(len(payload)) {
		return other, nil
	}
	buf := make([]byte, min(len(payload)+1, 64<<10))
	for rest := payload; ; {
		n, err := in.Read(buf)
		if n > len(rest) || string(buf[:n]) != string(rest[:min(n, len(rest))]) {
			return other, nil
		}
		rest = rest[n:]
		switch {
		case errors.Is(err, io.EOF) && len(rest) == 0:
			return same, nil
		case errors.Is(err, io.EOF):
			return other, nil
		case err != nil:
			return none, err
		}
	}
}
