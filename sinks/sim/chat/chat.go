// Package chat is a simulated server of a language model with the interface that OpenAI has made usual: chat completions.
// It checks each request against the schema that is published for it, answers what a script says, keeps what it was asked,
// and on request misbehaves as package fault describes, or as older and other servers do.
//
// It leaves out streaming, tools, images, audio, and any understanding.
package chat

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"leadstream/sinks/sim/fault"
)

// Fault is one way for the server to misbehave; its Method is chat: and the last word of the conversation.
type Fault = fault.Fault

// Message is one of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Request is what was asked.
type Request struct {
	Model       string    `json:"model"`
	Messages    []Message `json:"-"`
	Format      string    `json:"-"` // of response_format; empty: none
	MaxTokens   int       `json:"-"` // by either name
	Temperature *float64  `json:"temperature"`
	Raw         []byte    `json:"-"` // the body as it came
	Header      http.Header
}

// User is the last message.
func (r Request) User() string { return r.Messages[len(r.Messages)-1].Content }

// Reply is what the model says.
type Reply struct {
	Content string // empty with a Refusal: null
	Refusal string
	Finish  string // stop when empty
	None    bool   // choices: []
	NoUsage bool   // like servers that count nothing
}

// Options are a server's settings.
type Options struct {
	Addr   string // 127.0.0.1:0 when empty
	Key    string // that callers must show as a bearer token; empty: any
	Models []string
	Answer func(Request) Reply // nil: a fixed one

	Formats       []string // of response_format that it knows; nil: text, json_object and json_schema
	OldLimit      bool     // knows max_tokens only, as older servers
	NewLimit      bool     // knows max_completion_tokens only, as newer models
	NoTemperature bool     // refuses any temperature but the usual, as models that reason
	Wordless      bool     // its refusals of the above do not say what they refuse
}

// Server is a simulated model server. It is an http.Handler; Start gives it an address of its own.
type Server struct {
	o      Options
	faults fault.Set
	schema *jsonschema.Schema

	server   *http.Server
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	asked    []Request
	requests int
	breaches []string
	now, top int
}

//go:embed request.json
var published []byte

// New makes a server. It does no I/O.
func New(o Options) *Server {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Answer == nil {
		o.Answer = func(Request) Reply { return Reply{Content: "Hello!"} }
	}
	if o.Models == nil {
		o.Models = []string{"sim-1"}
	}
	schema, err := compile("request.json", published)
	if err != nil {
		panic(err) // it is ours
	}
	return &Server{o: o, schema: schema}
}

func compile(name string, text []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// Start opens the address and serves until Close.
func (s *Server) Start() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", s.o.Addr)
	if err != nil {
		return fmt.Errorf("simulated model server: %w", err)
	}
	s.listener = l
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.serving.Go(func() { _ = s.server.Serve(l) })
	return nil
}

// Close ends the calls in flight.
func (s *Server) Close() error {
	s.faults.Close()
	if s.server != nil {
		_ = s.server.Close() // its error is the listener's, closed here on purpose
		s.serving.Wait()
	}
	return nil
}

// URL is the base that clients are given. Start comes first.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + "/v1" }

// Inject adds a fault; Clear removes all.
func (s *Server) Inject(f Fault) { s.faults.Inject(f) }

// Clear removes all faults.
func (s *Server) Clear() { s.faults.Clear() }

// Asked is what was executed, oldest first.
func (s *Server) Asked() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Requests is how many requests have come in, executed or not.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Most is how many requests there were at one time at most.
func (s *Server) Most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.top
}

// Breaches are the requests that the published schema does not allow, and why.
func (s *Server) Breaches() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.breaches)
}

const maxBody = 1 << 20

// ServeHTTP answers chat completions and the list of models.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.requests++
	s.now++
	s.top = max(s.top, s.now)
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.now--; s.mu.Unlock() }()
	s.faults.Serve(w, r, fault.Exchange{
		Method: "chat:" + lastWord(body),
		Run:    func() fault.Answer { return s.run(r, body) },
		Refuse: refuse,
	})
}

