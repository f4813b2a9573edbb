package search

import (
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Rows of a contained resource stand with its container, under numbers made of the
// parameter's and of its place among the contained ones; and once more under those
// of anyContained, by which they are looked up.
const (
	ofContained  = 1 << 27
	anyContained = 1<<15 - 1
	ofParam      = 1<<12 - 1
)

// MostContained is how many contained resources of one resource are searched.
const MostContained = anyContained

// Contained is where a parameter of the i-th contained resource stands, or what
// Text, Identifier and OfType make of it. That of the parameter 0 is its own row: a
// reference to its type and its id behind #.
func Contained(p fhir.Param, i int) fhir.Param {
	return p&ofType | ofContained | (p&ofParam)<<15 | fhir.Param(i)
}

// AnyContained is where a parameter of all contained resources stands. The tokens
// of the parameter 0 are their types.
func AnyContained(p fhir.Param) fhir.Param { return Contained(p, anyContained) }

// ContainedPlace is the i that a number was made with by Contained.
func ContainedPlace(p fhir.Param) int { return int(p & anyContained) }

// A container is a resource with the types of what it contains by their ids.
type container struct {
	node  *fhir.Node
	types map[string]string
}

// typeOf is the type of the contained resource of an id, or empty.
func (c *container) typeOf(id string) string {
	if c.types == nil {
		c.types = map[string]string{}
		if list := c.node.Get("contained"); list != nil {
			for _, one := range list.Items {
				if _, met := c.types[textOf(one, "id")]; !met && one.Kind == fhir.Object {
					c.types[textOf(one, "id")] = textOf(one, "resourceType")
				}
			}
		}
	}
	return c.types[id]
}

// contained adds the rows of the contained resources. Composites and places are
// not among them.
func (x *rows) contained() {
	list := x.root.node.Get("contained")
	if list == nil {
		return
	}
	for i, one := range list.Items[:min(len(list.Items), MostContained)] {
		typ := textOf(one, "resourceType")
		if _, known := definitions.Resource(typ); one.Kind != fhir.Object || !known {
			continue
		}
		x.Refs = append(x.Refs, fhir.RefRow{Param: Contained(0, i), Type: typ, ID: "#" + textOf(one, "id")})
		x.Tokens = append(x.Tokens, fhir.TokenRow{Param: AnyContained(0), Value: typ})
		inner := &rows{root: x.root}
		inner.own(typ, one)
		x.take(&inner.Index, i)
	}
}

// take takes the rows of a contained resource over.
func (x *rows) take(of *fhir.Index, i int) {
	for _, to := range []func(fhir.Param) fhir.Param{func(p fhir.Param) fhir.Param { return Contained(p, i) }, AnyContained} {
		for _, r := range of.Tokens {
			x.Tokens = append(x.Tokens, fhir.TokenRow{Param: to(r.Param), System: r.System, Value: r.Value})
		}
		for _, r := range of.Dates {
			x.Dates = append(x.Dates, fhir.DateRow{Param: to(r.Param), Lo: r.Lo, Hi: r.Hi})
		}
		for _, r := range of.Strings {
			x.Strings = append(x.Strings, fhir.StringRow{Param: to(r.Param), Norm: r.Norm, Exact: r.Exact})
		}
		for _, r := range of.Refs {
			x.Refs = append(x.Refs, fhir.RefRow{Param: to(r.Param), Type: r.Type, ID: r.ID})
		}
		for _, r := range of.Numbers {
			x.Numbers = append(x.Numbers, fhir.NumberRow{Param: to(r.Param), System: r.System, Unit: r.Unit, Value: r.Value})
		}
	}
}
