package channels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/plexus-health/plexus/channels/ehr"
	"github.com/plexus-health/plexus/channels/schedule"
	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/transforms"
)

// poisonous is the number of crashes after which a message is not worked on
// any more: it must not end every engine in turn.
const poisonous = 3

// errStop is what process returns for a message that parked and holds its key.
var errStop = errors.New("parked, and later messages of its key wait for it")

// process takes one stored message from its bytes to T2. No error means that it
// has a final state now; merged are the key that it merged, and the survivor.
func (c *channel) process(ctx context.Context, lease store.Lease, item schedule.Item) (merged [2]string, err error) {
	began := time.Now()
	m, err := c.load(ctx, lease, item)
	if err != nil {
		return merged, err
	}
	// The keys of the survivors, where patients were merged.
	m.Header.Key, m.Header.Key2 = item.Key, item.Key2
	m.Channel = c.config.Name // for conditions and maps
	hand, err := c.begin(ctx, lease, m)
	if err != nil {
		return merged, err
	}
	verdict, err := c.finish(ctx, lease, m)
	hand.end(ctx, err)
	if err != nil {
		return merged, err
	}
	killpoint.Hit("after_finish")
	c.line.wait.tell(m.Seq, outcome{state: verdict.State, reason: verdict.Reason, answer: verdict.Answer})
	c.queued(ctx, verdict)
	metrics := c.line.options.Metrics
	metrics.processed(c.config.Name, string(verdict.State), time.Since(began))
	if verdict.State == message.Parked {
		c.log.Warn("message parked", "message", m.ID, "reason", verdict.Reason)
		if c.config.OnError == routes.OnErrorStop {
			return merged, errStop
		}
	}
	return [2]string{verdict.Alias, verdict.Survivor}, nil
}

// queued tells the owners of the routes that they have something to send.
func (c *channel) queued(ctx context.Context, v *verdictOf) {
	told := ""
	for i := range v.Deliveries {
		if unit := v.Deliveries[i].Unit; unit != told {
			told = unit
			c.line.pokeUnit(ctx, unit, false)
		}
	}
}

// finish finds the outcome of a message and makes it durable: T2. When another
// message has changed a record meanwhile it does so again, at once where they
// have just met, then after a pause; at records where messages have met they
// take turns. A conflict that does not pass is put off like any other fault.
func (c *channel) finish(ctx context.Context, lease store.Lease, m *message.Message) (*verdictOf, error) {
	for attempt := range conflicts {
		verdict, err := c.judge(ctx, m, attempt > 0)
		if err != nil {
			return nil, err
		}
		err = c.commit(ctx, lease, m, &verdict)
		if err == nil {
			return verdict, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, wrap("finish", err)
		}
		c.line.options.Metrics.event(c.config.Name, "conflict", 1)
		c.line.turns.met(verdict.Writes)
		if attempt < conflictsAtOnce {
			continue
		}
		select {
		case <-time.After(conflictPause(attempt)):
		case <-c.line.options.Store.Failed():
			return nil, wrap("finish", err)
		}
	}
	return nil, wrap("finish", store.ErrConflict)
}

const (
	// conflicts is how often the outcome of a message is found anew before it
	// is put off; conflictsAtOnce of them follow without a pause.
	conflicts       = 12
	conflictsAtOnce = 3
)

// conflictPause grows from a few milliseconds to a quarter of a second.
func conflictPause(attempt int) time.Duration {
	return pause(routes.Retry{First: 4 * time.Millisecond, Max: 250 * time.Millisecond, Factor: 2}, attempt-conflictsAtOnce+1)
}

// commit makes a verdict durable, in turn where that has to be: then it is found
// anew, from what those before have written.
func (c *channel) commit(ctx context.Context, lease store.Lease, m *message.Message, verdict **verdictOf) error {
	if give := c.line.turns.take((*verdict).Writes); give != nil {
		defer give()
		again, err := c.judge(ctx, m, true)
		if err != nil {
			return err
		}
		*verdict = again
	}
	killpoint.Hit("after_map")
	for i := range (*verdict).Deliveries {
		d := &(*verdict).Deliveries[i]
		if r := c.line.findRoute(d.Unit); d.Original && m.Body == nil && r != nil && r.working.Load() {
			c.line.outgoing.put(d.Unit, m) // before the route can ask for it
		}
	}
	// What was found is written, whatever ends meanwhile.
	return lease.Finish(context.WithoutCancel(ctx), (*verdict).Outcome)
}

