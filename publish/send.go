package publish

import (
	"context"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	"github.com/pkg/errors"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// send publishes a new version and records it in w.
func (w *work) send(ctx context.Context) error {
	zip, err := os.Open(w.zip)
	if err != nil {
		return err
	}
	defer zip.Close()
	if info, err := zip.Stat(); err != nil {
		return err
	} else if info.Size() != w.layer.CodeSize {
		return errors.Errorf("%s has %d bytes instead of %d: something else has written to it", w.zip, info.Size(), w.layer.CodeSize)
	}
	in := w.input()
	var set []func(*lambda.Options)
	if w.layer.CodeSize > types.MaxDirectUpload {
		in.Content.S3Bucket = &w.bucket
		if in.Content.S3Key, err = w.store(ctx, zip); err != nil {
			return err
		}
		set = append(set, w.publishCall)
	} else {
		in.Content.ZipFile = []byte{}
		set = append(set, w.uploadCall, lambda.WithAPIOptions(streamZip(zip, w.layer.CodeSize)))
	}
	out, err := w.lambda.PublishLayerVersion(ctx, in, set...)
	if w.options.Architectures == nil && unknownArchitectures(err) {
		if !w.noArchitectures.Swap(true) {
			w.progress.Warn(Target{Region: w.region.name}, "Lambda does not know CompatibleArchitectures in "+w.region.name+": layers are published there without an architecture")
		}
		in.CompatibleArchitectures = nil
		out, err = w.lambda.PublishLayerVersion(ctx, in, set...)
	}
	if err != nil {
		return err
	}
	if c := out.Content; c == nil || aws.ToString(c.CodeSha256) != w.layer.CodeSha256 {
		return errors.Errorf("Lambda published %q, but does not confirm that its content is the zip with the SHA-256 %s", aws.ToString(out.LayerVersionArn), w.layer.CodeSha256)
	}
	return w.accept(out.LayerVersionArn)
}

// input returns what Lambda is told about the layer, apart from its content.
func (w *work) input() *lambda.PublishLayerVersionInput {
	in := &lambda.PublishLayerVersionInput{LayerName: &w.layer.Name, Content: &lambdatypes.LayerVersionContentInput{}}
	for _, r := range w.options.Runtimes {
		in.CompatibleRuntimes = append(in.CompatibleRuntimes, lambdatypes.Runtime(r))
	}
	architectures := w.options.Architectures
	if architectures == nil && !w.noArchitectures.Load() {
		architectures = w.content.Architectures
	}
	for _, a := range architectures {
		in.CompatibleArchitectures = append(in.CompatibleArchitectures, lambdatypes.Architecture(a))
	}
	for _, d := range []string{w.options.Description, w.content.Description} {
		if d != "" {
			in.Description = &d
			break
		}
	}
	if w.options.LicenseInfo != "" {
		in.LicenseInfo = &w.options.LicenseInfo
	}
	return in
}

// unknownArchitectures reports whether a region refused a layer because it does not
// know the parameter: "CompatibleArchitectures are not supported in af-south-1".
func unknownArchitectures(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "InvalidParameterValueException" &&
		strings.Contains(api.ErrorMessage(), "CompatibleArchitectures")
}
