package fakelambda_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

const region = "eu-west-1"

// credentials are static ones with this key.
func credentials(key string) aws.CredentialsProviderFunc {
	return func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: key, SecretAccessKey: "secret"}, nil
	}
}

// start serves an API for the length of a test, and returns it with a client
// that does not retry.
func start(t *testing.T, options ...fakelambda.Option) (*fakelambda.API, *lambda.Client) {
	t.Helper()
	api := fakelambda.New(options...)
	url := api.Start()
	t.Cleanup(api.Close)
	return api, lambda.New(lambda.Options{
		BaseEndpoint: &url,
		Region:       region,
		Credentials:  credentials("AKIDGOOD"),
		Retryer:      aws.NopRetryer{},
	})
}

// An entry is an entry of a zip: a file unless mode says otherwise.
type entry struct {
	name, content string
	mode          fs.FileMode
}

// zipOf packs entries, whose mode is 0644 unless it is set.
func zipOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name}
		if e.mode == 0 {
			e.mode = 0o644
		}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// publish publishes a zip with one file of this content.
func publish(ctx context.Context, t *testing.T, client *lambda.Client, layer, content string) (*lambda.PublishLayerVersionOutput, error) {
	t.Helper()
	return client.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
		LayerName: &layer,
		Content:   &types.LayerVersionContentInput{ZipFile: zipOf(t, entry{name: "f", content: content})},
	})
}

// wantError checks that err is an error of the API with this code and a
// message that contains this text.
func wantError(t *testing.T, err error, code, message string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want %s", err, code)
	}
	if e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), message) {
		t.Errorf("got %s %q, want %s %q", e.ErrorCode(), e.ErrorMessage(), code, message)
	}
}

// get returns the body of a URL.
func get(t *testing.T, url string) []byte {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, response.Status, err)
	}
	return body
}
