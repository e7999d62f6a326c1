package fakelambda_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// authorization is a header that is signed for a service.
func authorization(service string) string {
	return "AWS4-HMAC-SHA256 Credential=AKIDGOOD/20260102/eu-west-1/" + service + "/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"
}

func TestSignature(t *testing.T) {
	api := fakelambda.New()
	for name, test := range map[string]struct{ header, code string }{
		"none":          {"", "MissingAuthenticationTokenException"},
		"basic":         {"Basic Zm9vOmJhcg==", "IncompleteSignatureException"},
		"no signature":  {"AWS4-HMAC-SHA256 Credential=AKIDGOOD/20260102/eu-west-1/lambda/aws4_request, SignedHeaders=host", "IncompleteSignatureException"},
		"short scope":   {"AWS4-HMAC-SHA256 Credential=AKIDGOOD, SignedHeaders=host, Signature=00", "IncompleteSignatureException"},
		"other service": {authorization("s3"), "InvalidSignatureException"},
		"good":          {authorization("lambda"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, "/2018-10-31/layers/l/versions", nil)
			if test.header != "" {
				request.Header.Set("Authorization", test.header)
			}
			answer := httptest.NewRecorder()
			api.ServeHTTP(answer, request)
			if got := answer.Header().Get("X-Amzn-ErrorType"); got != test.code {
				t.Errorf("got error %q, want %q", got, test.code)
			}
			if want := map[bool]int{true: 403, false: 200}[test.code != ""]; answer.Code != want {
				t.Errorf("got status %d, want %d", answer.Code, want)
			}
			if !json.Valid(answer.Body.Bytes()) {
				t.Errorf("got body %s", answer.Body)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	_, client := start(t, fakelambda.ExpiredKey("AKIDOLD"), fakelambda.InvalidKey("AKIDBAD"))
	for _, test := range []struct{ key, code, message string }{
		{"AKIDOLD", "ExpiredTokenException", "The security token included in the request is expired"},
		{"AKIDBAD", "UnrecognizedClientException", "The security token included in the request is invalid."},
	} {
		_, err := client.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("l")},
			func(o *lambda.Options) { o.Credentials = credentials(test.key) })
		wantError(t, err, test.code, test.message)
	}
}

func TestAllow(t *testing.T) {
	api, client := start(t, fakelambda.Allow(fakelambda.ListLayerVersions))
	ctx := t.Context()
	if _, err := client.ListLayerVersions(ctx, &lambda.ListLayerVersionsInput{LayerName: aws.String("l")}); err != nil {
		t.Error(err)
	}
	const denied = "AccessDeniedException"
	_, err := publish(ctx, t, client, "l", "x")
	wantError(t, err, denied, "User: arn:aws:iam::123456789012:user/caller is not authorized to perform: lambda:PublishLayerVersion"+
		" on resource: arn:aws:lambda:eu-west-1:123456789012:layer:l because no identity-based policy allows the lambda:PublishLayerVersion action")
	_, err = client.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(3)})
	wantError(t, err, denied, "lambda:GetLayerVersion on resource: arn:aws:lambda:eu-west-1:123456789012:layer:l:3 because")
	_, err = client.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("f")})
	wantError(t, err, denied, "lambda:GetFunction on resource: arn:aws:lambda:eu-west-1:123456789012:function:f because")
	if n := len(api.Versions()); n != 0 {
		t.Errorf("%d versions were published", n)
	}
}
