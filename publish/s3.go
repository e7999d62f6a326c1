package publish

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
)

// store brings a zip to the bucket, unless it is there, and returns its key:
// NAMESPACE/SHA256-OF-THE-ZIP.zip, the digest in hex.
func (p *Publisher) store(ctx context.Context, zip string, l *types.Layer) (*string, error) {
	sum, err := base64.StdEncoding.DecodeString(l.CodeSha256)
	if err != nil {
		return nil, err
	}
	bucket, key := &p.options.Bucket, p.options.Namespace+"/"+hex.EncodeToString(sum)+".zip"
	there, err := p.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: &key})
	if err == nil && aws.ToInt64(there.ContentLength) == l.CodeSize {
		return &key, nil
	}
	// To a role that may not list the bucket, S3 says 403 of an object that
	// is not there. If it is about more than that, the upload will tell.
	var answer *awshttp.ResponseError
	if err != nil && (!errors.As(err, &answer) || answer.HTTPStatusCode() != http.StatusNotFound && answer.HTTPStatusCode() != http.StatusForbidden) {
		return nil, errors.WithMessagef(explain(err), "s3://%s/%s", *bucket, key)
	}
	f, err := os.Open(zip)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_, err = p.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket:            bucket,
		Key:               &key,
		Body:              f,
		ContentLength:     &l.CodeSize,
		ContentType:       aws.String("application/zip"),
		ChecksumAlgorithm: s3types.ChecksumAlgorithmSha256,
		ChecksumSHA256:    &l.CodeSha256, // S3 refuses what arrives otherwise
	})
	if err != nil {
		return nil, errors.WithMessagef(explain(err), "s3://%s/%s", *bucket, key)
	}
	return &key, nil
}
