package publish

import "time"

// Target is a layer in a region.
type Target struct {
	Region string
	Layer  string // its name
	File   string // its zip's name
}

// Progress hears what [Publisher.Publish] does. Its methods are called by several
// goroutines at once, and the work waits for them to return.
type Progress interface {
	// LookUp is called when a region is asked whether it has a layer.
	LookUp(Target)
	// Upload is called when the upload of a zip of size bytes begins, to Lambda or
	// to S3. It has then waited for its turn.
	Upload(t Target, size int64) Upload
	// Retry is called when a call for t has failed and will be made again after
	// wait. why is one line for people.
	Retry(t Target, why string, wait time.Duration)
	// Warn is called with one line that people should read.
	Warn(t Target, message string)
}

// Upload hears how an upload goes on. Its methods are called one at a time.
type Upload interface {
	// Sent is called with the number of bytes of the zip that have been sent. The
	// number falls back to 0 when another attempt begins.
	Sent(n int64)
	// Done is called at the end. If err is nil, the layer is published; otherwise
	// err is in the results as well.
	Done(err error)
}
