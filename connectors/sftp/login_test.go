package sftp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/internal/sftptest"
	"github.com/plexus-health/plexus/message"
)

func TestLogins(t *testing.T) {
	private, public := sftptest.NewKey(t, "")
	locked, lockedPublic := sftptest.NewKey(t, "open sesame")
	for name, c := range map[string]struct {
		server sftptest.Options
		change func(o *DestinationOptions, s *sftptest.Server)
		want   string // empty: it is let in
	}{
		"password":    {sftptest.Options{}, func(*DestinationOptions, *sftptest.Server) {}, ""},
		"asked for":   {sftptest.Options{Interactive: true}, func(*DestinationOptions, *sftptest.Server) {}, ""},
		"fingerprint": {sftptest.Options{}, func(o *DestinationOptions, s *sftptest.Server) { o.HostKey = s.Fingerprint }, ""},
		"key": {sftptest.Options{Authorized: public}, func(o *DestinationOptions, _ *sftptest.Server) {
			o.Credential, o.Key = connectors.Secret{}, connectors.NewSecret(private)
		}, ""},
		"key with passphrase": {sftptest.Options{Authorized: lockedPublic}, func(o *DestinationOptions, _ *sftptest.Server) {
			o.Credential, o.Key, o.Passphrase = connectors.Secret{}, connectors.NewSecret(locked), connectors.NewSecret("open sesame")
		}, ""},
		"key that is not let in, then password": {sftptest.Options{Authorized: public}, func(o *DestinationOptions, _ *sftptest.Server) {
			o.Key, o.Passphrase = connectors.NewSecret(locked), connectors.NewSecret("open sesame")
		}, ""},
		"wrong password": {sftptest.Options{}, func(o *DestinationOptions, _ *sftptest.Server) {
			o.Credential = connectors.NewSecret("wrong horse")
		}, "the server does not let the user in: check user, credential and key"},
		"wrong key": {sftptest.Options{Authorized: public}, func(o *DestinationOptions, _ *sftptest.Server) {
			o.Credential, o.Key, o.Passphrase = connectors.Secret{}, connectors.NewSecret(locked), connectors.NewSecret("open sesame")
		}, "the server does not let the user in: check user, credential and key"},
		"another host key": {sftptest.Options{}, func(o *DestinationOptions, _ *sftptest.Server) {
			o.HostKey = sftptest.Start(t, sftptest.Options{}).HostKey
		}, "the server shows another host key than host-key: SHA256:"},
		"another fingerprint": {sftptest.Options{}, func(o *DestinationOptions, _ *sftptest.Server) {
			o.HostKey = sftptest.Start(t, sftptest.Options{}).Fingerprint
		}, "the server shows another host key than host-key: SHA256:"},
		"known host": {sftptest.Options{}, func(o *DestinationOptions, s *sftptest.Server) {
			o.HostKey, o.KnownHosts = "", hosts(t, s.Address, s.HostKey)
		}, ""},
		"unknown host": {sftptest.Options{}, func(o *DestinationOptions, s *sftptest.Server) {
			o.HostKey, o.KnownHosts = "", hosts(t, "192.0.2.1:22", s.HostKey)
		}, "the server is not in known-hosts; it shows the host key SHA256:"},
		"known host with another key": {sftptest.Options{}, func(o *DestinationOptions, s *sftptest.Server) {
			o.HostKey, o.KnownHosts = "", hosts(t, s.Address, sftptest.Start(t, sftptest.Options{}).HostKey)
		}, "the server shows another host key than known-hosts: SHA256:"},
		"no file of known hosts": {sftptest.Options{}, func(o *DestinationOptions, _ *sftptest.Server) {
			o.HostKey, o.KnownHosts = "", "none"
		}, "known-hosts: the file cannot be read or has a line that is none of a known host"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sftptest.Start(t, c.server)
			dir := mkdir(t, s, "out")
			o := toServer(t, s)
			c.change(o, s)
			err := send(open(t, o), "d-1", sample(1))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				wantNames(t, dir, "d-1.hl7")
				return
			}
			wantKind(t, err, message.Down)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("Send = %v, want %s", err, c.want)
			}
			if in, _ := s.Logins(); in != 0 {
				t.Error("somebody was let in")
			}
			wantNames(t, dir)
		})
	}
}

// A server with the wrong key never sees a password.
func TestNoPasswordForAStranger(t *testing.T) {
	s := sftptest.Start(t, sftptest.Options{})
	o := toServer(t, s)
	o.HostKey = sftptest.Start(t, sftptest.Options{}).HostKey
	wantKind(t, send(open(t, o), "d-1", sample(1)), message.Down)
	if in, refused := s.Logins(); in+refused != 0 {
		t.Errorf("%d passwords were shown to a stranger", in+refused)
	}
}