// load gets the content of a message, from memory or from the store.
func (c *channel) load(ctx context.Context, lease store.Lease, item schedule.Item) (*message.Message, error) {
	if m := c.recent.take(c.id, item.Seq); m != nil && m.Run == item.Run {
		return m, nil
	}
	m, err := c.line.options.Store.Load(ctx, item.Seq)
	if err != nil {
		return nil, wrap("load", err)
	}
	if m.State != message.Stored {
		return nil, store.ErrNotStored
	}
	return m, nil
}

// A verdictOf is the outcome of one message while it is being found.
type verdictOf struct {
	store.Outcome
	drafts  []fhir.Draft
	whole   message.Document // the message; what is handed on of it may be a part
	numbers map[string]int   // of parts, by route
	size    int              // bytes of what is made
	part    bool             // the message is a part of one
}

// judge finds the outcome of a message. An error is a fault of ours: the
// message stays stored. A fault of the message is a state.
func (c *channel) judge(ctx context.Context, m *message.Message, again bool) (v *verdictOf, err error) {
	v = &verdictOf{Outcome: store.Outcome{Seq: m.Seq, Run: m.Run, State: message.Done, Actor: "channel:" + c.config.Name, Via: through(m.Via, c.id)}}
	v.Answer = message.Answer{Code: message.Accepted}
	defer func() {
		if err == nil {
			err = c.acknowledge(ctx, m, v)
		}
	}()
	defer func() {
		if fault := recover(); fault != nil {
			// A fault of ours that this message meets each time: parked, kept, alarmed.
			c.log.Error("panic while a message was processed", "message", m.ID, "where", frames(debug.Stack()))
			c.line.options.Metrics.event(c.config.Name, "panic", 1)
			v, err = &verdictOf{Outcome: store.Outcome{Seq: m.Seq, Run: m.Run, Actor: "channel:" + c.config.Name}}, nil
			v.park("internal fault while it was processed")
		}
	}()
	if m.Crashes >= poisonous {
		v.park(fmt.Sprintf("poison: the engine ended %d times with it in hand", m.Crashes))
		return v, nil
	}
	raw, free, err := content(ctx, m, c.line.large)
	if err != nil {
		return nil, err
	}
	defer free()
	if err := c.decide(ctx, m, raw, v, again); err != nil {
		if message.KindOf(err) != message.Malformed {
			return nil, err
		}
		v.park(err.Error())
	}
	return v, nil
}

// park makes the verdict: kept, and nothing of it takes effect.
func (v *verdictOf) park(reason string) {
	v.State, v.Reason = message.Parked, reason
	v.Answer = message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Code: 207, Text: reason}}}
	v.Writes, v.Deliveries, v.Intakes, v.Alias, v.Survivor = nil, nil, nil, "", ""
	v.drafts = nil
	v.note("parked", reason, "")
}

func (v *verdictOf) note(step, text, ref string) {
	v.Events = append(v.Events, store.Event{Run: v.Run, Step: step, Text: text, Ref: ref})
}

// content returns the bytes of a message; a large one is read into memory, one
// at a time in each room.
func content(ctx context.Context, m *message.Message, room chan struct{}) (raw []byte, free func(), err error) {
	if m.Body == nil {
		return m.Raw, func() {}, nil
	}
	select {
	case room <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	free = func() { <-room }
	if raw, err = wholeOf(ctx, m); err != nil {
		free()
		return nil, nil, err
	}
	return raw, free, nil
}

// wholeOf reads the body of a large message.
func wholeOf(ctx context.Context, m *message.Message) ([]byte, error) {
	body, err := m.Body(ctx)
	if err != nil {
		return nil, wrap("body", err)
	}
	raw := make([]byte, m.Size)
	_, err = io.ReadFull(body, raw)
	if closing := body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, wrap("body", err)
	}
	return raw, nil
}

