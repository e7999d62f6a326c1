package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// shareTypical has the image of several points made once, by the first that
// needs it: 268 MB, of which 69 MB are below /opt in four layers, as of an
// operating system with a language runtime on it.
func (b *bench) shareTypical() {
	b.typical = sync.OnceValues(func() (*image, error) {
		return b.makeImage("typical",
			[]part{{path: "usr/lib", kind: programs, size: 100 * mega}, {path: "usr/share", kind: sources, size: 99 * mega}},
			[]part{{path: "opt/bin", kind: programs, size: 40 * mega}},
			[]part{{path: "opt/lib", kind: sources, size: 20 * mega}},
			[]part{{path: "opt/share", kind: sources, size: 8 * mega}},
			[]part{{path: "opt/etc", kind: sources, size: 1 * mega}},
		)
	})
}

// output is the program's output directory. So that all it writes is known, it
// is the one for temporary files as well.
func (b *bench) output() string { return filepath.Join(b.dir, "output") }

// dryRun returns a dry run of the program, with additional environment
// variables.
func (b *bench) dryRun(image string, env ...string) func() (usage, error) {
	return func() (usage, error) {
		return b.convert(b.program, env, "--image", image, "--dry-run")
	}
}

// convert runs a build of the program, without what a run before has left.
func (b *bench) convert(program string, env []string, args ...string) (usage, error) {
	if err := os.RemoveAll(b.output()); err != nil {
		return usage{}, err
	}
	if err := os.Mkdir(b.output(), 0o755); err != nil {
		return usage{}, err
	}
	c := exec.CommandContext(b.ctx, program, append(args, "--output-directory", b.output())...)
	c.Env = []string{"TMPDIR=" + b.output()}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "GOMAXPROCS=") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, env...)
	return measure(c)
}

// fromOCIArchive is what the program is to call an image's archive.
func (i *image) fromOCIArchive() string { return "oci-archive:" + i.archive }
