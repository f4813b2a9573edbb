package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/pkg/sftp"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/folder"
	"github.com/plexus-health/plexus/message"
)

// A Destination puts deliveries into one folder of a server. Its connections
// stay open between sends.
type Destination struct {
	server server
	folder string
	put    folder.Put

	mu   sync.Mutex
	idle []*link
}

var _ connectors.Destination = (*Destination)(nil)

// Open makes the destination.
func (o *DestinationOptions) Open(env connectors.Environment) (connectors.Destination, error) {
	template, _ := folder.ParseTemplate(o.Name) // Validate reported what is wrong with it
	s := o.server()
	s.folder = env.Folder
	return &Destination{
		server: s, folder: o.Folder,
		put: folder.Put{Template: template, Temp: o.Temp, Replace: o.Exists == folder.ExistsReplace, Step: "sftp", Now: env.WithDefaults().Now},
	}, nil
}

// Send puts the payload into the folder. A connection that had ended in the
// meantime is made again before a byte leaves.
func (d *Destination) Send(ctx context.Context, delivery *message.Delivery) (message.Reply, error) {
	if d.server.timeout > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, d.server.timeout)
		defer done()
	}
	if err := ctx.Err(); err != nil {
		return message.Reply{}, &message.Failure{Kind: message.Down, Err: err}
	}
	for {
		l, fresh, err := d.link(ctx)
		if err != nil {
			return message.Reply{}, &message.Failure{Kind: message.Down, Err: err}
		}
		t := &remote{link: l, folder: d.folder}
		unhook := l.watch(ctx)
		err = d.put.Send(ctx, t, delivery)
		if !unhook() || errors.Is(err, folder.ErrLost) {
			l.shut()
		} else {
			d.keep(l)
		}
		switch {
		case err == nil:
			return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
		case !fresh && !t.wrote && errors.Is(err, folder.ErrLost) && ctx.Err() == nil:
			continue
		}
		return message.Reply{}, err
	}
}

// link takes an idle connection or makes one.
func (d *Destination) link(ctx context.Context) (l *link, fresh bool, err error) {
	d.mu.Lock()
	if n := len(d.idle); n > 0 {
		l, d.idle = d.idle[n-1], d.idle[:n-1]
	}
	d.mu.Unlock()
	if l != nil {
		return l, false, nil
	}
	l, err = d.server.dial(ctx)
	return l, true, err
}

func (d *Destination) keep(l *link) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.idle = append(d.idle, l)
}

// Close ends the connections.
func (d *Destination) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.idle {
		l.shut()
	}
	d.idle = nil
	return nil
}

// A remote is a folder of a server.
type remote struct {
	*link
	folder string
	wrote  bool // something was asked that changes the folder
}

var _ folder.Target = (*remote)(nil)

func (r *remote) path(name string) string { return path.Join(r.folder, name) }

// busy makes an answer that says nothing the class that is tried again.
func busy(err error) error {
	if errors.Is(err, errServer) {
		return &message.Failure{Kind: message.Busy, Err: err}
	}
	return err
}

// Create makes an empty file under a name of ours.
func (r *remote) Create(name string) (folder.Output, error) {
	r.wrote = true
	const fresh = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := r.sftp.OpenFile(r.path(name), fresh)
	if err = plain(err); err != nil && !errors.Is(err, folder.ErrLost) {
		// A leftover is removed, not written to: it may be another name of a
		// file that is in place.
		if err := r.Remove(name); err != nil {
			return nil, busy(err)
		}
		f, err = r.sftp.OpenFile(r.path(name), fresh)
		err = plain(err)
	}
	if err != nil {
		return nil, busy(err)
	}
	return &output{f, r}, nil
}

// An output is a file being written.
type output struct {
	*sftp.File
	r *remote
}

// Write writes.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.File.Write(p)
	return n, busy(plain(err))
}

// Sync has the file on disk, where the server can do that.
func (o *output) Sync() error { return busy(plain(o.r.sync(o.File))) }

// Close ends the writing. A server may say only now that it has no room.
func (o *output) Close() error { return busy(plain(o.File.Close())) }

// Find opens a file to be read.
func (r *remote) Find(name string) (io.ReadCloser, int64, error) {
	info, err := r.sftp.Lstat(r.path(name))
	if err != nil {
		return nil, 0, plain(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, folder.ErrExists
	}
	f, err := r.sftp.Open(r.path(name))
	if err != nil {
		return nil, 0, plain(err)
	}
	return &input{f}, info.Size(), nil
}

// An input is a file being read.
type input struct{ *sftp.File }

// Read reads.
func (i *input) Read(p []byte) (int, error) {
	n, err := i.File.Read(p)
	if atEnd(err) {
		return n, io.EOF
	}
	return n, plain(err)
}

// Close ends the reading.
func (i *input) Close() error { return plain(i.File.Close()) }

// Publish gives a file its name. When no answer comes, the server may have
// done it.
func (r *remote) Publish(from, name string, replace bool) error {
	var err error
	switch {
	case replace && r.has("posix-rename@openssh.com"):
		err = plain(r.sftp.PosixRename(r.path(from), r.path(name)))
	case replace:
		if err = r.Remove(name); err == nil {
			err = plain(r.sftp.Rename(r.path(from), r.path(name)))
		}
	default:
		err = plain(r.sftp.Rename(r.path(from), r.path(name)))
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, folder.ErrLost):
		return &message.Failure{Kind: message.Unknown, Err: fmt.Errorf("rename: %w", err)}
	case replace:
		return busy(err)
	}
	if _, there := r.sftp.Lstat(r.path(name)); there == nil {
		return folder.ErrExists
	} else if there := plain(there); !errors.Is(there, fs.ErrNotExist) {
		return there
	}
	return busy(err)
}

// Sync has a file on disk, where the server can do that.
func (r *remote) Sync(name string) error {
	if !r.has("fsync@openssh.com") {
		return nil
	}
	f, err := r.sftp.Open(r.path(name))
	if err != nil {
		return plain(err)
	}
	err = plain(r.sync(f))
	if closed := plain(f.Close()); err == nil {
		err = closed
	}
	return err
}

// Remove removes a file; that there is none is no error.
func (r *remote) Remove(name string) error {
	if err := plain(r.sftp.Remove(r.path(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
