// Package rest is the FHIR R4 API over HTTP: read, write, search, transactions.
// A 2xx answer to a write means that its transaction is committed and synced.
package rest

//go:generate go run ./reference ../../docs/fhir-reference.md ../../docs/fhir.md

import (
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/rest/capability"
	"github.com/plexus-health/plexus/fhir/rest/format"
	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/fhir/validate/profile"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// Options are what the API is made of.
type Options struct {
	Records store.Records
	Access  access.Decider
	// Profiles are what resources may be held against; nil: those of R4.
	Profiles *profile.Set
	// Base is the path the API stands under: "/fhir".
	Base string
	Log  *slog.Logger
	// Limit is the largest body in bytes; 0 means 16 MB.
	Limit int64
	// BinaryLimit is the largest content of a Binary in bytes; 0 means 1 GB.
	BinaryLimit int64
	// AnswerLimit is how many bytes the answers to the entries of a batch or
	// transaction may have together; 0 means 64 MB.
	AnswerLimit int
	// PatchTime is how long the patches of a request may take together; 0 means
	// 5 s.
	PatchTime time.Duration
	// SearchTime is how long a search or a page of a history may take in the
	// store; 0 means 20 s.
	SearchTime time.Duration
	// Walked is how many resources of a type may be walked through for a search
	// that no index helps with (parts of strings of one or two letters);
	// 0 means 20,000.
	Walked int
	// Origins are those of browser applications that may use the API, as
	// browsers write them: "https://app.example.org". None unless given.
	Origins []string
	// RequireReferences refuses writes of which a reference to this server leads
	// to nobody.
	RequireReferences bool
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// New returns the handler of the API.
func New(o Options) http.Handler {
	if o.Limit == 0 {
		o.Limit = 16 << 20
	}
	if o.BinaryLimit == 0 {
		o.BinaryLimit = 1 << 30
	}
	if o.AnswerLimit == 0 {
		o.AnswerLimit = 64 << 20
	}
	if o.PatchTime == 0 {
		o.PatchTime = 5 * time.Second
	}
	if o.SearchTime == 0 {
		o.SearchTime = 20 * time.Second
	}
	if o.Walked == 0 {
		o.Walked = 20_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &server{Options: o, statement: sync.OnceValue(o.capabilities)}
}

// capabilities is the CapabilityStatement. It is made when it is first asked for:
// what is served does not change while a server runs.
func (o *Options) capabilities() []byte {
	return capability.Statement(capability.Options{
		Date: o.Now().UTC().Format("2006-01-02"), CORS: len(o.Origins) > 0, RequireReferences: o.RequireReferences, Formats: format.Medias(), PatchFormats: patchMedias,
	}).AppendJSON(nil)
}

// metadata answers with the CapabilityStatement.
func (c *call) metadata() error {
	c.send(http.StatusOK, c.statement())
	return nil
}

type server struct {
	Options
	statement func() []byte
}

// A call is one request on its way.
type call struct {
	*server
	w http.ResponseWriter
	r *http.Request
	// typ, id and version are those of the path.
	typ, id string
	version int
	// within is the compartment searched in: "Patient/7/", or empty.
	within string
	format format.Format
	// unacceptable is what is wrong with the format asked for.
	unacceptable error
	// allow are the methods of the path, once another one was refused.
	allow string
	// view is what of a resource that is read is shown.
	view query.View
	// bundled is true for an entry of a Bundle, whose answer stands in another.
	bundled bool
	// room is how many bytes the answer of such an entry may have, and spent
	// what those of the entries of this Bundle have.
	room, spent int
	// deleting are the resources that entries of this transaction delete: its
	// criteria do not find them.
	deleting map[place]bool
	// patching is how long the patches of the request took so far.
	patching time.Duration
	// key is the idempotency key, or empty, and sent the hash of the body.
	key  string
	sent [32]byte
	// entries are those of the Bundle that was sent.
	entries []*fhir.Node
	// terms are the value sets and code systems that were looked up.
	terms *stored
	// byName are the places of canonical references that were looked up.
	byName map[string]place
	// started is true once something of a Bundle has gone out: what fails then
	// can be told by cutting the connection only.
	started bool
}

// errLeft: the client has left while it was answered.
var errLeft = errors.New("the client has left")

var (
	goodID  = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
	goodTyp = regexp.MustCompile(`^[A-Z][A-Za-z]{1,63}$`)
)

// ServeHTTP serves one request.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.cors(w, r) {
		return
	}
	c := &call{server: s, w: w, r: r, key: r.Header.Get("Idempotency-Key")}
	c.unacceptable = c.negotiate()
	c.serve()
}

// serve answers. What is wrong with the format asked for counts after what is
// wrong with the place and the person; the content of a Binary has its own.
func (c *call) serve() {
	s, w, r := c.server, c.w, c.r
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, s.Base), "/")
	parts := strings.Split(path, "/")
	if path == "" {
		parts = nil
	}
	action, handle, err := c.route(parts)
	if r.Method == http.MethodOptions && len(c.allow) > 0 {
		action, handle, err = "options", c.options, nil
	}
	if err == nil {
		err = s.allowed(r, action, c.typ)
	}
	if content := c.typ == "Binary" && (action == "read" || action == "vread"); err == nil && !content {
		err = c.unacceptable
	}
	if err == nil {
		_, err = query.Values(r.URL.RawQuery)
	}
	if err == nil {
		err = asItIs(r)
	}
	if err == nil && action == "search" && r.Method == http.MethodPost {
		err = c.form()
	}
	if err == nil {
		err = handle()
	}
	switch {
	case err != nil && c.started:
		if errors.Is(err, errLeft) || r.Context().Err() != nil {
			c.Log.Debug("a FHIR answer was given up", "type", c.typ)
		} else {
			c.Log.Error("a FHIR answer was cut off for a fault of ours", "type", c.typ, "error", err.Error())
		}
		panic(http.ErrAbortHandler) // how net/http is told to: the client must not take it for whole
	case err != nil:
		c.fail(err)
	}
}

