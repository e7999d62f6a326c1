package integration

import (
	"os"
	"syscall"
)

// maxRSS returns how much memory in bytes a process took at most.
func maxRSS(s *os.ProcessState) int64 { return s.SysUsage().(*syscall.Rusage).Maxrss << 10 }
