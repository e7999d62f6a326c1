package extract

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
)

// zipsOf converts an image and returns the zips by name.
func zipsOf(ctx context.Context, t testing.TB, src Source) (map[string]string, error) {
	dir := testrun.MemoryDir(t)
	_, err := Convert(ctx, src, "test", Options{Dir: dir, Progress: silent{}, Warn: func(string) {}})
	if err != nil {
		testrun.CheckEmpty(t, dir)
	}
	return ziptest.Read(t, dir), err
}

// sha256Base64 is a digest in the form that Lambda gives it.
func sha256Base64(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}
