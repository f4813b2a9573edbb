package mllp

import (
	"context"
	"math/rand/v2"
	"net"
	"time"
)

// dialing receives over connections that we make, one after the other, until
// ctx ends.
func (r *run) dialing(ctx context.Context) error {
	_, end := r.live(ctx)
	defer end()
	if r.certificates != nil {
		// What cannot be read now is a fault of the configuration; later the
		// certificates that were read stay.
		if _, err := r.certificates.Current(); err != nil {
			return err
		}
	}
	if r.env.Receiving != nil {
		r.env.Receiving() // whether the peer is there is not ours to say
	}
	wait, lost := time.Duration(0), false
	for ctx.Err() == nil {
		conn, err := r.dial(ctx)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close() // nothing was read from it
			}
			return nil
		case err != nil:
			r.env.Count("dial-failed", 1)
			if !lost {
				r.env.Log.Warn("peer cannot be reached for now", "address", r.options.Dial, "error", err.Error())
			}
			lost = true
		default:
			lost = false
			r.env.Log.Info("connected", "address", r.options.Dial, "tls", r.options.TLS != nil)
			began := time.Now()
			if r.converse(conn, nil) > 0 || time.Since(began) > r.late {
				wait = 0 // the peer is well; one that only hangs up is not
			}
		}
		wait = min(max(2*wait, r.soon), r.late)
		select {
		case <-time.After(jitter(wait)):
		case <-ctx.Done():
		}
	}
	return nil
}

// jitter keeps many engines from dialing in step: between half of d and d.
func jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(rand.Int64N(int64(d/2)+1)) //nolint:gosec // no secret
}

// dial makes one connection.
func (r *run) dial(ctx context.Context) (net.Conn, error) {
	ctx, done := context.WithTimeout(ctx, r.options.Frame)
	defer done()
	dialer := net.Dialer{KeepAliveConfig: keepAlive(r.options.KeepAlive)}
	conn, err := dialer.DialContext(ctx, "tcp", r.options.Dial)
	if err != nil || r.certificates == nil {
		return conn, err
	}
	config, err := r.certificates.Current()
	if err != nil {
		_ = conn.Close() // nothing was read from it
		return nil, err
	}
	return encrypted(ctx, conn, ClientOptions{Address: r.options.Dial, TLS: config})
}
