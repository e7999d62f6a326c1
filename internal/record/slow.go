package main

import (
	"io"
	"net/http"
	"time"
)

// slow lets a server take its time, as one that is not on loopback does: 20 MB/s each
// way, and a tenth of a second for an answer.
func slow(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		r.Body = slowBody{r.Body}
		h.ServeHTTP(slowWriter{w}, r)
	})
}

// pause waits for as long as a number of bytes takes at 20 MB/s.
func pause(bytes int) { time.Sleep(time.Duration(bytes) * time.Second / (20 << 20)) }

type slowBody struct{ io.ReadCloser }

func (s slowBody) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	pause(n)
	return n, err
}

type slowWriter struct{ http.ResponseWriter }

func (s slowWriter) Write(p []byte) (int, error) {
	pause(len(p))
	return s.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (s slowWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
