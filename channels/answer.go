package channels

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/transforms"
)

// toWorklist is the `answer: { to: … }` that makes entries for people.
const toWorklist = "worklist"

// mostIssues bounds the entries that one answer makes.
const mostIssues = 100

// answerGoesOn makes what the peer's answer becomes, as `answer:` says. What
// cannot be made of it is told on the work list: the delivery has arrived, and
// the answer is kept with it.
func (r *route) answerGoesOn(ctx context.Context, a *store.Answer, del *message.Delivery) {
	to := r.config.Answer
	if to == nil || len(a.Raw) == 0 {
		return
	}
	made, err := r.answers(ctx, to, a.Raw)
	if err == nil && len(made) > 0 {
		if to.To == toWorklist {
			a.Worklist = append(a.Worklist, r.listed(made, del)...)
		} else {
			err = r.feedAnswers(ctx, a, made, del)
		}
	}
	if err != nil {
		r.log.Error("the answer does not go on", "delivery", del.ID, "error", err.Error())
		a.Worklist = append(a.Worklist, r.look(del, err.Error()+"; look at the peer's answer"))
	}
}

// look is an entry of the work list about an answer.
func (r *route) look(del *message.Delivery, text string) store.WorkItem {
	return store.WorkItem{Kind: "answer", Where: r.config.Name, Text: "delivery " + del.ID + ": " + text}
}

// An answered is what an answer became by `answer: { map: … }`: a document, or
// the bytes as they came.
type answered struct {
	raw []byte
	doc message.Document
}

// answers are what an answer becomes: nothing where `when` does not want it.
func (r *route) answers(ctx context.Context, to *routes.RouteAnswer, raw []byte) (made []answered, err error) {
	if to.Parser == nil {
		return []answered{{raw: raw}}, nil
	}
	defer func() {
		if fault := recover(); fault != nil {
			r.c.line.options.Metrics.event(r.c.config.Name, "panic", 1)
			r.log.Error("panic while an answer was read", "where", frames(debug.Stack()))
			made, err = nil, &message.Failure{Kind: message.Malformed, Err: errAnswer}
		}
	}()
	doc, err := to.Parser.Parse(raw)
	if err != nil {
		return nil, place("answer", err)
	}
	now := r.c.line.options.Now()
	m := &message.Message{ID: message.NewID(now), Channel: r.c.config.Name, Received: now, Raw: raw, Size: int64(len(raw)), Doc: doc, Header: doc.Header()}
	if keyer, ok := to.Parser.(parsers.Keyer); ok {
		if header, fault := keyer.Scan(raw, nil); fault == nil {
			m.Header = header
		}
	}
	if to.When != nil {
		pass, err := to.When.Bool(expression.Env{Message: m, Root: doc.Root()}, doc.Root())
		if err != nil {
			return nil, place("answer: when", err)
		}
		if !pass {
			return nil, nil
		}
	}
	if len(to.Map) == 0 {
		return []answered{{raw: raw, doc: doc}}, nil
	}
	mapped, err := apply(ctx, to.Map, []*message.Message{m}, &verdictOf{})
	if err != nil {
		return nil, place("answer: map", err)
	}
	for _, one := range mapped {
		out := answered{raw: raw, doc: one.Doc}
		if one.Doc != doc {
			out.raw = one.Doc.Encode(nil)
		}
		made = append(made, out)
	}
	return made, nil
}

// feedAnswers makes the messages of another channel. The intake key is that of
// the delivery, with the number of the message where the map makes several.
func (r *route) feedAnswers(ctx context.Context, a *store.Answer, made []answered, del *message.Delivery) error {
	m, err := r.c.line.options.Store.Load(ctx, del.Message)
	if err != nil {
		// Without the way it came a circle would not be seen.
		return wrap("its message cannot be read", err)
	}
	var intakes []store.Intake
	for n, one := range made {
		control := fmt.Sprintf("%d/%d/%d", del.Message, del.Run, del.Part)
		if n > 0 {
			control += fmt.Sprintf("/%d", n)
		}
		in, err := r.c.line.feed(r.config.Answer.To, one.raw, origin{
			via: through(m.Via, r.c.id), sender: "answer:" + unitOf(r.c.config.Name, r.config.Name), control: control, key: del.Key, late: del.ID,
		})
		if err != nil {
			return err
		}
		intakes = append(intakes, in)
	}
	a.Intakes = append(a.Intakes, intakes...)
	return nil
}

// listed are the entries for people. Where the map makes OperationOutcomes, or
// nothing, there is one for each issue; else one that names the delivery.
func (r *route) listed(made []answered, del *message.Delivery) []store.WorkItem {
	var items []store.WorkItem
	for _, one := range made {
		drafter, ok := one.doc.(transforms.Drafter)
		if !ok {
			return []store.WorkItem{r.look(del, "look at the peer's answer")}
		}
		for _, draft := range drafter.Drafts() {
			if draft.Type != "OperationOutcome" {
				return []store.WorkItem{r.look(del, "look at the peer's answer")}
			}
			issues := draft.Tree.Get("issue")
			if issues == nil {
				continue
			}
			for _, issue := range issues.Items {
				item := r.look(del, issueText(issue))
				item.Where, item.Code = issuePlace(issue), textOf(issue.Get("code"))
				items = append(items, item)
			}
		}
	}
	if more := len(items) - mostIssues; more > 0 {
		items = append(items[:mostIssues], r.look(del, fmt.Sprintf("%d further entries; look at the peer's answer", more)))
	}
	return items
}

// issueText is what an issue says.
func issueText(issue *fhir.Node) string {
	parts := []string{textOf(issue.Get("severity"))}
	if text := textOf(issue.Get("details").Get("text")); text != "" {
		parts = append(parts, text)
	}
	if text := textOf(issue.Get("diagnostics")); text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, ": ")
}

// issuePlace is where an issue is.
func issuePlace(issue *fhir.Node) string {
	for _, name := range []string{"expression", "location"} {
		if list := issue.Get(name); list != nil && len(list.Items) > 0 {
			return textOf(list.Items[0])
		}
	}
	return "answer"
}

func textOf(n *fhir.Node) string {
	if n == nil {
		return ""
	}
	return n.Text
}

var errAnswer = errors.New("internal fault while the answer was read")
