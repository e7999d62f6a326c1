package publish

import (
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of what tests choose at random")

// TestMain takes the developer's own settings for AWS out of the environment.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// random returns a generator for one test, which says how to repeat its choices.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	t.Logf("again: -run '^%s$' -seed %d", t.Name(), *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}
