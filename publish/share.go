package publish

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/pkg/errors"
)

// share lets others use the version. Each statement of the version's policy is
// named after whom it is for, so that none is added twice.
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
		_, err := w.lambda.AddLayerVersionPermission(ctx, in, w.shareCall)
		if err != nil && (!conflicts(err) || atTheSameTime(err)) {
			return errors.WithMessagef(explain(err), "it is published, but not shared with %s", with)
		}
	}
	return nil
}

// conflicts reports whether Lambda answered ResourceConflictException. It does so if
// the statement exists already, and while it is making another change
// (AddLayerVersionPermission, Errors).
func conflicts(err error) bool {
	var conflict *lambdatypes.ResourceConflictException
	return errors.As(err, &conflict)
}

// atTheSameTime reports whether Lambda refused a change because it was making
// another one. Only the message shows which: an existing statement "already exists".
func atTheSameTime(err error) bool {
	return conflicts(err) && !strings.Contains(err.Error(), "already exists")
}
