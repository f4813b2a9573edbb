package channels

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/transforms"
)

// maxHops is how many channels a message may come through inside of the
// engine: more is a circle.
const maxHops = 16

// through adds a channel to those a message came through.
func through(via, channel string) string {
	if via == "" {
		return channel
	}
	return via + " " + channel
}

// merges notes the key that a message says is another from now on.
func (c *channel) merges(m *message.Message, v *verdictOf) {
	if m.Header.Key2 == "" || m.Header.Key2 == m.Header.Key {
		return
	}
	if keyer, ok := c.config.Parser.(parsers.Keyer); ok {
		if header, err := keyer.Scan(m.Raw, nil); err == nil && header.Merge {
			v.Alias, v.Survivor = m.Header.Key2, m.Header.Key
		}
	}
}

// queue makes the deliveries of one route. Their payloads are made here and do
// not change afterwards.
func (c *channel) queue(ctx context.Context, r *routes.Route, env expression.Env, work *message.Message, out []*message.Message, v *verdictOf) error {
	key, key2, err := c.deliveryKeys(r, env, work)
	if err != nil {
		return place("key", err)
	}
	lot := ""
	if r.Batch != nil && r.Batch.By != nil {
		if lot, err = r.Batch.By.Text(env, env.Root); err != nil {
			return place("batch: by", err)
		}
		lot = "=" + lot // a lot has a name, also where the value is empty
	}
	unit := c.units[r.Name]
	late := false
	if work.Run > 0 && (r.Order != routes.OrderNone || r.Key != nil) {
		if late, err = c.line.options.Store.Overtaken(ctx, unit, []string{key, key2}, work.Seq); err != nil {
			return err
		}
	}
	for _, m := range out {
		part := v.number(r.Name)
		d := message.Delivery{ID: message.NewID(c.line.options.Now()), Unit: unit, Part: part, Key: key, Key2: key2, Late: late, Lot: lot}
		if r.Within > 0 {
			d.Due = work.Received // the time of its answer is counted from there
		}
		if r.Order == routes.OrderNone && r.Key == nil {
			d.Key, d.Key2 = fmt.Sprintf("message:%s/%d", work.ID, part), ""
		}
		d.Control = m.Doc.Header().Control
		ours := controlOf(work.ID, work.Run, unit, part)
		switch stamper, made := m.Doc.(transforms.Stamper); {
		case made:
			stamper.Stamp(ours, work.Received.In(c.now().Location()))
			d.Control, d.Payload = ours, m.Doc.Encode(nil)
		case m.Doc == v.whole:
			d.Original = true
		case m.Doc == work.Doc: // a part as it was received, which is a message of its own
			named, err := c.renamed(m, ours)
			if err != nil {
				return err
			}
			d.Control, d.Payload = ours, named.Encode(nil)
		default:
			d.Payload = departing(m.Doc)
		}
		if d.Control == "" {
			d.Control = ours
		}
		if !d.Original && len(d.Payload) == 0 {
			return &message.Failure{Kind: message.Malformed, Err: errEmpty}
		}
		if err := v.grow(len(d.Payload)); err != nil {
			return err
		}
		v.Deliveries = append(v.Deliveries, d)
		v.noteOnce(part, "queued", "", unitOf(c.config.Name, r.Name))
	}
	return nil
}

// departing is what leaves the engine of a document.
func departing(doc message.Document) []byte {
	if d, ok := doc.(transforms.Outbound); ok {
		return d.Departing(nil)
	}
	return doc.Encode(nil)
}

// controlOf is the control id of a delivery of ours: at most 20 characters, the
// limit of MSH-10 up to HL7 v2.6, and the same whenever the delivery is made.
func controlOf(id string, run int, unit string, part int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%s/%d", id, run, unit, part))
	return "P" + base32.StdEncoding.EncodeToString(sum[:])[:19]
}

