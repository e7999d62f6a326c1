package fakelambda

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
)

// content names or holds a zip in a request.
type content struct {
	ZipFile                          []byte
	S3Bucket, S3Key, S3ObjectVersion string
}

// unzip returns the zip of a content whose files together have fewer bytes
// than limit. Every entry is unpacked, so that its CRC-32 and size hold: once, as
// the same zip goes to many regions.
func (a *API) unzip(r request, c content, limit int64) ([]byte, *apiError) {
	data := c.ZipFile
	switch {
	case c.S3Bucket != "" && c.ZipFile != nil:
		return nil, invalidParameter("Please do not provide other FunctionCode parameters when providing a ZipFile.")
	case c.S3Bucket != "":
		var failure *apiError
		if data, failure = a.object(r, c); failure != nil {
			return nil, failure
		}
	case c.ZipFile == nil:
		return nil, invalidParameter("Please provide a source for function code.")
	}
	if len(data) == 0 {
		return nil, invalidParameter("Uploaded file must be a non-empty zip")
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, errUnzip()
	}
	if len(archive.File) == 0 {
		return nil, invalidParameter("Uploaded file must be a non-empty zip")
	}
	// Before anything is unpacked: it may be a bomb.
	if unzippedSize(archive) >= limit {
		return nil, invalidParameter(fmt.Sprintf("Unzipped size must be smaller than %d bytes", limit))
	}
	check, _ := a.checked.LoadOrStore(sha256.Sum256(data), sync.OnceValue(func() *apiError {
		for _, file := range archive.File {
			if failure := checkEntry(file); failure != nil {
				return failure
			}
		}
		return nil
	}))
	return data, check.(func() *apiError)()
}

// checkEntry unpacks an entry, which must stay below the directory that it is
// unpacked in and be readable by other users: functions run as one of those.
func checkEntry(file *zip.File) *apiError {
	if !filepath.IsLocal(file.Name) {
		return errUnzip()
	}
	mode := file.Mode()
	var missing fs.FileMode
	switch mode.Type() {
	case 0:
		missing = 0o004 &^ mode.Perm()
	case fs.ModeDir:
		missing = 0o005 &^ mode.Perm()
	}
	if missing != 0 {
		return invalidParameter(fmt.Sprintf("Other users cannot read %q: its permissions are %s", file.Name, mode))
	}
	contents, err := file.Open()
	if err != nil {
		return errUnzip()
	}
	defer contents.Close()
	if _, err := io.Copy(io.Discard, contents); err != nil {
		return errUnzip()
	}
	return nil
}

// unzippedSize sums up the sizes that the entries claim to have, in bytes.
func unzippedSize(archive *zip.Reader) int64 {
	var size uint64
	for _, file := range archive.File {
		// Each at most one over the limit, so that the sum cannot overflow.
		size += min(file.UncompressedSize64, maxUnzippedSize+1)
	}
	return int64(size)
}

// errUnzip is the error of a file that is not a sound zip.
func errUnzip() *apiError {
	return invalidParameter("Could not unzip uploaded file. Please check your file, then try to upload again.")
}
