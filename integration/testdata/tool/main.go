// Command tool is what a Dockerfile's RUN runs in an image that has nothing
// else. Each argument is a change to the file system, in words:
//
//	mkdir PATH
//	write PATH TEXT
//	fill PATH BYTES
//	symlink TARGET PATH
//	link OLD NEW
//	mkfifo PATH
//	rm PATH
//	mv OLD NEW
//	chmod MODE PATH
//	touch SECONDS PATH
package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"log"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	syscall.Umask(0)
	for _, arg := range os.Args[1:] {
		if err := change(strings.Fields(arg)); err != nil {
			log.Fatalf("%s: %v", arg, err)
		}
	}
}

func change(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("too few words")
	}
	a, b := words[1], ""
	if len(words) > 2 {
		b = words[2]
	}
	switch words[0] {
	case "mkdir":
		return os.MkdirAll(a, 0o755)
	case "write":
		return os.WriteFile(a, []byte(b), 0o644)
	case "fill":
		n, err := strconv.Atoi(b)
		if err != nil {
			return err
		}
		pattern := []byte("the same again ")
		return os.WriteFile(a, bytes.Repeat(pattern, n/len(pattern)+1)[:n], 0o644)
	case "symlink":
		return os.Symlink(a, b)
	case "link":
		return os.Link(a, b)
	case "mkfifo":
		return syscall.Mkfifo(a, 0o644)
	case "rm":
		return os.RemoveAll(a)
	case "mv":
		return os.Rename(a, b)
	case "chmod":
		mode, err := strconv.ParseUint(a, 8, 32)
		if err != nil {
			return err
		}
		return syscall.Chmod(b, uint32(fs.FileMode(mode)))
	case "touch":
		seconds, err := strconv.ParseInt(a, 10, 64)
		if err != nil {
			return err
		}
		return os.Chtimes(b, time.Unix(seconds, 0), time.Unix(seconds, 0))
	}
	return fmt.Errorf("there is no such change")
}
