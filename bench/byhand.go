package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// unpack is a shell script that does by hand what the program does: it unpacks
// the layers $3… of the OCI archive $1 in directory $2, and zips its /opt.
const unpack = `set -e
archive=$1
cd "$2"
shift 2
for layer; do
	tar -xOf "$archive" "$layer" | gzip -dc | tar -xf -
done
cd opt
exec zip -qr -6 ../opt.zip .`

// noZip says why the script does not run; it is empty if it does.
func noZip() string {
	for _, name := range []string{"sh", "tar", "gzip", "zip"} {
		if _, err := exec.LookPath(name); err != nil {
			return "no " + name
		}
	}
	return ""
}

// byHand runs the script; opt.zip is then in the directory it returns.
func (b *bench) byHand(img *image) (dir string, u usage, err error) {
	dir = filepath.Join(b.dir, "by-hand")
	if err := os.RemoveAll(dir); err != nil {
		return dir, u, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return dir, u, err
	}
	args := []string{"-c", unpack, "sh", img.archive, dir}
	for _, l := range img.layers {
		args = append(args, blobPath(l))
	}
	u, err = measure(exec.CommandContext(b.ctx, "sh", args...))
	return dir, u, err
}

// fromArchive measures a dry run against a script.
func fromArchive(b *bench) ([]row, error) {
	if why := noZip(); why != "" {
		return skipped(why), nil
	}
	img, err := b.typical()
	if err != nil {
		return nil, err
	}
	x, y, runs, err := b.compare(b.dryRun(img.fromOCIArchive()), func() (usage, error) {
		_, u, err := b.byHand(img)
		return u, err
	})
	if err != nil {
		return nil, err
	}
	busy := median(runs, func(u usage) float64 {
		return u.cpu.Seconds() / u.wall.Seconds() / float64(runtime.NumCPU())
	})
	return []row{
		{"268 MB image in a gzip OCI archive; unpack and zip -6", seconds(x), seconds(y), ratio(x / y), "<= 0.15"},
		{what: "  cores busy: cpu / (wall x cores)", ratio: ratio(busy), goal: ">= 0.8"},
	}, nil
}

// zipSize measures the zips against one that zip makes.
func zipSize(b *bench) ([]row, error) {
	if why := noZip(); why != "" {
		return skipped(why), nil
	}
	img, err := b.typical()
	if err != nil {
		return nil, err
	}
	if _, err := b.dryRun(img.fromOCIArchive())(); err != nil {
		return nil, err
	}
	zips, err := fs.Glob(os.DirFS(b.output()), "*.zip")
	if err != nil {
		return nil, err
	}
	var x int64
	for _, name := range zips {
		info, err := os.Stat(filepath.Join(b.output(), name))
		if err != nil {
			return nil, err
		}
		x += info.Size()
	}
	dir, _, err := b.byHand(img)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(filepath.Join(dir, "opt.zip"))
	if err != nil {
		return nil, err
	}
	y := info.Size()
	return []row{{"size of its zips; of the zip by hand", megabytes(x), megabytes(y), fmt.Sprintf("%.3f", float64(x)/float64(y)), "<= 1.03"}}, nil
}