// decide is the line from parse to the effects.
func (c *channel) decide(ctx context.Context, m *message.Message, raw []byte, v *verdictOf, again bool) error {
	if joined, err := c.joins(ctx, m, raw, v); joined || err != nil {
		v.part = joined
		return err
	}
	doc, err := c.config.Parser.Parse(raw)
	if err != nil {
		return err
	}
	work := *m
	work.Raw, work.Doc = raw, doc
	for i, w := range doc.Warnings() {
		if i == 20 {
			break
		}
		v.note("warning", w.Text, w.Place())
	}
	env := expression.Env{Message: &work, Root: doc.Root()}
	c.merges(&work, v)
	if c.config.Filter != nil {
		pass, err := c.config.Filter.Bool(env, doc.Root())
		if err != nil {
			return place("filter", err)
		}
		if !pass {
			v.State, v.Reason = message.Filtered, "filter: "+c.config.Filter.String()
			v.note("filtered", v.Reason, "")
			return nil
		}
	}
	if !c.valid(doc, v) {
		return nil
	}
	for _, r := range c.config.Require {
		pass, err := r.That.Bool(env, doc.Root())
		if err != nil {
			return place("require", err)
		}
		if !pass {
			c.unmet(r, v)
			return nil
		}
	}
	if parks, err := c.checked(ctx, &work, v); err != nil || parks {
		return err
	}
	v.whole = doc
	parts, err := c.parts(&work, v)
	if err != nil {
		return place("split", err)
	}
	if done, err := c.hand(ctx, parts, v); err != nil || !done {
		return err
	}
	return c.effects(ctx, &work, v, again)
}

// hand maps the parts of a message, the one that it is where it is not split, and
// gives them to the routes. It reports false when the verdict has been found: no
// route took it, or nothing was made of it.
func (c *channel) hand(ctx context.Context, parts []*message.Message, v *verdictOf) (bool, error) {
	made, routed := 0, 0
	whole := c.mapsWhole()
	for n, part := range parts {
		step := func(err error) error {
			if len(parts) == 1 {
				return err
			}
			return place(fmt.Sprintf("part %d", n+1), err)
		}
		var mapped []*message.Message
		if whole {
			var err error
			if mapped, err = apply(ctx, c.config.Map, []*message.Message{part}, v); err != nil {
				return false, step(place("map", err))
			}
			if len(mapped) == 0 {
				v.note("filtered", "map: nothing was made of it", "")
				continue
			}
		}
		made++
		took, err := c.route(ctx, expression.Env{Message: part, Root: part.Doc.Root()}, part, mapped, v)
		switch {
		case err != nil:
			return false, step(err)
		case took:
			routed++
		case c.config.Unrouted == routes.UnroutedFilter:
			v.noteOnce(n, "filtered", "no route took it", "")
		case len(parts) == 1:
			v.park("no route took it")
			return false, nil
		default:
			v.park(fmt.Sprintf("part %d of %d: no route took it", n+1, len(parts)))
			return false, nil
		}
	}
	switch {
	case len(parts) == 0:
		v.State, v.Reason = message.Filtered, "split: there is no "+c.config.Split.String()
	case made == 0:
		v.State, v.Reason = message.Filtered, "map: nothing was made of it"
	case routed == 0:
		v.State, v.Reason = message.Filtered, "no route took it"
	}
	return routed > 0, nil
}

// unmet makes the verdict of a requirement that does not hold.
func (c *channel) unmet(r routes.Require, v *verdictOf) {
	reason := r.Say
	if reason == "" {
		reason = "require: " + r.That.String()
	}
	if r.Else != routes.ElseRefuse {
		v.park(reason)
		return
	}
	v.State, v.Reason = message.Refused, reason
	v.Answer = message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Code: 101, Text: reason}}}
	v.note("refused", reason, "")
}

