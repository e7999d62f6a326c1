package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// publish returns a run of the program that publishes all layers of an image, as
// the Lambda API has none, which takes so long for each call.
func (b *bench) publish(img *image, call time.Duration, args ...string) func() (usage, error) {
	nowhere := filepath.Join(b.dir, "nowhere")
	return func() (usage, error) {
		api := fakelambda.New()
		api.On(fakelambda.Rule{Do: fakelambda.Delay(call)})
		defer api.Close()
		return b.convert(b.program, []string{
			"AWS_ENDPOINT_URL=" + api.Start(), "AWS_REGION=us-east-1",
			"AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench",
			"AWS_CONFIG_FILE=" + nowhere, "AWS_SHARED_CREDENTIALS_FILE=" + nowhere,
		}, append(args, "--image", img.fromOCIArchive())...)
	}
}

// publishing measures eight new layers and calls of half a second, against a dry
// run.
func publishing(b *bench) ([]row, error) {
	img, err := b.makeImage("publish", smallLayers(8)...)
	if err != nil {
		return nil, err
	}
	defer os.Remove(img.archive)
	x, y, _, err := b.compare(b.publish(img, time.Second/2), b.dryRun(img.fromOCIArchive()))
	if err != nil {
		return nil, err
	}
	return []row{{"publish 8 layers, 0.5 s a call; dry run; difference", seconds(x), seconds(y), seconds(x - y), "<= 2 s"}}, nil
}

// regions measures three new layers in twenty regions against one, and calls of
// 0.3 s.
func regions(b *bench) ([]row, error) {
	img, err := b.makeImage("regions", smallLayers(3)...)
	if err != nil {
		return nil, err
	}
	defer os.Remove(img.archive)
	var many []string
	for i := range 20 {
		many = append(many, "--region", fmt.Sprintf("us-east-%d", i+1))
	}
	x, y, _, err := b.compare(b.publish(img, 300*time.Millisecond, many...), b.publish(img, 300*time.Millisecond))
	if err != nil {
		return nil, err
	}
	return []row{{"publish 3 layers in 20 regions; in one, 0.3 s a call", seconds(x), seconds(y), ratio(x / y), "<= 1.3"}}, nil
}

// smallLayers are n layers of 1 MB.
func smallLayers(n int) (layers [][]part) {
	for i := range n {
		layers = append(layers, []part{{path: fmt.Sprintf("opt/%d", i), kind: sources, size: 1 * mega}})
	}
	return layers
}
