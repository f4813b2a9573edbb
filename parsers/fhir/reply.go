package fhir

import (
	"bytes"
	"cmp"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// Reply answers with an OperationOutcome (http.html#outcomes). An
// OperationOutcome is not answered.
func (p *Parser) Reply(head []byte, answer message.Answer, made parsers.Stamp) []byte {
	if isOutcome(head) {
		return nil
	}
	var issues []fhir.Issue
	for _, problem := range answer.Problems {
		issues = append(issues, fhir.Issue{Severity: "error", Code: cmp.Or(fhir.IssueType(problem.Code), "processing"), Where: problem.Where, Text: problem.Text})
	}
	if answer.Code == message.Accepted {
		issues = append(issues, fhir.Issue{Severity: "information", Code: "informational", Text: "taken"})
	}
	if len(issues) == 0 {
		issues = append(issues, fhir.Issue{Severity: "error", Code: "processing", Text: "not taken"})
	}
	return fhir.Outcome(idOf(made.Control), issues...).AppendJSON(nil)
}

// isOutcome reports whether the content is itself an answer.
func isOutcome(head []byte) bool {
	found := false
	c := cursor{data: bytes.TrimPrefix(head, []byte(mark))}
	c.members(func(name string) bool {
		from := c.at
		c.value()
		found = name == "resourceType" && string(c.data[from:min(c.at, len(c.data))]) == `"OperationOutcome"`
		return name != "resourceType"
	})
	return found
}

// idOf makes a logical id of a control id.
func idOf(control string) string {
	id := bytes.Map(func(r rune) rune {
		if r == '.' || r == '-' || (r >= '0' && r <= '9') || (r >= 'A' && r <= 'Z') || (r >= 'a' && r <= 'z') {
			return r
		}
		return '-'
	}, []byte(control))
	if len(id) == 0 {
		return "answer"
	}
	return string(id[:min(len(id), 64)])
}
