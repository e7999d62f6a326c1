package fakelambda_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

func TestPublishListGet(t *testing.T) {
	api, client := start(t)
	ctx := t.Context()
	zip := zipOf(t, entry{name: "bin/tool", content: "x", mode: 0o755})
	sum := sha256.Sum256(zip)
	hash := base64.StdEncoding.EncodeToString(sum[:])
	const arn = "arn:aws:lambda:eu-west-1:123456789012:layer:tools"

	if _, err := publish(ctx, t, client, "tools", "first"); err != nil {
		t.Fatal(err)
	}
	published, err := client.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
		LayerName:               aws.String("tools"),
		Content:                 &types.LayerVersionContentInput{ZipFile: zip},
		Description:             aws.String("tools for all"),
		LicenseInfo:             aws.String("MIT-0"),
		CompatibleRuntimes:      []types.Runtime{"provided.al2023", "tomorrow1.x"},
		CompatibleArchitectures: []types.Architecture{types.ArchitectureArm64},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: aws.String("tools"), VersionNumber: aws.Int64(2)})
	if err != nil {
		t.Fatal(err)
	}
	if *published.LayerVersionArn != arn+":2" || *got.LayerVersionArn != arn+":2" || *got.LayerArn != arn || got.Version != 2 {
		t.Errorf("published %s, got version %d %s of %s", *published.LayerVersionArn, got.Version, *got.LayerVersionArn, *got.LayerArn)
	}
	if *got.Content.CodeSha256 != hash || got.Content.CodeSize != int64(len(zip)) {
		t.Errorf("got CodeSha256 %s, CodeSize %d, want %s, %d", *got.Content.CodeSha256, got.Content.CodeSize, hash, len(zip))
	}
	if back := get(t, *got.Content.Location); !bytes.Equal(back, zip) {
		t.Errorf("the zip came back with %d bytes, and had %d", len(back), len(zip))
	}

	list, err := client.ListLayerVersions(ctx, &lambda.ListLayerVersionsInput{LayerName: aws.String("tools")})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.LayerVersions) != 2 || list.LayerVersions[0].Version != 2 || list.LayerVersions[1].Version != 1 || list.NextMarker != nil {
		t.Fatalf("got list %+v, want versions 2 and 1", list)
	}
	listed := list.LayerVersions[0]
	if *listed.LayerVersionArn != arn+":2" || *listed.Description != "tools for all" || *listed.LicenseInfo != "MIT-0" ||
		!slices.Equal(listed.CompatibleRuntimes, []types.Runtime{"provided.al2023", "tomorrow1.x"}) ||
		!slices.Equal(listed.CompatibleArchitectures, []types.Architecture{types.ArchitectureArm64}) {
		t.Errorf("got %+v in the list", listed)
	}
	if created, err := time.Parse("2006-01-02T15:04:05.000-0700", *listed.CreatedDate); err != nil || time.Since(created) > time.Hour {
		t.Errorf("got creation date %s: %v", *listed.CreatedDate, err)
	}

	versions := api.Versions()
	if len(versions) != 2 || versions[1].ARN() != arn+":2" || !bytes.Equal(versions[1].Zip, zip) {
		t.Errorf("Versions has %d, want 2 with the zip", len(versions))
	}
	want := []fakelambda.Call{
		{Operation: fakelambda.PublishLayerVersion, Region: region, Layer: "tools", Status: 201},
		{Operation: fakelambda.PublishLayerVersion, Region: region, Layer: "tools", Status: 201},
		{Operation: fakelambda.GetLayerVersion, Region: region, Layer: "tools", Status: 200},
		{Operation: fakelambda.ListLayerVersions, Region: region, Layer: "tools", Status: 200},
	}
	if calls := api.Calls(); !slices.Equal(calls, want) {
		t.Errorf("got calls %v, want %v", calls, want)
	}
}

// A layer that does not exist has no versions; it is not an error.
func TestListUnknownLayer(t *testing.T) {
	_, client := start(t)
	list, err := client.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("nothing")})
	if err != nil || len(list.LayerVersions) != 0 || list.NextMarker != nil {
		t.Errorf("got %+v, %v, want an empty list", list, err)
	}
}

func TestListPages(t *testing.T) {
	for _, test := range []struct {
		option []fakelambda.Option
		pages  []int
	}{
		{nil, []int{50, 50, 20}},
		{[]fakelambda.Option{fakelambda.PageSize(45)}, []int{45, 45, 30}},
	} {
		api, client := start(t, test.option...)
		for range 120 {
			api.AddVersion(fakelambda.Version{Region: region, Layer: "many"})
		}
		var pages []int
		next := int64(120)
		paginator := lambda.NewListLayerVersionsPaginator(client, &lambda.ListLayerVersionsInput{LayerName: aws.String("many")})
		for paginator.HasMorePages() {
			page, err := paginator.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			pages = append(pages, len(page.LayerVersions))
			for _, v := range page.LayerVersions {
				if v.Version != next {
					t.Fatalf("got version %d after page sizes %v, want %d", v.Version, pages, next)
				}
				next--
			}
		}
		if !slices.Equal(pages, test.pages) {
			t.Errorf("got pages of %v, want %v", pages, test.pages)
		}
	}

	_, client := start(t)
	_, err := client.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("many"), Marker: aws.String("x")})
	wantError(t, err, "InvalidParameterValueException", "token")
}

