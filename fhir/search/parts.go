package search

import (
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// What a parameter keeps beside its values stands under numbers of its own,
// made of the parameter's, of which there are less than 4096.
const (
	ofText       = 1 << 28
	ofIdentifier = 2 << 28
	ofType       = 3 << 28
	ofPart       = 1 << 30
)

// MostElements is the number of elements of one resource that a composite
// parameter looks at.
const MostElements = 1 << 16

// Text is where the texts of a token or reference parameter stand (:text).
func Text(p fhir.Param) fhir.Param { return p | ofText }

// Identifier is where the identifiers of a reference stand (:identifier).
func Identifier(p fhir.Param) fhir.Param { return p | ofIdentifier }

// OfType is where identifiers stand with their type: the system is that of the
// type, the value its code, a bar, and the identifier's value (:of-type).
func OfType(p fhir.Param) fhir.Param { return p | ofType }

// Part is where part k (0 to 3) of a composite parameter stands, of the
// element-th element.
func Part(p fhir.Param, k, element int) fhir.Param {
	return ofPart | p<<18 | fhir.Param(k)<<16 | fhir.Param(element)
}

// described keeps the texts of a token and the types of an identifier.
func (x *rows) described(id fhir.Param, n *fhir.Node) {
	if n.Kind != fhir.Object {
		return
	}
	for _, text := range []string{textOf(n, "text"), textOf(n, "display"), textOf(n.Get("type"), "text")} {
		x.string(Text(id), text)
	}
	if codings := n.Get("coding"); codings != nil {
		for _, c := range codings.Items {
			x.string(Text(id), textOf(c, "display"))
		}
	}
	types, value := n.Get("type").Get("coding"), textOf(n, "value")
	if types == nil || value == "" {
		return
	}
	for _, c := range types.Items {
		x.Tokens = append(x.Tokens, fhir.TokenRow{Param: OfType(id), System: textOf(c, "system"), Value: textOf(c, "code") + "|" + value})
	}
}

// named keeps what a reference says of its target.
func (x *rows) named(id fhir.Param, n *fhir.Node) {
	if n.Kind != fhir.Object {
		return
	}
	x.string(Text(id), textOf(n, "display"))
	if i := n.Get("identifier"); i != nil && i.Kind == fhir.Object {
		x.token(Identifier(id), i)
	}
}

func (x *rows) string(id fhir.Param, text string) {
	if folded := Fold(text); folded != "" {
		x.Strings = append(x.Strings, fhir.StringRow{Param: id, Norm: folded, Exact: text})
	}
}

// A part is one component of a composite: the kind of its values and where they
// are, below the element or in the whole resource.
type part struct {
	kind  string
	paths [][]step
	whole bool
}

// composite compiles the components. One whose element is the resource itself
// needs no rows: there the parts are parameters of their own.
func composite(typ string, p *definitions.Param) []part {
	if p.Expression == typ || p.Combined() {
		return nil
	}
	above := len(compile(typ, p.Expression))
	var out []part
	for _, c := range p.Components {
		of, ok := definitions.FindParam(typ, c.Code)
		if !ok {
			return nil
		}
		one := part{kind: of.Kind}
		for _, e := range strings.Split(c.Expression, " | ") {
			if rest, whole := strings.CutPrefix(e, "%resource."); whole {
				one.whole = true
				one.paths = append(one.paths, compile(typ, typ+"."+rest))
				continue
			}
			one.paths = append(one.paths, compile(typ, p.Expression+"."+e)[above:])
		}
		out = append(out, one)
	}
	return out
}

// composite adds the rows of each element, under numbers that tell elements and
// parts apart.
func (x *rows) composite(e *extractor, n *fhir.Node) {
	for i, element := range x.values {
		if i == MostElements || len(e.parts) == 0 {
			return
		}
		for k, p := range e.parts {
			from := element.node
			if p.whole {
				from = n
			}
			for _, path := range p.paths {
				for _, v := range walk(from, path, "", nil) {
					x.value(Part(e.param.ID, k, i), p.kind, v.node)
				}
			}
		}
	}
}

// place keeps a position as a point of the sphere of radius 1.
func (x *rows) place(id fhir.Param) {
	for i, v := range x.values {
		latitude, err1 := strconv.ParseFloat(numberOf(v.node, "latitude"), 64)
		longitude, err2 := strconv.ParseFloat(numberOf(v.node, "longitude"), 64)
		if err1 != nil || err2 != nil || i > 0 {
			return
		}
		for k, c := range Place(latitude, longitude) {
			x.Numbers = append(x.Numbers, fhir.NumberRow{Param: Part(id, k, 0), Value: strconv.FormatFloat(c, 'f', 15, 64)})
		}
	}
}

// Place is the point of the sphere of radius 1 at a latitude and longitude in
// degrees.
func Place(latitude, longitude float64) [3]float64 {
	up, east := latitude*math.Pi/180, longitude*math.Pi/180
	return [3]float64{math.Cos(up) * math.Cos(east), math.Cos(up) * math.Sin(east), math.Sin(up)}
}

// Chord is the square of the chord that a distance on the earth in kilometers
// makes on the sphere of radius 1.
func Chord(km float64) float64 {
	half := min(km/6371.0088/2, math.Pi/2)
	return 4 * math.Sin(half) * math.Sin(half)
}

// sampled keeps the smallest and the largest value of a SampledData: "just
// search on the bounds" (search parameter value-quantity).
func (x *rows) sampled(id fhir.Param, n, origin *fhir.Node) {
	ctx := apd.BaseContext.WithPrecision(40)
	zero, ok := decimal(numberOf(origin, "value"), "0")
	factor, known := decimal(numberOf(n, "factor"), "1")
	if !ok || !known {
		return
	}
	var low, high *apd.Decimal
	for word := range strings.FieldsSeq(textOf(n, "data")) {
		v, ok := decimal(word, "")
		if !ok {
			continue // E, L and U: no value
		}
		if _, err := ctx.Mul(v, v, factor); err != nil {
			return
		}
		if _, err := ctx.Add(v, v, zero); err != nil {
			return
		}
		if low == nil || v.Cmp(low) < 0 {
			low = v
		}
		if high == nil || v.Cmp(high) > 0 {
			high = v
		}
	}
	unit := textOf(origin, "code")
	if unit == "" {
		unit = textOf(origin, "unit")
	}
	for _, bound := range []*apd.Decimal{low, high} {
		if bound != nil {
			x.Numbers = append(x.Numbers, fhir.NumberRow{Param: id, System: textOf(origin, "system"), Unit: unit, Value: bounded(bound.Text('f'))})
		}
	}
}

// decimal reads a number that is not too large to be written out.
func decimal(text, without string) (*apd.Decimal, bool) {
	if text == "" {
		text = without
	}
	d, _, err := apd.NewFromString(text)
	return d, err == nil && d.Form == apd.Finite && d.Exponent >= -100 && d.Exponent <= 100
}

func numberOf(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil && v.Kind == fhir.Number {
		return v.Text
	}
	return ""
}
