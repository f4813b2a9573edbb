package fhir

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/validate"
	"github.com/plexus-health/plexus/message"
)

// An answer is what is read off the content of an answer; nil: it is no
// resource.
type answer struct {
	typ     string
	issues  []issue // of an OperationOutcome
	entries []entry // of a Bundle
}

// An issue is one of an OperationOutcome, without its texts.
type issue struct{ code, where string }

// An entry is what became of one entry of a Bundle.
type entry struct {
	status  int // 0: it does not say
	outcome *answer
}

// Bounds of what is told of an answer: issues, and bytes of a path.
const (
	maxIssues = 10
	maxPath   = 200
)

func readAnswer(content []byte) *answer {
	n, err := fhir.Parse(content)
	if err != nil {
		return nil
	}
	return answerOf(n)
}

func answerOf(n *fhir.Node) *answer {
	a := &answer{typ: text(n, "resourceType")}
	switch {
	case !typeForm.MatchString(a.typ):
		return nil
	case a.typ == "OperationOutcome":
		a.issues = issuesOf(n)
	case a.typ == "Bundle":
		list := n.Get("entry")
		if list == nil {
			return a
		}
		for _, item := range list.Items {
			response := item.Get("response")
			e := entry{outcome: answerOf(response.Get("outcome"))}
			// "201 Created" (Bundle.entry.response.status)
			if status, _, _ := strings.Cut(text(response, "status"), " "); len(status) == 3 {
				e.status, _ = strconv.Atoi(status) // 0 where it is no number
			}
			a.entries = append(a.entries, e)
		}
	}
	return a
}

// pathForm is a simple path of names and indexes (FHIRPath).
var pathForm = regexp.MustCompile(`^[A-Za-z]+(\[[0-9]{1,5}\])?(\.[A-Za-z]+(\[[0-9]{1,5}\])?)*$`)

// place reports whether a text is a path of types and elements that FHIR has:
// such a one holds no value.
func place(text string) bool {
	if len(text) > maxPath || !pathForm.MatchString(text) {
		return false
	}
	for name := range strings.SplitSeq(text, ".") {
		if name, _, _ = strings.Cut(name, "["); !validate.Known(name) {
			return false
		}
	}
	return true
}

func issuesOf(n *fhir.Node) []issue {
	list := n.Get("issue")
	if list == nil {
		return nil
	}
	var issues []issue
	for _, item := range list.Items {
		if severity := text(item, "severity"); severity == "information" || severity == "warning" {
			continue
		}
		i := issue{code: text(item, "code")}
		if _, known := codes[i.code]; !known {
			i.code = "unknown"
		}
		if where := item.Get("expression"); where != nil && len(where.Items) > 0 && place(where.Items[0].Text) {
			i.where = where.Items[0].Text
		}
		if issues = append(issues, i); len(issues) == maxIssues {
			break
		}
	}
	return issues
}

// codes are those of HL7 table 0357 that the issue types come nearest to
// (valueset-issue-type).
var codes = map[string]int{
	"invalid": 102, "structure": 100, "required": 101, "value": 102, "invariant": 102, "security": 207, "login": 207,
	"unknown": 207, "expired": 207, "forbidden": 207, "suppressed": 207, "processing": 207, "not-supported": 200,
	"duplicate": 205, "multiple-matches": 205, "not-found": 204, "deleted": 204, "too-long": 102, "code-invalid": 103,
	"extension": 102, "too-costly": 207, "business-rule": 207, "conflict": 206, "transient": 207, "lock-error": 206,
	"no-store": 207, "exception": 207, "timeout": 207, "incomplete": 207, "throttled": 207, "informational": 207,
}

// problems are the issues as reasons of a negative answer.
func (a *answer) problems() []message.Problem {
	if a == nil {
		return nil
	}
	var list []message.Problem
	for _, i := range a.issues {
		list = append(list, message.Problem{Where: i.where, Code: codes[i.code], Text: i.code})
	}
	return list
}

// told is what an error says of the issues.
func (a *answer) told() string {
	if a == nil {
		return ""
	}
	var list []string
	for _, i := range a.issues {
		if i.where != "" {
			list = append(list, i.code+" at "+i.where)
		} else {
			list = append(list, i.code)
		}
	}
	return strings.Join(list, ", ")
}

// entry is the failure of the first entry that was not taken; what will never
// be taken comes before what may be later.
func (a *answer) entry() *message.Failure {
	var first *message.Failure
	some := false // entries were taken
	for i, e := range a.entries {
		f := &message.Failure{Where: fmt.Sprintf("Bundle.entry[%d]", i), Err: fmt.Errorf("answered %d", e.status)}
		switch {
		case e.status >= 200 && e.status < 400: // 304: it is there as it is to be
			some = true
			continue
		case e.status < 200 || e.status > 599:
			f.Kind, f.Err = message.Unreadable, fmt.Errorf("the answer has no status")
		case e.status == 429 || e.status >= 500:
			f.Kind = message.Busy
		default:
			f.Kind = message.RefusedSend
		}
		if told := e.outcome.told(); told != "" {
			f.Err = fmt.Errorf("%w: %s", f.Err, told)
		}
		if first == nil || (f.Kind == message.RefusedSend && first.Kind != f.Kind) {
			first = f
		}
	}
	if some && first != nil && first.Kind == message.Busy {
		first.Kind = message.Unknown // a repeat sends again what was taken
	}
	return first
}
