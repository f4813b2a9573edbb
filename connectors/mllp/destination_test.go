package mllp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/message"
)

// A clientDestination is a destination made of Clients, for the suite: it
// proves that what a Client returns is enough to keep the contract of Send.
type clientDestination struct {
	address string
	mu      sync.Mutex
	idle    []*Client
}

func (d *clientDestination) Send(ctx context.Context, delivery *message.Delivery) (message.Reply, error) {
	d.mu.Lock()
	var client *Client
	if n := len(d.idle); n > 0 {
		client, d.idle = d.idle[n-1], d.idle[:n-1]
	}
	d.mu.Unlock()
	for {
		fresh := client == nil
		if fresh {
			var err error
			if client, err = Dial(ctx, ClientOptions{Address: d.address}); err != nil {
				return message.Reply{}, err
			}
		}
		reply, err := client.Exchange(ctx, delivery.Payload)
		if err != nil && message.KindOf(err) == message.Down && !fresh && ctx.Err() == nil {
			client = nil // an old connection had ended; no byte left
			continue
		}
		if err != nil {
			_ = client.Close()
			return message.Reply{}, err
		}
		d.mu.Lock()
		d.idle = append(d.idle, client)
		d.mu.Unlock()
		return classed(reply, delivery.Control)
	}
}

// classed reads an acknowledgement.
func classed(reply []byte, control string) (message.Reply, error) {
	a := ReadAck(reply)
	r := message.Reply{Raw: reply}
	if a.Control != control {
		return r, &message.Failure{Kind: message.Unreadable, Err: errors.New("MSA-2 is not the control id sent")}
	}
	switch a.Code {
	case "AA":
		r.Answer.Code = message.Accepted
		return r, nil
	case "AE":
		return r, &message.Failure{Kind: message.Busy, Err: errors.New("MSA-1 is AE")}
	case "AR":
		return r, &message.Failure{Kind: message.RefusedSend, Err: errors.New("MSA-1 is AR")}
	}
	return r, &message.Failure{Kind: message.Unreadable, Err: errors.New("MSA-1 is not known")}
}

func (d *clientDestination) Close() error {
	for _, c := range d.idle {
		_ = c.Close()
	}
	return nil
}

// A receiver is a partner's listener that behaves as it is told. It is written
// apart from the reader of this package.
type receiver struct {
	t     *testing.T
	group sync.WaitGroup

	mu       sync.Mutex
	address  string
	listener net.Listener
	conns    map[net.Conn]struct{}
	does     connectortest.Behaviour
	taken    [][]byte
}

func (r *receiver) Behave(b connectortest.Behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.does = b
	switch {
	case b == connectortest.Away && r.listener != nil:
		_ = r.listener.Close()
		r.listener = nil
		for c := range r.conns {
			_ = c.Close()
		}
	case b != connectortest.Away && r.listener == nil:
		listener, err := net.Listen("tcp", r.address)
		if err != nil {
			r.t.Error(err)
			return
		}
		r.listener, r.address = listener, listener.Addr().String()
		r.group.Go(func() { r.accept(listener) })
	}
}

func (r *receiver) Taken() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.taken...)
}

func (r *receiver) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.conns[conn] = struct{}{}
		r.mu.Unlock()
		r.group.Go(func() { r.serve(conn) })
	}
}

func (r *receiver) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		content, err := in.ReadBytes(0x0d)
		for err == nil && !bytes.HasSuffix(content, []byte("\x1c\r")) {
			var more []byte
			more, err = in.ReadBytes(0x0d)
			content = append(content, more...)
		}
		if err != nil {
			return
		}
		payload := bytes.TrimSuffix(bytes.TrimPrefix(content, []byte("\x0b")), []byte("\x1c\r"))
		r.mu.Lock()
		r.taken = append(r.taken, payload)
		does := r.does
		r.mu.Unlock()
		control, _, _ := Control(payload)
		switch does {
		case connectortest.HangUp:
			return
		case connectortest.StaySilent:
			continue
		}
		word := map[connectortest.Behaviour]string{connectortest.TryLater: "AE", connectortest.Refuse: "AR", connectortest.Babble: "??"}[does]
		if word == "" {
			word = "AA"
		}
		_, _ = io.WriteString(conn, "\x0bMSH|^~\\&|R|R|S|S|||ACK|1|P|2.5\rMSA|"+word+"|"+control+"\r\x1c\r")
	}
}

func TestClientAsDestination(t *testing.T) {
	connectortest.RunDestination(t, connectortest.DestinationCase{
		Open: func(t *testing.T, _ connectors.Environment) (connectors.Destination, connectortest.Receiver) {
			r := &receiver{t: t, address: "127.0.0.1:0", conns: map[net.Conn]struct{}{}}
			r.does = connectortest.Away
			r.Behave(connectortest.Accept)
			t.Cleanup(func() { r.Behave(connectortest.Away); r.group.Wait() })
			return &clientDestination{address: r.address}, r
		},
		Payload:     func(n int) ([]byte, string) { raw := sample(n); control, _, _ := Control(raw); return raw, control },
		Connections: 4,
	})
}
