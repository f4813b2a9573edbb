package partner

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// An Arrival is one message that came: a line of the ledger. It holds nothing
// of the content but what the header says.
type Arrival struct {
	N       int       `json:"n"` // from 1
	Time    time.Time `json:"time"`
	Peer    string    `json:"peer"`
	Control string    `json:"control"` // MSH-10
	Type    string    `json:"type"`    // MSH-9, its first two components
	Bytes   int       `json:"bytes"`
	SHA256  string    `json:"sha256"`
	Answer  Word      `json:"answer"`
}

// arrived takes a message into the ledger and decides what is answered. ok is
// false when it is not taken any more.
func (p *Partner) arrived(from string, raw []byte) (a Arrival, b Behaviour, ok bool) {
	sum := sha256.Sum256(raw)
	h := headOf(raw)
	a = Arrival{Time: time.Now(), Peer: from, Control: h.field(10), Type: h.kind(), Bytes: len(raw), SHA256: hex.EncodeToString(sum[:])}
	if p.options.Choose != nil {
		b = p.options.Choose(a, raw)
		if err := b.Check(); err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.end(err)
			return a, b, false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.options.Choose == nil {
		b = p.does
	}
	if p.ended || p.options.Count > 0 && p.came == p.options.Count {
		return a, b, false
	}
	p.came++
	a.N = p.came
	a.Answer = b.draw(p.dice)
	if p.log != nil {
		if err := p.write(a); err != nil {
			p.end(fmt.Errorf("ledger: %w", err))
			return a, b, false
		}
	}
	if !p.options.Forget {
		p.arrivals = append(p.arrivals, a)
	}
	if p.options.Took != nil {
		p.options.Took(a, raw)
	}
	return a, b, true
}

// write appends a line to the ledger and syncs it.
func (p *Partner) write(a Arrival) error {
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if _, err := p.log.Write(append(line, '\n')); err != nil {
		return err
	}
	return p.log.Sync()
}

// ReadLog reads the ledger of a partner that may have been killed: a last line
// that was not written whole is no arrival.
func ReadLog(file string) ([]Arrival, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var arrivals []Arrival
	for n := 1; ; n++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			return arrivals, nil
		}
		var a Arrival
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		arrivals, data = append(arrivals, a), rest
	}
}
