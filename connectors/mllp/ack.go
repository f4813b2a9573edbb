package mllp

import "bytes"

// An Ack is what a sender reads off an acknowledgement: MSA-1 and MSA-2.
type Ack struct {
	// Code is MSA-1: AA, AE, AR, CA, CE, CR; empty when there is no MSA.
	Code string
	// Control is MSA-2, the control id of the message that is answered.
	Control string
}

// ReadAck reads the first MSA of a reply.
func ReadAck(reply []byte) Ack {
	if len(reply) < 4 || string(reply[:3]) != "MSH" {
		return Ack{}
	}
	separator := reply[3:4]
	for rest := reply; len(rest) > 0; {
		segment := rest
		if end := bytes.IndexAny(rest, "\r\n"); end >= 0 {
			segment, rest = rest[:end], rest[end+1:]
		} else {
			rest = nil
		}
		fields := bytes.SplitN(segment, separator, 4)
		if string(fields[0]) != "MSA" {
			continue
		}
		var a Ack
		if len(fields) > 1 {
			a.Code = string(fields[1])
		}
		if len(fields) > 2 {
			a.Control = string(fields[2])
		}
		return a
	}
	return Ack{}
}

// Control returns the control id of a message, MSH-10, and where it stands:
// raw[start:end]. All are empty when there is none.
func Control(raw []byte) (control string, start, end int) {
	if len(raw) < 4 || string(raw[:3]) != "MSH" {
		return "", 0, 0
	}
	head := raw
	if n := bytes.IndexAny(raw, "\r\n"); n >= 0 {
		head = raw[:n]
	}
	at := 0
	for range 9 {
		n := bytes.IndexByte(head[at:], raw[3])
		if n < 0 {
			return "", 0, 0
		}
		at += n + 1
	}
	end = len(head)
	if n := bytes.IndexByte(head[at:], raw[3]); n >= 0 {
		end = at + n
	}
	return string(head[at:end]), at, end
}

// WithControl returns a copy of raw with another control id; raw itself when
// it has no place for one.
func WithControl(raw []byte, control string) []byte {
	_, start, end := Control(raw)
	if end == 0 {
		return raw
	}
	out := make([]byte, 0, len(raw)-(end-start)+len(control))
	out = append(out, raw[:start]...)
	out = append(out, control...)
	return append(out, raw[end:]...)
}
