package channels

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// `check:` are rules for what goes out, asked after `require:` and before the
// message is taken apart and mapped. What is found parks the message, so that
// nothing of it leaves: `hold` until a person releases it with a reason, `block`
// until the order is changed or cancelled, which comes as a message of its own.
// `warn` makes an entry of the work list, and the message goes on.

// checked asks the rules. It reports true when the message parks.
func (c *channel) checked(ctx context.Context, work *message.Message, v *verdictOf) (parks bool, err error) {
	for _, rule := range c.config.Check {
		found, err := c.ask(ctx, rule, work)
		if err != nil {
			return false, place("check "+rule.Rule, err)
		}
		if found == "" {
			continue
		}
		text := "check " + rule.Rule + ": " + found
		switch rule.On {
		case routes.OnWarn:
			v.note("warning", text, "")
			v.Worklist = append(v.Worklist, store.WorkItem{Kind: "check", Where: rule.Rule, Text: found})
			continue
		case routes.OnHold:
			who, err := c.releasedBy(ctx, work)
			if err != nil {
				return false, err
			}
			if who != "" {
				v.note("check passed", text+"; released by "+who, "")
				continue
			}
			v.park("held: " + text)
		default:
			v.park("blocked: " + text)
		}
		v.Worklist = append(v.Worklist, store.WorkItem{Kind: "check", Where: rule.Rule, Text: found})
		return true, nil
	}
	return false, nil
}

// releasedBy is who has released a message that was held; nobody, as a rule.
func (c *channel) releasedBy(ctx context.Context, work *message.Message) (string, error) {
	if work.Run == 0 {
		return "", nil
	}
	events, err := c.line.options.Store.Trace(ctx, work.Seq)
	if err != nil {
		return "", wrap("trace", err)
	}
	for i := range events {
		if events[i].Step == store.StepReleased {
			return events[i].Who, nil
		}
	}
	return "", nil
}

// ask asks one rule; empty when nothing was found.
func (c *channel) ask(ctx context.Context, rule routes.Check, work *message.Message) (string, error) {
	resource, ok := work.Doc.(interface{ Resource() *fhir.Node })
	if !ok {
		return "", &message.Failure{Kind: message.Malformed, Err: errors.New("a resource is wanted")}
	}
	return c.duplicateOrder(ctx, rule, work, resource.Resource())
}

// mostOrders bounds the orders that one is compared with, the newest first.
const mostOrders = 200

// duplicateOrder looks whether the same is ordered for the same patient by an
// order that was there before, not more than a time apart.
func (c *channel) duplicateOrder(ctx context.Context, rule routes.Check, work *message.Message, order *fhir.Node) (string, error) {
	if textOf(order.Get("resourceType")) != "ServiceRequest" || withdrawn(order) {
		return "", nil
	}
	patient, codes := patientOf(order), codesOf(order)
	switch {
	case patient == "":
		return "not checked: it does not say of which patient", nil
	case len(codes) == 0:
		return "not checked: it has no code", nil
	}
	s := c.line.options.Store
	subject, _ := definitions.FindParam("ServiceRequest", "subject")
	code, _ := definitions.FindParam("ServiceRequest", "code")
	page, err := s.Search(ctx, store.Query{
		Type: "ServiceRequest", Limit: mostOrders, Sort: []store.SortKey{{Shape: store.ShapeLastUpdated, Desc: true}},
		Where: []store.Clause{
			{Param: subject.Row, Shape: store.ShapeRef, Any: []store.Match{{Type: "Patient", ID: patient}}},
			{Param: code.Row, Shape: store.ShapeToken, Any: codes},
		},
	})
	if err != nil {
		return "", &message.Failure{Kind: message.Unavailable, Err: wrap("search", err)}
	}
	own := textOf(order.Get("id"))
	made, err := c.madeFirst(ctx, own, work.Received)
	if err != nil {
		return "", err
	}
	at := orderedAt(order, made)
	for i := range page.Resources {
		other := &page.Resources[i]
		if other.ID == own {
			continue
		}
		found, err := c.isBefore(ctx, other, own, made, at, rule.Within)
		if err != nil {
			return "", err
		}
		if found {
			return fmt.Sprintf("the same is ordered for this patient by ServiceRequest/%s, not %s apart", other.ID, routes.Days(rule.Within)), nil
		}
	}
	return "", nil
}

// isBefore reports whether another order counts: it stands, was there before, and
// is not more than within apart.
func (c *channel) isBefore(ctx context.Context, other *store.Resource, own string, made, at time.Time, within time.Duration) (bool, error) {
	tree, err := fhir.Parse(other.Content)
	if err != nil {
		return false, &message.Failure{Kind: message.Internal, Err: fmt.Errorf("content of ServiceRequest/%s: %w", other.ID, err)}
	}
	if withdrawn(tree) {
		return false, nil
	}
	first, err := c.madeFirst(ctx, other.ID, other.Updated)
	if err != nil {
		return false, err
	}
	if first.After(made) || first.Equal(made) && other.ID > own {
		return false, nil
	}
	return orderedAt(tree, first).Sub(at).Abs() <= within, nil
}

// madeFirst is when the first version of an order was written.
func (c *channel) madeFirst(ctx context.Context, id string, unknown time.Time) (time.Time, error) {
	if id == "" {
		return unknown, nil
	}
	r, err := c.line.options.Store.ReadVersion(ctx, "ServiceRequest", id, 1)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDeleted):
		return unknown, nil
	case err != nil:
		return unknown, &message.Failure{Kind: message.Unavailable, Err: wrap("read", err)}
	}
	return r.Updated, nil
}

// withdrawn reports whether nothing is ordered by an order.
func withdrawn(order *fhir.Node) bool {
	switch textOf(order.Get("status")) {
	case "revoked", "entered-in-error", "draft":
		return true
	}
	return false
}

// orderedAt is when something was ordered, as the order says it.
func orderedAt(order *fhir.Node, made time.Time) time.Time {
	text := textOf(order.Get("authoredOn"))
	for _, layout := range []string{time.RFC3339, "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return made
}

// patientOf is the id of the patient an order is for.
func patientOf(order *fhir.Node) string {
	reference := textOf(order.Get("subject").Get("reference"))
	if at := strings.LastIndex(reference, "Patient/"); at >= 0 {
		id, _, _ := strings.Cut(reference[at+len("Patient/"):], "/")
		return id
	}
	return ""
}

// codesOf are the codes of what is ordered, as they are searched for.
func codesOf(order *fhir.Node) []store.Match {
	list := order.Get("code").Get("coding")
	if list == nil {
		return nil
	}
	var out []store.Match
	for _, coding := range list.Items {
		system, code := textOf(coding.Get("system")), textOf(coding.Get("code"))
		if code != "" {
			out = append(out, store.Match{System: &system, Value: &code})
		}
	}
	return out
}