// hosts writes a file of known hosts.
func hosts(t *testing.T, address, line string) string {
	t.Helper()
	p, err := parsePin(line)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(name, []byte(knownhosts.Line([]string{knownhosts.Normalize(address)}, p.key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestValidate(t *testing.T) {
	locked, _ := sftptest.NewKey(t, "open sesame")
	line := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGRvZXMgbm90IG1hdHRlciBmb3IgdGhpcyB0ZXN0IQAA"
	fill := func(o *DestinationOptions) {
		o.Host, o.User, o.Credential, o.HostKey, o.Folder = "ch.example.org", "u", connectors.NewSecret("horse"), line, "in"
	}
	for name, c := range map[string]struct {
		change func(*DestinationOptions)
		want   string
	}{
		"no host":    {func(o *DestinationOptions) { o.Host = "" }, "host: is missing: the server"},
		"odd host":   {func(o *DestinationOptions) { o.Host = "u@h" }, `host: "u@h" is not a host name or address`},
		"port":       {func(o *DestinationOptions) { o.Port = 0 }, "port: 0 is not between 1 and 65535"},
		"no user":    {func(o *DestinationOptions) { o.User = "" }, "user: is missing: who logs in"},
		"no secret":  {func(o *DestinationOptions) { o.Credential = connectors.Secret{} }, "credential: is missing: give a password by credential: { secret: name }, or a private key by key: { secret: name }"},
		"no key":     {func(o *DestinationOptions) { o.Key = connectors.NewSecret("horse") }, "key: is not a private key in PEM"},
		"locked key": {func(o *DestinationOptions) { o.Key = connectors.NewSecret(locked) }, "key: is encrypted: give its passphrase"},
		"wrong phrase": {func(o *DestinationOptions) {
			o.Key, o.Passphrase = connectors.NewSecret(locked), connectors.NewSecret("x")
		}, "key: is not a private key in PEM that this passphrase opens"},
		"no host key":  {func(o *DestinationOptions) { o.HostKey = "" }, "host-key: is missing: the key that the server must show, or known-hosts; it is always checked"},
		"two of them":  {func(o *DestinationOptions) { o.KnownHosts = "f" }, "host-key: stands beside known-hosts; give one of the two"},
		"odd host key": {func(o *DestinationOptions) { o.HostKey = "any" }, `host-key: "any" is neither the line of a public key, such as "ssh-ed25519 AAAA…", nor a fingerprint "SHA256:…"`},
		"connect":      {func(o *DestinationOptions) { o.Connect = 0 }, "connect: 0s is not a time above zero, such as 30s"},
		"timeout":      {func(o *DestinationOptions) { o.Timeout = 0 }, "timeout: 0s is not a time above zero, such as 30s"},
		"keepalive":    {func(o *DestinationOptions) { o.KeepAlive = -1 }, "keepalive: -1ns is not a time above zero, such as 30s"},
		"folder":       {func(o *DestinationOptions) { o.Folder = "" }, "folder: is missing: the folder"},
		"odd folder":   {func(o *DestinationOptions) { o.Folder = "a\n" }, `folder: "a\n" has a control character in it`},
		"name":         {func(o *DestinationOptions) { o.Name = "{x}" }, "name: {x} is not known; known: {id}, {control}, {date}, {part}, {ext}"},
	} {
		t.Run(name, func(t *testing.T) {
			o := DefaultDestination().(*DestinationOptions)
			fill(o)
			if problems := o.Validate(); len(problems) > 0 {
				t.Fatalf("the defaults: %v", problems)
			}
			c.change(o)
			got := o.Validate()
			if len(got) != 1 || got[0].Field+": "+got[0].Text != c.want {
				t.Errorf("Validate() = %q, want %q", got, c.want)
			}
			for _, p := range got {
				if strings.Contains(p.Text, "horse") || strings.Contains(p.Text, "sesame") {
					t.Errorf("a secret is in %q", p.Text)
				}
			}
		})
	}
	o := DefaultSource().(*SourceOptions)
	o.Host, o.User, o.Credential, o.HostKey, o.Folder = "h", "u", connectors.NewSecret("horse"), line, "in"
	if problems := o.Validate(); len(problems) > 0 {
		t.Errorf("a source: %v", problems)
	}
	o.To, o.Every = ".", 0
	if problems := o.Validate(); len(problems) != 2 {
		t.Errorf("a source whose done folder is the folder, and that never looks: %v", problems)
	}
	if l := DefaultDestination().Limits(); l.Connections != 1 || l.Timeout != time.Minute {
		t.Errorf("Limits() = %+v", l)
	}
}