// deliveryKeys are the keys of order of a route's deliveries.
func (c *channel) deliveryKeys(r *routes.Route, env expression.Env, work *message.Message) (key, key2 string, err error) {
	by := r.Key
	if by == nil && r.Order == "" {
		by = c.config.Key
	}
	if by != nil {
		key, err = by.Text(env, env.Root)
		return "key:" + key, "", err
	}
	order := r.Order
	if order == "" {
		order = c.config.Order
	}
	switch {
	case order == routes.OrderChannel:
		return "channel", "", nil
	case c.config.Order == routes.OrderPatient && c.config.Key == nil:
		return work.Header.Key, work.Header.Key2, nil
	case order == routes.OrderPatient:
		if keyer, ok := c.config.Parser.(parsers.Keyer); ok {
			header, err := keyer.Scan(work.Raw, nil)
			return header.Key, header.Key2, err
		}
	}
	return work.Header.Key, work.Header.Key2, nil
}

// pass makes messages of another channel.
func (c *channel) pass(r *routes.Route, work *message.Message, out []*message.Message, v *verdictOf) error {
	for _, m := range out {
		part := v.number(r.Name)
		raw := work.Raw
		switch m.Doc {
		case v.whole:
		case work.Doc:
			named, err := c.renamed(m, controlOf(work.ID, work.Run, unitOf(c.config.Name, r.Name), part))
			if err != nil {
				return err
			}
			raw = named.Encode(nil)
		default:
			raw = m.Doc.Encode(nil)
		}
		if err := v.grow(len(raw)); err != nil {
			return err
		}
		in, err := c.line.feed(r.Channel, raw, origin{
			via: v.Via, sender: "channel:" + unitOf(c.config.Name, r.Name), control: fmt.Sprintf("%d/%d/%d", work.Seq, work.Run, part), key: work.Header.Key,
		})
		if err != nil {
			return err
		}
		v.Intakes = append(v.Intakes, in)
		v.noteOnce(part, "passed", "", "channel:"+r.Channel+" "+in.Message.ID)
	}
	return nil
}

// An origin says where a message of the engine's own comes from.
type origin struct {
	via             string // the channels it came through
	sender, control string // its intake key: who made it, of what
	key             string // of order, where its content has none
	late            string // the delivery whose answer it is
}

// feed makes the intake of a message that another transaction writes: the
// output of a channel, the answer of a peer.
func (l *Line) feed(name string, raw []byte, from origin) (store.Intake, error) {
	config := l.Config().Channel(name)
	switch {
	case config == nil:
		return store.Intake{}, fmt.Errorf("there is no channel %s any more", name)
	case len(strings.Fields(from.via)) >= maxHops:
		return store.Intake{}, &message.Failure{Kind: message.Malformed, Err: fmt.Errorf("it came through %d channels: they feed each other in a circle", maxHops)}
	case len(raw) > store.MaxChunk<<6:
		return store.Intake{}, &message.Failure{Kind: message.Malformed, Err: errors.New("it is too large for another channel")}
	}
	now := l.options.Now()
	m := &message.Message{
		ID: message.NewID(now), Channel: l.idOf(name), Peer: from.sender, Received: now, Raw: raw, Size: int64(len(raw)), Via: from.via,
		RoutesVersion: l.Config().Version,
	}
	in := store.Intake{Message: m}
	var fault error
	if keyer, ok := config.Parser.(parsers.Keyer); ok {
		m.Header, fault = keyer.Scan(raw, nil)
	}
	if m.Header.Key == "" || strings.HasPrefix(m.Header.Key, "sender:") {
		m.Header.Key = from.key // an answer names no patient: the order of what it answers
	}
	c := &channel{line: l, config: config}
	c.settle(m, fault, &in)
	if m.State == message.Refused {
		m.State = message.Parked // nobody is there who could send it again
	}
	m.Answer, in.RefuseClash = message.Answer{}, false
	// The intake key is (message, run, route, part), whatever the content.
	m.Header.Sender, m.Header.Control, m.Header.Hash = from.sender, from.control, sha256.Sum256([]byte(from.late))
	return in, nil
}
