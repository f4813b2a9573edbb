package fhir

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

var errNoType = errors.New("resourceType is missing or no resource type of R4")

// Reply answers with an OperationOutcome (http.html#outcomes). An
// OperationOutcome is not answered.
func (p *Parser) Reply(head []byte, answer message.Answer, made parsers.Stamp) []byte {
	if str(peek(head), "resourceType") == "OperationOutcome" {
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

// Split yields the resources of a file: one JSON object, or one on each line
// (application/fhir+ndjson). Empty lines are skipped.
func (p *Parser) Split(r io.Reader, limit int64, take func(raw []byte) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var one []byte
	depth, quoted, escaped, begun := 0, false, false, false
	for {
		c, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			if len(bytes.TrimSpace(one)) > 0 {
				return take(one) // not whole: the parser says so
			}
			return nil
		}
		if err != nil {
			return err
		}
		if !begun && (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			continue
		}
		begun = true
		if one = append(one, c); int64(len(one)) > limit {
			return &message.Failure{Kind: message.Malformed, Offset: len(one), Code: 102, Err: fmt.Errorf("a resource is larger than %d bytes", limit)}
		}
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if (depth == 0 && !quoted && (c == '}' || c == ']')) || (depth <= 0 && !quoted && c == '\n') {
			if err := take(one); err != nil {
				return err
			}
			one, begun, depth = nil, false, 0
		}
	}
}
