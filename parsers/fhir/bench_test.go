package fhir

import "testing"

// BenchmarkParse parses a laboratory order and reads five paths of it, as a
// channel with a filter and two routes does.
func BenchmarkParse(b *testing.B) {
	raw := sample(b, "service_request_two_codes.json")
	paths := []string{
		"ServiceRequest.status", "ServiceRequest.category.coding.code", "ServiceRequest.code.coding.code", "ServiceRequest.subject.reference", "ServiceRequest.identifier[type=PLAC].value",
	}
	compiled := make([]*path, len(paths))
	for i, text := range paths {
		compiled[i] = compile(b, text).(*path)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := try(raw)
		if err != nil {
			b.Fatal(err)
		}
		root := d.Root()
		for _, p := range compiled {
			if len(p.Texts(root)) == 0 {
				b.Fatal(p)
			}
		}
	}
}

// BenchmarkRead reads one path of a parsed order.
func BenchmarkRead(b *testing.B) {
	root := parse(b, sample(b, "service_request_two_codes.json")).Root()
	p := compile(b, "ServiceRequest.category[0].coding[1].code")
	b.ReportAllocs()
	for b.Loop() {
		if p.Text(root) == "" {
			b.Fatal(p)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	raw, p := sample(b, "service_request_two_codes.json"), &Parser{}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Scan(raw, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRebuild(b *testing.B) {
	raw := sample(b, "claim_details.json")
	d := parse(b, raw)
	b.SetBytes(int64(len(raw)))
	dst := make([]byte, 0, len(raw))
	for b.Loop() {
		if dst = d.Rebuild(dst[:0]); len(dst) != len(raw) {
			b.Fatal("rebuilt otherwise")
		}
	}
}
