// Release packs the programs that make release has built: an archive for each
// target, with the license and the README, and the sums of all. The bytes
// depend on the files alone; times are those of the commit.
//
// It is run from the top of the repository, with the version, the commit's time
// in seconds since 1970, and the directory to write to. The programs are there
// as build/OS_ARCH/img2lambda.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: release VERSION SECONDS DIR")
		os.Exit(2)
	}
	if err := release(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func release(version, seconds, dir string) error {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("the commit's time: %w", err)
	}
	programs, err := filepath.Glob(filepath.Join(dir, "build", "*", "img2lambda*"))
	if err != nil {
		return err
	}
	if len(programs) == 0 {
		return fmt.Errorf("nothing is built in %s", dir)
	}
	common, err := commonFiles(programs)
	if err != nil {
		return err
	}
	sums := make(map[string][]byte) // by name of the archive
	for _, program := range programs {
		name := "img2lambda_" + version + "_" + filepath.Base(filepath.Dir(program))
		body, err := os.ReadFile(program)
		if err != nil {
			return err
		}
		files := append(slices.Clone(common), file{filepath.Base(program), 0o755, body})
		write, suffix := writeTarGz, ".tar.gz"
		if strings.HasSuffix(program, ".exe") {
			write, suffix = writeZip, ".zip"
		}
		packed, err := write(name, files, time.Unix(n, 0).UTC())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+suffix), packed, 0o644); err != nil {
			return err
		}
		sum := sha256.Sum256(packed)
		sums[name+suffix] = sum[:]
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(formatSums(sums)), 0o644)
}

// commonFiles are those that every archive has besides the program.
func commonFiles(programs []string) (files []file, err error) {
	for _, name := range []string{"LICENSE", "README.md"} {
		body, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, body})
	}
	third, err := notices(programs)
	return append(files, file{"THIRD_PARTY_NOTICES", 0o644, third}), err
}

// formatSums gives the sums as sha256sum writes them, and as it can check them.
func formatSums(sums map[string][]byte) string {
	var lines []string
	for name, sum := range sums {
		lines = append(lines, fmt.Sprintf("%x  %s\n", sum, name))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[64:], b[64:]) })
	return strings.Join(lines, "")
}