// A page begins after the version that ended the one before, whatever was
// published or deleted meanwhile.
func TestListPagesWhileTheyChange(t *testing.T) {
	api, client := start(t, fakelambda.PageSize(2))
	for range 4 {
		api.AddVersion(fakelambda.Version{Region: region, Layer: "many"})
	}
	first, err := client.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("many")})
	if err != nil {
		t.Fatal(err)
	}
	api.AddVersion(fakelambda.Version{Region: region, Layer: "many"})
	if !api.DeleteVersion(*first.LayerVersions[1].LayerVersionArn) {
		t.Fatal("there was no version to delete")
	}
	second, err := client.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("many"), Marker: first.NextMarker})
	if err != nil {
		t.Fatal(err)
	}
	if len(second.LayerVersions) != 2 || second.LayerVersions[0].Version != 2 || second.NextMarker != nil {
		t.Errorf("got second page %+v, want versions 2 and 1", second)
	}
}

func TestDelete(t *testing.T) {
	api, client := start(t)
	ctx := t.Context()
	first, err := publish(ctx, t, client, "l", "one")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if got := api.DeleteVersion(*first.LayerVersionArn); got != want {
			t.Errorf("there was one to delete: %t, want %t", got, want)
		}
	}
	_, err = client.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(1)})
	wantError(t, err, "ResourceNotFoundException", "The resource you requested does not exist.")
	again, err := publish(ctx, t, client, "l", "one")
	if err != nil {
		t.Fatal(err)
	}
	if again.Version != 2 {
		t.Errorf("the number %d was used again", again.Version)
	}
	_, err = client.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(0)})
	wantError(t, err, "InvalidParameterValueException", "Layer Version Cannot be less than 1")
}

// The layer's ARN is as good as its name.
func TestLayerARN(t *testing.T) {
	api, client := start(t)
	api.AddVersion(fakelambda.Version{Region: region, Layer: "l"})
	list, err := client.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("arn:aws:lambda:eu-west-1:123456789012:layer:l")})
	if err != nil || len(list.LayerVersions) != 1 {
		t.Errorf("got %+v, %v, want one version", list, err)
	}
	_, err = client.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("arn:aws:lambda:eu-west-1:999999999999:layer:l")})
	wantError(t, err, "AccessDeniedException", "is not authorized to perform: lambda:ListLayerVersions on resource: arn:aws:lambda:eu-west-1:999999999999:layer:l")
	want := []string{"l", "l"}
	var got []string
	for _, call := range api.Calls() {
		got = append(got, call.Layer)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log names layers %q, want %q", got, want)
	}
}

// A region has its own layers, and a request's signature says which it means.
func TestRegions(t *testing.T) {
	_, client := start(t)
	for _, test := range []struct{ region, arn string }{
		{"eu-west-1", "arn:aws:lambda:eu-west-1:123456789012:layer:l:1"},
		{"us-east-2", "arn:aws:lambda:us-east-2:123456789012:layer:l:1"},
		{"cn-north-1", "arn:aws-cn:lambda:cn-north-1:123456789012:layer:l:1"},
		{"us-gov-west-1", "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:layer:l:1"},
	} {
		there := lambda.New(client.Options(), func(o *lambda.Options) { o.Region = test.region })
		published, err := publish(t.Context(), t, there, "l", "one")
		if err != nil {
			t.Fatal(err)
		}
		if *published.LayerVersionArn != test.arn {
			t.Errorf("got %s, want %s", *published.LayerVersionArn, test.arn)
		}
	}
}

func TestPublishFromS3(t *testing.T) {
	backend := s3mem.New()
	if err := backend.CreateBucket("zips"); err != nil {
		t.Fatal(err)
	}
	_, client := start(t, fakelambda.WithS3(gofakes3.New(backend).Server()))
	ctx := t.Context()
	zip := zipOf(t, entry{name: "f", content: "from S3"})
	// Through the same URL.
	store := s3.New(s3.Options{BaseEndpoint: client.Options().BaseEndpoint, Region: region, Credentials: credentials("AKIDGOOD")})
	_, err := store.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("zips"), Key: aws.String("a b/+.zip"), Body: bytes.NewReader(zip)})
	if err != nil {
		t.Fatal(err)
	}

	from := func(bucket, key string) (*lambda.PublishLayerVersionOutput, error) {
		return client.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
			LayerName: aws.String("l"),
			Content:   &types.LayerVersionContentInput{S3Bucket: &bucket, S3Key: &key},
		})
	}
	published, err := from("zips", "a b/+.zip")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, *published.Content.Location), zip) {
		t.Error("the layer is not what is in S3")
	}
	_, err = from("zips", "other.zip")
	wantError(t, err, "InvalidParameterValueException", "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: ")
	_, err = from("nobucket", "other.zip")
	wantError(t, err, "InvalidParameterValueException", "S3 Error Code: NoSuchBucket")
}

// An object's version is passed on, and an S3 service is just a handler.
func TestPublishFromS3Version(t *testing.T) {
	zip := zipOf(t, entry{name: "f"})
	var asked string
	_, client := start(t, fakelambda.WithS3(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.RequestURI()
		_, _ = w.Write(zip)
	})))
	_, err := client.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
		LayerName: aws.String("l"),
		Content:   &types.LayerVersionContentInput{S3Bucket: aws.String("zips"), S3Key: aws.String("k"), S3ObjectVersion: aws.String("v7")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if asked != "GET /zips/k?versionId=v7" {
		t.Errorf("S3 was asked for %s", asked)
	}
}

func TestConcurrentPublish(t *testing.T) {
	api, client := start(t)
	const n = 20
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := publish(t.Context(), t, client, "l", fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var got, want []string
	for i, v := range api.Versions() {
		got = append(got, v.ARN())
		want = append(want, fmt.Sprintf("arn:aws:lambda:eu-west-1:123456789012:layer:l:%d", i+1))
	}
	if len(got) != n || !slices.Equal(got, want) {
		t.Errorf("got %d versions: %s", len(got), strings.Join(got, " "))
	}
}
