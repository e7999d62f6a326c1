// Bench measures what img2lambda costs next to what one would do without it,
// and prints a table. It is what `make bench` runs, from the top of the
// repository, once the program is built.
//
// The images are made on the spot, of files that every Go machine has: the
// table depends on the machine and the version of Go, on nothing else. Runs to
// be compared take turns, after one each that is not counted, and the figures
// are medians. Docker engines are the one that the docker CLI finds, and those
// whose addresses are in IMG2LAMBDA_TEST_ENGINES.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
)

func main() {
	n := flag.Int("n", 5, "count `runs` of each command")
	only := flag.String("run", "", "measure only the points that match this `regexp`")
	before := flag.String("before", "", "another build of the program, at `path`, to compare with")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(&bench{ctx: ctx, runs: max(*n, 1), before: *before}, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// points are what is measured, by name.
var points = []struct {
	name    string
	measure func(*bench) ([]row, error)
}{
	{"engine", fromEngine},
	{"cpu", cpu},
	{"archive", fromArchive},
	{"bigfile", bigFile},
	{"size", zipSize},
	{"memory", memory},
	{"files", manyFiles},
	{"startup", startup},
	{"growth", growth},
	{"publish", publishing},
	{"regions", regions},
}

// bench is what the points share.
type bench struct {
	ctx     context.Context
	runs    int
	program string // its path
	before  string // the path of another build of it, or empty
	dir     string // for all files
	corpus  corpus
	typical func() (*image, error) // makes its image once
}

// run measures the points whose names match only, and prints their rows as
// they come.
func run(b *bench, only string) error {
	match, err := regexp.Compile("^(" + only + ")$")
	if err != nil {
		return err
	}
	if b.program, err = filepath.Abs("bin/local/img2lambda"); err != nil {
		return err
	}
	if _, err := os.Stat(b.program); err != nil {
		return fmt.Errorf("%w: run make first", err)
	}
	if b.corpus, err = readCorpus(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "img2lambda-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.shareTypical()

	fmt.Printf("%s, %s/%s, %d cores, medians of %d runs\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), b.runs)
	printRow("", row{"what", "img2lambda", "against", "ratio", "goal"})
	printRow("---", row{"---", "---", "---", "---", "---"})
	for _, p := range points {
		if only != "" && !match.MatchString(p.name) {
			continue
		}
		rows, err := p.measure(b)
		if err != nil {
			return fmt.Errorf("point %s: %w", p.name, err)
		}
		for _, r := range rows {
			printRow(p.name, r)
		}
	}
	return nil
}

// row is a line of the table. ratio is of the two figures before it.
type row struct{ what, program, against, ratio, goal string }

// printRow prints a row of a Markdown table that is good to read as it is.
func printRow(point string, r row) {
	fmt.Printf("| %-7s | %-62s | %10s | %10s | %8s | %-9s |\n", point, r.what, r.program, r.against, r.ratio, r.goal)
}

// skipped is the row of what cannot be measured here.
func skipped(why string) []row { return []row{{what: "skipped: " + why}} }
