//go:build !linux

package integration

import "os"

// maxRSS is for Linux only: elsewhere the unit is another one, or there is nothing.
func maxRSS(*os.ProcessState) int64 { panic("a script has to ask for [linux]") }
