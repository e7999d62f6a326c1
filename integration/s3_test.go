package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/testscript"
)

func (c *cloud) s3(ts *testscript.TestScript, args []string) {
	if len(args) > 0 {
		c.storage.mayNotList.Store(true)
	}
	fmt.Fprint(ts.Stdout(), c.storage.takeRequests())
}

// storage is S3 with the bucket "zips".
type storage struct {
	s3         http.Handler
	mayNotList atomic.Bool

	mu       sync.Mutex
	requests strings.Builder
}

func newStorage() *storage {
	backend := s3mem.New()
	if err := backend.CreateBucket("zips"); err != nil {
		panic(err) // in memory
	}
	return &storage{s3: gofakes3.New(backend).Server()}
}

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" { // Lambda's own request
		s.s3.ServeHTTP(w, r)
		return
	}
	answer := &recorded{ResponseWriter: w, status: http.StatusOK, hideMissing: s.mayNotList.Load()}
	s.s3.ServeHTTP(answer, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(&s.requests, r.Method, r.URL.Path, answer.status)
}

// takeRequests returns the requests since it was called last, a line each.
func (s *storage) takeRequests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.requests.Reset()
	return s.requests.String()
}

// recorded remembers the status of an answer.
type recorded struct {
	http.ResponseWriter
	status      int
	hideMissing bool // 403 instead of 404
}

func (r *recorded) WriteHeader(status int) {
	if status == http.StatusNotFound && r.hideMissing {
		status = http.StatusForbidden
	}
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}
