package fakelambda_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"hash/crc32"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestPublishRefuses(t *testing.T) {
	api, client := start(t)
	good := zipOf(t, entry{name: "f", content: "content"})
	damaged := bytes.Replace(zipOf(t, entry{name: "f", content: "content"}), []byte("PK\x01\x02"), []byte("PK\x01\x03"), 1)
	wrongSum := bytes.Clone(good)
	// The CRC-32 in the central directory, which is what readers go by.
	wrongSum[bytes.Index(wrongSum, []byte("PK\x01\x02"))+16] ^= 1
	const invalid, validation = "InvalidParameterValueException", "ValidationException"
	const noUnzip = "Could not unzip uploaded file. Please check your file, then try to upload again."

	for name, test := range map[string]struct {
		change        func(*lambda.PublishLayerVersionInput)
		zip           []byte
		code, message string
	}{
		"name with a space": {
			change: func(in *lambda.PublishLayerVersionInput) { in.LayerName = aws.String("a b") },
			code:   validation, message: "1 validation error detected: Value 'a b' at 'layerName' failed to satisfy constraint: Member must satisfy regular expression pattern: ",
		},
		"long name": {
			change: func(in *lambda.PublishLayerVersionInput) { in.LayerName = aws.String(strings.Repeat("n", 141)) },
			code:   validation, message: "at 'layerName' failed to satisfy constraint: Member must have length less than or equal to 140",
		},
		"long description": {
			change: func(in *lambda.PublishLayerVersionInput) { in.Description = aws.String(strings.Repeat("é", 257)) },
			code:   validation, message: "at 'description' failed to satisfy constraint: Member must have length less than or equal to 256",
		},
		"long license": {
			change: func(in *lambda.PublishLayerVersionInput) { in.LicenseInfo = aws.String(strings.Repeat("l", 513)) },
			code:   validation, message: "at 'licenseInfo' failed to satisfy constraint: Member must have length less than or equal to 512",
		},
		"16 runtimes": {
			change: func(in *lambda.PublishLayerVersionInput) {
				for range 16 {
					in.CompatibleRuntimes = append(in.CompatibleRuntimes, "provided")
				}
			},
			code: validation, message: "at 'compatibleRuntimes' failed to satisfy constraint: Member must have length less than or equal to 15",
		},
		"unknown architecture": {
			change: func(in *lambda.PublishLayerVersionInput) { in.CompatibleArchitectures = []types.Architecture{"amd64"} },
			code:   validation, message: "1 validation error detected: Value '[amd64]' at ",
		},
		"no content": {
			change: func(in *lambda.PublishLayerVersionInput) { in.Content = &types.LayerVersionContentInput{} },
			code:   invalid, message: "Please provide a source",
		},
		"two contents": {
			change: func(in *lambda.PublishLayerVersionInput) {
				in.Content.S3Bucket, in.Content.S3Key = aws.String("zips"), aws.String("k")
			},
			code: invalid, message: "when providing a ZipFile",
		},
		"empty file":           {zip: []byte{}, code: invalid, message: "Uploaded file must be a non-empty zip"},
		"empty zip":            {zip: zipOf(t), code: invalid, message: "Uploaded file must be a non-empty zip"},
		"no zip":               {zip: []byte("#!/bin/sh\n"), code: invalid, message: noUnzip},
		"cut zip":              {zip: good[:len(good)-30], code: invalid, message: noUnzip},
		"damaged directory":    {zip: damaged, code: invalid, message: noUnzip},
		"wrong checksum":       {zip: wrongSum, code: invalid, message: noUnzip},
		"climbing name":        {zip: zipOf(t, entry{name: "../f"}), code: invalid, message: noUnzip},
		"absolute name":        {zip: zipOf(t, entry{name: "/etc/f"}), code: invalid, message: noUnzip},
		"private file":         {zip: zipOf(t, entry{name: "f"}, entry{name: "key", mode: 0o640}), code: invalid, message: `Other users cannot read "key": its permissions are -rw-r-----`},
		"private directory":    {zip: zipOf(t, entry{name: "d/", mode: fs.ModeDir | 0o750}), code: invalid, message: `Other users cannot read "d/"`},
		"unpassable directory": {zip: zipOf(t, entry{name: "d/", mode: fs.ModeDir | 0o754}), code: invalid, message: `Other users cannot read "d/"`},
	} {
		t.Run(name, func(t *testing.T) {
			if test.zip == nil {
				test.zip = good
			}
			input := &lambda.PublishLayerVersionInput{LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{ZipFile: test.zip}}
			if test.change != nil {
				test.change(input)
			}
			_, err := client.PublishLayerVersion(t.Context(), input)
			wantError(t, err, test.code, test.message)
		})
	}
	if versions := api.Versions(); len(versions) != 0 {
		t.Errorf("%d versions were published", len(versions))
	}
}

