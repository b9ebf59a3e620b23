// Package portal is a simulated Bitrix24 portal in memory: the REST methods that a lead's delivery uses, their limits,
// their errors, and on request the misbehaviour of package fault. It keeps a ledger of what it really did, so that a
// test or a person can compare what a caller believes with what has happened.
//
// It leaves out what delivery never touches: files, events, open channels, rights finer than "reads only their own".
package portal

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"leadstream/sinks/sim/fault"
)

// Fault is one way for the portal to misbehave; Method is a REST method's name, as crm.item.add, or a pattern of them.
type Fault = fault.Fault

// User is an employee with an inbound webhook.
type User struct {
	ID      int
	Name    string
	Secret  string // of the webhook's address
	OwnOnly bool   // reads only the items they are responsible for
	Denied  bool   // has no right to the CRM at all
}

// Options are a portal's settings. The zero value is a cloud portal with one administrator, limits and all.
type Options struct {
	Addr       string         // 127.0.0.1:0 when empty
	Users      []User         // the first one's webhook is URL; empty: an administrator, id 1, secret "secret"
	Tokens     map[string]int // OAuth access tokens and whose they are; a token of user 0 has expired
	Scopes     []string       // granted to webhooks; nil: crm, task, user
	UserFields []string       // custom fields, as UF_CRM_1700000001
	Required   []string       // fields without which a lead is refused, as sourceId
	Strict     bool           // refuses a value longer than its column, where the default cuts it
	NeedHTTPS  bool           // refuses plain HTTP as the cloud does
	Limits     Limits
	Lag        time.Duration    // until searches see a new item; get by id sees it at once
	LedgerFile string           // JSON lines, appended: readable at any time; Start takes up what an earlier run left
	Clock      func() time.Time // time.Now when nil; waits of faults go by the real clock
	TLS        *tls.Config      // serves HTTPS when set
}

// Portal is a simulated portal. It is an http.Handler; Start gives it an address of its own.
type Portal struct {
	o      Options
	faults fault.Set
	mux    *http.ServeMux

	server   *http.Server
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	limits   Limits
	lag      time.Duration
	buckets  map[string]*bucket
	spent    map[string]*spending
	items    map[kind]map[int]*item
	notes    []note
	lastID   map[string]int
	ledger   []Event
	file     *os.File
	fileErr  error
	requests int
}

// New makes a portal. It does no I/O.
func New(o Options) *Portal {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if len(o.Users) == 0 {
		o.Users = []User{{ID: 1, Name: "Администратор", Secret: "secret"}}
	}
	if o.Scopes == nil {
		o.Scopes = []string{"crm", "task", "user"}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	p := &Portal{
		o: o, limits: o.Limits.withDefaults(), lag: o.Lag,
		buckets: map[string]*bucket{}, spent: map[string]*spending{},
		items: map[kind]map[int]*item{}, lastID: map[string]int{},
	}
	p.mux = p.routes()
	return p
}

// Start opens the ledger file and the address, and serves until Close.
func (p *Portal) Start() error {
	if p.o.LedgerFile != "" {
		if err := p.openLedger(p.o.LedgerFile); err != nil {
			return err
		}
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", p.o.Addr)
	if err != nil {
		_ = p.closeFile()
		return fmt.Errorf("simulated portal: %w", err)
	}
	if p.o.TLS != nil {
		l = tls.NewListener(l, p.o.TLS)
	}
	p.listener = l
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	p.serving.Go(func() { _ = p.server.Serve(l) })
	return nil
}

// Close ends the calls in flight, and the executions that go on after their callers have left.
func (p *Portal) Close() error {
	p.faults.Close()
	if p.server != nil {
		_ = p.server.Close() // its error is the listener's, closed here on purpose
		p.serving.Wait()
	}
	return p.closeFile()
}

func (p *Portal) closeFile() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.fileErr
	if p.file != nil {
		if e := p.file.Close(); err == nil {
			err = e
		}
		p.file = nil
	}
	if err != nil {
		return fmt.Errorf("portal's ledger: %w", err)
	}
	return nil
}

// Base is the portal's address, without a path: where a person sees the leads that arrived.
func (p *Portal) Base() string {
	scheme := "http://"
	if p.o.TLS != nil {
		scheme = "https://"
	}
	return scheme + p.listener.Addr().String()
}

// URL is the first user's inbound webhook: the base that method names are appended to. Start comes first.
func (p *Portal) URL() string { return p.Base() + p.Path() }

// Path is URL's path, for a portal that is served by someone else.
func (p *Portal) Path() string {
	return "/rest/" + strconv.Itoa(p.o.Users[0].ID) + "/" + p.o.Users[0].Secret + "/"
}

// Inject adds a fault; Clear removes all.
func (p *Portal) Inject(f Fault) { p.faults.Inject(f) }

// Clear removes all faults.
func (p *Portal) Clear() { p.faults.Clear() }

// Requests is how many REST requests have come in, answered or not; a batch is one.
func (p *Portal) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// SetLag changes how long searches do not see a new item; those created before keep theirs.
func (p *Portal) SetLag(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lag = d
}

// SetLimits changes the limits; what has been counted so far stays counted.
func (p *Portal) SetLimits(l Limits) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = l.withDefaults()
}

// ServeHTTP is the portal: REST under /rest/, the test's controls under /sim/, a page for a person at /.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

func (p *Portal) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/rest/{user}/{secret}/{method}", p.serveREST)
	mux.HandleFunc("/rest/{method}", p.serveREST)
	p.control(mux)
	return mux
}
