package http

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/connectors/web"
)

// words are problems as one text.
func words(problems []connectors.Problem) string {
	var list []string
	for _, p := range problems {
		list = append(list, p.Field+": "+p.Text)
	}
	return strings.Join(list, "\n")
}

var secret = connectors.NewSecret("x")

func TestSourceOptions(t *testing.T) {
	sure := &web.AuthOptions{Bearer: secret}
	encrypted := &network.TLSOptions{Cert: "c", Key: "k"}
	tests := map[string]struct {
		change func(o *SourceOptions)
		want   string
	}{
		"defaults":            {change: func(*SourceOptions) {}},
		"localhost":           {change: func(o *SourceOptions) { o.Listen = "localhost:0" }},
		"the sixth version":   {change: func(o *SourceOptions) { o.Listen = "[::1]:80" }},
		"encrypted and known": {change: func(o *SourceOptions) { o.Listen, o.TLS, o.Auth = ":443", encrypted, sure }},
		"mutual":              {change: func(o *SourceOptions) { o.Listen, o.TLS = ":443", &network.TLSOptions{Cert: "c", Key: "k", CA: "a"} }},
		"on purpose": {change: func(o *SourceOptions) {
			o.Listen, o.Insecure, o.Auth = "0.0.0.0:80", "i-understand", &web.AuthOptions{None: "i-understand"}
		}},
		"no port":    {change: func(o *SourceOptions) { o.Listen = "127.0.0.1" }, want: `listen: "127.0.0.1" is not host:port, such as 127.0.0.1:8090`},
		"a far port": {change: func(o *SourceOptions) { o.Listen = "127.0.0.1:70000" }, want: `listen: port 70000 is not between 0 and 65535`},
		"unencrypted": {
			change: func(o *SourceOptions) { o.Listen, o.Auth = "0.0.0.0:80", sure },
			want:   `listen: "0.0.0.0:80" is reachable from other machines and messages would travel unencrypted: add tls, or say insecure: i-understand`,
		},
		"a name that may be any address": {
			change: func(o *SourceOptions) { o.Listen, o.Auth = "localhost.example.org:80", sure },
			want:   `listen: "localhost.example.org:80" is reachable from other machines and messages would travel unencrypted: add tls, or say insecure: i-understand`,
		},
		"anybody": {
			change: func(o *SourceOptions) { o.Listen, o.TLS = ":443", encrypted },
			want:   `auth: is missing: whoever connects could send messages. Give auth or tls.ca, or say auth: { none: i-understand }`,
		},
		"a wrong word": {change: func(o *SourceOptions) { o.Insecure = "yes" }, want: `insecure: "yes" is not known; the only word is i-understand`},
		"times":        {change: func(o *SourceOptions) { o.Idle, o.Request, o.Write = 0, -time.Second, 0 }, want: "idle: 0s is not a time above zero, such as 30s\nrequest: -1s is not a time above zero, such as 30s\nwrite: 0s is not a time above zero, such as 30s"},
		"peers":        {change: func(o *SourceOptions) { o.Peers = []string{"10.0.0.0/8", "lab"} }, want: `peers[1]: "lab" is not an address or network, such as 192.0.2.17 or 10.1.0.0/16`},
		"of one peer":  {change: func(o *SourceOptions) { o.PeerConnections = -1 }, want: `peer_connections: -1 is not a number of connections, nor 0 for no limit of its own`},
		"path":         {change: func(o *SourceOptions) { o.Path = "inbox" }, want: `path: "inbox" is not a path that begins with a slash, such as /inbox`},
		"methods":      {change: func(o *SourceOptions) { o.Methods = []string{"POST", "GET"} }, want: `methods[1]: "GET" carries no message; known: POST, PUT, PATCH`},
		"no methods":   {change: func(o *SourceOptions) { o.Methods = nil }, want: `methods: is empty: name at least POST`},
		"content":      {change: func(o *SourceOptions) { o.Content = []string{"json"} }, want: `content[0]: "json" is not a type of content, such as application/json`},
		"reply":        {change: func(o *SourceOptions) { o.Reply = "json" }, want: `reply: "json" is not a type of content, such as application/json`},
		"empty auth":   {change: func(o *SourceOptions) { o.Auth = &web.AuthOptions{} }, want: `auth: is empty: give basic, bearer, or none: i-understand`},
		"two minds":    {change: func(o *SourceOptions) { o.Auth = &web.AuthOptions{Bearer: secret, None: "i-understand"} }, want: `auth.none: contradicts basic or bearer: give one of them`},
		"none at will": {change: func(o *SourceOptions) { o.Auth = &web.AuthOptions{None: "ok"} }, want: `auth.none: "ok" is not known; the only word is i-understand`},
		"half an account": {
			change: func(o *SourceOptions) { o.Auth = &web.AuthOptions{Basic: &web.BasicOptions{User: "a:b"}} },
			want:   "auth.basic.user: is missing or holds a colon: the name of the account\nauth.basic.password: is missing: the password, as { secret: name }",
		},
		"tls without files": {
			change: func(o *SourceOptions) { o.TLS = &network.TLSOptions{Min: "1.1", ServerName: "x"} },
			want: "tls.cert: is missing: the file of the certificate\ntls.key: is missing: the file of the certificate's private key\n" +
				"tls.server_name: names the peer we connect to; here the peers connect to us\ntls.min: \"1.1\" is not known; known: 1.2, 1.3",
		},
	}
	for name, test := range tests {
		o := sourceDefaults()
		test.change(o)
		if got := words(o.Validate()); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestDestinationOptions(t *testing.T) {
	tests := map[string]struct {
		change func(o *DestinationOptions)
		want   string
	}{
		"plain, this machine": {change: func(o *DestinationOptions) { o.URL = "http://127.0.0.1:80/x?y=z" }},
		"encrypted":           {change: func(o *DestinationOptions) { o.URL, o.Proxy = "https://a.example.org", "http://proxy.example.org:3128" }},
		"on purpose":          {change: func(o *DestinationOptions) { o.URL, o.Insecure = "http://a.example.org/x", "i-understand" }},
		"no address":          {change: func(o *DestinationOptions) { o.URL = "" }, want: "url: is missing: where to, such as https://partner.example.org/inbox"},
		"another scheme":      {change: func(o *DestinationOptions) { o.URL = "ftp://a/b" }, want: "url: is not a URL such as https://partner.example.org/inbox"},
		"no host":             {change: func(o *DestinationOptions) { o.URL = "https:///b" }, want: "url: is not a URL such as https://partner.example.org/inbox"},
		"a password, which is not printed": {
			change: func(o *DestinationOptions) { o.URL = "https://me:pw@a.example.org/" },
			want:   "url: has a name or password in it: give credential, whose value stands in a secret",
		},
		"a fragment": {change: func(o *DestinationOptions) { o.URL = "https://a.example.org/#x" }, want: "url: has a part after #, which is never sent"},
		"unencrypted": {
			change: func(o *DestinationOptions) { o.URL = "http://a.example.org/x" },
			want:   `url: "a.example.org" leads to another machine and messages would travel unencrypted: write https, or say insecure: i-understand`,
		},
		"a look-alike of this machine": {
			change: func(o *DestinationOptions) { o.URL = "http://127.0.0.1.example.org/x" },
			want:   `url: "127.0.0.1.example.org" leads to another machine and messages would travel unencrypted: write https, or say insecure: i-understand`,
		},
		"tls without encryption": {change: func(o *DestinationOptions) { o.TLS = &network.TLSOptions{} }, want: "tls: is given, but url begins with http: write https"},
		"half a certificate": {
			change: func(o *DestinationOptions) { o.URL, o.TLS = "https://a/", &network.TLSOptions{Cert: "c"} },
			want:   "tls.key: is missing: the file of the certificate's private key",
		},
		"a proxy that reads":   {change: func(o *DestinationOptions) { o.Proxy = "http://p:1" }, want: "proxy: would read the messages: write https in url"},
		"a proxy without port": {change: func(o *DestinationOptions) { o.URL, o.Proxy = "https://a/", "http://p" }, want: "proxy: is not a URL such as http://proxy.example.org:3128"},
		"a wrong word":         {change: func(o *DestinationOptions) { o.Insecure = "yes" }, want: `insecure: "yes" is not known; the only word is i-understand`},
		"method":               {change: func(o *DestinationOptions) { o.Method = "GET" }, want: `method: "GET" carries no message; known: POST, PUT, PATCH`},
		"content":              {change: func(o *DestinationOptions) { o.Content = "json" }, want: `content: "json" is not a type of content, such as application/json`},
		"content of two lines": {change: func(o *DestinationOptions) { o.Content = "text/plain; a=\r\nb" }, want: `content: holds a line end, which no header can carry`},
		"headers": {
			change: func(o *DestinationOptions) {
				o.Headers = map[string]string{"X Y": "1", "host": "a", "X-A": "1\r\nX-B: 2", "X-C": "fine"}
				o.SecretHeaders = map[string]connectors.Secret{"Authorization": secret, "X-Key": connectors.NewSecret("a\nb")}
			},
			want: "headers.X Y: \"X Y\" is not the name of a header\nheaders.X-A: holds a line end, which no header can carry\n" +
				"headers.host: \"host\" is a header that the connector writes itself\n" +
				"secret_headers.Authorization: \"Authorization\" is a header that the connector writes itself\n" +
				"secret_headers.X-Key: holds a line end, which no header can carry",
		},
		"credential": {change: func(o *DestinationOptions) { o.Credential = &web.CredentialOptions{} }, want: "credential: is empty: give basic or bearer"},
		"two of them": {change: func(o *DestinationOptions) {
			o.Credential = &web.CredentialOptions{Bearer: secret, Basic: &web.BasicOptions{User: "u", Password: secret}}
		}, want: "credential: has basic and bearer: one of them is sent"},
		"a split token": {change: func(o *DestinationOptions) {
			o.Credential = &web.CredentialOptions{Bearer: connectors.NewSecret("a\r\nb")}
		}, want: "credential.bearer: holds a line end, which no header can carry"},
		"accept":    {change: func(o *DestinationOptions) { o.Accept = []string{"100", "200-x", "299-200"} }, want: acceptWords(`"100"`, `"200-x"`, `"299-200"`)},
		"no accept": {change: func(o *DestinationOptions) { o.Accept = nil }, want: "accept: is empty: name the statuses of success, such as 200-299"},
		"numbers": {
			change: func(o *DestinationOptions) {
				o.Connections, o.Connect, o.Timeout, o.Idle, o.Answer = 0, 0, -1, -time.Second, 0
			},
			want: "connections: 0 is not between 1 and 256\nconnect: 0s is not a time above zero, such as 30s\ntimeout: -1ns is not a time above zero, such as 30s\n" +
				"idle: -1s is not a time, such as 1m, nor 0 for never\nanswer: 0 is not a size above zero, such as 1MB",
		},
	}
	for name, test := range tests {
		o := defaults("127.0.0.1:80")
		test.change(o)
		if got := words(o.Validate()); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
	o := defaults("127.0.0.1:80")
	if got, want := o.Limits(), (connectors.SendLimits{Connections: 4, Timeout: 40 * time.Second}); got != want {
		t.Errorf("limits %v, want %v", got, want)
	}
}

func acceptWords(words ...string) string {
	var list []string
	for i, w := range words {
		list = append(list, fmt.Sprintf("accept[%d]: %s is not a status from 200 to 599, or two of them with a hyphen, such as 200-299", i, w))
	}
	return strings.Join(list, "\n")
}

func TestKind(t *testing.T) {
	k := Kind()
	if k.Name != "http" || k.Source().Validate() != nil || len(k.Destination().Validate()) != 1 {
		t.Errorf("kind %q: its defaults lack nothing but a url", k.Name)
	}
}
