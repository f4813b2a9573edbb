package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/plexus-health/plexus/connectors/folder"
)

// A link is one connection with a server. One goroutine at a time works with
// it; another asks now and then whether the server is still there.
type link struct {
	server server
	conn   net.Conn
	ssh    *ssh.Client
	sftp   *sftp.Client
	group  sync.WaitGroup
	once   sync.Once
	ended  chan struct{}
}

// alive asks the server, and ends the connection when no answer comes.
func (l *link) alive() {
	tick := time.NewTicker(l.server.keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-l.ended:
			return
		case <-tick.C:
		}
		timer := time.AfterFunc(l.server.keepAlive, func() { _ = l.conn.Close() })
		_, _, err := l.ssh.SendRequest("keepalive@openssh.com", true, nil)
		timer.Stop()
		if err != nil {
			_ = l.conn.Close() // whoever works with it finds out
			return
		}
	}
}

// cut ends the connection at once; whoever works with it gets an error.
func (l *link) cut() { _ = l.conn.Close() }

// shut ends the connection and waits for what was started with it.
func (l *link) shut() {
	l.once.Do(func() {
		close(l.ended)
		_ = l.sftp.Close() // whatever was written was synced or given up
		_ = l.ssh.Close()
		_ = l.conn.Close()
	})
	l.group.Wait()
}

// bounded runs one request within the time that one may take.
func (l *link) bounded(do func() error) error {
	timer := time.AfterFunc(l.server.timeout, l.cut)
	defer timer.Stop()
	return plain(do())
}

// Codes of SFTP version 3 (draft-ietf-secsh-filexfer-02, 7).
const (
	codeFailure     = 4
	codeNoConn      = 6
	codeLost        = 7
	codeUnsupported = 8
)

// errServer is an answer of a server that says nothing more.
var errServer = errors.New("the server answers with a failure: no space, no right, or a name that is taken")

// plain is an error in words of ours: the texts of servers may have names of
// files in them.
func plain(err error) error {
	if err == nil {
		return nil
	}
	if answer, ok := errors.AsType[*sftp.StatusError](err); ok {
		switch answer.Code {
		case codeFailure:
			return errServer
		case codeNoConn, codeLost:
			return folder.ErrLost
		case codeUnsupported:
			return errors.New("the server cannot do that")
		}
		return fmt.Errorf("the server answers with code %d", answer.Code)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fs.ErrNotExist
	case errors.Is(err, os.ErrPermission):
		return fs.ErrPermission
	case errors.Is(err, os.ErrExist):
		return fs.ErrExist
	case errors.Is(err, syscall.ENOTDIR):
		return syscall.ENOTDIR
	}
	// All else is of the connection, or breaks the protocol.
	return folder.ErrLost
}

// atEnd reports whether a file has been read to its end. An io.EOF in other
// words is the end of a connection.
func atEnd(err error) bool {
	return err == io.EOF //nolint:errorlint // wrapped it means something else
}

// has reports whether the server has an extension.
func (l *link) has(extension string) bool {
	version, ok := l.sftp.HasExtension(extension)
	return ok && version == "1"
}

// sync has a file on the server's disk, where the server can do that.
func (l *link) sync(f *sftp.File) error {
	if !l.has("fsync@openssh.com") {
		return nil
	}
	return f.Sync()
}

// watch ends the connection when ctx does; the function it returns ends that.
func (l *link) watch(ctx context.Context) (stop func() bool) { return context.AfterFunc(ctx, l.cut) }
