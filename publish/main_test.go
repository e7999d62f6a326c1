package publish

import (
	"os"
	"strings"
	"testing"
)

// TestMain takes the developer's own settings for AWS out of the environment.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}
