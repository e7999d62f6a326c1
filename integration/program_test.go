package integration

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// raceProgram is the path of img2lambda as a part of the test's program, so that it
// has the race detector if that has it.
var raceProgram string

// withProgram runs tests with img2lambda as its users have it, first in PATH: it
// starts several times as fast as with the race detector, and takes the memory that
// it takes. Tests of what happens at the same time ask for the other one, and with
// IMG2LAMBDA_TEST_LONG all do.
type withProgram struct{ *testing.M }

func (w withProgram) Run() int {
	// Unix sockets have room for paths of about 100 bytes.
	if runtime.GOOS != "windows" && len(os.TempDir()) > 30 {
		os.Setenv("TMPDIR", "/tmp")
	}
	if signal.Ignored(os.Interrupt) { // the programs heed it, whoever started the tests
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	// Many tests wait for a program that waits.
	if err := flag.Set("test.parallel", fmt.Sprint(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	var err error
	if raceProgram, err = exec.LookPath("img2lambda"); err != nil {
		panic(err) // testscript has put it there
	}
	if testrun.Long {
		return w.M.Run()
	}
	dir, err := os.MkdirTemp("", "img2lambda-program-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "img2lambda")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, "..").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	os.Setenv("PATH", prepend(dir, os.Getenv("PATH")))
	return w.M.Run()
}

// race is the command of that name.
func (*rig) race(ts *testscript.TestScript, args []string) {
	if len(args) > 0 {
		ts.Fatalf("usage: race")
	}
	ts.Setenv("PATH", prepend(filepath.Dir(raceProgram), ts.Getenv("PATH")))
}

// prepend puts a directory first in a PATH.
func prepend(dir, path string) string {
	return dir + string(os.PathListSeparator) + path
}
