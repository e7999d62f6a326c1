package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
)

// FuzzZipBody guards against a request that differs from what encoding/json makes
// of the same zip, from wherever and in whatever pieces it is read.
func FuzzZipBody(f *testing.F) {
	f.Add([]byte("zip"), "", uint16(0), uint16(1))
	f.Add([]byte("PK\x03\x04 and more"), "Description", uint16(9), uint16(7))
	f.Add(bytes.Repeat([]byte{0, 255}, zipChunk), "long", uint16(3), uint16(5))
	f.Add([]byte{}, `"ZipFile":""`, uint16(1), uint16(2))
	f.Fuzz(func(t *testing.T, zip []byte, text string, start, size uint16) {
		head, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		middle, err := json.Marshal(append([]byte{}, zip...))
		if err != nil {
			t.Fatal(err)
		}
		want := string(head) + string(middle) + string(head)
		b := newZipBody(string(head)+`"`, bytes.NewReader(zip), int64(len(zip)), `"`+string(head))
		if end, err := b.Seek(0, io.SeekEnd); err != nil || end != int64(len(want)) {
			t.Fatalf("the length is %d (%v), want %d", end, err, len(want))
		}
		from := min(int64(start), int64(len(want)))
		if _, err := b.Seek(from, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		// The struct hides what else io.CopyBuffer would use.
		if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, b, make([]byte, int(size)+1)); err != nil {
			t.Fatal(err)
		}
		if got.String() != want[from:] {
			t.Errorf("got %.100q, want %.100q", got.String(), want[from:])
		}
	})
}

// TestZipBodyIsReader lets the standard library's tests of a reader and seeker run.
func TestZipBodyIsReader(t *testing.T) {
	t.Parallel()
	for _, zip := range []string{"", "1", "12", "123", strings.Repeat("z", 10_000)} {
		coded, err := json.Marshal([]byte(zip))
		if err != nil {
			t.Fatal(err)
		}
		b := newZipBody(`{"a":"`, strings.NewReader(zip), int64(len(zip)), `","b":1}`)
		if err := iotest.TestReader(b, []byte(`{"a":`+string(coded)+`,"b":1}`)); err != nil {
			t.Errorf("%d bytes: %v", len(zip), err)
		}
	}
}

// TestStreamedRequest guards against a request that is not the SDK's own, member
// for member, and against one whose signed digest or length is not that of what is
// sent.
func TestStreamedRequest(t *testing.T) {
	t.Parallel()
	zip := bytes.Repeat([]byte("zip\x00\xff"), 20_000)
	full := lambda.PublishLayerVersionInput{
		LayerName: aws.String("layer"), Content: &lambdatypes.LayerVersionContentInput{},
		Description: aws.String("with \"ZipFile\":\"\" and \\, \u2028 <&> ü"), LicenseInfo: aws.String(`"ZipFile":""`),
		CompatibleRuntimes:      []lambdatypes.Runtime{"provided.al2023", `"ZipFile":""`},
		CompatibleArchitectures: []lambdatypes.Architecture{"x86_64", "arm64"},
	}
	least := lambda.PublishLayerVersionInput{LayerName: aws.String("layer"), Content: &lambdatypes.LayerVersionContentInput{}}
	for name, in := range map[string]lambda.PublishLayerVersionInput{"all members": full, "least": least} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			streamed, signed := requestOf(t, in, []byte{}, func(o *lambda.Options) {
				o.APIOptions = append(o.APIOptions, streamZip(bytes.NewReader(zip), int64(len(zip))))
			})
			own, _ := requestOf(t, in, zip)
			if diff := cmp.Diff(own, streamed); diff != "" {
				t.Errorf("the SDK's request (-) and the streamed one (+):\n%.2000s", diff)
			}
			if !signed {
				t.Error("the digest that is signed is not that of the body")
			}
		})
	}
}

// requestOf returns the body of a request, and whether its signature is for that.
func requestOf(t *testing.T, in lambda.PublishLayerVersionInput, zip []byte, set ...func(*lambda.Options)) (body string, signed bool) {
	t.Helper()
	content := *in.Content
	content.ZipFile, in.Content = zip, &content
	var digest string
	client := lambda.New(lambda.Options{
		HTTPSignerV4: signFunc(func(payload string) { digest = payload }),
		Region:       "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		HTTPClient: doFunc(func(r *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			sum := sha256.Sum256(b)
			body, signed = string(b), digest == hex.EncodeToString(sum[:])
			if r.ContentLength != int64(len(b)) {
				t.Errorf("the length is %d, and %d bytes were sent", r.ContentLength, len(b))
			}
			return &http.Response{StatusCode: http.StatusCreated, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
		}),
	})
	if _, err := client.PublishLayerVersion(t.Context(), &in, set...); err != nil {
		t.Fatal(err)
	}
	return body, signed
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// signFunc is told the digest of the body that is to be signed.
type signFunc func(payload string)

func (f signFunc) SignHTTP(_ context.Context, _ aws.Credentials, _ *http.Request, payload, _, _ string, _ time.Time, _ ...func(*v4.SignerOptions)) error {
	f(payload)
	return nil
}
