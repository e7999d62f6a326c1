// Package fakelambda is a small AWS Lambda layer API on loopback, for tests
// and the demo. It keeps to the service's paths, status codes, headers, JSON
// shapes, limits and error messages, so that a client cannot tell it from the
// real one in what it covers: layer versions, who may use them, and what creates,
// updates and invokes a function. It has all regions at one URL: which one a request
// is for, its signature says. Everything is held in memory.
//
// It is stricter than the service in one point: a zip with an entry that
// other users cannot read is refused when it is uploaded. The service takes it,
// and the function fails when it runs.
//
// It imports nothing of the program that it tests: it is the second opinion.
package fakelambda

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
)

// AccountID is the AWS account that owns everything in an API.
const AccountID = "123456789012"

// An Operation is a Lambda API operation, by the name that IAM knows it by
// after "lambda:".
type Operation string

// The operations of an API.
const (
	ListLayerVersions           Operation = "ListLayerVersions"
	GetLayerVersion             Operation = "GetLayerVersion"
	PublishLayerVersion         Operation = "PublishLayerVersion"
	AddLayerVersionPermission   Operation = "AddLayerVersionPermission"
	GetLayerVersionPolicy       Operation = "GetLayerVersionPolicy"
	CreateFunction              Operation = "CreateFunction"
	GetFunction                 Operation = "GetFunction"
	GetFunctionConfiguration    Operation = "GetFunctionConfiguration"
	UpdateFunctionCode          Operation = "UpdateFunctionCode"
	UpdateFunctionConfiguration Operation = "UpdateFunctionConfiguration"
	InvokeFunction              Operation = "InvokeFunction"
)

// API is a Lambda API as an [http.Handler]. It is safe for concurrent use.
type API struct {
	mux    *http.ServeMux
	server *httptest.Server

	// Set by options, and read only afterwards.
	s3        http.Handler
	pageSize  int
	bandwidth int                 // 0: no limit
	old       map[string]bool     // regions without CompatibleArchitectures
	allowed   map[Operation]bool  // nil: all
	badKeys   map[string]apiError // by access key ID

	checked sync.Map // by the SHA-256 of a zip, a func() *apiError that checks its entries once

	mu        sync.Mutex
	layers    map[layerKey]*layer
	policies  map[string][]statement // by a layer version's ARN
	functions map[functionKey]function
	rules     []*activeRule
	calls     []*Call
	requests  int // all that ever came, for their IDs
	inFlight  int
	maxFlight int
}

// An Option changes what [New] makes.
type Option func(*API)

// Allow lets callers perform only these operations, like an IAM policy; the
// others are answered with AccessDeniedException. Without it all are allowed.
func Allow(operations ...Operation) Option {
	return func(a *API) {
		if a.allowed == nil {
			a.allowed = make(map[Operation]bool)
		}
		for _, op := range operations {
			a.allowed[op] = true
		}
	}
}

// ExpiredKey makes requests signed with this access key ID fail with
// ExpiredTokenException.
func ExpiredKey(accessKeyID string) Option {
	return func(a *API) { a.badKeys[accessKeyID] = errExpiredToken }
}

// InvalidKey makes requests signed with this access key ID fail with
// UnrecognizedClientException. All other keys are good.
func InvalidKey(accessKeyID string) Option {
	return func(a *API) { a.badKeys[accessKeyID] = errUnknownToken }
}

// PageSize lowers the number of versions in a page of ListLayerVersions from
// the service's 50, so that a test of paging needs few versions.
func PageSize(n int) Option {
	return func(a *API) { a.pageSize = min(n, maxPageSize) }
}

// Bandwidth limits each connection to so many bytes a second of requests.
func Bandwidth(bytes int) Option {
	return func(a *API) { a.bandwidth = bytes }
}

// WithoutArchitectures makes regions refuse CompatibleArchitectures, as some do.
func WithoutArchitectures(regions ...string) Option {
	return func(a *API) {
		for _, region := range regions {
			a.old[region] = true
		}
	}
}

// WithS3 puts an S3 service (path style) behind the same URL: requests for
// other than Lambda's paths go to it, and layers and functions whose content
// is named by bucket and key are read from it. It can be an in-memory server,
// a reverse proxy to an S3 endpoint, or any function that answers GET
// /BUCKET/KEY.
func WithS3(s3 http.Handler) Option {
	return func(a *API) { a.s3 = s3 }
}

