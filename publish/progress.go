package publish

import "time"

// Target is a layer in a region.
type Target struct {
	Region string
	Layer  string // its name
	File   string // its zip's name
}

// Progress is told what [Publisher.Publish] does. Its methods are called by
// several goroutines at once, and hold up the work while they run.
type Progress interface {
	// LookUp tells that a region is asked whether it has a layer.
	LookUp(Target)
	// Upload tells that the upload of a zip of size bytes begins, to Lambda or to
	// S3, and is not waiting any more for others to end.
	Upload(t Target, size int64) Upload
	// Retry tells that a call has failed, why, in one line for people, and after
	// which time it is made again. t is where it was made.
	Retry(t Target, why string, wait time.Duration)
	// Warn tells of what people should know, in one line.
	Warn(t Target, message string)
}

// Upload is told of an upload. Its methods are called by one goroutine at a time.
type Upload interface {
	// Sent tells how many bytes of the zip have been sent. It is less than
	// before when an attempt has failed and the next one begins.
	Sent(n int64)
	// Done ends the upload: the layer is published, or there is an error, which
	// is in the results as well.
	Done(err error)
}
