package channels

import (
	"context"
	"fmt"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/transforms"
)

// Bounds of what is said of one message.
const (
	findingsTraced = 50 // in its trace
	findingsTold   = 20 // to the sender
)

// valid takes what the parser's check finds into the trace, and reports false
// when a finding keeps the message from being processed: a sender who waits for
// the outcome is refused with the reasons, else the message parks.
func (c *channel) valid(doc message.Document, v *verdictOf) bool {
	checker, ok := c.config.Parser.(parsers.Checker)
	if !ok {
		return true
	}
	severe, mild := []message.Problem(nil), []parsers.Finding(nil)
	for i, f := range checker.Check(doc) {
		step := "warning"
		if f.Severe {
			step = "error"
			severe = append(severe, f.Problem)
		} else {
			mild = append(mild, f)
		}
		if i < findingsTraced {
			v.note(step, f.Rule+": "+f.Problem.Text, f.Problem.Where)
		}
	}
	if len(severe) > 0 {
		c.invalid(severe, v)
		return false
	}
	if len(mild) > 0 {
		v.Worklist = append(v.Worklist, store.WorkItem{
			Kind: "validation", Where: mild[0].Problem.Where, Text: mild[0].Rule + ": " + mild[0].Problem.Text + further(len(mild)),
		})
	}
	return true
}

// invalid makes the verdict of a message that must not be processed.
func (c *channel) invalid(severe []message.Problem, v *verdictOf) {
	first := severe[0].Text
	if severe[0].Where != "" {
		first = severe[0].Where + ": " + first
	}
	reason := "validate: " + first + further(len(severe))
	if c.config.Ack == routes.AckStored {
		v.park(reason)
		v.Answer.Problems = severe[:min(len(severe), findingsTold)] // for a second acknowledgement
		return
	}
	v.State, v.Reason = message.Refused, reason
	v.Answer = message.Answer{Code: verdict(severe[0].Code), Problems: severe[:min(len(severe), findingsTold)]}
	v.Alias, v.Survivor = "", ""
	v.note("refused", reason, "")
}

// further counts the findings behind the first.
func further(all int) string {
	if all < 2 {
		return ""
	}
	return fmt.Sprintf(", and %d more", all-1)
}

// apply runs steps of `map:` one after the other.
func apply(ctx context.Context, steps []transforms.Transform, in []*message.Message, v *verdictOf) ([]*message.Message, error) {
	for _, step := range steps {
		var out []*message.Message
		for _, m := range in {
			made, err := step.Apply(ctx, m)
			if err != nil {
				return nil, err
			}
			out = append(out, made...)
		}
		in = out
	}
	if len(steps) > 0 {
		for _, m := range in {
			v.explain(m.Doc)
		}
	}
	return in, nil
}

// explain takes the findings of a step into the trace and the work list.
func (v *verdictOf) explain(doc message.Document) {
	explainer, ok := doc.(transforms.Explainer)
	if !ok {
		return
	}
	for i, f := range explainer.Findings() {
		if i < 50 {
			v.note("finding", f.Kind+": "+f.Text, f.Where)
		}
		if f.Kind == "unmapped" {
			v.Worklist = append(v.Worklist, store.WorkItem{Kind: f.Kind, Where: f.Where, Table: f.Table, Code: f.Code, Text: f.Text})
		}
	}
}