// allowed asks before anything of the body is read.
func (s *server) allowed(r *http.Request, action, typ string) error {
	err := s.Access.Decide(r.Context(), access.Request{Actor: "local", Remote: r.RemoteAddr, Action: "fhir." + action, Target: typ})
	if err != nil {
		return &fault{http.StatusForbidden, "forbidden", "", err.Error()}
	}
	return nil
}

// route finds what is asked for.
func (c *call) route(parts []string) (action string, handle func() error, err error) {
	method := c.r.Method
	if method == http.MethodHead { // it differs in that no body is sent
		method = http.MethodGet
	}
	if len(parts) > 0 && parts[0] == "metadata" && len(parts) == 1 {
		if method != http.MethodGet {
			return "", nil, c.notAllowed("GET, HEAD")
		}
		return "metadata", c.metadata, nil
	}
	if len(parts) == 1 && parts[0] == "_history" {
		return c.ofHistory(method)
	}
	if len(parts) == 0 {
		if method != http.MethodPost {
			return "", nil, c.notAllowed("POST")
		}
		return "transaction", c.bundle, nil
	}
	if _, known := definitions.Resource(parts[0]); !known || !goodTyp.MatchString(parts[0]) {
		return "", nil, &fault{http.StatusNotFound, "not-supported", "", "the first part of the path is no resource type of R4"}
	}
	c.typ = parts[0]
	if len(parts) > 1 && parts[len(parts)-1] == "$validate" {
		return c.validation(parts, method)
	}
	switch {
	case len(parts) == 1 && method == http.MethodGet:
		return "search", c.search, nil
	case len(parts) == 1 && method == http.MethodPost:
		return "create", c.create, nil
	case len(parts) == 1 && method == http.MethodPut:
		return "update", c.conditionalUpdate, nil
	case len(parts) == 1 && method == http.MethodPatch:
		return "patch", c.conditionalPatch, nil
	case len(parts) == 1 && method == http.MethodDelete:
		return "delete", c.conditionalDelete, nil
	case len(parts) == 2 && parts[1] == "_search" && method == http.MethodPost:
		return "search", c.search, nil
	}
	if len(parts) == 2 && parts[1] == "_history" {
		return c.ofHistory(method)
	}
	if len(parts) == 1 {
		return "", nil, c.notAllowed("GET, HEAD, POST, PUT, PATCH, DELETE")
	}
	if len(parts) == 2 && parts[1] == "_search" {
		return "", nil, c.notAllowed("POST")
	}
	if !goodID.MatchString(parts[1]) {
		return "", nil, &fault{http.StatusNotFound, "not-found", "", "the id is not 1 to 64 letters, digits, dots and dashes"}
	}
	c.id = parts[1]
	return c.instance(parts, method)
}

