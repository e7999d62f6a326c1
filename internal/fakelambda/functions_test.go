package fakelambda_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// newFunction is the input for a function with layers.
func newFunction(t *testing.T, name string, layers ...string) *lambda.CreateFunctionInput {
	return &lambda.CreateFunctionInput{
		FunctionName: &name,
		Role:         aws.String("arn:aws:iam::123456789012:role/lambda"),
		Runtime:      "provided.al2023",
		Handler:      aws.String("f.handler"),
		Code:         &types.FunctionCode{ZipFile: zipOf(t, entry{name: "f", content: "12345"})},
		Layers:       layers,
	}
}

func TestFunction(t *testing.T) {
	api, client := start(t)
	zip := zipOf(t, entry{name: "f"})
	var arns []string
	for i := range 5 {
		arns = append(arns, api.AddVersion(fakelambda.Version{Region: region, Layer: fmt.Sprint("layer-", i), Zip: zip}))
	}
	created, err := client.CreateFunction(t.Context(), newFunction(t, "hello", arns...))
	if err != nil {
		t.Fatal(err)
	}
	if created.State != types.StatePending || *created.FunctionArn != "arn:aws:lambda:eu-west-1:123456789012:function:hello" {
		t.Errorf("created %s in state %s", *created.FunctionArn, created.State)
	}
	got, err := client.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("hello")})
	if err != nil {
		t.Fatal(err)
	}
	var layers []string
	for _, layer := range got.Configuration.Layers {
		layers = append(layers, *layer.Arn)
		if layer.CodeSize != int64(len(zip)) {
			t.Errorf("%s has CodeSize %d, want %d", *layer.Arn, layer.CodeSize, len(zip))
		}
	}
	if got.Configuration.State != types.StateActive || !slices.Equal(layers, arns) {
		t.Errorf("got layers %v in state %s", layers, got.Configuration.State)
	}
	_, err = client.CreateFunction(t.Context(), newFunction(t, "hello"))
	wantError(t, err, "ResourceConflictException", "Function already exist: hello")
	_, err = client.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("other")})
	wantError(t, err, "ResourceNotFoundException", "Function not found: arn:aws:lambda:eu-west-1:123456789012:function:other")
}

// A function's layers and its code may together have up to the limit of
// unzipped bytes.
func TestFunctionOfJustTheSize(t *testing.T) {
	api, client := start(t)
	layer := api.AddVersion(fakelambda.Version{Region: region, Layer: "l", Zip: claim(t, 262_144_000-6)})
	if _, err := client.CreateFunction(t.Context(), newFunction(t, "f", layer)); err != nil { // 5 bytes of code
		t.Error(err)
	}
}

func TestCreateFunctionRefuses(t *testing.T) {
	api, client := start(t)
	add := func(layer string, zip []byte) string {
		return api.AddVersion(fakelambda.Version{Region: region, Layer: layer, Zip: zip})
	}
	small := zipOf(t, entry{name: "f"})
	var six []string
	for i := range 6 {
		six = append(six, add(fmt.Sprint("layer-", i), small))
	}
	first, second := six[0], add("layer-0", small)
	almost := add("almost", claim(t, 262_144_000-5))
	whole := add("whole", claim(t, 262_144_000))
	byte1 := add("byte", zipOf(t, entry{name: "f", content: "1"}))
	elsewhere := api.AddVersion(fakelambda.Version{Region: "us-east-1", Layer: "l", Zip: small})
	long := add(strings.Repeat("n", 100), small)
	const invalid, validation = "InvalidParameterValueException", "ValidationException"

	for name, test := range map[string]struct {
		layers        []string
		change        func(*lambda.CreateFunctionInput)
		code, message string
	}{
		"six layers":                       {layers: six, code: invalid, message: "Cannot reference more than 5 layers."},
		"versions of one layer":            {layers: []string{first, byte1, second}, code: invalid, message: "Two different versions of the same layer are not allowed to be referenced in the same function. " + first + " and " + second + " are versions of the same layer."},
		"the same twice":                   {layers: []string{first, first}, code: invalid, message: "Two different versions"},
		"no such version":                  {layers: []string{strings.TrimSuffix(first, "1") + "9"}, code: invalid, message: "layer-0:9 does not exist."},
		"another account":                  {layers: []string{strings.Replace(first, "123456789012", "999999999999", 1)}, code: "AccessDeniedException", message: "because no resource-based policy allows the lambda:GetLayerVersion action"},
		"another region":                   {layers: []string{elsewhere}, code: invalid, message: "Layers are expected to be in region eu-west-1."},
		"no version in the ARN":            {layers: []string{strings.TrimSuffix(first, ":1")}, code: validation, message: "at 'layers' failed to satisfy constraint"},
		"ARN over 140 characters":          {layers: []string{long + strings.Repeat("0", 140)}, code: validation, message: "Member must have length less than or equal to 140"},
		"layers over 250 MB":               {layers: []string{whole, byte1}, code: invalid, message: "Layers consume more than the available size of 262144000 bytes"},
		"layers and code of just 250 MB":   {layers: []string{almost}, code: invalid, message: "Unzipped size must be smaller than 5 bytes"},
		"bad role":                         {change: func(in *lambda.CreateFunctionInput) { in.Role = aws.String("me") }, code: validation, message: "at 'role'"},
		"no handler":                       {change: func(in *lambda.CreateFunctionInput) { in.Handler = nil }, code: invalid, message: "Runtime and Handler are mandatory"},
		"code that is not readable by all": {change: func(in *lambda.CreateFunctionInput) { in.Code.ZipFile = zipOf(t, entry{name: "f", mode: 0o600}) }, code: invalid, message: "Other users cannot read"},
		"two architectures": {
			change: func(in *lambda.CreateFunctionInput) { in.Architectures = []types.Architecture{"x86_64", "arm64"} },
			code:   validation, message: "at 'architectures'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			input := newFunction(t, "f", test.layers...)
			if test.change != nil {
				test.change(input)
			}
			_, err := client.CreateFunction(t.Context(), input)
			wantError(t, err, test.code, test.message)
		})
	}
}
