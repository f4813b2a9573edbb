package rest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/fhir/validate"
	"github.com/plexus-health/plexus/store"
)

// validation routes $validate, which stands below a type or an instance
// (resource-operation-validate.html).
func (c *call) validation(parts []string, method string) (string, func() error, error) {
	switch {
	case len(parts) > 3:
		return "", nil, &fault{http.StatusNotFound, "not-found", "", "there is nothing under this path"}
	case len(parts) == 3 && !goodID.MatchString(parts[1]):
		return "", nil, &fault{http.StatusNotFound, "not-found", "", "the id is not 1 to 64 letters, digits, dots and dashes"}
	case len(parts) == 3 && method != http.MethodPost && method != http.MethodGet:
		return "", nil, c.notAllowed("GET, HEAD, POST")
	case len(parts) == 2 && method != http.MethodPost:
		return "", nil, c.notAllowed("POST")
	}
	if len(parts) == 3 {
		c.id = parts[1]
	}
	return "validate", c.validate, nil
}

// A question is what $validate is asked.
type question struct {
	resource *fhir.Node
	mode     string
	profiles []string
}

// asked reads the parameters: those of the address, then the body, which is the
// resource itself or Parameters that hold it.
func (c *call) asked() (question, error) {
	values := c.r.URL.Query()
	q := question{mode: values.Get("mode"), profiles: values["profile"]}
	if c.r.ContentLength == 0 || c.r.Method != http.MethodPost {
		return q, nil
	}
	n, err := c.body()
	if err != nil {
		return q, err
	}
	if text(n, "resourceType") != "Parameters" || (c.typ == "Parameters" && !operation(n)) {
		q.resource = n
		return q, nil
	}
	if list := n.Get("parameter"); list != nil {
		for _, p := range list.Items {
			switch text(p, "name") {
			case "resource":
				q.resource = p.Get("resource")
			case "mode":
				q.mode = either(text(p, "valueCode"), text(p, "valueString"))
			case "profile":
				q.profiles = append(q.profiles, either(text(p, "valueUri"), either(text(p, "valueCanonical"), text(p, "valueString"))))
			}
		}
	}
	return q, nil
}

func either(one, other string) string {
	if one != "" {
		return one
	}
	return other
}

// operation reports whether Parameters are those of $validate, and not what is
// to be validated.
func operation(n *fhir.Node) bool {
	list := n.Get("parameter")
	return list != nil && slices.ContainsFunc(list.Items, func(p *fhir.Node) bool {
		return text(p, "name") == "resource" && p.Get("resource") != nil
	})
}

// validate answers with 200 and what was found, errors or none, wherever the
// check could be made.
func (c *call) validate() error {
	q, err := c.asked()
	if err != nil {
		return err
	}
	for _, url := range q.profiles {
		if !c.Profiles.Has(url) {
			return &fault{http.StatusUnprocessableEntity, "not-supported", inRequest + "profile", "the profile is none of those that are known here"}
		}
	}
	switch q.mode {
	case "", "create", "update", "profile":
	case "delete":
		return c.deletable()
	default:
		return &fault{http.StatusBadRequest, "value", "", "the mode is none of create, update, delete, profile"}
	}
	if q.resource == nil {
		if c.id == "" {
			return &fault{http.StatusBadRequest, "required", "", "there is no resource to validate"}
		}
		res, err := c.Records.Read(c.r.Context(), c.typ, c.id)
		if err != nil {
			return err
		}
		if q.resource, err = fhir.Parse(fhir.Stamped(res.Content, res.Version, res.Updated)); err != nil {
			return err
		}
	}
	found, err := c.findings(q)
	if err != nil {
		return err
	}
	c.send(http.StatusOK, verdict(found).AppendJSON(nil))
	return nil
}

// deletable answers mode=delete: nothing that is there is protected from it.
func (c *call) deletable() error {
	if c.id == "" {
		return &fault{http.StatusBadRequest, "required", "", "the mode delete needs an id in the path"}
	}
	var found []validate.Fault
	_, err := c.Records.Read(c.r.Context(), c.typ, c.id)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDeleted):
		found = append(found, validate.Fault{Code: "not-found", Text: "there is no such resource"})
	case err != nil:
		return err
	}
	c.send(http.StatusOK, verdict(found).AppendJSON(nil))
	return nil
}

// findings are those of the resource and of what is to be done with it.
func (c *call) findings(q question) ([]validate.Fault, error) {
	t, wrong := validate.Type(q.resource)
	switch {
	case wrong != nil:
		return []validate.Fault{*wrong}, nil
	case t.Name != c.typ:
		return []validate.Fault{{Code: "invalid", Text: "resourceType is not " + c.typ}}, nil
	}
	found := append(validate.Resource(q.resource, validate.Options{}), c.Profiles.Check(q.resource, q.profiles...)...)
	id := text(q.resource, "id")
	switch {
	case q.mode == "update" && id == "":
		found = append(found, validate.Fault{Where: c.typ, Code: "required", Text: "an update needs an id"})
	case q.mode == "update" && c.id != "" && id != c.id:
		found = append(found, validate.Fault{Where: c.typ + ".id", Code: "invalid", Text: "is not the id of the path"})
	}
	if q.mode != "create" && q.mode != "update" {
		return found, nil
	}
	if q.mode == "create" {
		id = ""
	}
	taken, err := c.taken(q.resource, id)
	return append(found, taken...), err
}

// taken finds identifiers that belong to another resource, which a write would
// be refused for.
func (c *call) taken(n *fhir.Node, own string) ([]validate.Fault, error) {
	list := n.Get("identifier")
	if list == nil || list.Kind != fhir.Array {
		return nil, nil
	}
	var found []validate.Fault
	for i, one := range list.Items {
		key := search.Identities(c.typ, identified(one))
		if len(key) == 0 || i >= 100 {
			continue
		}
		value := literal.Replace(text(one, "system")) + "|" + literal.Replace(text(one, "value"))
		others, err := c.matching(c.typ, "identifier="+url.QueryEscape(value))
		if err != nil {
			return nil, err
		}
		for _, other := range others {
			has, err := fhir.Parse(other.Content)
			if err == nil && other.ID != own && slices.Contains(search.Identities(c.typ, has), key[0]) {
				found = append(found, validate.Fault{Where: c.typ + ".identifier", Code: "duplicate", Text: "an identifier belongs to another resource"})
				break
			}
		}
	}
	return found, nil
}

// literal writes a value as a search takes it (search.html#escaping).
var literal = strings.NewReplacer(`\`, `\\`, "|", `\|`, ",", `\,`, "$", `\$`)

func identified(identifier *fhir.Node) *fhir.Node {
	n := fhir.NewObject()
	n.Set("identifier", &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{identifier}})
	return n
}

// verdict is the OperationOutcome of findings.
func verdict(found []validate.Fault) *fhir.Node {
	if len(found) == 0 {
		return outcome(faults{{http.StatusOK, "informational", "", "no problems were found"}})
	}
	list := make(faults, len(found))
	for i, f := range found {
		list[i] = &fault{http.StatusUnprocessableEntity, f.Code, f.Where, f.Text}
	}
	n := outcome(list)
	for i, f := range found {
		n.Get("issue").Items[i].Set("severity", fhir.Text(f.Severity.String()))
	}
	return n
}
