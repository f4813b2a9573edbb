package fhir

// An Issue is one of an OperationOutcome (operationoutcome.html).
type Issue struct {
	Severity string // fatal, error, warning or information
	Code     string // of the value set issue-type
	Where    string // a FHIRPath to the element, or empty
	Text     string // for people: diagnostics
}

// Outcome is an OperationOutcome with these issues, and with an id if it is not
// empty.
func Outcome(id string, issues ...Issue) *Node {
	list := &Node{Kind: Array}
	for _, i := range issues {
		list.Items = append(list.Items, i.node())
	}
	n := NewObject()
	n.Set("resourceType", Text("OperationOutcome"))
	if id != "" {
		n.Set("id", Text(id))
	}
	n.Set("issue", list)
	return n
}

func (i Issue) node() *Node {
	n := NewObject()
	n.Set("severity", Text(i.Severity))
	n.Set("code", Text(i.Code))
	if i.Text != "" {
		n.Set("diagnostics", Text(i.Text))
	}
	if i.Where != "" {
		n.Set("expression", &Node{Kind: Array, Items: []*Node{Text(i.Where)}})
	}
	return n
}

// IssueType is the code of the value set issue-type for a code of HL7 table 0357,
// or empty where that says nothing of what was wrong.
func IssueType(code int) string {
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
	return ""
}
