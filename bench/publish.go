package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// publishing is point 8: eight layers that are new to a Lambda API which takes
// half a second for each call, against a dry run.
func publishing(b *bench) ([]row, error) {
	var parts [][]part
	for i := range 8 {
		parts = append(parts, []part{{path: fmt.Sprintf("opt/%d", i), kind: sources, size: 1 * mega}})
	}
	img, err := b.makeImage("publish", parts...)
	if err != nil {
		return nil, err
	}
	defer os.Remove(img.archive)
	nowhere := filepath.Join(b.dir, "nowhere")
	x, y, _, err := b.compare(func() (usage, error) {
		api := fakelambda.New() // one that has no layers
		api.On(fakelambda.Rule{Do: fakelambda.Delay(time.Second / 2)})
		defer api.Close()
		return b.convert([]string{
			"AWS_ENDPOINT_URL=" + api.Start(), "AWS_REGION=us-east-1",
			"AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench",
			"AWS_CONFIG_FILE=" + nowhere, "AWS_SHARED_CREDENTIALS_FILE=" + nowhere,
		}, "--image", img.fromOCIArchive())
	}, b.dryRun(img.fromOCIArchive()))
	if err != nil {
		return nil, err
	}
	return []row{{"publish 8 layers, 0.5 s a call; dry run; difference", seconds(x), seconds(y), seconds(x - y), "<= 2 s"}}, nil
}
