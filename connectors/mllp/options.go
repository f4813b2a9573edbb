package mllp

import (
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
)

// DestinationOptions are the options of a destination that sends over MLLP.
type DestinationOptions struct {
	// Host and port of the receiver; in mode server the host and port to
	// listen on. Where other machines are concerned tls is needed, or insecure.
	Address string `yaml:"address"`
	// Who makes the connection: client (the default), we connect to the
	// receiver; server, the receiver connects to us and gets the messages over
	// the connection it made.
	Mode string `yaml:"mode"`
	// Number of connections, one message in flight on each. Messages of one
	// key never overtake each other; most receivers take one connection only.
	// Default 1.
	Connections int `yaml:"connections"`
	// How many messages may be in flight on each connection, where the receiver
	// has agreed to that: it reads the next ones before it has answered the first.
	// Their order is kept as with several connections: only messages of one key
	// wait for each other. Default 1.
	Pipeline int `yaml:"pipeline"`
	// How long making a connection may take, or in mode server how long a
	// message waits for the receiver to connect. Default 10s.
	Connect time.Duration `yaml:"connect"`
	// How long the receiver may take to read a message and answer it. Then
	// the connection is closed, so that a late answer meets nobody, and the
	// message is sent again. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// How long a connection may be silent between two messages before we
	// close it; the next message makes a new one. 0: never. Not used in mode
	// server, where the receiver decides. Default 5m.
	Idle time.Duration `yaml:"idle"`
	// How long a quiet connection waits before the network is asked whether
	// the receiver is still there. Three unanswered questions, a third of this
	// time apart, end the connection. Default 1m.
	KeepAlive time.Duration `yaml:"keepalive"`
	// Which answer ends a send: accept (the default), the first one, AA or CA;
	// application, after a CA also the AA, AE or AR that follows it on the
	// same connection, within timeout; commit, in release 2, the block that says
	// that the message was stored: no answer is expected; none, for receivers that
	// answer nothing: a message counts as delivered when it was written.
	Wait string `yaml:"wait"`
	// Release of the protocol that the receiver speaks: 1 (the default); or 2,
	// where it says of each message first whether it was stored, and we of its
	// answers.
	Release int `yaml:"release"`
	// Follow the sequence number protocol with the receiver: MSH-13 counts the
	// messages, MSA-4 of each answer says which number it expects next. It needs
	// one connection. Default: false, MSH-13 stays as it is.
	Sequence bool `yaml:"sequence"`
	// How often a message that the receiver could not store is sent again at
	// once, in release 2, before it counts as busy. Default 2.
	Retries int `yaml:"retries"`
	// Addresses or networks that may connect in mode server, such as
	// 192.0.2.17 or 10.1.0.0/16. Default: all.
	Peers []string `yaml:"peers"`
	// Encryption of the connections. Default: none.
	TLS *network.TLSOptions `yaml:"tls"`
	// Say i-understand to send without encryption where other machines are
	// concerned: anyone on the way can then read and change messages. In mode
	// server it is also needed with tls that names no ca, because anyone who
	// connects would get messages.
	Insecure string `yaml:"insecure"`
}

var _ connectors.DestinationOptions = (*DestinationOptions)(nil)

// DefaultDestination returns the options that hold where routes.yaml is silent.
func DefaultDestination() connectors.DestinationOptions {
	return &DestinationOptions{
		Mode: modeClient, Connections: 1, Pipeline: 1, Connect: 10 * time.Second, Timeout: 30 * time.Second,
		Idle: 5 * time.Minute, KeepAlive: time.Minute, Wait: waitAccept, Release: 1, Retries: 2,
	}
}

// Words of a destination's options.
const (
	modeClient      = "client"
	modeServer      = "server"
	waitAccept      = "accept"
	waitApplication = "application"
	waitCommit      = "commit"
	waitNone        = "none"
)

// Bounds of a destination.
const (
	connectionsMost = 256
	retriesMost     = 20
)

