package mapping_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
)

// canary stands in every text of a mutant: it may be in a message that is made,
// never in what is said about one.
const canary = "QZCANARYQZ"

// mutate changes one place of a value at random.
func mutate(r *rand.Rand, n *fhir.Node) {
	for range 1 + r.IntN(4) {
		at := n
		for at.Kind == fhir.Object && len(at.Members) > 0 || at.Kind == fhir.Array && len(at.Items) > 0 {
			if r.IntN(6) == 0 && at != n {
				break
			}
			if at.Kind == fhir.Object {
				at = at.Members[r.IntN(len(at.Members))].Value
			} else {
				at = at.Items[r.IntN(len(at.Items))]
			}
		}
		if at == n {
			continue
		}
		switch r.IntN(9) {
		case 0:
			*at = fhir.Node{Kind: fhir.Null}
		case 1:
			*at = fhir.Node{Kind: fhir.Array}
		case 2:
			*at = fhir.Node{Kind: fhir.Object}
		case 3:
			*at = *fhir.Text("a|b^c~d&e\\f\r\nMSH|^~\\&|x\x00\x0b\x1c " + canary)
		case 4:
			*at = *fhir.Decimal("-1e9999")
		case 5:
			*at = fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{at.Clone(), at.Clone(), {Kind: fhir.Null}}}
		case 6:
			*at = fhir.Node{Kind: fhir.Object, Members: []fhir.Member{{Name: "coding", Value: at.Clone()}, {Name: "reference", Value: fhir.Text("#")}}}
		case 7:
			*at = *fhir.Text(`""`)
		case 8:
			*at = *fhir.Text("#p")
		}
	}
}

// Whatever stands where in a resource, a message is made that can be read again
// and is one, or there is a reason without a value of it.
func TestMutantsMakeMessagesOrReasons(t *testing.T) {
	raw, err := os.ReadFile("../../maps/testdata/fhir-to-v2/new.json")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := fhir.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	made, refused := 0, 0
	for _, use := range []string{"fhir-to-orm-o01", "fhir-to-oml-o21"} {
		step := back(t, use, nil, nil)
		for range 2000 {
			one := tree.Clone()
			mutate(r, one)
			data := one.AppendJSON(nil)
			out, err := step.Apply(t.Context(), &message.Message{Raw: data})
			if err != nil {
				f, ok := errors.AsType[*message.Failure](err)
				if !ok || f.Kind != message.Malformed || strings.Contains(err.Error(), canary) {
					t.Fatalf("%v: %s", err, data)
				}
				refused++
				continue
			}
			made++
			wholeMessage(t, out[0].Doc)
		}
	}
	if made == 0 || refused == 0 {
		t.Errorf("%d made, %d refused", made, refused)
	}
}

// wholeMessage holds that a document is one message, and that what is said of
// it has no value of it.
func wholeMessage(t *testing.T, doc message.Document) {
	t.Helper()
	stamper, _ := doc.(transforms.Stamper)
	stamper.Stamp("C1", time.Date(2026, 3, 1, 14, 30, 0, 0, time.UTC))
	text := doc.Encode(nil)
	again, err := hl7v2.Parse(text)
	if err != nil || again.Header().Control != "C1" {
		t.Fatalf("%v in %q", err, text)
	}
	for i := 1; i < again.Len(); i++ {
		if again.Segment(i).Name() == "MSH" {
			t.Fatalf("a second header in %q", text)
		}
	}
	for _, c := range text {
		if c < ' ' && c != '\r' {
			t.Fatalf("control character %d in %q", c, text)
		}
	}
	e, _ := doc.(transforms.Explainer)
	said := fmt.Sprintf("%+v %+v", e.Provenance(), e.Unmapped())
	for _, f := range e.Findings() {
		said += f.Text + f.Where
	}
	for _, w := range doc.Warnings() {
		said += w.Where + w.Text
	}
	if strings.Contains(said, canary) {
		t.Fatalf("a value is said in %s", said)
	}
}
