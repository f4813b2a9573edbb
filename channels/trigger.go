package channels

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// Starts makes the messages that a written resource starts: one for each
// channel whose `ehr` source wants it. What a channel's own messages or answers
// write never starts it again.
func (l *Line) Starts(w *store.Write, version int, via string) []store.Intake {
	config := l.Config()
	if config == nil || w.Delete {
		return nil
	}
	var out []store.Intake
	var raw []byte
	for _, c := range config.Channels {
		if c.EHR == nil || !c.Enabled || !c.EHR.Starts(w.Type) || !wantedBy(c.EHR.By, via) || isVia(via, l.idOf(c.Name)) {
			continue
		}
		if raw == nil {
			raw = fhir.Stamped(w.Content, version, l.options.Now())
		}
		if !l.wants(c, raw) {
			continue
		}
		out = append(out, l.startedBy(c, w, raw, version, via))
	}
	return out
}

// Started tells the owner of a channel that it has a message.
func (l *Line) Started(channel string) {
	l.options.Metrics.received(l.nameOf(channel))
	l.poke(channel)
}

func wantedBy(by routes.By, via string) bool {
	switch by {
	case routes.ByAPI:
		return via == ""
	case routes.ByMessages:
		return via != ""
	}
	return true
}

func isVia(via, channel string) bool {
	for name := range strings.FieldsSeq(via) {
		if name == channel {
			return true
		}
	}
	return false
}

// wants asks the condition of an ehr source. A fault of it starts the message:
// the channel then parks it with the reason, so that it is seen.
func (l *Line) wants(c *routes.Channel, raw []byte) bool {
	if c.EHR.When == nil {
		return true
	}
	doc, err := c.Parser.Parse(raw)
	if err != nil {
		return true
	}
	m := &message.Message{Channel: c.Name, Raw: raw, Doc: doc, Header: doc.Header()}
	pass, err := c.EHR.When.Bool(expression.Env{Message: m, Root: doc.Root()}, doc.Root())
	return pass || err != nil
}

// startedBy makes the intake of one channel.
func (l *Line) startedBy(c *routes.Channel, w *store.Write, raw []byte, version int, via string) store.Intake {
	now := l.options.Now()
	m := &message.Message{
		ID: message.NewID(now), Channel: l.idOf(c.Name), Peer: "ehr", Received: now, Raw: raw, Size: int64(len(raw)), Via: via,
		RoutesVersion: l.Config().Version,
	}
	in := store.Intake{Message: m}
	var fault error
	if keyer, ok := c.Parser.(parsers.Keyer); ok {
		m.Header, fault = keyer.Scan(raw, nil)
	}
	if fault != nil || m.Header.Type == "" {
		m.Header.Type = w.Type
	}
	if m.Header.Key == "" {
		m.Header.Key = w.Type + "/" + w.ID
	}
	(&channel{line: l, config: c}).settle(m, nil, &in)
	m.Answer, in.RefuseClash = message.Answer{Code: message.Accepted}, false
	m.Header.Sender, m.Header.Control = "ehr", fmt.Sprintf("%s/%s/_history/%d", w.Type, w.ID, version)
	m.Header.Hash = sha256.Sum256(w.Content)
	return in
}
