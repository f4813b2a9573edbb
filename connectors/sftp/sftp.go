// Package sftp picks up messages from folders of SFTP servers and puts
// deliveries into them.
package sftp

import (
	"errors"
	"path"
	"regexp"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/folder"
)

// Kind is the kind of connector named sftp.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "sftp", Source: DefaultSource, Destination: DefaultDestination}
}

// SourceOptions are the options of a folder of a server that files are picked
// up from.
type SourceOptions struct {
	// Host name or address of the server.
	Host string `yaml:"host"`
	// Port of the server. Default 22.
	Port int `yaml:"port"`
	// User to log in as.
	User string `yaml:"user"`
	// Password, as { secret: name }.
	Credential connectors.Secret `yaml:"credential"`
	// Private key in PEM, as { secret: name }; in place of a password or
	// before it.
	Key connectors.Secret `yaml:"key"`
	// Passphrase of the private key, as { secret: name }. Default: none.
	Passphrase connectors.Secret `yaml:"passphrase"`
	// Key that the server must show: its line "ssh-ed25519 AAAA…" or its
	// fingerprint "SHA256:…". This or known-hosts is needed; it is always checked.
	HostKey string `yaml:"host-key"`
	// File with the keys of servers in the form of OpenSSH; a relative one
	// starts at the folder of routes.yaml.
	KnownHosts string `yaml:"known-hosts"`
	// How long connecting may take, logging in included. Default 10s.
	Connect time.Duration `yaml:"connect"`
	// How long one request to the server may take. Default 1m.
	Timeout time.Duration `yaml:"timeout"`
	// Time between two questions whether the server is still there; a
	// question that is not answered until the next ends the connection. Default 30s.
	KeepAlive time.Duration `yaml:"keepalive"`
	// Folder the files arrive in; a relative one starts where the user is
	// after logging in. It must be there.
	Folder string `yaml:"folder"`
	// Pattern of the names to be picked up: * stands for anything, ? for one
	// character. Default *. Names that begin with a dot, and names that end in
	// .tmp, .part, .partial, .filepart, .crdownload or ~, are never picked up.
	Match string `yaml:"match"`
	// How long size and time of a file must have stayed the same, seen by us,
	// before it is picked up. Default 5s, which with every means at the second
	// look; 0s only with done.
	Stable time.Duration `yaml:"stable"`
	// How the sender says that a file is whole: a marker such as "*.ok" (a
	// file a.hl7 is picked up when a.hl7.ok or a.ok is there, which is then
	// removed), or the word rename when it writes under another name that
	// match does not take and renames the file at the end. Default: by stable alone.
	Done string `yaml:"done"`
	// Time between two looks into the folder. Default 30s.
	Every time.Duration `yaml:"every"`
	// What becomes of a file whose messages are all recorded: move (the
	// default), delete, or keep (it stays; what was recorded already is
	// recognised by its content after a restart).
	Then string `yaml:"then"`
	// Folder for files that were taken. Default done, in folder; a relative
	// one lies in folder and is made.
	To string `yaml:"to"`
	// Folder for files that were not taken, each with the reason beside it.
	// Default error, in folder; a relative one lies in folder and is made.
	Errors string `yaml:"errors"`
	// Order in which files are handed over, one after the other: time (the
	// default, oldest first) or name.
	Order string `yaml:"order"`
}

var _ connectors.SourceOptions = (*SourceOptions)(nil)

// DefaultSource returns the options that hold where routes.yaml is silent.
func DefaultSource() connectors.SourceOptions {
	return &SourceOptions{
		Port: 22, Connect: 10 * time.Second, Timeout: time.Minute, KeepAlive: 30 * time.Second,
		Match: "*", Stable: 5 * time.Second, Every: 30 * time.Second,
		Then: folder.ThenMove, To: "done", Errors: "error", Order: "time",
	}
}

func (o *SourceOptions) server() server {
	return server{
		host: o.Host, port: o.Port, user: o.User, password: o.Credential, key: o.Key, passphrase: o.Passphrase,
		hostKey: o.HostKey, knownHosts: o.KnownHosts, connect: o.Connect, timeout: o.Timeout, keepAlive: o.KeepAlive,
	}
}

func (o *SourceOptions) pickup() folder.PickupOptions {
	return folder.PickupOptions{Match: o.Match, Done: o.Done, Then: o.Then, Order: o.Order, Stable: o.Stable, Every: o.Every}
}

// Validate checks the words of the options.
func (o *SourceOptions) Validate() []connectors.Problem {
	problems := append(o.server().validate(), folder.CheckName("folder", o.Folder)...)
	problems = append(problems, o.pickup().Validate()...)
	for _, shelf := range []struct{ field, name string }{{"to", o.To}, {"errors", o.Errors}} {
		problems = append(problems, folder.CheckName(shelf.field, shelf.name)...)
		if shelf.name != "" && inFolder(o.Folder, shelf.name) == path.Clean(o.Folder) {
			problems = append(problems, connectors.Problem{Field: shelf.field, Text: "is the folder itself; files would come again"})
		}
	}
	return problems
}

