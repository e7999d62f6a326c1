// Package testrun says how tests are run: how many cases, which random ones, how
// to repeat them, and where their files are.
package testrun

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// Long makes tests with many cases go through all of them, where by default they
// take some at random (-seed).
var Long = os.Getenv("IMG2LAMBDA_TEST_LONG") != ""

// Seed is what random tests choose by.
var Seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "what random tests choose by")

// Random is the source of a test's choices, and of no other test's: they may be
// parallel.
func Random(t testing.TB) *rand.Rand {
	t.Helper()
	SayHowToRepeat(t, fmt.Sprint("-seed ", *Seed))
	name := fnv.New64a()
	name.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(*Seed, name.Sum64()))
}

// SayHowToRepeat makes a test that fails say the command that runs it alone, with
// the same choices.
func SayHowToRepeat(t testing.TB, flags string) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		long := ""
		if Long {
			long = "IMG2LAMBDA_TEST_LONG=1 "
		}
		name := strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^")
		info, _ := debug.ReadBuildInfo()
		t.Logf("to repeat it: %sgo test %s -run '^%s$' %s", long, strings.TrimSuffix(info.Path, ".test"), name, flags)
	})
}

// Alone says that a test changes what others rely on, or looks at all of the
// memory. It panics in a parallel one, as t.Setenv does.
func Alone(t testing.TB) {
	t.Helper()
	t.Setenv("IMG2LAMBDA_TEST_ALONE", "1")
}

// Points is how many random places a fault is put to, for each kind of fault.
func Points() int {
	if Long {
		return 5000
	}
	return 20
}

// MemoryDir returns a new directory, in memory where that can be had: making
// and removing small files is most of what a small image costs.
func MemoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "img2lambda-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// CheckEmpty fails if there is anything in dir.
func CheckEmpty(t testing.TB, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Errorf("%s was left behind", f.Name())
	}
}

// Patience is how long to wait for what takes no more than a moment, however slow
// the machine is: what is not there by then hangs.
const Patience = 5 * time.Minute

// Deadline is a context for what takes no more than a moment.
func Deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Soon fails if f, which takes no more than a moment, hangs.
func Soon(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(Patience):
		t.Fatal("it goes on and on")
	}
}
