package routes

import "time"

// checkWords are the rules of `check:`, each with its options.
func checkWords() []word {
	on := word{name: "on", shape: oneOf(OnHold, OnWarn, OnBlock), def: OnHold, text: "What a finding does: hold parks the message until someone releases it with a reason, block until the order is changed or cancelled, warn makes a work-list entry and goes on."}
	return []word{
		{name: "duplicate-order", shape: with(
			word{name: "within", shape: is(aDuration), def: "7d", text: "How far apart two orders of the same code may be."}, on,
		), text: "The same is ordered for the same patient by an order that was there before and stands. The channel's format is fhir."},
		{name: "drug-safety", shape: with(
			word{name: "unavailable", shape: oneOf(OnHold, OnWarn), def: OnHold, text: "What follows when it cannot be asked."}, on,
		), text: "Interactions, allergies and duplicate therapy of a prescription."},
		{name: "claim-edits", shape: with(on), text: "Structure, balance and edits of a claim."},
	}
}

// rules decodes the rules for what goes out.
func (b *channelBuilder) rules() {
	n := b.n.get("check")
	if n == nil || n.form != sequence {
		return
	}
	for _, item := range n.items {
		s := b.in("check")
		if item.form != object {
			continue
		}
		rule := kindOf(item)
		if rule == "" {
			s.problem(item, "one rule with its options is wanted, such as { duplicate-order: { on: hold } }")
			continue
		}
		if rule == "duplicate-order" && b.parsed && b.c.Parse != "fhir" {
			s.in(rule).problem(item, "an order is a resource of FHIR: write parse: fhir")
		}
		options := item.members[0].value
		b.c.Check = append(b.c.Check, Check{Rule: rule, On: str(options, "on", OnHold), Within: span(options, "within", 7*24*time.Hour)})
	}
}
