// Package runtimeapi is Lambda's side of the Lambda runtime API on loopback, so
// that tests can put a custom runtime through its paces without Lambda.
//
// It holds a runtime to the protocol more strictly than Lambda does: whatever a
// runtime asks for that it must not is refused and kept for [Server.Err].
package runtimeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"
)

// MaxAnswer is how many bytes an answer may have, 6 MB and some room for headers:
// the figure in the error that Lambda returns for a larger one.
const MaxAnswer = 6291556

// FunctionARN is the function that every event is for.
const FunctionARN = "arn:aws:lambda:us-east-1:123456789012:function:test"

// Event is what a function is invoked with.
type Event struct {
	Payload  string    // JSON
	TraceID  string    // X-Ray's tracing header, left out if empty
	Deadline time.Time // when the function times out, a minute from now if zero
}

// Outcome is what became of an invocation, or of the start of a runtime.
type Outcome struct {
	RequestID string      // empty for the start
	Answer    string      // what the function returned, as JSON
	Error     *Error      // what was reported instead
	Header    http.Header // of the report
}

// Error is a runtime's report of a failure.
type Error struct {
	Type       string   `json:"errorType"`
	Message    string   `json:"errorMessage"`
	StackTrace []string `json:"stackTrace"`
}

type invocation struct {
	id    string
	event Event
	done  chan Outcome
}

// Server is a runtime API for one runtime, which need not be there yet.
type Server struct {
	http       *httptest.Server
	events     chan *invocation
	initErrors chan Outcome

	mu      sync.Mutex
	count   int                    // of invocations
	pending map[string]*invocation // handed out and not answered
	idle    bool                   // the runtime waits for an event
	changed chan struct{}          // closed, and replaced, when idle changes
	errs    []error
}

// NewServer starts a server on a free port of 127.0.0.1.
func NewServer() *Server {
	s := &Server{
		events:     make(chan *invocation),
		initErrors: make(chan Outcome, 1),
		pending:    make(map[string]*invocation),
		changed:    make(chan struct{}),
	}
	const prefix = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prefix+"invocation/next", s.next)
	mux.HandleFunc("POST "+prefix+"invocation/{id}/response", s.response)
	mux.HandleFunc("POST "+prefix+"invocation/{id}/error", s.error)
	mux.HandleFunc("POST "+prefix+"init/error", s.initError)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, http.StatusNotFound, "InvalidRequest", r.Method+" "+r.URL.Path+" is not of the API")
	})
	s.http = httptest.NewServer(mux)
	return s
}

// Addr returns the HOST:PORT for the runtime's AWS_LAMBDA_RUNTIME_API.
func (s *Server) Addr() string { return s.http.Listener.Addr().String() }

// Close ends the API: a runtime that waits for an event loses its connection.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Invoke hands the runtime an event and returns what becomes of it.
// The error is that of ctx.
func (s *Server) Invoke(ctx context.Context, event Event) (Outcome, error) {
	if event.Deadline.IsZero() {
		event.Deadline = time.Now().Add(time.Minute)
	}
	s.mu.Lock()
	s.count++
	inv := &invocation{
		id:    fmt.Sprintf("00000000-0000-4000-8000-%012d", s.count),
		event: event,
		done:  make(chan Outcome, 1),
	}
	s.mu.Unlock()

	select {
	case s.events <- inv:
	case <-ctx.Done():
		return Outcome{}, fmt.Errorf("the runtime took no event: %w", context.Cause(ctx))
	}
	select {
	case outcome := <-inv.done:
		return outcome, nil
	case <-ctx.Done():
		return Outcome{}, fmt.Errorf("the runtime answered nothing: %w", context.Cause(ctx))
	}
}

// InitError waits for the runtime to report that it cannot start.
// The error is that of ctx.
func (s *Server) InitError(ctx context.Context) (Outcome, error) {
	select {
	case outcome := <-s.initErrors:
		return outcome, nil
	case <-ctx.Done():
		return Outcome{}, fmt.Errorf("the runtime reported no init error: %w", context.Cause(ctx))
	}
}

