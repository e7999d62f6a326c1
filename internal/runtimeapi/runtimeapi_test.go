package runtimeapi

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// runtime is the other side of the API, by hand.
type runtime struct {
	t    *testing.T
	base string
}

func start(t *testing.T) (*Server, runtime) {
	s := NewServer()
	t.Cleanup(s.Close)
	return s, runtime{t, "http://" + s.Addr() + "/2018-06-01/runtime/"}
}

func (r runtime) get(path string) *http.Response {
	r.t.Helper()
	return r.do(http.MethodGet, path, "", "")
}

func (r runtime) post(path, body, errorType string) int {
	r.t.Helper()
	return r.do(http.MethodPost, path, body, errorType).StatusCode
}

func (r runtime) do(method, path, body, errorType string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if errorType != "" {
		req.Header.Set("Lambda-Runtime-Function-Error-Type", errorType)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// invoke queues an event and returns where its outcome will be.
func invoke(t *testing.T, s *Server, event Event) <-chan Outcome {
	done := make(chan Outcome, 1)
	go func() {
		outcome, err := s.Invoke(t.Context(), event)
		if err != nil {
			t.Error(err)
		}
		done <- outcome
	}()
	return done
}

func TestInvocation(t *testing.T) {
	s, r := start(t)
	deadline := time.UnixMilli(1700000000123)
	done := invoke(t, s, Event{Payload: `{"n":1}`, TraceID: "Root=1-2-3", Deadline: deadline})

	res := r.get("invocation/next")
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != `{"n":1}` || res.StatusCode != http.StatusOK {
		t.Errorf("next: %d %q, %v", res.StatusCode, body, err)
	}
	id := res.Header.Get("Lambda-Runtime-Aws-Request-Id")
	for name, want := range map[string]string{
		"Lambda-Runtime-Deadline-Ms":          "1700000000123",
		"Lambda-Runtime-Trace-Id":             "Root=1-2-3",
		"Lambda-Runtime-Invoked-Function-Arn": FunctionARN,
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if status := r.post("invocation/"+id+"/response", `"one"`, ""); status != http.StatusAccepted {
		t.Errorf("response: %d", status)
	}
	if got := <-done; got.Answer != `"one"` || got.Error != nil || got.RequestID != id {
		t.Errorf("outcome %+v", got)
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	const report = `{"errorType":"E","errorMessage":"m","stackTrace":["s"]}`
	s, r := start(t)
	done := invoke(t, s, Event{Payload: `{}`})
	id := r.get("invocation/next").Header.Get("Lambda-Runtime-Aws-Request-Id")
	if status := r.post("invocation/"+id+"/error", report, "E"); status != http.StatusAccepted {
		t.Errorf("error: %d", status)
	}
	if got := <-done; got.Error == nil || got.Error.Type != "E" || got.Error.Message != "m" || got.Error.StackTrace[0] != "s" {
		t.Errorf("outcome %+v", got)
	}
	if status := r.post("init/error", report, "E"); status != http.StatusAccepted {
		t.Errorf("init error: %d", status)
	}
	if got, err := s.InitError(t.Context()); err != nil || got.Error.Type != "E" {
		t.Errorf("init error %+v, %v", got, err)
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

func TestAnswerTooLarge(t *testing.T) {
	s, r := start(t)
	done := invoke(t, s, Event{Payload: `{}`})
	id := r.get("invocation/next").Header.Get("Lambda-Runtime-Aws-Request-Id")
	status := r.post("invocation/"+id+"/response", strings.Repeat("x", MaxAnswer+1), "")
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("response: %d", status)
	}
	if got := <-done; got.Error == nil || got.Error.Type != "Function.ResponseSizeTooLarge" {
		t.Errorf("outcome %+v", got)
	}
	if err := s.Err(); err != nil {
		t.Errorf("an answer's size is the function's business, but: %v", err)
	}
}

// TestProtocol goes through what a runtime must not do.
func TestProtocol(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(r runtime, id string) int
		want int
	}{
		"unknown path":   {func(r runtime, _ string) int { return r.post("extension/register", "", "") }, 404},
		"wrong method":   {func(r runtime, _ string) int { return r.post("invocation/next", "", "") }, 404},
		"other event":    {func(r runtime, _ string) int { return r.post("invocation/x/response", "1", "") }, 400},
		"next, too soon": {func(r runtime, _ string) int { return r.get("invocation/next").StatusCode }, 403},
		"twice": {func(r runtime, id string) int {
			r.post("invocation/"+id+"/response", "1", "")
			return r.post("invocation/"+id+"/response", "1", "")
		}, 400},
		"no error type": {func(r runtime, id string) int {
			return r.post("invocation/"+id+"/error", `{"errorMessage":"m","stackTrace":[]}`, "E")
		}, 400},
		"no error header": {func(r runtime, id string) int {
			return r.post("invocation/"+id+"/error", `{"errorType":"E","stackTrace":[]}`, "")
		}, 400},
		"not JSON": {func(r runtime, _ string) int { return r.post("init/error", "oops", "E") }, 400},
	} {
		t.Run(name, func(t *testing.T) {
			s, r := start(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { _, _ = s.Invoke(ctx, Event{Payload: `{}`}) }()
			id := r.get("invocation/next").Header.Get("Lambda-Runtime-Aws-Request-Id")
			if got := tt.do(r, id); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
			if s.Err() == nil {
				t.Error("Err does not tell")
			}
		})
	}
}

func TestWaitIdle(t *testing.T) {
	s, r := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.WaitIdle(ctx); err == nil {
		t.Error("idle before a runtime came")
	}
	go func() {
		if res, err := http.Get(r.base + "invocation/next"); err == nil {
			_ = res.Body.Close()
		}
	}()
	if err := s.WaitIdle(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Invoke(ctx, Event{Payload: `{}`}); err == nil {
		t.Error("an invocation outlived its context")
	}
}