// Validate checks the words of the options.
func (o *DestinationOptions) Validate() []connectors.Problem {
	var p connectors.Problems
	o.validateAddress(&p)
	p.Word("mode", o.Mode, modeClient, modeServer)
	o.validateWait(&p)
	if o.Connections < 1 || o.Connections > connectionsMost {
		p.Add("connections", "%d is not between 1 and %d", o.Connections, connectionsMost)
	}
	o.validatePipeline(&p)
	switch {
	case !o.Sequence:
	case o.Connections > 1 || o.Pipeline > 1:
		p.Add("sequence", "numbers need one connection and one message in flight")
	case o.Wait == waitNone || o.Wait == waitCommit:
		p.Add("sequence", "numbers need an answer: wait: accept or application")
	}
	p.Time("connect", o.Connect)
	p.Time("timeout", o.Timeout)
	p.Time("keepalive", o.KeepAlive)
	if o.Idle < 0 {
		p.Add("idle", "%s is not a time, such as 5m, nor 0 for never", o.Idle)
	}
	if len(o.Peers) > 0 && o.Mode == modeClient {
		p.Add("peers", "say who may connect; with mode: client nobody does")
	}
	network.CheckPeers(&p, o.Peers)
	if o.TLS != nil {
		o.TLS.Validate(o.Mode == modeServer, &p)
		o.TLS.WithoutNames(&p)
	}
	return p
}

// validatePipeline checks that answers can be told from each other.
func (o *DestinationOptions) validatePipeline(p *connectors.Problems) {
	switch {
	case o.Pipeline < 1 || o.Pipeline > connectionsMost:
		p.Add("pipeline", "%d is not between 1 and %d", o.Pipeline, connectionsMost)
	case o.Pipeline == 1:
	case o.Connections > 0 && o.Connections*o.Pipeline > connectionsMost:
		p.Add("pipeline", "%d on each of %d connections are more than %d messages in flight", o.Pipeline, o.Connections, connectionsMost)
	case o.Mode != modeClient:
		p.Add("pipeline", "%d needs mode: client", o.Pipeline)
	case o.Release != 1:
		p.Add("pipeline", "%d needs release: 1; release 2 has one message in flight", o.Pipeline)
	case o.Wait != waitAccept:
		p.Add("pipeline", "%d needs wait: accept", o.Pipeline)
	}
}

// validateWait checks what ends a send.
func (o *DestinationOptions) validateWait(p *connectors.Problems) {
	switch o.Wait {
	case waitAccept, waitApplication:
	case waitCommit:
		if o.Release != 2 {
			p.Add("wait", "commit needs release: 2")
		}
	case waitNone:
		if o.Release != 1 {
			p.Add("wait", "none needs release: 1; in release: 2 each message is answered by a commit block")
		}
	default:
		p.Word("wait", o.Wait, waitAccept, waitApplication, waitCommit, waitNone)
	}
	checkRelease(p, o.Release)
	if o.Retries < 0 || o.Retries > retriesMost {
		p.Add("retries", "%d is not between 0 and %d", o.Retries, retriesMost)
	}
}

// validateAddress checks where messages go, and that nobody reads them on the
// way unless that was said.
func (o *DestinationOptions) validateAddress(p *connectors.Problems) {
	if o.Address == "" {
		p.Add("address", "is missing: host:port, such as lab.example.org:2575")
		return
	}
	host, text := network.SplitAddress(o.Address, example)
	switch {
	case text != "":
		p.Add("address", "%s", text)
	case o.Mode == modeClient && host == "":
		p.Add("address", "%q has no host to connect to", o.Address)
	case o.Insecure != "" && o.Insecure != network.Understood:
		p.Add("insecure", "%q is not known; the only word is i-understand", o.Insecure)
	case o.Insecure != "" || network.Loopback(host):
	case o.TLS == nil:
		p.Add("address", "%q is another machine, or reachable from others, and messages would travel unencrypted: "+
			"add tls, or say insecure: i-understand", o.Address)
	case o.Mode == modeServer && o.TLS.CA == "":
		p.Add("tls.ca", "is missing: whoever connects would get the messages. "+
			"Name the authorities of the receiver's certificate, or say insecure: i-understand")
	}
}

// Open makes the destination. It connects, or listens, when it is first used.
func (o *DestinationOptions) Open(env connectors.Environment) (connectors.Destination, error) {
	d := &Destination{
		options: *o, env: env.WithDefaults(),
		slots: make(chan struct{}, o.Connections*o.Pipeline), arrived: make(chan struct{}, o.Connections), making: make(chan struct{}, 1),
	}
	if o.TLS != nil {
		d.tls = &network.Certificates{Options: *o.TLS, Folder: d.env.Folder, Log: d.env.Log, Count: d.env.Count, Listening: o.Mode == modeServer}
	}
	var err error
	d.peers, err = network.ParsePeers(o.Peers)
	return d, err
}

// Limits bound the sends.
func (o *DestinationOptions) Limits() connectors.SendLimits {
	limits := connectors.SendLimits{Connections: o.Connections * o.Pipeline, Timeout: o.Connect + o.Timeout}
	if o.Sequence {
		limits.Timeout *= 2 // the receiver may have to be asked first
	}
	return limits
}
