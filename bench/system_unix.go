//go:build unix

package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
)

// maxRSS returns the most memory that an ended process had at once, in bytes.
// On Linux that is at least the most that this program had when it started the
// process.
func maxRSS(s *os.ProcessState) int64 {
	n := int64(s.SysUsage().(*syscall.Rusage).Maxrss)
	if runtime.GOOS == "darwin" {
		return n
	}
	return n << 10
}

// startSmall makes this program small and Linux forget that it was larger
// (proc(5), /proc/pid/clear_refs), for maxRSS of a process started now.
func startSmall() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // other systems need it not
}

// settleDisk waits until what others have written is on the disk.
func settleDisk() { syscall.Sync() }
