package integration

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// golden fails unless the zips in a directory have the SHA-256 sums that a file
// lists, in the form of sha256sum. With -update it writes the list instead.
func (r *rig) golden(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, 2)
	zips, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.zip"))
	ts.Check(err)
	var sums strings.Builder
	for _, zip := range zips {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256([]byte(ts.ReadFile(zip))), filepath.Base(zip))
	}
	if diff := cmp.Diff(ts.ReadFile(args[1]), sums.String()); diff != "" {
		fmt.Fprintf(ts.Stderr(), "%s", sums.String())
		ts.Fatalf(`the zips in %s are not those of earlier versions (-):
%s
With this change every layer that users have published is published once more:
Lambda's copy has another SHA-256 than the new zip. If that is not what you want,
undo the change. If it is, see "The zips' bytes" in CONTRIBUTING.md.`, args[0], diff)
	}
}
