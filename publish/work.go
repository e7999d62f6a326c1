package publish

import (
	"context"
	"math"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/pkg/errors"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// work is a layer on its way to a region.
type work struct {
	*job
	layer   *types.Layer
	target  Target
	zip     string // its path
	version Version
	number  int64  // the version's
	newest  int64  // the newest version's, when the layer was looked up
	upload  Upload // nil before it begins
}

func (j *job) newWork(l *types.Layer) *work {
	return &work{
		job: j, layer: l, zip: filepath.Join(j.content.Dir, l.File),
		target: Target{Region: j.region.name, Layer: l.Name, File: l.File},
	}
}

// wrap explains an error and says which layer it is about.
func (w *work) wrap(err error) error {
	return errors.WithMessagef(explain(err), "layer %s (%s)", w.layer.Name, w.layer.File)
}

// lookUp records the version if the region has the layer already.
func (w *work) lookUp(ctx context.Context) error {
	w.progress.LookUp(w.target)
	after := int64(0)
	if w.options.Force {
		after = math.MaxInt64 // only to learn the newest number
	}
	found, newest, err := w.find(ctx, after)
	w.newest = newest
	if err != nil || found == nil {
		return err
	}
	if err := w.accept(found.LayerVersionArn); err != nil {
		return err
	}
	w.version.Found = true
	w.compare(found)
	return nil
}

// find returns the newest version that has the layer's content, or nil if none has.
// It looks only at versions with a higher number than after. newest is the highest
// number there is. Lambda lists versions without their digests, so each one has to be
// asked for; they are listed newest first, and for an unchanged image the first is
// the right one.
func (w *work) find(ctx context.Context, after int64) (found *lambda.GetLayerVersionOutput, newest int64, err error) {
	pages := lambda.NewListLayerVersionsPaginator(w.lambda, &lambda.ListLayerVersionsInput{LayerName: &w.layer.Name},
		func(o *lambda.ListLayerVersionsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, w.call)
		if err != nil {
			return nil, newest, err
		}
		for _, v := range page.LayerVersions {
			newest = max(newest, v.Version)
			if v.Version <= after {
				return nil, newest, nil
			}
			got, err := w.lambda.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: &w.layer.Name, VersionNumber: &v.Version}, w.call)
			var gone *lambdatypes.ResourceNotFoundException
			if errors.As(err, &gone) { // deleted since it was listed
				continue
			} else if err != nil {
				return nil, newest, err
			}
			if c := got.Content; c != nil && aws.ToString(c.CodeSha256) == w.layer.CodeSha256 && c.CodeSize == w.layer.CodeSize {
				return got, newest, nil
			}
		}
	}
	return nil, newest, nil
}

// checkSize refuses before the upload what Lambda would refuse after it.
func (w *work) checkSize() error {
	switch l := w.layer; {
	case l.UncompressedSize >= types.MaxUnzippedSize: // Lambda says "smaller than"
		return errors.Errorf("it is %s unzipped, and Lambda takes no layer of %s or more, not even from S3: make the image's layer smaller, or split it in two",
			types.FormatSize(l.UncompressedSize), types.FormatSize(types.MaxUnzippedSize))
	case l.CodeSize > types.MaxDirectUpload && w.bucket == "":
		return errors.Errorf("its zip is %s, and Lambda takes %s in a request: name an S3 bucket for larger ones with --s3-bucket",
			types.FormatSize(l.CodeSize), types.FormatSize(types.MaxDirectUpload))
	}
	return nil
}

// publish publishes the layer if the region does not have it, and shares it.
func (w *work) publish(ctx context.Context) error {
	if w.version.ARN == "" {
		err := w.send(ctx)
		if w.upload != nil {
			w.upload.Done(err)
		}
		if err != nil {
			return err
		}
	}
	return w.share(ctx)
}

// arn matches the ARN of a layer version (GetLayerVersion, LayerVersionArn), in any
// partition.
var arn = regexp.MustCompile(`^arn:[a-z0-9-]+:lambda:[a-z0-9-]+:[0-9]{12}:layer:([a-zA-Z0-9_-]+):([0-9]+)$`)

// accept records the version's ARN. It refuses anything but the ARN of a version of
// this layer, since it goes to the terminal and into files that others read.
func (w *work) accept(s *string) error {
	match := arn.FindStringSubmatch(aws.ToString(s))
	if match == nil || match[1] != w.layer.Name {
		return errors.Errorf("Lambda answered %q where the ARN of a version of the layer should be", aws.ToString(s))
	}
	number, err := strconv.ParseInt(match[2], 10, 64)
	if err != nil {
		return err
	}
	w.version.ARN, w.number = *s, number
	return nil
}
