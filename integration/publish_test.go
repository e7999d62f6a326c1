package integration

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// TestPublishesSeveralAtOnce guards against layers that are looked up or
// published one after the other: the gates open only when as many calls wait
// there as there may be.
func TestPublishesSeveralAtOnce(t *testing.T) {
	t.Parallel()
	const atOnce = 8
	c, dir := startCloud(t), t.TempDir()
	var layers []string
	for i := range atOnce + 2 {
		layers = append(layers, fmt.Sprintf("file opt/%d %d", i, i))
	}
	writeLayout(t, filepath.Join(dir, "app"), layers...)

	var gates []*fakelambda.Gate
	for _, op := range []fakelambda.Operation{fakelambda.ListLayerVersions, fakelambda.PublishLayerVersion} {
		gate := fakelambda.NewGate()
		c.On(fakelambda.Rule{Operation: op, Do: gate.Hold})
		gates = append(gates, gate)
	}
	p := run{dir: dir, env: c.env(), args: []string{"-i", "oci:app"}}.start(t)
	for _, gate := range gates {
		if err := gate.Wait(testrun.Deadline(t), atOnce); err != nil {
			t.Errorf("fewer than %d calls at once: %v", atOnce, err)
		}
		gate.Open()
	}
	p.wait(t).wantExit(t, 0)
	if got := c.MaxInFlight(); got != atOnce {
		t.Errorf("there were %d calls at once, want %d and no more", got, atOnce)
	}
}

// TestPublishesInManyRegionsAtOnce guards against small layers that are published to
// one region after the other: the gate opens only when the calls of all wait there.
func TestPublishesInManyRegionsAtOnce(t *testing.T) {
	t.Parallel()
	c, dir := startCloud(t), t.TempDir()
	writeLayout(t, filepath.Join(dir, "app"), "file opt/a 1", "file opt/b 2", "file opt/c 3")
	args := []string{"-i", "oci:app"}
	const regions = 20
	for i := range regions {
		args = append(args, "-r", fmt.Sprint("eu-west-", i))
	}
	gate := fakelambda.NewGate()
	c.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Do: gate.Hold})
	p := run{dir: dir, env: c.env(), args: args}.start(t)
	if err := gate.Wait(testrun.Deadline(t), 3*regions); err != nil {
		t.Errorf("fewer than %d calls at once: %v", 3*regions, err)
	}
	gate.Open()
	p.wait(t).wantExit(t, 0)
}
