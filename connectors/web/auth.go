package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
)

// AuthOptions say how senders prove who they are.
type AuthOptions struct {
	// Name and password that senders must give (HTTP Basic). Default: none.
	Basic *BasicOptions `yaml:"basic"`
	// Token that senders must give (Authorization: Bearer …), as
	// { secret: name }. Default: none. With basic as well either is enough.
	Bearer connectors.Secret `yaml:"bearer"`
	// Say i-understand to let everybody send who can connect, on an address
	// that other machines reach.
	None string `yaml:"none"`
}

// BasicOptions are a name and a password.
type BasicOptions struct {
	// Name of the account.
	User string `yaml:"user"`
	// Its password, as { secret: name }.
	Password connectors.Secret `yaml:"password"`
}

func (o *BasicOptions) validate(field string, p *connectors.Problems) {
	if o.User == "" || strings.ContainsAny(o.User, ":\r\n") {
		p.Add(field+".user", "is missing or holds a colon: the name of the account")
	}
	if o.Password.IsZero() {
		p.Add(field+".password", "is missing: the password, as { secret: name }")
	}
}

func (o *AuthOptions) validate(p *connectors.Problems) {
	known := o.Basic != nil || !o.Bearer.IsZero()
	switch {
	case o.None != "" && o.None != network.Understood:
		p.Add("auth.none", "%q is not known; the only word is i-understand", o.None)
	case o.None != "" && known:
		p.Add("auth.none", "contradicts basic or bearer: give one of them")
	case o.None == "" && !known:
		p.Add("auth", "is empty: give basic, bearer, or none: i-understand")
	}
	if o.Basic != nil {
		o.Basic.validate("auth.basic", p)
	}
}

// asks reports whether senders must prove who they are.
func (o *AuthOptions) asks() bool { return o != nil && (o.Basic != nil || !o.Bearer.IsZero()) }

// admits reports whether a request proves who sent it. What it costs does not
// depend on how much of a secret is right.
func (o *AuthOptions) admits(r *http.Request) bool {
	if !o.asks() {
		return true
	}
	ok := 0
	if user, password, given := r.BasicAuth(); given && o.Basic != nil {
		ok |= same(user, o.Basic.User) & same(password, o.Basic.Password.Reveal())
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && !o.Bearer.IsZero() {
		ok |= same(strings.TrimSpace(token), o.Bearer.Reveal())
	}
	return ok == 1
}

// same compares in a time that tells nothing of the texts, not even a length.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

// challenge is what WWW-Authenticate asks for.
func (o *AuthOptions) challenge(h http.Header) {
	if o.Basic != nil {
		h.Add("WWW-Authenticate", `Basic realm="plexus", charset="UTF-8"`)
	}
	if !o.Bearer.IsZero() {
		h.Add("WWW-Authenticate", `Bearer realm="plexus"`)
	}
}

// CredentialOptions are how we prove to a server who we are.
type CredentialOptions struct {
	// Name and password for HTTP Basic. Default: none.
	Basic *BasicOptions `yaml:"basic"`
	// Token for Authorization: Bearer …, as { secret: name }. Default: none.
	Bearer connectors.Secret `yaml:"bearer"`
}

func (o *CredentialOptions) validate(p *connectors.Problems) {
	switch {
	case o.Basic == nil && o.Bearer.IsZero():
		p.Add("credential", "is empty: give basic or bearer")
	case o.Basic != nil && !o.Bearer.IsZero():
		p.Add("credential", "has basic and bearer: one of them is sent")
	}
	if o.Basic != nil {
		o.Basic.validate("credential.basic", p)
	}
	if strings.ContainsAny(o.Bearer.Reveal(), "\r\n") {
		p.Add("credential.bearer", "holds a line end, which no header can carry")
	}
}

// prove adds the header of the credential.
func (o *CredentialOptions) prove(r *http.Request) {
	switch {
	case o == nil:
	case o.Basic != nil:
		r.SetBasicAuth(o.Basic.User, o.Basic.Password.Reveal())
	case !o.Bearer.IsZero():
		r.Header.Set("Authorization", "Bearer "+o.Bearer.Reveal())
	}
}