// New returns an API without layers or functions.
func New(options ...Option) *API {
	a := &API{
		mux:       http.NewServeMux(),
		pageSize:  maxPageSize,
		badKeys:   make(map[string]apiError),
		old:       make(map[string]bool),
		layers:    make(map[layerKey]*layer),
		policies:  make(map[string][]statement),
		functions: make(map[functionKey]function),
	}
	for _, option := range options {
		option(a)
	}

	const layers, functions = "/2018-10-31/layers/{layer}/versions", "/2015-03-31/functions"
	a.handle("GET "+layers, ListLayerVersions, a.listLayerVersions)
	a.handle("POST "+layers, PublishLayerVersion, a.publishLayerVersion)
	a.handle("GET "+layers+"/{version}", GetLayerVersion, a.getLayerVersion)
	a.handle("POST "+layers+"/{version}/policy", AddLayerVersionPermission, a.addLayerVersionPermission)
	a.handle("GET "+layers+"/{version}/policy", GetLayerVersionPolicy, a.getLayerVersionPolicy)
	a.handle("POST "+functions, CreateFunction, a.createFunction)
	a.handle("GET "+functions+"/{function}", GetFunction, a.getFunction)
	a.handle("GET "+functions+"/{function}/configuration", GetFunctionConfiguration, a.getFunctionConfiguration)
	a.handle("PUT "+functions+"/{function}/code", UpdateFunctionCode, a.updateFunctionCode)
	a.handle("PUT "+functions+"/{function}/configuration", UpdateFunctionConfiguration, a.updateFunctionConfiguration)
	a.handle("POST "+functions+"/{function}/invocations", InvokeFunction, a.invokeFunction)
	a.mux.HandleFunc("GET "+contentPath+"{region}/{layer}/{version}", a.serveContent)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, r, errUnknownOperation)
	})
	return a
}

// Start serves the API on a free port of 127.0.0.1 and returns its URL, fit
// for AWS_ENDPOINT_URL. Close must be called afterwards.
func (a *API) Start() string {
	a.server = httptest.NewUnstartedServer(a)
	if a.bandwidth > 0 {
		a.server.Listener = slowListener{a.server.Listener, a.bandwidth}
	}
	a.server.Start()
	return a.server.URL
}

// Close stops what Start started. Requests under way are cut off, those that
// wait at a [Gate] among them.
func (a *API) Close() {
	a.server.CloseClientConnections()
	a.server.Close()
}

// ServeHTTP answers a request to Lambda or, with [WithS3], to S3.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	lambda := strings.HasPrefix(r.URL.Path, "/2018-10-31/") || strings.HasPrefix(r.URL.Path, "/2015-03-31/")
	if !lambda && a.s3 != nil {
		// Not through the mux, which would redirect a key with "//" in it.
		a.s3.ServeHTTP(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// A request is an authenticated one.
type request struct {
	*http.Request
	operation Operation
	region    string
}

// A handler performs an operation. The answer is a status with a value for
// the JSON body (nil: none), or an error.
type handler func(request) (status int, answer any, err *apiError)

// handle routes a pattern to an operation: the call is logged, goes through
// the rules that match it, must be signed, and then is performed.
func (a *API) handle(pattern string, op Operation, perform handler) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		region, unsigned := a.authenticate(r)
		_, layer := splitLayerName(r.PathValue("layer"), "")
		call, number, actions := a.begin(op, region, layer)
		status := &statusWriter{ResponseWriter: w}
		// Deferred, since an action may abort the handler by a panic.
		defer func() { a.end(call, status.status) }()
		w.Header().Set("X-Amzn-Requestid", fmt.Sprintf("00000000-0000-4000-8000-%012d", number))

		var next http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if unsigned != nil {
				writeError(w, r, *unsigned)
				return
			}
			status, value, failure := perform(request{r, op, region})
			if failure != nil {
				writeError(w, r, *failure)
				return
			}
			writeJSON(w, status, value)
		})
		for i := len(actions) - 1; i >= 0; i-- {
			next = actions[i](next)
		}
		next.ServeHTTP(status, r)
	})
}

// decode reads a request's JSON body of less than maxRequestSize into v.
func (r request) decode(v any) *apiError {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestSize))
	if err != nil {
		return invalidBody(err)
	}
	if len(body) >= maxRequestSize {
		return &apiError{
			status: http.StatusRequestEntityTooLarge,
			code:   "RequestEntityTooLargeException",
			message: fmt.Sprintf("Request must be smaller than %d bytes for the %s operation",
				maxRequestSize, r.operation),
		}
	}
	if err := json.Unmarshal(body, v); err != nil {
		return invalidBody(err)
	}
	return nil
}

// writeJSON answers with a status and, unless value is nil, a JSON body.
func writeJSON(w http.ResponseWriter, status int, value any) {
	if value == nil {
		w.WriteHeader(status)
		return
	}
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // all values are of this package's own types
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have left
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
