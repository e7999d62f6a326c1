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
		_, err := w.lambda.AddLayerVersionPermission(ctx, in, w.shareCall)
		if err != nil && (!conflicts(err) || atTheSameTime(err)) {
			return errors.WithMessagef(explain(err), "it is published, but not shared with %s", with)
		}
	}
	return nil
}

// conflicts tells whether Lambda says 409. It does so for a statement that is there
// already, and while another change of the policy is under way
// (AddLayerVersionPermission, ResourceConflictException).
func conflicts(err error) bool {
	var conflict *lambdatypes.ResourceConflictException
	return errors.As(err, &conflict)
}

// atTheSameTime tells whether Lambda refuses a change because another is under way.
// Only the message tells: of a statement it says that it "already exists".
func atTheSameTime(err error) bool {
	return conflicts(err) && !strings.Contains(err.Error(), "already exists")
}
