package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plexus-health/plexus/connectors/mllp"
)

// A Request is one call of the FHIR API and the status it is answered with.
type Request struct {
	Method, Path string
	Body         []byte
	Status       int
	// Answer, if it is not nil, gets the body of the answer.
	Answer func(body []byte) error
}

// Calls are a closed loop of requests, one at a time on each connection.
type Calls struct {
	Connections int
	Count       int           // of requests; 0: Duration decides
	Duration    time.Duration // 0: Count decides
	Make        func(n int) Request
}

// Call sends requests to the engine's FHIR API and measures. Anything but the
// status expected is an error.
func (e *Engine) Call(ctx context.Context, calls Calls) (Figures, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: calls.Connections}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var times mllp.Latencies
	var next atomic.Int64
	var failure atomic.Pointer[error]
	var group sync.WaitGroup
	began := time.Now()
	for range calls.Connections {
		group.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if calls.Count > 0 && n >= calls.Count || calls.Duration > 0 && time.Since(began) > calls.Duration {
					return
				}
				sent := time.Now()
				if err := e.call(ctx, client, calls.Make(n)); err != nil {
					failure.CompareAndSwap(nil, &err)
					stop()
					return
				}
				times.Add(time.Since(sent))
			}
		})
	}
	group.Wait()
	elapsed := time.Since(began)
	var err error
	if first := failure.Load(); first != nil {
		err = *first
	}
	return figuresOf(&times, elapsed), err
}

func (e *Engine) call(ctx context.Context, client *http.Client, r Request) error {
	request, err := http.NewRequestWithContext(ctx, r.Method, "http://"+e.http+"/fhir"+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/fhir+json")
	if len(r.Body) > 0 {
		request.Header.Set("Content-Type", "application/fhir+json")
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode != r.Status:
		return fmt.Errorf("%s %s: %s, want %d: %.300s", r.Method, r.Path, response.Status, r.Status, body)
	case r.Answer != nil:
		return r.Answer(body)
	}
	return nil
}

// System of the identifiers of patients that the load invents.
const System = "urn:oid:1.3.6.1.4.1.99999.1"

// NewObservation is a result of its own, about 700 bytes.
func NewObservation(n int) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}]}],`+
		`"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin [Mass/volume] in Blood"}],"text":"Hemoglobin"},"effectiveDateTime":"2026-01-05T11:%02d:00-05:00","issued":"2026-01-05T11:55:00.000-05:00",`+
		`"valueQuantity":{"value":%d.%d,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"},"referenceRange":[{"low":{"value":12.0,"unit":"g/dL"},"high":{"value":16.0,"unit":"g/dL"}}],"note":[{"text":"sample %d"}]}`,
		n%60, 10+n%8, n%10, n)
}

// Transaction is a Bundle of seven resources of a patient of its own, whose
// identifier is P and n.
func Transaction(series string, n int) []byte {
	id := series + strconv.Itoa(n)
	var b bytes.Buffer
	b.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
	entry := func(k int, typ, text string, args ...any) {
		if k > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"fullUrl":%q,"request":{"method":"POST","url":%q},"resource":{"resourceType":%q,%s}}`, urn(n, k), typ, typ, fmt.Sprintf(text, args...))
	}
	entry(1, "Patient", `"identifier":[{"system":%q,"value":"P%s"}],"name":[{"family":"Test","given":["Patient %s"]}],"gender":"female","birthDate":"1970-01-01"`, System, id, id)
	entry(2, "Encounter", `"status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},"subject":{"reference":%q}`, urn(n, 1))
	entry(3, "ServiceRequest", `"status":"completed","intent":"order","code":{"coding":[{"system":"http://loinc.org","code":"58410-2"}]},"subject":{"reference":%q},"encounter":{"reference":%q}`, urn(n, 1), urn(n, 2))
	entry(4, "Specimen", `"status":"available","subject":{"reference":%q}`, urn(n, 1))
	for k, code := range []string{"718-7", "4544-3"} {
		entry(5+k, "Observation", `"status":"final","code":{"coding":[{"system":"http://loinc.org","code":%q}]},"subject":{"reference":%q},"specimen":{"reference":%q},"effectiveDateTime":"2026-01-%02dT11:00:00Z","valueQuantity":{"value":%d.%d,"unit":"g/dL"}`,
			code, urn(n, 1), urn(n, 4), n%28+1, 10+n%8, n%10)
	}
	entry(7, "DiagnosticReport", `"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"58410-2"}]},"subject":{"reference":%q},"basedOn":[{"reference":%q}],"result":[{"reference":%q},{"reference":%q}]`,
		urn(n, 1), urn(n, 3), urn(n, 5), urn(n, 6))
	b.WriteString(`]}`)
	return b.Bytes()
}

func urn(n, k int) string { return fmt.Sprintf("urn:uuid:00000000-0000-4000-8000-%08x%04x", n, k) }

// Matches is how many resources a searchset holds.
func Matches(body []byte) (int, error) {
	var bundle struct{ Entry []json.RawMessage }
	err := json.Unmarshal(body, &bundle)
	return len(bundle.Entry), err
}

// IDOf is the id of a resource.
func IDOf(body []byte) (string, error) {
	var resource struct{ ID string }
	err := json.Unmarshal(body, &resource)
	return resource.ID, err
}
