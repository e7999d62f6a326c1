package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
)

// kind of content, for images to have some of each.
type kind int

const (
	programs kind = iota // the Go tools
	sources              // the standard library and its test data
)

// corpus is the files of the Go installation, in the order of their paths.
type corpus [2][]file

type file struct {
	path string
	name string // below the Go installation
	size int64  // in bytes
}

func readCorpus() (c corpus, err error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return c, fmt.Errorf("go env GOROOT: %w", err)
	}
	root := string(bytes.TrimSpace(out))
	for kind, names := range [...][]string{programs: {"bin", "pkg/tool"}, sources: {"src"}} {
		for _, name := range names {
			if c[kind], err = appendFiles(c[kind], root, name); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

func appendFiles(files []file, root, name string) ([]file, error) {
	top, err := filepath.EvalSymlinks(filepath.Join(root, name)) // as Debian has them
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		if err == nil && info.Size() > 0 {
			files = append(files, file{path, name + "/" + filepath.ToSlash(rel), info.Size()})
		}
		return err
	})
	return files, err
}

// piece is the first size bytes of a file.
type piece struct {
	file
	round int // how often all files have been taken before
}

// take returns the first bytes of a kind, size of them: the last file may be
// cut, and after the last one of all comes the first again.
func (c corpus) take(k kind, size int64) (pieces []piece) {
	for i := 0; size > 0; i++ {
		p := piece{c[k][i%len(c[k])], i / len(c[k])}
		p.size = min(p.size, size)
		size -= p.size
		pieces = append(pieces, p)
	}
	return pieces
}
