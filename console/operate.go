package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// A Decision is what an operator has decided: who, and why.
type Decision struct {
	Who string `json:"who"`
	Why string `json:"why"`
	// Late sends although younger deliveries of the key have arrived: for
	// reprocess, release, retry and move.
	Late bool `json:"late,omitempty"`
	// To is the route that move goes to: channel/route.
	To string `json:"to,omitempty"`
}

// errLate is said of what would come after younger deliveries of its key.
var errLate = errors.New("younger deliveries of its key have arrived already: send it late with late: true (--late)")

// decision reads who decides and why; false when it has answered already.
func (s *server) decision(w http.ResponseWriter, r *http.Request, action string) (d Decision, ok bool) {
	// A page of another site cannot send this type without being asked first.
	if r.Header.Get("Content-Type") != "application/json" {
		s.fail(w, http.StatusUnsupportedMediaType, errors.New("Content-Type must be application/json"))
		return d, false
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil || !errors.Is(decoder.Decode(&struct{}{}), io.EOF) {
		s.fail(w, http.StatusBadRequest, errors.New(`the body must be {"who": "…", "why": "…"}`))
		return d, false
	}
	var fault error
	switch {
	case d.Who == "" || d.Why == "":
		fault = errors.New("who decides, and why? both are needed")
	case d.Late && action != store.ActReprocess && action != store.ActRelease && action != store.ActRetry && action != store.ActMove:
		fault = errors.New("late is for reprocess, release, retry and move")
	case d.To != "" && action != store.ActMove:
		fault = errors.New("to is for move")
	}
	if fault != nil {
		s.fail(w, http.StatusBadRequest, fault)
		return d, false
	}
	return d, true
}

// refuse answers with why a decision was not carried out.
func (s *server) refuse(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, store.ErrOvertaken):
		status = http.StatusConflict
		err = errors.New(strings.Replace(err.Error(), store.ErrOvertaken.Error(), errLate.Error(), 1))
	case errors.Is(err, store.ErrTaken):
		status = http.StatusConflict
		err = errors.New(strings.Replace(err.Error(), store.ErrTaken.Error(), "the route it is to be moved to has a delivery of the same message already", 1))
	case errors.Is(err, store.ErrNotWaiting), errors.Is(err, store.ErrNotStored), errors.Is(err, store.ErrPruned):
		status = http.StatusConflict
	case errors.Is(err, store.ErrNotFound):
		status = http.StatusNotFound
	}
	s.fail(w, status, err)
}

// operate decides about one message.
func (s *server) operate(action string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d, ok := s.decision(w, r, action)
		if !ok {
			return
		}
		m := s.find(w, r)
		if m == nil {
			return
		}
		if (action == store.ActReprocess || action == store.ActRelease) && s.gone(w, m) {
			return
		}
		if (action == store.ActReprocess || action == store.ActRelease) && !d.Late && m.State == message.Parked {
			younger, err := s.younger(r.Context(), m)
			if err == nil && len(younger) > 0 {
				err = fmt.Errorf("%w; arrived are %s", store.ErrOvertaken, strings.Join(younger, ", "))
			}
			if err != nil {
				s.refuse(w, err)
				return
			}
		}
		err := s.Store.Operate(r.Context(), store.Order{Action: action, Message: m.ID, Late: d.Late, Who: d.Who, Why: d.Why})
		switch {
		case errors.Is(err, store.ErrNotStored):
			s.fail(w, http.StatusConflict, errors.New("a message in state "+string(m.State)+" takes no "+action))
		case err != nil:
			s.refuse(w, err)
		default:
			s.Engine.Poke(m.Channel)
			s.again(w, r, m)
		}
	}
}

// younger lists deliveries of younger messages that have arrived where those of
// a message would go: under the keys its deliveries had, and its own.
func (s *server) younger(ctx context.Context, m *message.Message) ([]string, error) {
	queues, err := s.Store.Queues(ctx)
	if err != nil {
		return nil, err
	}
	had, err := s.Store.Deliveries(ctx, store.DeliveryFilter{Message: m.Seq, Limit: 1000})
	if err != nil {
		return nil, err
	}
	n, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	asked := map[[2]string]bool{}
	ask := func(unit, key string) error {
		if asked[[2]string{unit, key}] || key == "" {
			return nil
		}
		asked[[2]string{unit, key}] = true
		late, err := s.Store.Overtaken(ctx, unit, []string{key}, m.Seq)
		if err != nil || !late {
			return err
		}
		arrived, err := s.Store.Deliveries(ctx, store.DeliveryFilter{Unit: unit, Key: key, Younger: m.Seq, State: message.Delivered, Limit: 3})
		for i := range arrived {
			out = append(out, n.name(unit)+" "+arrived[i].ID)
		}
		return err
	}
	for i := range had {
		if err := ask(had[i].Unit, had[i].Key); err != nil {
			return nil, err
		}
	}
	for _, q := range queues {
		if !strings.HasPrefix(n.name(q.Unit), n.name(m.Channel)+"/") {
			continue
		}
		for _, key := range []string{m.Header.Key, m.Header.Key2, "channel"} {
			if err := ask(q.Unit, key); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// again answers with a message after it was changed; as it was before when it
// cannot be read again, since the change itself is committed.
func (s *server) again(w http.ResponseWriter, r *http.Request, m *message.Message) {
	if now, err := s.Store.Find(r.Context(), m.ID); err == nil {
		m = now
	}
	n, err := s.names(r.Context())
	if err != nil {
		n = namesOf(nil)
	}
	s.answer(w, view(m, n))
}
