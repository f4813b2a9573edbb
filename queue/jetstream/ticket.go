package jetstream

import (
	"encoding/base32"
	"encoding/json"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A ticket is a message of the stream that says: look at this unit.
type ticket struct {
	msg jetstream.Msg
	seq uint64
}

// token writes a unit's name as one token of a subject, whatever it is made of.
var token = base32.HexEncoding.WithPadding(base32.NoPadding)

// probe is the token of a ticket that only tries the stream. No unit has it:
// it is not in the alphabet.
const probe = "_"

func (q *Queue) subject(unit string) string {
	return q.options.Name + ".work." + token.EncodeToString([]byte(unit))
}

func (q *Queue) probeSubject() string { return q.options.Name + ".work." + probe }

// unitOf reads the unit a subject stands for.
func (q *Queue) unitOf(subject string) (string, bool) {
	word, ok := strings.CutPrefix(subject, q.options.Name+".work.")
	if !ok || word == "" {
		return "", false
	}
	name, err := token.DecodeString(word)
	return string(name), err == nil && len(name) > 0 && len(name) <= maxUnit
}

// A body is what a ticket says, for people who look at the stream: the unit is
// the one of the subject.
type body struct {
	Unit string    `json:"unit"`
	Due  time.Time `json:"due"`
}

func payload(unit string, due time.Time) []byte {
	if y := due.Year(); y < 1 || y > 9999 {
		due = time.Time{} // not written otherwise; it is looked at now and asked again
	}
	data, err := json.Marshal(body{Unit: unit, Due: due.UTC()})
	if err != nil {
		return nil // it says: now
	}
	return data
}

// readPayload reads when a ticket is due. What cannot be read is due now.
func readPayload(data []byte) (unit string, due time.Time, ok bool) {
	var b body
	if err := json.Unmarshal(data, &b); err != nil {
		return "", time.Time{}, false
	}
	return b.Unit, b.Due, true
}
