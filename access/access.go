// Package access decides who may do what. Every HTTP request and every command
// passes Decide, so that identity and policy have one place.
package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// ErrDenied is returned, wrapped with a reason, for what is not allowed.
var ErrDenied = errors.New("not allowed")

// A Request is something somebody wants to do.
type Request struct {
	// Actor is who asks, as far as it is known: "local" for whoever reaches
	// the engine from the machine itself.
	Actor string
	// Remote is the peer's address, host and port; empty for a command that
	// opens the data folder itself, which the operating system has let in.
	Remote string
	// Action is what is asked: "fhir.read", "messages.drop".
	Action string
	// Target is what it is asked of, without patient data: a resource type,
	// a channel.
	Target string
}

// A Decider decides requests. It is safe for use from several goroutines.
type Decider interface {
	// Decide returns nil, or an error that wraps ErrDenied and says why.
	Decide(context.Context, Request) error
}

// Loopback allows what comes from the machine itself and refuses the rest.
type Loopback struct{}

var _ Decider = Loopback{}

// Decide allows loopback addresses and local commands.
func (Loopback) Decide(_ context.Context, r Request) error {
	if r.Remote == "" {
		return nil
	}
	address, err := netip.ParseAddrPort(r.Remote)
	if err == nil && address.Addr().Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%w: %s from %s: this engine has no users yet and serves its own machine only; connect through 127.0.0.1", ErrDenied, r.Action, host(r.Remote))
}

func host(remote string) string {
	if address, err := netip.ParseAddrPort(remote); err == nil {
		return address.Addr().String()
	}
	return "an unknown address"
}
