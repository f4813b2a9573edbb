package fhir

import (
	"bytes"

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
	out := fhir.NewObject()
	out.Set("resourceType", fhir.Text("OperationOutcome"))
	out.Set("id", fhir.Text(idOf(made.Control)))
	issues := &fhir.Node{Kind: fhir.Array}
	for _, problem := range answer.Problems {
		issues.Items = append(issues.Items, issue("error", codeOf(problem.Code), problem.Where, problem.Text))
	}
	if answer.Code == message.Accepted {
		issues.Items = append(issues.Items, issue("information", "informational", "", "taken"))
	}
	if len(issues.Items) == 0 {
		issues.Items = append(issues.Items, issue("error", "processing", "", "not taken"))
	}
	out.Set("issue", issues)
	return out.AppendJSON(nil)
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

func issue(severity, code, where, text string) *fhir.Node {
	n := fhir.NewObject()
	n.Set("severity", fhir.Text(severity))
	n.Set("code", fhir.Text(code))
	if text != "" {
		n.Set("diagnostics", fhir.Text(text))
	}
	if where != "" {
		n.Set("expression", &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{fhir.Text(where)}})
	}
	return n
}

// codeOf is the issue-type of a code of HL7 table 0357.
func codeOf(code int) string {
	switch code {
	case 100, 102:
		return "structure"
	case 101:
		return "required"
	case 103:
		return "code-invalid"
	case 200, 201, 202, 203:
		return "not-supported"
	case 204:
		return "not-found"
	case 205:
		return "duplicate"
	case 206:
		return "lock-error"
	case 207:
		return "transient"
	}
	return "processing"
}
