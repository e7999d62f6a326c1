package fakelambda

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"
)

// A Rule does something to the calls that it matches.
type Rule struct {
	Operation Operation // empty: any
	Region    string    // empty: any
	Layer     string    // the layer's name; empty: any
	Skip      int       // so many matching calls pass first
	Times     int       // then so many are hit; 0: all
	Do        Action
}

// An Action is done to a call: it answers itself, or lets next do so, which
// checks the request and performs the operation. It can also do something
// before and after, or answer by panicking with [http.ErrAbortHandler], which
// closes the connection.
type Action func(next http.Handler) http.Handler

// On adds a rule. Where several rules match a call, all are done, the first
// added being the outermost.
func (a *API) On(rule Rule) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rules = append(a.rules, &activeRule{Rule: rule})
}

// ClearRules removes all rules.
func (a *API) ClearRules() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rules = nil
}

// An activeRule counts the calls that its rule matched.
type activeRule struct {
	Rule
	seen int
}

// applies counts a call if the rule matches it, and tells whether to hit it.
func (r *activeRule) applies(op Operation, region, layer string) bool {
	if r.Operation != "" && r.Operation != op || r.Region != "" && r.Region != region || r.Layer != "" && r.Layer != layer {
		return false
	}
	r.seen++
	return r.seen > r.Skip && (r.Times == 0 || r.seen <= r.Skip+r.Times)
}

// Throttle answers with TooManyRequestsException, to be tried again after so
// many seconds.
func Throttle(retryAfter int) Action {
	return fail(apiError{
		status: http.StatusTooManyRequests, code: "TooManyRequestsException",
		message: "Rate exceeded", reason: "CallerRateLimitExceeded",
		header: http.Header{"Retry-After": {strconv.Itoa(retryAfter)}},
	})
}

// Fail answers with an error of the service, say 500 and "ServiceException"
// or 400 and "InvalidParameterValueException".
func Fail(status int, code, message string) Action {
	return fail(apiError{status: status, code: code, message: message})
}

func fail(e apiError) Action {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { writeError(w, r, e) })
	}
}

// Answer answers with a status and a body, which says that it is JSON.
func Answer(status int, body string) Action {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body) // the client may have left
		})
	}
}

// RedirectLoop redirects a call to itself.
func RedirectLoop() Action {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusTemporaryRedirect)
		})
	}
}

// CutRequest closes the connection after the first n bytes of the request's
// body, without performing the operation. With 0 it does so at once.
func CutRequest(n int64) Action {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, n)
			panic(http.ErrAbortHandler)
		})
	}
}

// CutAnswer performs the operation and closes the connection after the first
// n bytes of the answer, counted from its status line. With 0 the client does
// not learn that its request was accepted.
func CutAnswer(n int) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			var raw bytes.Buffer
			if err := answer.Result().Write(&raw); err != nil {
				panic(err) // in memory
			}
			connection, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err) // only with HTTP/2, which nobody serves here
			}
			defer connection.Close()
			_, _ = connection.Write(raw.Next(n)) // the client may have left
		})
	}
}

// Delay takes so much longer to answer. If the client leaves meanwhile, the
// operation is not performed.
func Delay(d time.Duration) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ready := make(chan struct{})
			defer time.AfterFunc(d, func() { close(ready) }).Stop()
			hold(r, ready)
			next.ServeHTTP(w, r)
		})
	}
}

// Before calls a function before the operation is performed, for instance one
// that deletes a layer version that the client has seen in a list.
func Before(f func()) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f()
			next.ServeHTTP(w, r)
		})
	}
}

// A Gate holds calls back until it is opened. Its Hold is an [Action].
type Gate struct {
	mu      sync.Mutex
	held    int
	changed chan struct{} // closed and replaced whenever held changes
	open    chan struct{}
	once    sync.Once
}

// NewGate returns a closed gate.
func NewGate() *Gate {
	return &Gate{changed: make(chan struct{}), open: make(chan struct{})}
}

// Hold lets a call go on once the gate is open. If the client leaves before,
// the operation is not performed.
func (g *Gate) Hold(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.held++
		close(g.changed)
		g.changed = make(chan struct{})
		g.mu.Unlock()
		hold(r, g.open)
		next.ServeHTTP(w, r)
	})
}

// Wait returns when n calls in all have come to the gate, or with the
// context's error.
func (g *Gate) Wait(ctx context.Context, n int) error {
	for {
		g.mu.Lock()
		held, changed := g.held, g.changed
		g.mu.Unlock()
		if held >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Open opens the gate for good.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }

// hold waits until it may go on, or aborts the handler if the client leaves.
// It takes in the request's body first, without which the server does not
// notice that.
func hold(r *http.Request, ready <-chan struct{}) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	select {
	case <-ready:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}
