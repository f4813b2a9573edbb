package patch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// repeated writes a JSON list of equal items.
func repeated(item string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
}

// parameters are a FHIRPath Patch of equal operations.
func parameters(operation string, n int) string {
	return `{"resourceType":"Parameters","parameter":` + repeated(operation, n) + `}`
}

func diff(operations string) []byte {
	return []byte(`<diff xmlns="http://hl7.org/fhir" xmlns:f="http://hl7.org/fhir">` + operations + `</diff>`)
}

// TestPatchesEnd: a patch that looks at far too much is refused with the reason,
// and one whose client has left says so. Without the bounds these take minutes.
func TestPatchesEnd(t *testing.T) {
	const many = 50_000
	names := `{"resourceType":"Patient","name":` + repeated(`{"text":"a"}`, many) + `}`
	var members strings.Builder
	for i := range many {
		fmt.Fprintf(&members, `"m%d":1,`, i)
	}
	wide := `{` + strings.TrimSuffix(members.String(), ",") + `}`
	costly := func(operation int) string {
		return fmt.Sprint("operation ", operation, " needs more steps than one patch may take")
	}
	for name, c := range map[string]struct {
		resource string
		apply    func(context.Context, *fhir.Node) (*fhir.Node, error)
		fault    string // "" means that it is done; "costly" with any operation
	}{
		"a test of objects with many members": {`{"resourceType":"Patient"}`, func(ctx context.Context, n *fhir.Node) (*fhir.Node, error) {
			return Apply(ctx, n, parse(t, `[{"op":"add","path":"/x","value":`+wide+`},{"op":"test","path":"/x","value":`+wide+`}]`))
		}, costly(1)},
		"many moves of what is large": {names, func(ctx context.Context, n *fhir.Node) (*fhir.Node, error) {
			return Apply(ctx, n, parse(t, repeated(`{"op":"move","from":"/name","path":"/a"},{"op":"move","from":"/a","path":"/name"}`, 500)))
		}, "costly"},
		"a path to very many elements": {names, func(ctx context.Context, n *fhir.Node) (*fhir.Node, error) {
			return ApplyFHIRPath(ctx, n, parse(t, parameters(pathOp("delete", "path", path("Patient.name")), 1)))
		}, "operation 0 has a path that finds several elements"},
		"an insert into a long list": {names, func(ctx context.Context, n *fhir.Node) (*fhir.Node, error) {
			return ApplyFHIRPath(ctx, n, parse(t, parameters(pathOp("insert", "path", path("Patient.name"), "index", `"valueInteger":0`, "value", `"valueHumanName":{"text":"b"}`), 1)))
		}, ""},
		"many inserts into a long list": {names, func(ctx context.Context, n *fhir.Node) (*fhir.Node, error) {
			return ApplyFHIRPath(ctx, n, parse(t, parameters(pathOp("move", "path", path("Patient.name"), "source", `"valueInteger":0`, "destination", `"valueInteger":1`), 1000)))
		}, "costly"},
		"a value of very many parts": {`{"resourceType":"Patient"}`, func(ctx context.Context, n *fhir.Node) (*fhir.Node, error) {
			return ApplyFHIRPath(ctx, n, parse(t, parameters(pathOp("add", "path", path("Patient"), "name", path("contact"), "value", `"part":`+repeated(`{"name":"telecom","valueContactPoint":{"value":"1"}}`, many)), 1)))
		}, costly(0)},
		"very many elements before others": {names, func(ctx context.Context, n *fhir.Node) (*fhir.Node, error) {
			return ApplyXML(ctx, n, diff(`<add sel="f:Patient" pos="prepend">`+strings.Repeat(`<name><text value="b"/></name>`, many)+`</add>`))
		}, ""},
		"many selectors of all nodes": {names, func(ctx context.Context, n *fhir.Node) (*fhir.Node, error) {
			return ApplyXML(ctx, n, diff(strings.Repeat(`<add sel="f:Patient" pos="prepend"><active value="true"/></add><remove sel="*/f:active[@value='true']"/>`, 500)))
		}, "costly"},
		"a selector of conditions in conditions": {names, func(ctx context.Context, n *fhir.Node) (*fhir.Node, error) {
			return ApplyXML(ctx, n, diff(`<remove sel="f:Patient/f:name`+strings.Repeat(`[*]`, 1000)+`"/>`))
		}, costly(0)},
	} {
		t.Run(name, func(t *testing.T) {
			resource := parse(t, c.resource)
			_, err := c.apply(t.Context(), resource)
			if c.fault == "costly" && err != nil && strings.HasSuffix(err.Error(), errCostly.Error()) {
				c.fault = err.Error()
			}
			if got := fmt.Sprint(err); got != c.fault && (c.fault != "" || err != nil) {
				t.Errorf("%s, want %s", got, c.fault)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := c.apply(ctx, resource); !errors.Is(err, context.Canceled) {
				t.Errorf("of a client that has left: %v", err)
			}
		})
	}
}

// TestInsertedNodes: nodes that are put among others are where they belong, and
// what stands behind them is found again.
func TestInsertedNodes(t *testing.T) {
	n := parse(t, `{"resourceType":"Patient","name":[{"text":"1"},{"text":"2"},{"text":"3"}]}`)
	got, err := ApplyXML(t.Context(), n, diff(`<add sel="f:Patient/f:name[2]" pos="before"><name><text value="a"/></name> <name><text value="b"/></name></add>`+
		`<replace sel="f:Patient/f:name[3]"><name><text value="c"/></name></replace><remove sel="f:Patient/f:name[5]"/><add sel="f:Patient/f:name[4]" pos="after"><name><text value="d"/></name></add>`))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"resourceType":"Patient","name":[{"text":"1"},{"text":"a"},{"text":"c"},{"text":"2"},{"text":"d"}]}`; string(got.AppendJSON(nil)) != want {
		t.Errorf("got  %s\nwant %s", got.AppendJSON(nil), want)
	}
}