// WaitIdle waits until the runtime waits for an event. The error is that of ctx.
func (s *Server) WaitIdle(ctx context.Context) error {
	for {
		s.mu.Lock()
		idle, changed := s.idle, s.changed
		s.mu.Unlock()
		if idle {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the runtime asked for no event: %w", context.Cause(ctx))
		}
	}
}

// Err returns how the runtime broke the protocol so far, or nil.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.errs...)
}

func (s *Server) next(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	unanswered := len(s.pending)
	s.mu.Unlock()
	if unanswered > 0 {
		s.refuse(w, http.StatusForbidden, "InvalidStateTransition", "asked for an event with one unanswered")
		return
	}

	s.setIdle(true)
	var inv *invocation
	select {
	case inv = <-s.events:
	case <-r.Context().Done():
	}
	s.setIdle(false)
	if inv == nil {
		return
	}
	s.mu.Lock()
	s.pending[inv.id] = inv
	s.mu.Unlock()

	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.event.Deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", FunctionARN)
	if inv.event.TraceID != "" {
		h.Set("Lambda-Runtime-Trace-Id", inv.event.TraceID)
	}
	_, _ = io.WriteString(w, inv.event.Payload) // if it fails, Invoke's context says so
}

func (s *Server) setIdle(idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = idle
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) response(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the connection is gone, and nobody to tell
	}
	inv := s.take(w, r)
	if inv == nil {
		return
	}
	outcome := Outcome{RequestID: inv.id, Answer: string(body), Header: r.Header}
	if len(body) > MaxAnswer {
		message := fmt.Sprintf("the answer has %d bytes, more than %d", len(body), MaxAnswer)
		outcome.Answer = ""
		outcome.Error = &Error{Type: "Function.ResponseSizeTooLarge", Message: message}
		reply(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", message)
	} else {
		accept(w)
	}
	inv.done <- outcome
}

func (s *Server) error(w http.ResponseWriter, r *http.Request) {
	report, ok := s.readError(w, r)
	if !ok {
		return
	}
	if inv := s.take(w, r); inv != nil {
		accept(w)
		inv.done <- Outcome{RequestID: inv.id, Error: report, Header: r.Header}
	}
}

func (s *Server) initError(w http.ResponseWriter, r *http.Request) {
	report, ok := s.readError(w, r)
	if !ok {
		return
	}
	select {
	case s.initErrors <- Outcome{Error: report, Header: r.Header}:
		accept(w)
	default:
		s.refuse(w, http.StatusForbidden, "InvalidStateTransition", "a second init error")
	}
}

// readError reads an error report, and refuses one that lacks something.
func (s *Server) readError(w http.ResponseWriter, r *http.Request) (*Error, bool) {
	report := new(Error)
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(report)
	switch {
	case err != nil:
		s.refuse(w, http.StatusBadRequest, "InvalidErrorShape", err.Error())
	case report.Type == "" || report.StackTrace == nil:
		s.refuse(w, http.StatusBadRequest, "InvalidErrorShape", "no errorType or no stackTrace")
	case r.Header.Get("Lambda-Runtime-Function-Error-Type") == "":
		s.refuse(w, http.StatusBadRequest, "InvalidErrorShape", "no Lambda-Runtime-Function-Error-Type header")
	default:
		return report, true
	}
	return nil, false
}

// take returns the invocation that r is about, once, and refuses any other.
func (s *Server) take(w http.ResponseWriter, r *http.Request) *invocation {
	id := r.PathValue("id")
	s.mu.Lock()
	inv := s.pending[id]
	delete(s.pending, id)
	s.mu.Unlock()
	if inv == nil {
		s.refuse(w, http.StatusBadRequest, "InvalidRequestID", "no event with request ID "+id+" is unanswered")
	}
	return inv
}

// refuse answers with an error and remembers it.
func (s *Server) refuse(w http.ResponseWriter, status int, errorType, message string) {
	s.mu.Lock()
	s.errs = append(s.errs, errors.New(errorType+": "+message))
	s.mu.Unlock()
	reply(w, status, errorType, message)
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func reply(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"errorType": errorType, "errorMessage": message})
}
