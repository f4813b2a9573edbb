package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// broken is added to the name of a folder that was set aside, before the time.
const broken = ".broken-"

// errOther says that the folder is not ours to use, and not ours to set aside.
var errOther = errors.New("its folder is used by another engine")

// openEmbedded starts the server inside this process. A folder it cannot start
// from is set aside and begun anew: nothing in it is missed.
func (q *Queue) openEmbedded(ctx context.Context) error {
	if q.lock == nil {
		if err := os.MkdirAll(filepath.Dir(q.options.Folder), 0o700); err != nil {
			return err
		}
		lock, err := lockFolder(q.options.Folder + ".lock")
		if err != nil {
			return err
		}
		q.lock = lock
	}
	l, err := q.startServer(ctx)
	if err != nil && ctx.Err() == nil {
		if aside := q.setAside(err); aside != nil {
			return errors.Join(err, aside)
		}
		l, err = q.startServer(ctx)
	}
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.link = l
	return nil
}

// renew throws away a server that has failed repeatedly, with its folder.
func (q *Queue) renew(ctx context.Context, cause error) {
	if q.lock == nil {
		return
	}
	q.mu.Lock()
	l := q.link
	q.link = link{}
	q.mu.Unlock()
	l.close()
	if err := q.setAside(cause); err != nil {
		q.log.Debug("the folder of tickets could not be set aside", "error", err.Error())
		return // it is tried again with what is there
	}
	if err := q.openEmbedded(ctx); err != nil {
		q.log.Debug("the server of tickets does not start", "error", err.Error())
	}
}

// setAside renames the folder, so that it can be looked into, and removes what
// was set aside before.
func (q *Queue) setAside(cause error) error {
	folder := q.options.Folder
	old, err := filepath.Glob(globQuote(folder) + broken + "*")
	if err != nil {
		return err
	}
	name := folder + broken + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(folder, name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, path := range old {
		if err := os.RemoveAll(path); err != nil {
			q.log.Debug("a folder that was set aside before could not be removed", "error", err.Error())
		}
	}
	q.log.Warn("the folder of tickets was set aside and is begun anew; nothing is lost with it",
		"folder", name, "error", cause.Error())
	return nil
}

// globQuote keeps a path from being read as a pattern.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// startServer starts a server in the folder and shows that it can hold tickets.
func (q *Queue) startServer(ctx context.Context) (l link, err error) {
	defer func() {
		if cause := recover(); cause != nil { // of files it did not expect
			err = fmt.Errorf("the server panicked: %v", cause)
		}
		if err != nil {
			l.close()
			l = link{}
		}
	}()
	if err := os.MkdirAll(q.options.Folder, 0o700); err != nil {
		return l, err
	}
	bridge := &serverLog{log: q.log}
	if l.server, err = server.NewServer(&server.Options{
		ServerName: q.options.Name, DontListen: true, NoSigs: true, DisableJetStreamBanner: true,
		JetStream: true, StoreDir: q.options.Folder, JetStreamMaxMemory: 16 << 20, JetStreamMaxStore: 256 << 20,
		MaxPayload: 64 << 10, NoSystemAccount: true,
	}); err != nil {
		return l, err
	}
	l.server.SetLogger(bridge, q.log.Enabled(ctx, slog.LevelDebug), false)
	l.server.Start()
	if !l.server.ReadyForConnections(answerWait) || !l.server.JetStreamEnabled() {
		return l, errors.New("the server does not start")
	}
	options := append(q.handlers(), nats.InProcessServer(l.server), nats.NoReconnect())
	if l, err = q.connect(l, "", options...); err != nil {
		return l, err
	}
	_, err = q.prepare(ctx, l)
	return l, err
}

// A serverLog passes on what the server says, for those who look for it: what
// matters of it is said by the queue.
type serverLog struct{ log *slog.Logger }

func (s *serverLog) say(format string, v ...any) {
	s.log.Debug("nats-server: " + strings.TrimSpace(fmt.Sprintf(format, v...)))
}

// Noticef passes a line on.
func (s *serverLog) Noticef(format string, v ...any) { s.say(format, v...) }

// Warnf passes a line on.
func (s *serverLog) Warnf(format string, v ...any) { s.say(format, v...) }

// Fatalf passes a line on; that the server has not started is seen otherwise.
func (s *serverLog) Fatalf(format string, v ...any) { s.say(format, v...) }

// Errorf passes a line on.
func (s *serverLog) Errorf(format string, v ...any) { s.say(format, v...) }

// Debugf passes a line on.
func (s *serverLog) Debugf(format string, v ...any) { s.say(format, v...) }

// Tracef passes a line on.
func (s *serverLog) Tracef(format string, v ...any) { s.say(format, v...) }
