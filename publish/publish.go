package publish

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	layer "github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

const (
	// parallel is how many layers are looked up, or published, at a time.
	parallel = 8
	// uploading bounds the bytes of zips on their way at a time: a request
	// holds its zip in memory, and in base64, and takes four times its size
	// and more.
	uploading = layer.MaxDirectUpload
)

// Layers makes sure that Lambda has the layers, whose zips are in dir, and sets
// their ARNs. A version with the same name, SHA-256 and size serves as it is;
// published is told of those that were not there. architectures are what the
// layers are for.
//
// Nothing is uploaded if one of the layers is too large for Lambda. If one
// fails otherwise, the error tells what was published before; those layers have
// their ARNs.
func (p *Publisher) Layers(ctx context.Context, dir string, layers []layer.Layer, architectures []types.Architecture, published func(layer.Layer)) error {
	if err := each(ctx, layers, p.find); err != nil {
		return err
	}
	for _, l := range layers {
		if err := p.checkSize(l); l.ARN == "" && err != nil {
			return errors.WithMessagef(err, "layer %s (%s)", l.Name, l.File)
		}
	}
	var mu sync.Mutex // for published, which may write
	uploads := semaphore.NewWeighted(uploading)
	return each(ctx, layers, func(ctx context.Context, l *layer.Layer) error {
		if l.ARN != "" {
			return nil
		}
		weight := min(l.CodeSize, uploading)
		if err := uploads.Acquire(ctx, weight); err != nil {
			return err
		}
		defer uploads.Release(weight)
		if err := p.publish(ctx, dir, l, architectures); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		published(*l)
		return nil
	})
}

// each does work for all layers, some at a time. After a failure it starts no
// more, and lets those end that have begun: what they publish should be known.
func each(ctx context.Context, layers []layer.Layer, work func(context.Context, *layer.Layer) error) error {
	var failed atomic.Bool
	var g errgroup.Group
	g.SetLimit(parallel)
	for i := range layers {
		g.Go(func() error {
			if failed.Load() {
				return nil
			}
			err := work(ctx, &layers[i])
			if err != nil {
				failed.Store(true)
				err = errors.WithMessagef(explain(err), "layer %s (%s)", layers[i].Name, layers[i].File)
			}
			return err
		})
	}
	return g.Wait()
}

// find sets the ARN if Lambda has the layer already. Lambda lists versions
// without their digests, so they are looked at one by one, newest first: the
// first one is it for an unchanged image.
func (p *Publisher) find(ctx context.Context, l *layer.Layer) error {
	pages := lambda.NewListLayerVersionsPaginator(p.lambda, &lambda.ListLayerVersionsInput{LayerName: &l.Name},
		func(o *lambda.ListLayerVersionsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, v := range page.LayerVersions {
			got, err := p.lambda.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: &l.Name, VersionNumber: &v.Version})
			var gone *types.ResourceNotFoundException
			if errors.As(err, &gone) { // deleted since it was listed
				continue
			} else if err != nil {
				return err
			}
			if c := got.Content; c != nil && aws.ToString(c.CodeSha256) == l.CodeSha256 && c.CodeSize == l.CodeSize {
				l.ARN, err = checkARN(got.LayerVersionArn, l.Name)
				return err
			}
		}
	}
	return nil
}

// checkSize refuses what Lambda would refuse after the upload.
func (p *Publisher) checkSize(l layer.Layer) error {
	switch {
	case l.UncompressedSize >= layer.MaxUnzippedSize: // Lambda says "smaller than"
		return errors.Errorf("it is %s unzipped, and Lambda takes no layer of %s or more: make the image layer smaller, or split it in two",
			layer.FormatSize(l.UncompressedSize), layer.FormatSize(layer.MaxUnzippedSize))
	case l.CodeSize > layer.MaxDirectUpload && p.options.Bucket == "":
		return errors.Errorf("its zip is %s, and Lambda takes %s in a request: name an S3 bucket for larger ones with --s3-bucket",
			layer.FormatSize(l.CodeSize), layer.FormatSize(layer.MaxDirectUpload))
	}
	return nil
}

// publish makes a new layer version and sets its ARN.
func (p *Publisher) publish(ctx context.Context, dir string, l *layer.Layer, architectures []types.Architecture) error {
	in := &lambda.PublishLayerVersionInput{
		LayerName:               &l.Name,
		Content:                 &types.LayerVersionContentInput{},
		CompatibleArchitectures: architectures,
	}
	for _, r := range p.options.Runtimes {
		in.CompatibleRuntimes = append(in.CompatibleRuntimes, types.Runtime(r))
	}
	if p.options.Description != "" {
		in.Description = &p.options.Description
	}
	if p.options.LicenseInfo != "" {
		in.LicenseInfo = &p.options.LicenseInfo
	}
	zip := filepath.Join(dir, l.File)
	var err error
	if l.CodeSize > layer.MaxDirectUpload {
		in.Content.S3Bucket = &p.options.Bucket
		in.Content.S3Key, err = p.store(ctx, zip, l)
	} else {
		in.Content.ZipFile, err = os.ReadFile(zip)
	}
	if err != nil {
		return err
	}
	out, err := p.lambda.PublishLayerVersion(ctx, in)
	if err != nil {
		return err
	}
	if c := out.Content; c == nil || aws.ToString(c.CodeSha256) != l.CodeSha256 {
		return errors.Errorf("Lambda does not confirm that what it has published, %q, has the zip's SHA-256 %s", aws.ToString(out.LayerVersionArn), l.CodeSha256)
	}
	l.ARN, err = checkARN(out.LayerVersionArn, l.Name)
	return err
}

// arn is that of a layer version (GetLayerVersion, LayerVersionArn).
var arn = regexp.MustCompile(`^arn:[a-z0-9-]+:lambda:[a-z0-9-]+:[0-9]{12}:layer:([a-zA-Z0-9_-]+):[0-9]+$`)

// checkARN refuses what is no ARN of a version of the layer: it goes to files
// that others read, and to the terminal.
func checkARN(s *string, name string) (string, error) {
	if match := arn.FindStringSubmatch(aws.ToString(s)); match == nil || match[1] != name {
		return "", errors.Errorf("Lambda's answer has %q for the ARN of a version of the layer", aws.ToString(s))
	}
	return *s, nil
}
