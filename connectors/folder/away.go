package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// hidden begins the name that a file has for the moment before it is removed.
const hidden = ".taken-"

// putAway changes the place of a file that was handed over. Where that fails it
// stays, is not handed over again, and is tried again.
func (r *run) putAway(s *sight) error {
	err := r.away(s)
	switch {
	case err == nil && r.Then == ThenKeep:
		s.gone = true
		return nil
	case err == nil:
		delete(r.seen, s.info.Name) // what stands there next is another file
		return nil
	case errors.Is(err, ErrLost):
		r.leave()
		return err
	case errors.Is(err, fs.ErrNotExist):
		delete(r.seen, s.info.Name) // the sender took it back; its content is recorded
		r.Env.Count("file-vanished", 1)
		return nil
	case errors.Is(err, ErrChanged):
		delete(r.seen, s.info.Name)
		r.Env.Count("file-changed", 1)
		return nil
	}
	s.again()
	r.Env.Count("file-stuck", 1)
	if !s.told {
		s.told = true
		r.log(s).Error("file was handed over but cannot be put away, trying again", "error", Reason(err).Error())
	}
	return nil
}

// away moves or removes a file. Its marker goes first: a marker without its
// file would announce the next file of that name before it is whole.
func (r *run) away(s *sight) error {
	if r.Then == ThenKeep {
		return nil
	}
	if r.markers() {
		for _, marker := range r.markerOf(s.info.Name) {
			if err := r.place.Remove(marker); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	switch {
	case len(s.faults) > 0:
		as, err := r.move(s, Failed)
		if err != nil {
			return err
		}
		if err := r.place.Note(as+".reason.txt", reasons(s.faults)); err != nil {
			if errors.Is(err, ErrLost) {
				r.leave()
			}
			// The file is where it belongs, and the log has said why.
			r.log(s).Error("reason of a file that was not taken cannot be written", "error", Reason(err).Error())
		}
		return nil
	case r.Then == ThenDelete:
		return r.remove(s)
	}
	_, err := r.move(s, Done)
	return err
}

// reasons is the text beside a file that was not taken.
func reasons(faults []string) string {
	return "This file was not taken.\n" + strings.Join(faults, "\n") + "\n"
}

// move moves a file to a shelf under a name that is free there, and returns that.
func (r *run) move(s *sight, to Shelf) (as string, err error) {
	stamp := r.Env.Now().UTC().Format("20060102T150405.000")
	plain := s.info.Name
	if !Plain(plain) || len(plain) > maxName {
		plain = Safe(plain, maxName)
	}
	for n := range 1000 {
		switch n {
		case 0:
			as = plain
		case 1:
			as = plain + "." + stamp
		default:
			as = fmt.Sprintf("%s.%s-%d", plain, stamp, n)
		}
		if err = r.place.Move(Here, s.info.Name, to, as); !errors.Is(err, ErrExists) {
			break
		}
	}
	if err != nil {
		return "", err
	}
	return as, r.verify(s, to, as)
}

// verify holds that what was moved is what was handed over. A file that the
// sender put in its place in the meantime goes back.
func (r *run) verify(s *sight, shelf Shelf, as string) error {
	now, err := r.place.Stat(shelf, as)
	if err != nil {
		return err
	}
	if now.same(s.info) {
		return nil
	}
	if err := r.place.Move(shelf, as, Here, s.info.Name); err != nil {
		return fmt.Errorf("a file that changed could not be put back: %w", Reason(err))
	}
	return ErrChanged
}

// remove removes a file: under a hidden name first, so that another file that
// the sender puts there at this moment is not removed unread.
func (r *run) remove(s *sight) error {
	as := hidden + Safe(s.info.Name, maxName)
	if Plain(s.info.Name) && len(s.info.Name) <= maxName {
		as = hidden + s.info.Name
	}
	if err := r.place.Move(Here, s.info.Name, Here, as); err != nil {
		return err
	}
	if err := r.verify(s, Here, as); err != nil {
		return err
	}
	return r.place.Remove(as)
}
