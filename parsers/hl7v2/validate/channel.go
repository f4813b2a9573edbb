package validate

import (
	"fmt"
	"slices"

	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// Validation is what `parse: { hl7v2: { validate: … } }` checks with.
func Validation() hl7v2.Validation {
	return hl7v2.Validation{Levels: slices.Clone(levels), Rules: slices.Clone(rules), Profiles: ShippedNames(), Open: open}
}

// open makes the check of a channel.
func open(word, profile string, file []byte) (hl7v2.Check, error) {
	level, err := ParseLevel(word)
	if err != nil {
		return nil, err
	}
	var profiles []*Profile
	if profile != "" {
		p, err := named(profile, file)
		if err != nil {
			return nil, fmt.Errorf("profile %s: %w", profile, err)
		}
		profiles = append(profiles, p)
	}
	return func(m *hl7v2.Message) []parsers.Finding {
		var out []parsers.Finding
		for _, f := range Message(m, level, profiles...) {
			if f.syntax {
				continue // a warning of the document itself
			}
			out = append(out, parsers.Finding{Problem: f.Problem(), Rule: f.Rule, Severe: f.Severity == Error})
		}
		return out
	}, nil
}

func named(profile string, file []byte) (*Profile, error) {
	if file == nil {
		return Shipped(profile)
	}
	return ReadProfile(file)
}
