package runtimeapi

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// runtime is the other side of the API, by hand. The example's tests have a real
// one, which keeps to the protocol.
type runtime struct {
	t    *testing.T
	base string
}

func (r runtime) get(path string) *http.Response { return r.do(http.MethodGet, path, "", "") }

func (r runtime) post(path, body, errorType string) int {
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

// TestProtocol goes through what a runtime must not do.
func TestProtocol(t *testing.T) {
	t.Parallel()
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
			t.Parallel()
			s := NewServer()
			t.Cleanup(s.Close)
			r := runtime{t, "http://" + s.Addr() + "/2018-06-01/runtime/"}
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
