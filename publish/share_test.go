package publish

import (
	"fmt"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// TestShare guards against layers that others cannot use though they should, or
// that more can use, and against a second run that fails because they can.
func TestShare(t *testing.T) {
	api := fakelambda.New(fakelambda.Allow(fakelambda.ListLayerVersions, fakelambda.GetLayerVersion,
		fakelambda.PublishLayerVersion, fakelambda.AddLayerVersionPermission))
	p := newPublisher(t, api, Options{Namespace: "test", Regions: []string{"cn-north-1"}, ShareWith: []string{"111122223333", "o-a1b2c3d4e5", "all"}})
	dir, layers := newLayers(t, 1)
	for range 2 {
		if _, err := publishAll(t.Context(), p, dir, layers); err != nil {
			t.Fatal(err)
		}
	}
	// What was found is shared as well, with one more.
	again, err := New(t.Context(), Options{Namespace: "test", Regions: []string{"cn-north-1"}, ShareWith: []string{"444455556666"}})
	if err != nil {
		t.Fatal(err)
	}
	if published, err := publishAll(t.Context(), again, dir, layers); err != nil || published != nil {
		t.Errorf("published %q: %v", published, err)
	}
	const version = `"Effect":"Allow","Principal":%s,"Action":"lambda:GetLayerVersion","Resource":"arn:aws-cn:lambda:cn-north-1:123456789012:layer:layer-1:1"`
	want := `{"Version":"2012-10-17","Id":"default","Statement":[` +
		`{"Sid":"img2lambda-111122223333",` + fmt.Sprintf(version, `{"AWS":"arn:aws-cn:iam::111122223333:root"}`) + `},` +
		`{"Sid":"img2lambda-o-a1b2c3d4e5",` + fmt.Sprintf(version, `"*"`) + `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}},` +
		`{"Sid":"img2lambda-all",` + fmt.Sprintf(version, `"*"`) + `},` +
		`{"Sid":"img2lambda-444455556666",` + fmt.Sprintf(version, `{"AWS":"arn:aws-cn:iam::444455556666:root"}`) + `}]}`
	if got := api.Policy(arnOf(layers[0])); got != want {
		t.Errorf("got policy\n%s\nwant\n%s", got, want)
	}

	// Those who may not share hear that the layer is published.
	api.On(fakelambda.Rule{Operation: fakelambda.AddLayerVersionPermission, Do: fakelambda.Fail(403, "AccessDeniedException", "No.")})
	r := p.Publish(t.Context(), Content{Dir: dir, Layers: layers}, quiet{})[0]
	const denied = "layer layer-1 (layer-1.zip): it is published, but not shared with 111122223333: AccessDeniedException: No."
	if r.Err == nil || r.Err.Error() != denied || r.Versions[0].ARN != arnOf(layers[0]) {
		t.Errorf("got %+v, want %s", r, denied)
	}
}

// TestShareAtTheSameTime guards against a version that is said to be shared, and is
// not, since Lambda was at work for somebody else: a conflict is not always about a
// statement that is there already.
func TestShareAtTheSameTime(t *testing.T) {
	for _, times := range []int{maxAttempts - 1, maxAttempts} {
		api := fakelambda.New()
		p := newPublisher(t, api, Options{Namespace: "test", ShareWith: []string{"all"}})
		dir, layers := newLayers(t, 1)
		api.On(fakelambda.Rule{Operation: fakelambda.AddLayerVersionPermission, Times: times, Do: fakelambda.Fail(409, "ResourceConflictException",
			"The operation cannot be performed at this time. Another operation is in progress.")})
		_, err := publishAll(t.Context(), p, dir, layers)
		if shared := api.Policy(arnOf(layers[0])) != ""; shared != (err == nil) || shared != (times < maxAttempts) {
			t.Errorf("after %d conflicts: shared %t, error %v", times, shared, err)
		}
	}
}
