package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/message"
)

// An Exchange is one request whose sender is known, and its answer.
type Exchange struct {
	Request *http.Request

	run     *run
	w       http.ResponseWriter
	control *http.ResponseController
	unread  bool // the body was not read to its end
}

// Header are the headers of the answer.
func (x *Exchange) Header() http.Header { return x.w.Header() }

// Unread says that nothing of the body will be read: the connection ends with
// the answer, so that what remains of it is not taken for a request.
func (x *Exchange) Unread() {
	if x.Request.ContentLength != 0 {
		x.unread = true
	}
}

// Answer writes the answer. Nothing of it is kept on the way, and no browser
// makes more of it than it says.
func (x *Exchange) Answer(status int, media string, body []byte) {
	h := x.w.Header()
	if len(body) > 0 {
		h.Set("Content-Type", media)
		h.Set("X-Content-Type-Options", "nosniff")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if x.unread || x.run.ctx.Err() != nil {
		h.Set("Connection", "close")
	}
	err := x.control.SetWriteDeadline(time.Now().Add(x.run.Options.Write))
	if err == nil {
		x.w.WriteHeader(status)
		if x.Request.Method != http.MethodHead {
			_, err = x.w.Write(body)
		}
		if err == nil {
			err = x.control.Flush()
		}
	}
	if err != nil {
		x.run.Env.Count("reply-failed", 1)
		x.run.Env.Log.Warn("answer could not be delivered, the sender will send the message again",
			"peer", x.Request.RemoteAddr, "error", err.Error())
		panic(http.ErrAbortHandler) // whatever has left of it is no answer
	}
}

// retryAfter is how many seconds a sender is asked to wait.
const retryAfter = 5

// Count counts an event of the source.
func (x *Exchange) Count(event string) { x.run.Env.Count(event, 1) }

// Media is the type of the content, lower case and without parameters.
func (x *Exchange) Media() string { return MediaOf(x.Request.Header.Get("Content-Type")) }

// MediaOf is a type of content, lower case and without parameters.
func MediaOf(text string) string {
	media, _, _ := strings.Cut(text, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// Accepts reports whether the sender takes an answer of one of the media
// types. Weights are not looked at; only q=0 excludes (RFC 9110, 12.5.1).
func (x *Exchange) Accepts(media ...string) bool {
	list := x.Request.Header.Values("Accept")
	if len(list) == 0 {
		return true
	}
	for accepted := range strings.SplitSeq(strings.Join(list, ","), ",") {
		name, parameters, _ := strings.Cut(accepted, ";")
		if never(parameters) {
			continue
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "*/*" || name == "" {
			return true
		}
		for _, m := range media {
			group, _, _ := strings.Cut(m, "/")
			if name == m || name == group+"/*" {
				return true
			}
		}
	}
	return false
}

// never reports whether the parameters of an accepted type say q=0.
func never(parameters string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		if weight, ok := strings.CutPrefix(strings.ReplaceAll(p, " ", ""), "q="); ok {
			q, err := strconv.ParseFloat(weight, 64)
			return err == nil && q == 0
		}
	}
	return false
}

// An Outcome is what became of the content of a request.
type Outcome struct {
	// Status is that of the answer.
	Status int
	// Problems are the reasons of a negative one.
	Problems []message.Problem
	// Raw are the channel's own answers, one after the other where the
	// content held several messages; empty when a message has none.
	Raw []byte
}

// Text is the problems, one on each line.
func (o *Outcome) Text() []byte {
	var b strings.Builder
	for _, p := range o.Problems {
		if p.Where != "" {
			b.WriteString(p.Where + ": ")
		}
		if p.Code > 0 {
			b.WriteString(strconv.Itoa(p.Code) + ": ")
		}
		b.WriteString(p.Text + "\n")
	}
	return []byte(b.String())
}

// refused is an outcome with one problem that no message has.
func refused(status int, text string) Outcome {
	return Outcome{Status: status, Problems: []message.Problem{{Text: text}}}
}

// verdict is the status of an answer to one message.
func verdict(answer message.Answer) int {
	switch answer.Code {
	case message.Accepted:
		return http.StatusOK
	case message.Erroneous, message.Rejected:
	default:
		return http.StatusServiceUnavailable // nothing was said: nothing may be claimed
	}
	if answer.Again {
		return http.StatusServiceUnavailable
	}
	for _, p := range answer.Problems {
		if p.Code == 206 || p.Code == 207 {
			return http.StatusServiceUnavailable
		}
	}
	if answer.Code == message.Rejected {
		return http.StatusBadRequest
	}
	return http.StatusUnprocessableEntity
}
