package source

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// TestInterruptedPipe guards against an interrupt that is not heard while nobody
// writes to a pipe, or the one who does has stopped.
func TestInterruptedPipe(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("mkfifo"); err != nil {
		t.Skip("no mkfifo")
	}
	for _, transport := range []string{"docker-archive:", "oci-archive:"} {
		for _, sent := range []string{"no writer", "", "BZh9", "some"} {
			t.Run(transport+sent, func(t *testing.T) {
				t.Parallel()
				pipe := filepath.Join(t.TempDir(), "pipe")
				if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if sent == "no writer" {
					cancel()
				} else {
					w, err := os.OpenFile(pipe, os.O_RDWR, 0)
					if err != nil {
						t.Fatal(err)
					}
					defer w.Close()
					if _, err := w.WriteString(sent); err != nil {
						t.Fatal(err)
					}
					cancel()
				}
				dir := t.TempDir()
				testrun.Soon(t, func() {
					if _, _, err := convert(ctx, parsed(t, transport+pipe), dir); !errors.Is(err, context.Canceled) {
						t.Errorf("got error %v, want %v", err, context.Canceled)
					}
				})
				testrun.CheckEmpty(t, dir)
			})
		}
	}
}
