package publish

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/pkg/errors"
)

// store uploads the zip to the bucket, unless it is there already. It returns the key,
// NAMESPACE/SHA256.zip, with the zip's SHA-256 in hex.
func (w *work) store(ctx context.Context, zip io.ReadSeeker) (*string, error) {
	sum, err := base64.StdEncoding.DecodeString(w.layer.CodeSha256)
	if err != nil {
		return nil, err
	}
	key := w.options.Namespace + "/" + hex.EncodeToString(sum) + ".zip"
	there, err := w.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &w.bucket, Key: &key}, w.s3Call)
	if err == nil && aws.ToInt64(there.ContentLength) == w.layer.CodeSize {
		return &key, nil
	}
	// A role that may not list the bucket gets 403 for an object that does not
	// exist. If 403 means more than that, the upload will fail and say so.
	var answer *awshttp.ResponseError
	if err != nil && (!errors.As(err, &answer) || answer.HTTPStatusCode() != http.StatusNotFound && answer.HTTPStatusCode() != http.StatusForbidden) {
		return nil, w.explainS3(err, key)
	}
	_, err = w.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket:            &w.bucket,
		Key:               &key,
		Body:              zip,
		ContentLength:     &w.layer.CodeSize,
		ContentType:       aws.String("application/zip"),
		ChecksumAlgorithm: s3types.ChecksumAlgorithmSha256,
		ChecksumSHA256:    &w.layer.CodeSha256, // S3 refuses anything else
	}, w.s3UploadCall)
	if err != nil {
		return nil, w.explainS3(err, key)
	}
	return &key, nil
}

// expectedRegion is how S3 names the bucket's region in the message of
// AuthorizationHeaderMalformed.
var expectedRegion = regexp.MustCompile(`expecting '([a-z0-9-]+)'`)

// explainS3 explains an error of S3's, as explain does. If the bucket is in another
// region, S3 says which one in a header, or in the message of an
// AuthorizationHeaderMalformed; the answer to HEAD has no message.
func (w *work) explainS3(err error, key string) error {
	var elsewhere string
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		elsewhere = answer.Response.Header.Get("X-Amz-Bucket-Region")
	}
	if match := expectedRegion.FindStringSubmatch(err.Error()); match != nil {
		elsewhere = match[1]
	}
	if elsewhere != "" && elsewhere != w.region.name {
		return errors.WithStack(&explainedError{"the bucket " + w.bucket + " is in " + elsewhere + ", but Lambda in " + w.region.name +
			" needs one in " + w.region.name + ": name it with --s3-bucket, where {region} stands for the region", err})
	}
	return errors.WithMessagef(explain(err), "s3://%s/%s", w.bucket, key)
}