// lastWord is what the last message ends with, so that a fault can be for one conversation among others.
func lastWord(body []byte) string {
	var q struct {
		Messages []struct {
			Content json.RawMessage `json:"content"`
		} `json:"messages"`
	}
	var text string
	if json.Unmarshal(body, &q) != nil || len(q.Messages) == 0 || json.Unmarshal(q.Messages[len(q.Messages)-1].Content, &text) != nil {
		return ""
	}
	return text[strings.LastIndexAny(text, " \n")+1:]
}

// refuse is the error of a fault in the service's own shape.
func refuse(f Fault) fault.Answer {
	if f.Code == "" && f.Description == "" {
		return fault.FrontPage(max(f.Status, http.StatusInternalServerError))
	}
	return failure(max(f.Status, http.StatusBadRequest), f.Code, "", f.Description)
}

func failure(status int, code, param, message string) fault.Answer {
	e := map[string]any{"message": message, "type": "invalid_request_error", "param": nil, "code": nil}
	switch {
	case status == http.StatusTooManyRequests:
		e["type"] = "requests"
	case status >= 500:
		e["type"] = "server_error"
	}
	if code != "" {
		e["code"] = code
	}
	if param != "" {
		e["param"] = param
	}
	return answer(status, map[string]any{"error": e})
}

func answer(status int, v any) fault.Answer {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return fault.Answer{Status: status, ContentType: "application/json", Header: map[string]string{"x-request-id": "req_sim"}, Body: b}
}

func (s *Server) run(r *http.Request, body []byte) fault.Answer {
	if s.o.Key != "" && r.Header.Get("Authorization") != "Bearer "+s.o.Key {
		return failure(http.StatusUnauthorized, "invalid_api_key", "", "Incorrect API key provided: "+r.Header.Get("Authorization"))
	}
	switch {
	case r.URL.Path == "/v1/models" && r.Method == http.MethodGet:
		var list []map[string]any
		for _, m := range s.o.Models {
			list = append(list, map[string]any{"id": m, "object": "model", "created": 1700000000, "owned_by": "sim"})
		}
		return answer(http.StatusOK, map[string]any{"object": "list", "data": list})
	case r.URL.Path != "/v1/chat/completions":
		return failure(http.StatusNotFound, "", "", "Invalid URL ("+r.Method+" "+r.URL.Path+")")
	case r.Method != http.MethodPost:
		return failure(http.StatusMethodNotAllowed, "", "", "Not allowed to "+r.Method+" on "+r.URL.Path)
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return failure(http.StatusBadRequest, "", "", "you must provide a JSON body")
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return failure(http.StatusBadRequest, "", "", "We could not parse the JSON body of your request.")
	}
	if err := s.schema.Validate(doc); err != nil {
		s.breach(err)
		return failure(http.StatusBadRequest, "invalid_value", "", err.Error())
	}
	q, schema := read(r, body)
	if schema != nil {
		if unfit := unlisted(schema); unfit != "" {
			s.breach(fmt.Errorf("response_format: %s", unfit))
			return failure(http.StatusBadRequest, "invalid_json_schema", "response_format", "Invalid schema for response_format: "+unfit)
		}
	}
	if a, no := s.unknown(q, doc.(map[string]any)); no {
		return a
	}
	s.mu.Lock()
	s.asked = append(s.asked, q)
	s.mu.Unlock()
	return s.complete(q, s.o.Answer(q))
}

func (s *Server) breach(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaches = append(s.breaches, err.Error())
}

