package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/plexus-health/plexus/connectors/mllp"
)

// ORU returns result number n of a series: a patient of its own, a panel with
// the given number of observations, about 2 KB at 20.
func ORU(series string, n, observations int) []byte {
	id := series + strconv.Itoa(n)
	b := make([]byte, 0, 400+90*observations)
	b = fmt.Appendf(b, "MSH|^~\\&|LAB|NORTH LAB|EHR|NORTH CLINIC|20260105120000||ORU^R01^ORU_R01|%s|P|2.5.1\r", id)
	b = fmt.Appendf(b, "PID|1||%s^^^NORTH CLINIC^MR||TEST^PATIENT^%s||19700101|F|||1 TEST STREET^^TESTVILLE^NY^10001\r", id, id)
	b = fmt.Appendf(b, "PV1|1|O|CLINIC^1^1||||1001^INVENTED^DOCTOR|||||||||||V%s^^^NORTH CLINIC\r", id)
	b = fmt.Appendf(b, "ORC|RE|P%s^EHR|F%s^LAB||CM\r", id, id)
	b = fmt.Appendf(b, "OBR|1|P%s^EHR|F%s^LAB|24323-8^Panel^LN|||20260105110000|||||||||1001^INVENTED^DOCTOR||||||20260105115500||LAB|F\r", id, id)
	for i := range observations {
		b = fmt.Appendf(b, "OBX|%d|NM|%d-1^Test number %d^LN||%d.%d|mmol/L|1-9|N|||F|||20260105110000\r", i+1, 1000+i, i, n%9+1, i%10)
	}
	return b
}

// Figures are what a load found.
type Figures struct {
	Sent     int           // messages answered positively
	Elapsed  time.Duration // from the first to the last answer
	Rate     float64       // messages a second
	P50, P99 time.Duration // of the answers
	P999     time.Duration
	Max      time.Duration
}

// A Feed is a load on one listener.
type Feed struct {
	Address     string
	Connections int
	Count       int           // of messages; 0: Duration decides
	Duration    time.Duration // 0: Count decides
	Rate        float64       // due a second; 0: as fast as answers come
	Message     func(n int) []byte
}

var errNotAccepted = errors.New("a message was not accepted")

// Run sends and measures. Anything but a positive answer under the message's
// own control id is an error: a figure with losses in it is none.
func (f Feed) Run(ctx context.Context) (Figures, error) {
	var times mllp.Latencies
	var failure atomic.Pointer[error]
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	load := mllp.Load{
		Client: mllp.ClientOptions{Address: f.Address}, Connections: f.Connections,
		Count: f.Count, Duration: f.Duration, Rate: f.Rate, Message: f.Message,
		Take: func(_ int, sent, reply []byte, err error, latency time.Duration) {
			if err == nil {
				ack := mllp.ReadAck(reply)
				control, _, _ := mllp.Control(sent)
				if (ack.Code != "AA" && ack.Code != "CA") || ack.Control != control {
					err = fmt.Errorf("%w: MSA-1 %q: %s", errNotAccepted, ack.Code, bytes.ReplaceAll(reply, []byte("\r"), []byte(" / ")))
				}
			}
			if err != nil {
				failure.CompareAndSwap(nil, &err)
				stop()
				return
			}
			times.Add(latency)
		},
	}
	elapsed, err := load.Run(ctx)
	if first := failure.Load(); first != nil {
		err = *first
	}
	return figuresOf(&times, elapsed), err
}

func figuresOf(times *mllp.Latencies, elapsed time.Duration) Figures {
	n := times.Len()
	return Figures{
		Sent: n, Elapsed: elapsed, Rate: float64(n) / max(elapsed.Seconds(), 1e-9),
		P50: times.Quantile(0.5), P99: times.Quantile(0.99), P999: times.Quantile(0.999), Max: times.Quantile(1),
	}
}
