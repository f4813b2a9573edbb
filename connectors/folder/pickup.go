package folder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
)

// What becomes of a file that was taken.
const (
	ThenMove   = "move"
	ThenDelete = "delete"
	ThenKeep   = "keep"
)

// Rename is the word of `done:` for senders that write under another name and
// rename the file when it is whole.
const Rename = "rename"

// A Pickup picks up files, one after the other.
type Pickup struct {
	// Match is the pattern of the names.
	Match string
	// Stable is how long a file must have stayed as it is.
	Stable time.Duration
	// Every is the time between two looks.
	Every time.Duration
	// Marker is the pattern of the name of the file that says that another is
	// whole: "*" stands for that one's name, with or without its ending.
	// Empty or Rename: there is none.
	Marker string
	// Then is what becomes of a file that was taken.
	Then string
	// ByName hands over in the order of names, not of times.
	ByName bool
	// Peer is the name of the place, for messages and logs.
	Peer string
	// Grace is how long a handler may go on when Run is to end.
	Grace time.Duration
	Env   connectors.Environment
	// Connect reaches the place. It gives up when dial ends; what it returned
	// ends with life.
	Connect func(dial, life context.Context) (Place, error)
}

// Most is how many files of a folder are looked at; the others come when these
// are gone.
const Most = 100_000

// A run is one call of Run.
type run struct {
	*Pickup
	ctx    context.Context //nolint:containedctx // the life of one Run
	work   context.Context //nolint:containedctx // of handlers: ends a grace after ctx
	handle connectors.Handler
	place  Place
	seen   map[string]*sight
	full   bool // it was said that more files stand there than are looked at
}

// A sight is what is known of a file that stands here.
type sight struct {
	info   Info
	since  time.Time // unchanged since
	next   time.Time // not to be tried before
	tries  int
	told   bool     // something was said of it in the log
	ended  bool     // handed over: only its place is still to be changed
	faults []string // why it was not taken; none: it was
	gone   bool     // nothing more is to be done about it
	shown  bool     // it was there at the last look
}

// Run looks for files until ctx ends. It returns an error when the place cannot
// be reached at first; later it keeps trying.
func (p *Pickup) Run(ctx context.Context, handle connectors.Handler) error {
	work, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(p.Grace, giveUp) })()
	r := &run{Pickup: p, ctx: ctx, work: work, handle: handle, seen: map[string]*sight{}}
	defer r.leave()
	if err := r.reach(); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	p.Env.Log.Info("picking up files", "folder", p.Peer)
	if p.Env.Receiving != nil {
		p.Env.Receiving()
	}
	r.watch()
	return nil
}

// watch looks again and again. After a fault it waits longer each time.
func (r *run) watch() {
	pause, told := time.Duration(0), ""
	for {
		err := r.reach()
		if err == nil {
			err = r.look()
		}
		if r.ctx.Err() != nil {
			return
		}
		wait := r.Every
		switch {
		case err == nil && told != "":
			r.Env.Log.Info("files are picked up again", "folder", r.Peer)
			pause, told = 0, ""
		case err != nil:
			r.Env.Count("pickup-failed", 1)
			if text := err.Error(); text != told {
				r.Env.Log.Warn("files cannot be picked up for now, trying again", "folder", r.Peer, "error", text)
				told = text
			}
			pause = min(max(2*pause, 500*time.Millisecond), time.Minute)
			wait = max(wait, pause)
		}
		if !r.sleep(wait) {
			return
		}
	}
}

// sleep waits; false when the run is to end.
func (r *run) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// reach connects with the place where it is not. What an end in the middle of
// a removal left there is put back under its name.
func (r *run) reach() error {
	if r.place != nil {
		return nil
	}
	place, err := r.Connect(r.ctx, r.work)
	if err != nil {
		return err
	}
	r.place = place
	if r.Then != ThenDelete {
		return nil
	}
	left, err := place.List(func(name string) bool { return strings.HasPrefix(name, hidden) })
	if err != nil {
		r.leave()
		return err
	}
	for _, info := range left {
		if err := place.Move(Here, info.Name, Here, strings.TrimPrefix(info.Name, hidden)); err != nil {
			r.Env.Log.Warn("a file that was being removed could not be put back", "file", Digest(info.Name), "error", err.Error())
		}
	}
	return nil
}