// What is just within the limits is taken.
func TestPublishTakes(t *testing.T) {
	api, client := start(t)
	input := &lambda.PublishLayerVersionInput{
		LayerName:               aws.String(strings.Repeat("n", 140)),
		Description:             aws.String(strings.Repeat("é", 256)),
		LicenseInfo:             aws.String(strings.Repeat("l", 512)),
		CompatibleArchitectures: []types.Architecture{"x86_64", "arm64"},
		Content: &types.LayerVersionContentInput{ZipFile: zipOf(
			t,
			entry{name: "d/", mode: fs.ModeDir | 0o705},
			entry{name: "d/f", mode: 0o604},
			entry{name: "d/link", content: "f", mode: fs.ModeSymlink | 0o777},
			// Nobody looks at a symbolic link's permissions.
			entry{name: "d/..data", content: "f", mode: fs.ModeSymlink},
		)},
	}
	for range 15 {
		input.CompatibleRuntimes = append(input.CompatibleRuntimes, "any")
	}
	if _, err := client.PublishLayerVersion(t.Context(), input); err != nil {
		t.Error(err)
	}
	if len(api.Versions()) != 1 {
		t.Error("no version was published")
	}
}

func TestUnzippedLimit(t *testing.T) {
	const limit = 262_144_000
	_, client := start(t)
	const message = "Unzipped size must be smaller than 262144000 bytes"
	// None of these has the size that it claims, so that one which is within
	// the limit is refused for that, and one over it without unpacking it.
	for size, message := range map[uint64]string{
		10:        "Could not unzip",
		limit - 1: "Could not unzip",
		limit:     message,
		1 << 63:   message,
	} {
		_, err := client.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
			LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{ZipFile: claim(t, size)},
		})
		wantError(t, err, "InvalidParameterValueException", message)
	}
}

// claim packs a file of 100 bytes that claims to have n.
func claim(t *testing.T, n uint64) []byte {
	t.Helper()
	content := bytes.Repeat([]byte("x"), 100)
	var deflated bytes.Buffer
	d, err := flate.NewWriter(&deflated, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = d.Write(content)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{
		Name: "f", Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(content),
		CompressedSize64: uint64(deflated.Len()), UncompressedSize64: n,
	}
	h.SetMode(0o644)
	f, err := w.CreateRaw(h)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write(deflated.Bytes())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A client that sends more than is allowed gets the answer that says so, not
// a closed connection. 50 MiB of zip in base64 are less.
func TestRequestLimit(t *testing.T) {
	const limit = 70_167_211
	_, client := start(t)
	body := bytes.Repeat([]byte("x"), limit)
	const message = "Request must be smaller than 70167211 bytes for the PublishLayerVersion operation"
	signed := authorization("lambda")
	for _, test := range []struct {
		size          int
		authorization string
		status        int
		message       string
	}{
		{limit, "", http.StatusForbidden, "Missing Authentication Token"},
		{limit, signed, http.StatusRequestEntityTooLarge, message},
		{limit - 1, signed, http.StatusBadRequest, "Could not parse request body into json"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			*client.Options().BaseEndpoint+"/2018-10-31/layers/l/versions", bytes.NewReader(body[:test.size]))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", test.authorization)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != test.status || !strings.Contains(string(answer), test.message) {
			t.Errorf("%d bytes: got %s %s, want %d %s", test.size, response.Status, answer, test.status, test.message)
		}
	}
}
