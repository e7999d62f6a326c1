package source

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/sirupsen/logrus"
)

// TestMain takes away what somebody has chosen for their own shell and home: a
// Docker context, credentials and their helpers. DOCKER_HOST stands, as it
// names an engine to test with. The libraries' logs are off as in the program.
func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard)
	home, err := os.MkdirTemp("", "img2lambda-test-home-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, name := range []string{
		"DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_API_VERSION", "DOCKER_DEFAULT_PLATFORM",
		"REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR",
	} {
		os.Unsetenv(name)
	}
	for _, name := range []string{"HOME", "USERPROFILE"} {
		os.Setenv(name, home)
	}
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}

// useEngine makes an address that of the Docker engine.
func useEngine(t *testing.T, address string) {
	t.Helper()
	t.Setenv("DOCKER_HOST", address)
	t.Setenv("DOCKER_TLS_VERIFY", "")
	t.Setenv("DOCKER_CERT_PATH", "")
}

// setPatience sets for a test how long a server may send nothing.
func setPatience(t *testing.T, d time.Duration) {
	t.Helper()
	testrun.Alone(t)
	before := patience
	t.Cleanup(func() { patience = before })
	patience = d
}

// Tests wait less than people before they ask a registry again.
func init() { firstPause = time.Millisecond }