// leave lets go of the place.
func (r *run) leave() {
	if r.place != nil {
		_ = r.place.Close() // what was moved or removed is on disk already
		r.place = nil
	}
}

// look hands over every file that is ready. Its error is a fault of ours or of
// the whole place: what comes after must wait.
func (r *run) look() error {
	list, err := r.place.List(r.listed)
	if err != nil {
		r.leave()
		return Reason(err)
	}
	if full := len(list) >= Most; full != r.full {
		if r.full = full; full {
			r.Env.Count("folder-full", 1)
			r.Env.Log.Warn("more files than are looked at, the rest must wait", "folder", r.Peer, "files", len(list))
		}
	}
	for _, s := range r.ready(list) {
		if r.ctx.Err() != nil {
			return nil
		}
		if err := r.file(s); err != nil {
			return err
		}
	}
	return nil
}

// listed reports whether a name matters: that of a file or a marker.
func (r *run) listed(name string) bool { return r.wanted(name) || r.isMarker(name) }

// wanted reports whether a file of that name is to be picked up. Names that
// senders give to what they are still writing never are.
func (r *run) wanted(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || r.isMarker(name) {
		return false
	}
	lower := strings.ToLower(name)
	for _, ending := range []string{".tmp", ".part", ".partial", ".filepart", ".crdownload"} {
		if strings.HasSuffix(lower, ending) {
			return false
		}
	}
	matches, err := path.Match(r.Match, name)
	return matches && err == nil // Validate reported a wrong pattern
}

// markers reports whether files are announced by others.
func (r *run) markers() bool { return r.Marker != "" && r.Marker != Rename }

// isMarker reports whether a name has the form of a marker.
func (r *run) isMarker(name string) bool {
	if !r.markers() {
		return false
	}
	before, after, _ := strings.Cut(r.Marker, "*")
	return len(name) > len(before)+len(after) && strings.HasPrefix(name, before) && strings.HasSuffix(name, after)
}

// markerOf returns the names that a marker of name may have.
func (r *run) markerOf(name string) []string {
	names := []string{strings.Replace(r.Marker, "*", name, 1)}
	if base := strings.TrimSuffix(name, path.Ext(name)); base != "" && base != name {
		names = append(names, strings.Replace(r.Marker, "*", base, 1))
	}
	return names
}

// ready notes what stands here and returns the files to be handed over, in
// their order.
func (r *run) ready(list []Info) []*sight {
	now := time.Now()
	for _, s := range r.seen {
		s.shown = false
	}
	present := make(map[string]struct{}, len(list))
	for _, info := range list {
		present[info.Name] = struct{}{}
		if info.Folder || !r.wanted(info.Name) {
			continue
		}
		s := r.seen[info.Name]
		if s == nil || !s.info.same(info) {
			s = &sight{info: info, since: now}
			r.seen[info.Name] = s
		}
		s.shown = true
	}
	var files []*sight
	for name, s := range r.seen {
		if !s.shown {
			delete(r.seen, name)
			continue
		}
		switch {
		case s.gone, now.Before(s.next), now.Sub(s.since) < r.Stable:
			continue
		case !s.ended && !r.announced(name, present):
			continue
		}
		files = append(files, s)
	}
	slices.SortFunc(files, func(a, b *sight) int {
		if order := a.info.Modified.Compare(b.info.Modified); !r.ByName && order != 0 {
			return order
		}
		return strings.Compare(a.info.Name, b.info.Name)
	})
	return files
}

// announced reports whether the marker of a file is there, where there are any.
func (r *run) announced(name string, present map[string]struct{}) bool {
	if !r.markers() {
		return true
	}
	return slices.ContainsFunc(r.markerOf(name), func(marker string) bool { _, there := present[marker]; return there })
}

// again lets a file wait, longer each time.
func (s *sight) again() {
	s.tries++
	s.next = time.Now().Add(min(250*time.Millisecond<<min(s.tries, 8), time.Minute))
}

// log is the log for a file: its name may say who it is about, so that only a
// digest of it is written.
func (r *run) log(s *sight) *slog.Logger { return r.Env.Log.With("file", Digest(s.info.Name)) }

// Digest stands for a name in logs.
func Digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:4])
}