// route gives the mapped messages to the routes that want them, and reports
// whether there is one.
func (c *channel) route(ctx context.Context, env expression.Env, work *message.Message, mapped []*message.Message, v *verdictOf) (bool, error) {
	took := 0
	for _, r := range c.config.Routes {
		if r.Retired || (r.Otherwise && took > 0) || (r.Failure && r.When == nil && !r.Otherwise) {
			continue
		}
		if r.Each != nil {
			wanted, err := c.each(ctx, r, work, v)
			if err != nil {
				return false, place("route "+r.Name, err)
			}
			if wanted {
				if took++; c.config.Deliver == routes.DeliverFirst {
					break
				}
			}
			continue
		}
		if r.When != nil {
			pass, err := r.When.Bool(env, env.Root)
			if err != nil {
				return false, place("route "+r.Name+": when", err)
			}
			if !pass {
				v.note("not routed", "when: "+r.When.String(), r.Name)
				continue
			}
		}
		took++
		if err := c.send(ctx, r, env, work, mapped, v); err != nil {
			return false, place("route "+r.Name, err)
		}
		if c.config.Deliver == routes.DeliverFirst {
			break
		}
	}
	return took > 0, nil
}

// send maps for one route and adds its effects to the verdict.
func (c *channel) send(ctx context.Context, r *routes.Route, env expression.Env, work *message.Message, mapped []*message.Message, v *verdictOf) error {
	out := mapped
	if r.Original {
		out = []*message.Message{work}
	}
	out, err := apply(ctx, r.Map, out, v)
	if err != nil {
		return place("map", err)
	}
	switch r.Kind {
	case "drop":
		v.note("dropped by route", r.DropReason, r.Name)
	case "ehr":
		for _, m := range out {
			drafts, err := c.drafts(m)
			if err != nil {
				return err
			}
			v.drafts = append(v.drafts, drafts...)
		}
		v.note("routed", fmt.Sprintf("%d resources", len(v.drafts)), r.Name)
	case "channel":
		return c.pass(r, work, out, v)
	default:
		return c.queue(ctx, r, env, work, out, v)
	}
	return nil
}

// drafts are the FHIR resources that a message is, or was mapped to. Ids of
// those that came as FHIR are the sender's, within the channel.
func (c *channel) drafts(m *message.Message) ([]fhir.Draft, error) {
	switch doc := m.Doc.(type) {
	case transforms.Drafter:
		return doc.Drafts(), nil
	case transforms.ScopedDrafter:
		return doc.DraftsOf(c.id)
	}
	return nil, &message.Failure{Kind: message.Malformed, Err: errors.New("ehr takes FHIR resources; map the message to FHIR first")}
}

// effects prepares what T2 writes into the core store.
func (c *channel) effects(ctx context.Context, m *message.Message, v *verdictOf, again bool) error {
	if len(v.drafts) == 0 {
		return nil
	}
	plan, err := c.line.matcher.Prepare(ctx, v.drafts, ehr.Origin{
		Message: m.ID, Type: m.Header.Type, Sender: m.Header.Sender, Received: m.Received, Again: again,
	})
	if err != nil {
		return place("ehr", err)
	}
	v.Writes = plan.Writes
	v.Events = append(v.Events, plan.Events...)
	v.Worklist = append(v.Worklist, plan.Worklist...)
	for i := range plan.Writes {
		v.note("wrote", "", plan.Writes[i].Type+"/"+plan.Writes[i].ID)
	}
	return nil
}

// place puts a step in front of a fault of the message, and leaves its kind.
func place(step string, err error) error {
	f, ok := errors.AsType[*message.Failure](err)
	if !ok {
		return wrap(step, err)
	}
	placed := *f
	placed.Err = wrap(step, errors.New(f.Error()))
	placed.Where = ""
	return &placed
}

// frames are the places of our own code in a stack, without arguments.
func frames(stack []byte) string {
	var places []string
	for line := range strings.Lines(string(stack)) {
		if line = strings.TrimSpace(line); strings.Contains(line, "/plexus/") || strings.HasPrefix(line, "github.com/plexus-health") {
			if at := strings.LastIndex(line, "("); at > 0 {
				line = line[:at]
			}
			places = append(places, line)
		}
		if len(places) == 8 {
			break
		}
	}
	return strings.Join(places, " < ")
}
