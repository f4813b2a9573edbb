package console

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/plexus-health/plexus/message"
)

// payload sends what the delivery sends: its own bytes, or the message as it
// was received.
func (s *server) payload(w http.ResponseWriter, r *http.Request) {
	d := s.findDelivery(w, r)
	if d == nil {
		return
	}
	if !d.Original && len(d.Payload) > 0 {
		s.bytes(w, d.Payload)
		return
	}
	if m := s.messageOf(w, r, d); m != nil {
		s.content(w, r, m)
	}
}

// messageOf loads the message of a delivery; nil when it has answered already.
func (s *server) messageOf(w http.ResponseWriter, r *http.Request, d *message.Delivery) *message.Message {
	m, err := s.Store.Load(r.Context(), d.Message)
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return nil
	}
	return m
}

// gone answers that what was asked for is not kept any more; false when it is.
func (s *server) gone(w http.ResponseWriter, m *message.Message) bool {
	if m.Pruned.IsZero() {
		return false
	}
	s.fail(w, http.StatusGone, errors.New("it is no longer kept since "+m.Pruned.Format(time.RFC3339)+" (keep: of its channel)"))
	return true
}

func (s *server) peerAnswer(w http.ResponseWriter, r *http.Request) {
	d := s.findDelivery(w, r)
	switch {
	case d == nil:
	case len(d.Answer) > 0:
		s.bytes(w, d.Answer)
	default:
		if m := s.messageOf(w, r, d); m != nil && !s.gone(w, m) {
			s.fail(w, http.StatusNotFound, errors.New("the peer has answered nothing yet"))
		}
	}
}

func (s *server) bytes(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // a reader that went away needs no answer
}

// content sends the bytes of a message, a large one chunk by chunk.
func (s *server) content(w http.ResponseWriter, r *http.Request, m *message.Message) {
	if s.gone(w, m) {
		return
	}
	if m.Body == nil {
		s.bytes(w, m.Raw)
		return
	}
	body, err := m.Body(r.Context())
	if err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(m.Size, 10))
	_, err = io.Copy(w, body)
	if closing := body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		s.Log.Warn("content was not sent whole", "message", m.ID, "error", err.Error())
	}
}
