package partner

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// answer answers one message and reports whether the connection goes on.
func (p *Partner) answer(conn net.Conn, a Arrival, b Behaviour, raw []byte) bool {
	if held := b.held(a.Answer); held > 0 {
		p.pause(held)
		if p.ctx.Err() != nil {
			return false
		}
	}
	switch a.Answer {
	case Never:
		return true
	case HangUp:
		return false
	case HalfClose:
		half, ok := conn.(interface{ CloseWrite() error })
		if !ok || half.CloseWrite() != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, conn) // until the other side ends it, too
		return false
	case Garbage:
		return p.put(conn, []byte("HTTP/1.1 400 Bad Request\r\nConnection: keep-alive\r\n\r\n"))
	case HalfFrame:
		frame := framed(p.reply(raw, "AA", b))
		_ = p.put(conn, frame[:len(frame)/2]) // the connection ends anyway
		return false
	case Huge:
		return p.huge(conn, raw, b)
	}
	reply := p.reply(raw, a.Answer, b)
	return len(reply) == 0 || p.put(conn, framed(reply))
}

// put writes to a peer that may not read.
func (p *Partner) put(conn net.Conn, data []byte) bool {
	if conn.SetWriteDeadline(time.Now().Add(30*time.Second)) != nil {
		return false
	}
	_, err := conn.Write(data)
	return err == nil
}

// huge writes an answer of 100 MB, or as much of it as is taken.
func (p *Partner) huge(conn net.Conn, raw []byte, b Behaviour) bool {
	if !p.put(conn, append([]byte{startByte}, p.reply(raw, "AA", b)...)) {
		return false
	}
	block := bytes.Repeat([]byte("NTE|1||"+strings.Repeat("x", 1015)+"\r\n"), 1024)
	for range 100 {
		if p.ctx.Err() != nil || !p.put(conn, block) {
			return false
		}
	}
	return p.put(conn, []byte{endByte, carriageReturn})
}

func framed(content []byte) []byte {
	out := append([]byte{startByte}, content...)
	return append(out, endByte, carriageReturn)
}

// reply builds an answer: the words of a partner about the message, without
// anything of the message but what an acknowledgement repeats. Empty where the
// message wants none.
func (p *Partner) reply(raw []byte, word Word, b Behaviour) []byte {
	p.mu.Lock()
	p.replies++
	stamp := parsers.Stamp{Time: time.Now().UTC().Format("20060102150405.000") + "+0000", Control: "P" + strconv.Itoa(p.replies)}
	p.mu.Unlock()
	answer := message.Answer{Code: message.Accepted}
	switch {
	case strings.HasSuffix(string(word), "E"):
		answer.Code = message.Erroneous
	case strings.HasSuffix(string(word), "R"):
		answer.Code = message.Rejected
	}
	if answer.Code != message.Accepted && b.Code != 0 {
		answer.Problems = []message.Problem{{Where: "PID-3", Code: b.Code, Text: "as the simulator was told"}}
	}
	built := hl7v2.New(hl7v2.Options{}).Reply(raw, answer, stamp)
	if len(built) == 0 {
		return nil
	}
	h, separator := headOf(raw), string(built[3:4])
	segments := strings.Split(strings.TrimSuffix(string(built), "\r"), "\r")
	if len(segments) < 2 || strings.Count(segments[1], separator) < 2 {
		return built
	}
	status := strings.Split(segments[1], separator)
	switch word {
	case Accept:
	case WrongControl:
		status[1], status[2] = "AA", status[2]+"X"
	case Late:
		status[1] = "AA"
	default:
		status[1] = string(word)
	}
	if b.Code == 0 {
		segments, status = segments[:2], status[:3] // a code alone, as many peers answer
	}
	segments[1] = strings.Join(status, separator)
	if b.Filler != "" && answer.Code == message.Accepted {
		segments = filled(segments, h, raw, b.Filler)
	}
	return []byte(strings.Join(segments, "\r") + "\r")
}

// functional are the answers to orders that can hold filler numbers.
var functional = map[string][3]string{
	"ORM^O01": {"ORR", "O02", "ORR_O02"},
	"OML^O21": {"ORL", "O22", "ORL_O22"},
}

// filled makes an acknowledgement the functional reply to an order: each ORC is
// answered with its placer number and a filler number, the same one each time
// that the order comes.
func filled(segments []string, h head, raw []byte, prefix string) []string {
	kind, ok := functional[h.kind()]
	if !ok {
		return segments
	}
	separator, component := h.separator, h.component
	header := strings.Split(segments[0], separator)
	if len(header) < 9 {
		return segments
	}
	header[8] = strings.Join(kind[:], component)
	segments[0] = strings.Join(header, separator)
	filler, orders := "", 0
	for segment := range strings.FieldsFuncSeq(string(raw), func(r rune) bool { return r == '\r' || r == '\n' }) {
		fields := strings.Split(segment, separator)
		placer := at(fields, 2)
		switch fields[0] {
		case "ORC":
			orders++
			filler = fillerOf(prefix, placer, h.field(10), orders)
			segments = append(segments, strings.Join([]string{"ORC", "OK", placer, filler}, separator))
		case "OBR":
			if filler != "" {
				segments = append(segments, strings.Join([]string{"OBR", at(fields, 1), placer, filler, at(fields, 4)}, separator))
			}
		}
	}
	return segments
}

func at(fields []string, n int) string {
	if n >= len(fields) {
		return ""
	}
	return fields[n]
}

// fillerOf is the number of the filler for an order: another one for each placer
// number, the same one in every life of the partner. An order without a placer
// number goes by its message and its place in it.
func fillerOf(prefix, placer, control string, ordinal int) string {
	sum := fnv.New64a()
	if placer == "" {
		placer = control + "\x00" + strconv.Itoa(ordinal)
	}
	sum.Write([]byte(placer)) // never fails
	return fmt.Sprintf("%s%09d", prefix, sum.Sum64()%1e9)
}

// A head is the first segment of a message.
type head struct {
	fields    []string // from MSH on: fields[n-1] is MSH-n
	separator string
	component string
}

func headOf(raw []byte) head {
	h := head{separator: "|", component: "^"}
	if len(raw) < 5 || string(raw[:3]) != "MSH" {
		return h
	}
	h.separator, h.component = string(raw[3:4]), string(raw[4:5])
	line := raw
	if end := bytes.IndexAny(raw, "\r\n"); end >= 0 {
		line = raw[:end]
	}
	h.fields = strings.Split(string(line), h.separator)
	return h
}

// field is MSH-n from n = 2 on.
func (h head) field(n int) string { return at(h.fields, n-1) }

// kind is MSH-9, its first two components with the usual separator.
func (h head) kind() string {
	parts := strings.SplitN(h.field(9), h.component, 3)
	return strings.Join(parts[:min(len(parts), 2)], "^")
}