func (c *call) instance(parts []string, method string) (string, func() error, error) {
	switch {
	case len(parts) == 2 && method == http.MethodGet:
		return "read", c.viewing(c.read), nil
	case len(parts) == 2 && method == http.MethodPut:
		return "update", c.update, nil
	case len(parts) == 2 && method == http.MethodPatch:
		return "patch", c.patch, nil
	case len(parts) == 2 && method == http.MethodDelete:
		return "delete", c.remove, nil
	case len(parts) == 2:
		return "", nil, c.notAllowed("GET, HEAD, PUT, PATCH, DELETE")
	case len(parts) == 3 && c.inCompartment(parts[2]):
		if method != http.MethodGet {
			return "", nil, c.notAllowed("GET, HEAD")
		}
		return "search", c.search, nil
	case len(parts) == 4 && parts[3] == "_search" && c.inCompartment(parts[2]):
		if method != http.MethodPost {
			return "", nil, c.notAllowed("POST")
		}
		return "search", c.search, nil
	case parts[2] != "_history" || len(parts) > 4:
		return "", nil, &fault{http.StatusNotFound, "not-found", "", "there is nothing under this path"}
	case len(parts) == 3 || method != http.MethodGet:
		return c.ofHistory(method)
	}
	v, err := strconv.Atoi(parts[3])
	if err != nil || v < 1 {
		return "", nil, &fault{http.StatusNotFound, "not-found", c.typ + ".meta.versionId", "the version is no number from 1"}
	}
	c.version = v
	return "vread", c.viewing(c.vread), nil
}

// viewing reads what of a resource is asked for.
func (c *call) viewing(read func() error) func() error {
	return func() (err error) {
		if c.view, err = query.ViewOf(c.typ, c.r.URL.Query()); err != nil {
			return err
		}
		return read()
	}
}

func (c *call) ofHistory(method string) (string, func() error, error) {
	if method != http.MethodGet {
		return "", nil, c.notAllowed("GET, HEAD")
	}
	return "history", c.history, nil
}

func (c *call) notAllowed(allow string) error {
	c.allow = allow
	return &fault{http.StatusMethodNotAllowed, "not-supported", "", "the method is not one of " + allow}
}

// options names the methods of a path and the format of patches.
func (c *call) options() error {
	c.w.Header().Set("Allow", c.allow+", OPTIONS")
	if strings.Contains(c.allow, http.MethodPatch) {
		c.w.Header().Set("Accept-Patch", strings.Join(patchMedias, ", "))
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// body reads and parses what was sent.
func (c *call) body() (*fhir.Node, error) {
	media, params, ok := format.MediaOf(c.r.Header.Get("Content-Type"))
	if !ok || !format.Fourth(params) {
		return nil, &fault{http.StatusUnsupportedMediaType, "not-supported", "", "Content-Type must be application/fhir+json or application/fhir+xml, of FHIR 4.0"}
	}
	if err := unicode(params); err != nil {
		return nil, err
	}
	data, err := c.bytes()
	if err != nil {
		return nil, err
	}
	n, err := c.parse(data, media)
	if entries := n.Get("entry"); entries != nil && c.typ == "" {
		c.entries = entries.Items
	}
	return n, err
}

// unicode refuses a body that says it is in another charset than UTF-8.
func unicode(params map[string]string) error {
	if set, said := params["charset"]; said && !strings.EqualFold(set, "utf-8") && !strings.EqualFold(set, "us-ascii") {
		return &fault{http.StatusUnsupportedMediaType, "not-supported", "", "the charset must be UTF-8"}
	}
	return nil
}

// asItIs refuses a body that was compressed on its way (RFC 9110, 8.4): a limit
// would not hold for what is in it.
func asItIs(r *http.Request) error {
	for _, one := range r.Header.Values("Content-Encoding") {
		if one = strings.TrimSpace(one); one != "" && !strings.EqualFold(one, "identity") {
			return &fault{http.StatusUnsupportedMediaType, "not-supported", inRequest + "Content-Encoding", "the body must not be compressed"}
		}
	}
	return nil
}

// bytes reads the body up to the limit.
func (c *call) bytes() ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, c.Limit))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &fault{http.StatusRequestEntityTooLarge, "too-long", "", "the body is larger than " + strconv.FormatInt(c.Limit, 10) + " bytes"}
	}
	if err != nil {
		return nil, &fault{http.StatusBadRequest, "incomplete", "", "the body did not arrive whole"}
	}
	c.sent = sha256.Sum256(data)
	return data, nil
}

// resource reads a resource of the path's type and checks its structure.
func (c *call) resource() (*fhir.Node, error) {
	n, err := c.body()
	if err != nil {
		return nil, err
	}
	return n, c.check(n, c.typ)
}

func text(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil && v.Kind == fhir.String {
		return v.Text
	}
	return ""
}

// write makes the store's write of a resource.
func write(typ, id string, n *fhir.Node, expect int) store.Write {
	whole := fhir.Unstamped(n, typ, id)
	w := store.Write{Type: typ, ID: id, Expect: expect, Index: search.Index(typ, whole), Keys: search.Identities(typ, whole)}
	w.Content = whole.AppendJSON(make([]byte, 0, 1024))
	w.Hash = sha256.Sum256(w.Content)
	return w
}

func newID(now time.Time) string { return message.NewID(now) }