// read takes a request apart that the schema allows.
func read(r *http.Request, body []byte) (q Request, schema map[string]any) {
	var in struct {
		Request
		Messages []struct {
			Role    string
			Content any
		} `json:"messages"`
		Old    int `json:"max_tokens"`
		New    int `json:"max_completion_tokens"`
		Format struct {
			Type   string `json:"type"`
			Schema struct {
				Schema map[string]any `json:"schema"`
			} `json:"json_schema"`
		} `json:"response_format"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		panic(err) // the schema allows no such thing
	}
	q = in.Request
	q.Raw, q.Header, q.Format, q.MaxTokens = body, r.Header, in.Format.Type, max(in.Old, in.New)
	for _, m := range in.Messages {
		text, ok := m.Content.(string)
		if parts, several := m.Content.([]any); !ok && several {
			for _, p := range parts {
				text += p.(map[string]any)["text"].(string)
			}
		}
		q.Messages = append(q.Messages, Message{m.Role, text})
	}
	return q, in.Format.Schema.Schema
}

// unlisted is what strict output asks beyond JSON schema: each property is required.
func unlisted(schema map[string]any) string {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for name, p := range properties {
		if !slices.Contains(required, any(name)) {
			return "'required' is required to be supplied and to be an array including every key in properties. Missing '" + name + "'."
		}
		if inner, ok := p.(map[string]any); ok {
			if unfit := unlisted(inner); unfit != "" {
				return unfit
			}
		}
	}
	return ""
}

// unknown refuses what this server does not know.
func (s *Server) unknown(q Request, doc map[string]any) (fault.Answer, bool) {
	no := func(param, message string) (fault.Answer, bool) {
		if s.o.Wordless {
			return failure(http.StatusBadRequest, "", "", "Bad request"), true
		}
		return failure(http.StatusBadRequest, "unsupported_parameter", param, message), true
	}
	has := func(param string) bool { _, ok := doc[param]; return ok }
	switch {
	case !slices.Contains(s.o.Models, q.Model):
		return failure(http.StatusNotFound, "model_not_found", "model", "The model '"+q.Model+"' does not exist or you do not have access to it."), true
	case q.Format != "" && s.o.Formats != nil && !slices.Contains(s.o.Formats, q.Format):
		return no("response_format", "Invalid parameter: 'response_format' of type '"+q.Format+"' is not supported with this model.")
	case s.o.OldLimit && has("max_completion_tokens"):
		return no("max_completion_tokens", "Unrecognized request argument supplied: max_completion_tokens")
	case s.o.NewLimit && has("max_tokens"):
		return no("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
	case s.o.NoTemperature && q.Temperature != nil && *q.Temperature != 1:
		return no("temperature", "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.")
	}
	return fault.Answer{}, false
}

func (s *Server) complete(q Request, r Reply) fault.Answer {
	out := len(r.Content) / 4
	choice := map[string]any{"index": 0, "finish_reason": "stop", "logprobs": nil,
		"message": map[string]any{"role": "assistant", "content": r.Content, "refusal": nil, "annotations": []any{}}}
	if r.Finish != "" {
		choice["finish_reason"] = r.Finish
	}
	if q.MaxTokens > 0 && out > q.MaxTokens {
		out = q.MaxTokens
		choice["finish_reason"] = "length"
		choice["message"].(map[string]any)["content"] = strings.ToValidUTF8(r.Content[:4*out], "")
	}
	if r.Refusal != "" {
		choice["message"] = map[string]any{"role": "assistant", "content": nil, "refusal": r.Refusal}
	}
	in := 0
	for _, m := range q.Messages {
		in += len(m.Content) / 4
	}
	c := map[string]any{"id": "chatcmpl-sim", "object": "chat.completion", "created": time.Now().Unix(), "model": q.Model, "choices": []any{choice},
		"usage": map[string]any{"prompt_tokens": in, "completion_tokens": out, "total_tokens": in + out}}
	if r.None {
		c["choices"] = []any{}
	}
	if r.NoUsage {
		delete(c, "usage")
	}
	return answer(http.StatusOK, c)
}
