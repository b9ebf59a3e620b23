package portal

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/sinks/sim/fault"
)

// Error is a REST error: its status, code and text as the portal says them. The code may be empty, as in old methods.
type Error struct {
	Status      int
	Code        string
	Description string
}

// statuses are the HTTP statuses that error codes come with; others come with 400.
var statuses = map[string]int{
	"QUERY_LIMIT_EXCEEDED": 503, "OVERLOAD_LIMIT": 503, "OPERATION_TIME_LIMIT": 429,
	"NO_AUTH_FOUND": 401, "EXPIRED_TOKEN": 401,
	"INVALID_CREDENTIALS": 403, "INSUFFICIENT_SCOPE": 403, "ACCESS_DENIED": 403, "PAYMENT_REQUIRED": 403,
	"ALLOWED_ONLY_INTRANET_USER": 403, "USER_ACCESS_ERROR": 403, "WRONG_AUTH_TYPE": 403,
	"ERROR_METHOD_NOT_FOUND": 404, "ERROR_BATCH_METHOD_NOT_ALLOWED": 405,
	"INTERNAL_SERVER_ERROR": 500, "ERROR_UNEXPECTED_ANSWER": 500, "PORTAL_DELETED": 500,
}

// fail makes an error with the status that its code usually has.
func fail(code, description string) *Error {
	status := statuses[strings.ToUpper(code)]
	if status == 0 {
		status = http.StatusBadRequest
	}
	return &Error{status, code, description}
}

// rest is one HTTP request to the REST API, and the events that its answer tells of.
type rest struct {
	user   *User
	events []int
}

// call is one method call: a request's own, or one of its batch's.
type call struct {
	p      *Portal
	rq     *rest
	method string
	args   *object
	now    time.Time
	total  *int // of a list
	next   *int
	nested bool
}

// serveREST runs a request through authorization, limits, faults and the method.
func (p *Portal) serveREST(w http.ResponseWriter, r *http.Request) {
	method := strings.ToLower(strings.TrimSuffix(r.PathValue("method"), ".json"))
	args, err := arguments(r)
	rq := &rest{}
	p.faults.Serve(w, r, fault.Exchange{
		Method: method,
		Busy: func() (fault.Answer, bool) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.requests++
			if e := p.gate(r, rq, method, args, err); e != nil {
				return p.refuse(rq, method, args, e), true
			}
			return fault.Answer{}, false
		},
		Run: func() fault.Answer {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.run(rq, method, args)
		},
		Refuse: func(f Fault) fault.Answer {
			p.mu.Lock()
			defer p.mu.Unlock()
			a := p.refuse(rq, method, args, faulty(f))
			if f.Code == "" && f.Description == "" {
				return fault.FrontPage(f.Status)
			}
			return a
		},
		Fate: func(delivered bool) { p.fate(rq, delivered) },
	})
}

// faulty is the REST error that a fault asks for.
func faulty(f Fault) *Error {
	e := fail(f.Code, f.Description)
	if f.Status != 0 {
		e.Status = f.Status
	}
	return e
}

// gate is what stands before every method: the wire, the limit, and who is calling.
func (p *Portal) gate(r *http.Request, rq *rest, method string, args *object, unread error) *Error {
	if p.o.NeedHTTPS && r.TLS == nil {
		return fail("INVALID_REQUEST", "Https required.")
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if e := p.admit(host, p.o.Clock()); e != nil {
		return e
	}
	if unread != nil {
		return fail("INVALID_REQUEST", "The request cannot be read.")
	}
	return p.authorize(r, rq, method, args)
}

func (p *Portal) authorize(r *http.Request, rq *rest, method string, args *object) *Error {
	if secret := r.PathValue("secret"); secret != "" {
		id, err := strconv.Atoi(r.PathValue("user"))
		for i := range p.o.Users {
			if u := &p.o.Users[i]; err == nil && u.ID == id && u.Secret == secret {
				rq.user = u
			}
		}
	} else if id, ok := p.o.Tokens[text(args.get("auth"))]; ok {
		if id == 0 {
			return fail("expired_token", "The access token provided has expired.")
		}
		rq.user = p.user(id)
	}
	if rq.user == nil {
		return fail("NO_AUTH_FOUND", "Wrong authorization data")
	}
	return nil
}

func (p *Portal) user(id int) *User {
	for i := range p.o.Users {
		if p.o.Users[i].ID == id {
			return &p.o.Users[i]
		}
	}
	return nil
}

// run executes a method and makes its answer.
func (p *Portal) run(rq *rest, method string, args *object) fault.Answer {
	start := p.o.Clock()
	c := &call{p: p, rq: rq, method: method, args: args, now: start}
	result, e := c.do()
	if e != nil {
		return p.refuse(rq, method, args, e)
	}
	body := map[string]any{"result": result, "time": p.timing(method, start, p.o.Clock())}
	if c.total != nil {
		body["total"] = *c.total
	}
	if c.next != nil {
		body["next"] = *c.next
	}
	return answer(http.StatusOK, body)
}

// do checks what a call may do, and does it.
func (c *call) do() (any, *Error) {
	m, ok := methods[c.method]
	if !ok {
		return nil, fail("ERROR_METHOD_NOT_FOUND", "Method not found!")
	}
	if m.scope != "" && !slices.Contains(c.p.o.Scopes, m.scope) {
		return nil, fail("insufficient_scope", "The request requires higher privileges than provided by the access token")
	}
	if m.scope == "crm" && c.rq.user.Denied {
		if strings.HasPrefix(c.method, "crm.item.") {
			return nil, fail("ACCESS_DENIED", "Access denied.")
		}
		return nil, &Error{http.StatusBadRequest, "", "Access denied."}
	}
	if e := c.p.affordable(c.method, c.now); e != nil {
		return nil, e
	}
	c.p.spend(c.method, c.now)
	return m.run(c)
}

// refuse notes a refusal in the ledger and makes its answer.
func (p *Portal) refuse(rq *rest, method string, args *object, e *Error) fault.Answer {
	c := &call{p: p, rq: rq, method: method, args: args, now: p.o.Clock()}
	c.record(Event{Kind: "refuse", Code: e.Code, Status: e.Status, Origin: origin(args)})
	return answer(e.Status, map[string]any{"error": e.Code, "error_description": e.Description})
}

// origin is the caller's key in the fields that a call came with.
func origin(args *object) string {
	fields, _ := args.fold("fields").(*object)
	if o := text(fields.fold("originId")); o != "" {
		return o
	}
	return text(fields.fold("ORIGIN_ID"))
}

func answer(status int, body any) fault.Answer {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"ERROR_UNEXPECTED_ANSWER","error_description":""}`)
	}
	return fault.Answer{Status: status, ContentType: "application/json; charset=utf-8", Body: b}
}