// DestinationOptions are the options of a folder of a server that deliveries
// are put into.
type DestinationOptions struct {
	// Host name or address of the server.
	Host string `yaml:"host"`
	// Port of the server. Default 22.
	Port int `yaml:"port"`
	// User to log in as.
	User string `yaml:"user"`
	// Password, as { secret: name }.
	Credential connectors.Secret `yaml:"credential"`
	// Private key in PEM, as { secret: name }; in place of a password or
	// before it.
	Key connectors.Secret `yaml:"key"`
	// Passphrase of the private key, as { secret: name }. Default: none.
	Passphrase connectors.Secret `yaml:"passphrase"`
	// Key that the server must show: its line "ssh-ed25519 AAAA…" or its
	// fingerprint "SHA256:…". This or known-hosts is needed; it is always checked.
	HostKey string `yaml:"host-key"`
	// File with the keys of servers in the form of OpenSSH; a relative one
	// starts at the folder of routes.yaml.
	KnownHosts string `yaml:"known-hosts"`
	// How long connecting may take, logging in included. Default 10s.
	Connect time.Duration `yaml:"connect"`
	// How long sending one file may take, connecting included. Default 1m.
	Timeout time.Duration `yaml:"timeout"`
	// Time between two questions whether the server is still there; a
	// question that is not answered until the next ends the connection. Default 30s.
	KeepAlive time.Duration `yaml:"keepalive"`
	// Folder the files are put into; a relative one starts where the user is
	// after logging in. It must be there: it is never made.
	Folder string `yaml:"folder"`
	// Name of each file: text with {id} (the delivery's id), {control} (the
	// control id of what is sent), {date} (the day it was made, as 20260131),
	// {part} (its number among the parts of one message, from 0) and {ext}
	// (hl7, x12, json, xml or txt, by the first bytes). Default {id}.{ext}.
	// Without {id} or {control} two deliveries may have one name: the second
	// is refused unless its bytes are the same.
	Name string `yaml:"name"`
	// Ending of the name that a file has until it is whole; it is then
	// renamed. Default .tmp.
	Temp string `yaml:"temp"`
	// What to do when another file of that name is there: error (the default)
	// refuses the delivery, replace writes over it.
	Exists string `yaml:"exists"`
	// How many files are sent at once, each on a connection of its own.
	// Default 1, at most 64.
	Connections int `yaml:"connections"`
}

var _ connectors.DestinationOptions = (*DestinationOptions)(nil)

// DefaultDestination returns the options that hold where routes.yaml is silent.
func DefaultDestination() connectors.DestinationOptions {
	return &DestinationOptions{
		Port: 22, Connect: 10 * time.Second, Timeout: time.Minute, KeepAlive: 30 * time.Second,
		Name: "{id}.{ext}", Temp: ".tmp", Exists: folder.ExistsError, Connections: 1,
	}
}

func (o *DestinationOptions) server() server {
	return server{
		host: o.Host, port: o.Port, user: o.User, password: o.Credential, key: o.Key, passphrase: o.Passphrase,
		hostKey: o.HostKey, knownHosts: o.KnownHosts, connect: o.Connect, timeout: o.Timeout, keepAlive: o.KeepAlive,
	}
}

// Validate checks the words of the options.
func (o *DestinationOptions) Validate() []connectors.Problem {
	problems := append(o.server().validate(), folder.CheckName("folder", o.Folder)...)
	for _, p := range folder.ValidatePut(o.Name, o.Temp, o.Exists, o.Connections, o.Timeout) {
		if p.Field != "timeout" { // it was said of the server
			problems = append(problems, p)
		}
	}
	return problems
}

// Limits bound its sends.
func (o *DestinationOptions) Limits() connectors.SendLimits {
	return connectors.SendLimits{Connections: o.Connections, Timeout: o.Timeout}
}

// validate checks what says how to reach the server.
func (s server) validate() []connectors.Problem {
	var p connectors.Problems
	switch {
	case s.host == "":
		p.Add("host", "is missing: the server")
	case odd.MatchString(s.host):
		p.Add("host", "%q is not a host name or address", s.host)
	}
	if s.port < 1 || s.port > 65535 {
		p.Add("port", "%d is not between 1 and 65535", s.port)
	}
	if s.user == "" {
		p.Add("user", "is missing: who logs in")
	}
	if s.password.IsZero() && s.key.IsZero() {
		p.Add("credential", "is missing: give a password by credential: { secret: name }, or a private key by key: { secret: name }")
	}
	if !s.key.IsZero() {
		if _, err := s.signer(); err != nil {
			p.Add("key", "%s", err)
		}
	}
	switch {
	case s.hostKey == "" && s.knownHosts == "":
		p.Add("host-key", "is missing: the key that the server must show, or known-hosts; it is always checked")
	case s.hostKey != "" && s.knownHosts != "":
		p.Add("host-key", "stands beside known-hosts; give one of the two")
	case s.hostKey != "":
		if _, err := parsePin(s.hostKey); err != nil {
			p.Add("host-key", `%q is neither the line of a public key, such as "ssh-ed25519 AAAA…", nor a fingerprint "SHA256:…"`, s.hostKey)
		}
	}
	p.Time("connect", s.connect)
	p.Time("timeout", s.timeout)
	p.Time("keepalive", s.keepAlive)
	return p
}

var (
	odd         = regexp.MustCompile(`[\s/@]`)
	fingerprint = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)
)

// A pin is the one key a server may show.
type pin struct {
	key         ssh.PublicKey // or
	fingerprint string
}

func parsePin(text string) (pin, error) {
	if fingerprint.MatchString(text) {
		return pin{fingerprint: text}, nil
	}
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err == nil && len(rest) > 0 {
		err = errors.New("more than one key")
	}
	return pin{key: key}, err
}

// inFolder is the path of a folder of the options.
func inFolder(base, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(base, name)
}
