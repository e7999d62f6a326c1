package publish

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/pkg/errors"
)

// share lets others use the version. The name of a statement in the version's
// policy says whom it is for, so that none is made twice.
func (w *work) share(ctx context.Context) error {
	for _, with := range w.options.ShareWith {
		in := &lambda.AddLayerVersionPermissionInput{
			LayerName:     &w.layer.Name,
			VersionNumber: &w.number,
			StatementId:   aws.String("img2lambda-" + with),
			Action:        aws.String("lambda:GetLayerVersion"),
			Principal:     &with,
		}
		switch {
		case with == everybody:
			in.Principal = aws.String("*")
		case strings.HasPrefix(with, "o-"):
			in.Principal, in.OrganizationId = aws.String("*"), &with
		}
		_, err := w.lambda.AddLayerVersionPermission(ctx, in, w.call)
		var there *lambdatypes.ResourceConflictException
		if err != nil && !errors.As(err, &there) {
			return errors.WithMessagef(explain(err), "it is published, but not shared with %s", with)
		}
	}
	return nil
}
